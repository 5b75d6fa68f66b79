"""What `make dashboard` does not do again, and on which Node.js it goes."""

from __future__ import annotations

import pytest

from tools import dashboard


@pytest.mark.parametrize("version", ["v20.19.0", "v20.20.2", "v22.12.0", "v24.19.0\n", "v26.1.0"])
def test_it_is_built_where_vite_runs(version: str) -> None:
    assert dashboard.will_do(version)


@pytest.mark.parametrize("version", ["v18.20.0", "v20.18.3", "v21.7.0", "v22.11.9", "", "20.19.0"])
def test_with_another_node_one_is_installed(version: str) -> None:
    assert not dashboard.will_do(version)


def test_what_the_pages_are_made_from_is_a_number_that_changes_with_it(tmp_path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.ts").write_text("1")
    first = dashboard.sources_digest(tmp_path)
    assert dashboard.sources_digest(tmp_path) == first
    # Neither packages nor tests are in the pages.
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "x.js").write_text("x")
    (tmp_path / "src" / "main.test.ts").write_text("x")
    assert dashboard.sources_digest(tmp_path) == first
    (tmp_path / "src" / "main.ts").write_text("2")
    second = dashboard.sources_digest(tmp_path)
    (tmp_path / "src" / "main.ts").rename(tmp_path / "src" / "other.ts")
    assert len({first, second, dashboard.sources_digest(tmp_path)}) == 3


def test_what_is_there_already_is_not_made_again(tmp_path, monkeypatch) -> None:
    dist = tmp_path / "dist"
    dist.mkdir()
    (dist / "index.html").write_text("")
    (dist / ".made-from").write_text(dashboard.sources_digest())
    monkeypatch.setattr(dashboard, "DIST", dist)
    monkeypatch.setattr(dashboard, "packages", lambda: pytest.fail("packages were asked for"))
    assert dashboard.main(["build"]) == 0


def test_a_step_that_fails_says_which_and_what_it_said(tmp_path, monkeypatch, capsys) -> None:
    def fail() -> None:
        raise dashboard.BuildError("vite failed:\nno such file")

    monkeypatch.setattr(dashboard, "DIST", tmp_path / "dist")
    monkeypatch.setattr(dashboard, "packages", fail)
    assert dashboard.main(["build"]) == 1
    assert "make: the dashboard: vite failed:\nno such file" in capsys.readouterr().err
