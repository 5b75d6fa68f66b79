import gzip

import pytest
from fastapi import FastAPI

from conduit.server.context import Context
from conduit.server.dashboard.built import DEPTH_MAX_COUNT, Built
from conduit.server.doors import operators_door
from conduit.server.rest.api import create_api
from tests.server.built_pages import BROTLI, PAGE, SCRIPT, build
from tests.server.guarded import open_guarded
from tests.server.port import open_port, request
from tests.server.rest_kit import Api, refused, running_api

HTML = {"accept": "text/html,*/*;q=0.8"}
SCRIPT_PATH = "/ui/assets/app-1.js"


@pytest.fixture
async def api(tmp_path):
    async with running_api() as api:
        api.app.state.dashboard = Built(build(tmp_path / "dist"))
        yield api


async def test_a_browser_is_sent_to_the_dashboard_wherever_it_is(api: Api):
    for path in ("/", "/ui"):
        answer = await api.send("GET", path, headers=HTML, follow_redirects=False)
        # No host and no path before it: a proxy may have another.
        assert (answer.status_code, answer.headers["location"]) == (307, "ui/")
    assert answer.headers["cache-control"] == "no-store"


async def test_the_page_is_asked_for_again_each_time_and_answered_in_short(api: Api):
    answer = await api.send("GET", "/ui/")
    assert (answer.status_code, answer.text) == (200, PAGE)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    known = {"if-none-match": answer.headers["etag"]}
    again = await api.send("GET", "/ui/", headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == answer.headers["etag"]


async def test_every_view_is_the_page_with_its_own_way_back(api: Api):
    for path, base in (
        ("/ui/topics", "./"),
        ("/ui/topics/orders.created", "../"),
        ("/ui/topics/a%2Fb", "../"),
        ("/ui/a/b/", "../../"),
    ):
        answer = await api.send("GET", path)
        assert f'<base href="{base}" />' in answer.text, path


async def test_what_is_too_deep_for_a_view_is_not_there(api: Api):
    assert (await api.send("GET", "/ui" + "/a" * (DEPTH_MAX_COUNT + 1))).status_code == 200
    refused(await api.send("GET", "/ui" + "/a" * (DEPTH_MAX_COUNT + 2)), 404, "not_found")


async def test_a_file_is_kept_for_good_because_its_name_changes_with_it(api: Api):
    answer = await api.send("GET", SCRIPT_PATH, headers={"accept-encoding": "identity"})
    assert answer.content == SCRIPT
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "content-encoding" not in answer.headers
    assert int(answer.headers["content-length"]) == len(SCRIPT)


async def test_a_file_is_sent_in_the_smallest_form_that_is_taken(api: Api):
    async with api.client.stream("GET", SCRIPT_PATH, headers={"accept-encoding": "br"}) as small:
        assert small.headers["content-encoding"] == "br"
        assert b"".join([part async for part in small.aiter_raw()]) == BROTLI
    other = await api.send("GET", SCRIPT_PATH, headers={"accept-encoding": "gzip"})
    assert (other.headers["content-encoding"], other.content) == ("gzip", SCRIPT)
    assert other.headers["vary"] == "Accept-Encoding"
    assert other.headers["etag"] != small.headers["etag"]
    known = {"accept-encoding": "gzip", "if-none-match": other.headers["etag"]}
    assert (await api.send("GET", SCRIPT_PATH, headers=known)).status_code == 304


async def test_caches_are_told_of_origins_as_well(tmp_path):
    async with running_api(cors_origin="https://app.example") as api:
        api.app.state.dashboard = Built(build(tmp_path))
        answer = await api.send("GET", SCRIPT_PATH)
        assert answer.headers["vary"] == "Accept-Encoding, Origin"


async def test_pages_may_load_what_is_here_and_nothing_else(api: Api):
    for path in ("/ui/", SCRIPT_PATH):
        headers = (await api.send("GET", path)).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'self';")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/ui/assets/",
        "/ui/assets/none.js",
        "/ui/assets/index.html",
        "/ui/assets/..%2findex.html",
        "/ui/assets/%2e%2e/%2e%2e/built.py",
        "/ui/assets//etc/passwd",
        "/ui/assets/app-1.js.gz",
        "/ui/assets/notes.secret",
        "/ui/assets/app-1.js%00.svg",
    ],
)
async def test_nothing_is_a_file_but_what_was_built(api: Api, path):
    refused(await api.send("GET", path), 404, "not_found")


async def test_without_a_dashboard_the_page_says_how_to_build_it_and_comes_back(tmp_path):
    async with running_api() as api:
        api.app.state.dashboard = Built(tmp_path / "dist")
        answer = await api.send("GET", "/ui/topics/x")
        assert answer.status_code == 503
        assert "make dashboard" in answer.text
        assert 'href="../../docs"' in answer.text
        assert 'http-equiv="refresh"' in answer.text
        assert answer.headers["cache-control"] == "no-store"
        build(tmp_path / "dist")
        assert (await api.send("GET", "/ui/topics/x")).status_code == 200


async def test_the_port_for_operators_has_no_dashboard(api: Api):
    api.context.door = operators_door()
    refused(await api.send("GET", "/ui/"), 404, "not_found")
    answer = await api.send("GET", "/", headers=HTML, follow_redirects=False)
    assert answer.json()["name"] == "Conduit"
    assert "dashboard" not in answer.json()


async def test_it_is_for_everybody_and_the_api_behind_it_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr("conduit.server.rest.api.Built", lambda: Built(build(tmp_path)))
    async with open_guarded() as guarded:
        for path in ("/ui/", "/ui/topics/x?tab=settings", SCRIPT_PATH):
            assert (await guarded.ask("GET", path)).status == 200
        for path in ("/ui/../api/topics", "/ui/..%2fapi/topics", "/uix/", "/%75i/../api/topics"):
            answer = await guarded.ask("GET", path)
            assert answer.status == 401 or PAGE[:15].encode() in answer.body


async def test_over_a_socket_head_is_get_without_its_body(tmp_path):
    def make_app(context: Context) -> FastAPI:
        app = create_api(context)
        app.state.dashboard = Built(build(tmp_path))
        return app

    async with open_port(make_app) as port:
        client = await port.connect()
        for path in ("/ui/", SCRIPT_PATH, "/ui/none/" + "a/" * 20):
            await client.send(
                request("GET", path, None, "X-Request-Id: r", "Accept-Encoding: gzip")
            )
            got = await client.answer()
            await client.send(
                request("HEAD", path, None, "X-Request-Id: r", "Accept-Encoding: gzip")
            )
            head = await client.answer(has_body=False)
            assert (head.status, head.headers) == (got.status, got.headers), path
        await client.send(request("GET", SCRIPT_PATH, None, "Accept-Encoding: gzip"))
        assert gzip.decompress((await client.answer()).body) == SCRIPT
