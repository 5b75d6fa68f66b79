import os

from conduit.server.dashboard import built
from conduit.server.dashboard.built import Built, read
from tests.server.built_pages import BROTLI, PAGE, SCRIPT, build


async def test_nothing_is_served_where_nothing_is_built(tmp_path):
    assert await Built(tmp_path / "dist").pages() is None


async def test_what_is_built_later_is_served_from_then_on(tmp_path):
    here = Built(tmp_path / "dist")
    assert await here.pages() is None
    build(tmp_path / "dist")
    assert (await here.pages()).page == PAGE.encode()


async def test_what_is_built_anew_is_read_anew_and_only_then(tmp_path):
    here = Built(build(tmp_path / "dist"))
    first = await here.pages()
    assert await here.pages() is first
    build(tmp_path / "next", PAGE + "<!-- newer -->")
    os.rename(tmp_path / "dist", tmp_path / "old")
    os.rename(tmp_path / "next", tmp_path / "dist")
    assert (await here.pages()).page.endswith(b"newer -->")


async def test_what_is_taken_away_is_not_served(tmp_path):
    here = Built(build(tmp_path / "dist"))
    assert await here.pages() is not None
    os.rename(tmp_path / "dist", tmp_path / "old")
    assert await here.pages() is None


def test_each_file_has_its_forms_its_type_and_a_tag_for_each(tmp_path):
    pages = read(build(tmp_path))
    assert pages.assets.keys() == {"app-1.js", "icon-1.svg"}
    script = pages.assets["app-1.js"]
    assert script.media_type.startswith("text/javascript")
    assert script.best(None).content == SCRIPT
    assert script.best("br, gzip").content == BROTLI
    assert len({form.etag for form in script.forms.values()}) == 3


def test_the_page_says_where_the_dashboard_is_from_each_depth(tmp_path):
    pages = read(build(tmp_path))
    assert b'<base href="./" />' in pages.at(0).content
    assert b'<base href="../../" />' in pages.at(2).content
    assert pages.at(0).etag != pages.at(2).etag


def test_a_folder_that_is_no_dashboard_is_not_read(tmp_path, monkeypatch):
    assert read(build(tmp_path / "other", "<p>something else</p>")) is None
    assert read(tmp_path) is None
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "index.html").write_text(PAGE)
    assert read(tmp_path / "empty") is None
    good = build(tmp_path / "good")
    for name in ("FILES_MAX_COUNT", "FILES_MAX_BYTES", "FILE_MAX_BYTES"):
        with monkeypatch.context() as patch:
            patch.setattr(built, name, 2)
            assert read(good) is None
