"""Links of all Markdown lead somewhere, each page is in the navigation, and the site is built of them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.site import links, source
from tools.site.__main__ import dead_in, foreign_in
from tools.site.links import ROOT, dead_links, markdown_files
from tools.site.markdown import Page
from tools.site.navigation import left_out, pages

TEXT = """\
# Title

## A `GET /x/{y}` & *more*
## Twice
## Twice

[one](a.md) and `[no](b.md)` and [two](<#no>) <a id="own"></a> <img alt="x" src="i.png">

    - item

        ```sh
        # no heading
        run [no](c.md)
        ```

[three]: https://host.example/x
"""


def test_no_link_in_any_page_is_dead() -> None:
    assert list(dead_links(markdown_files())) == []


def test_each_page_is_in_the_navigation_once_and_no_other_is() -> None:
    assert left_out() == []
    listed = pages()
    assert len(listed) == len(set(listed))
    assert [name for name in listed if not (source.DOCS / name).exists()] == []


def test_a_page_is_read_as_it_is_meant() -> None:
    page = Page(TEXT)
    assert [each.anchor for each in page.headings] == [
        "title",
        "a-get-xy--more",
        "twice",
        "twice-1",
    ]
    assert "own" in page.anchors
    assert [each.target for each in page.links] == ["a.md", "i.png", "https://host.example/x"]
    (block,) = page.blocks
    assert (block.language, block.text, block.before) == (
        "sh",
        "# no heading\nrun [no](c.md)\n",
        "- item",
    )


@pytest.mark.parametrize(
    ("target", "wrong"),
    [
        ("missing.md", "there is no such file"),
        ("../README.md#nothing-like-it", "there is no such heading"),
        ("../../outside.md", "outside of the repository"),
        ("../LICENSE#x", "no page with headings"),
        ("https://nowhere/x", "no address of a host"),
        ("ftp://host.example/x", "a scheme other than http, https, mailto"),
        ("../README.md#api", ""),
        ("https://host.example/x", ""),
    ],
)
def test_a_dead_link_is_found(
    target: str, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ROOT / "docs"
    there = folder / "made-up.md"
    monkeypatch.setattr(
        links, "page", lambda file: Page(f"[x]({target})" if file == there else file.read_text())
    )
    found = list(dead_links([there]))
    assert found == ([f"docs/made-up.md:1: {target}: {wrong}"] if wrong else [])


def test_a_list_right_below_a_paragraph_is_a_list_on_the_site_too(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# T\n\nText:\n- one\n  goes on\n- two\n")
    assert source.rewritten(page) == "# T\n\nText:\n\n- one\n  goes on\n- two\n"


def test_on_the_site_a_link_out_of_docs_leads_to_the_repository_and_others_stay() -> None:
    page = source.DOCS / "operate" / "proxies.md"
    assert source.on_site(page, "../../tools/cluster/conduit.conf") == (
        f"{source.REPOSITORY}/blob/main/tools/cluster/conduit.conf"
    )
    assert (
        source.on_site(page, "../../bench/results")
        == f"{source.REPOSITORY}/tree/main/bench/results"
    )
    assert source.on_site(page, "../cluster.md#to-run-it") == "../cluster.md#to-run-it"
    assert source.on_site(page, "#nginx") == "#nginx"


@pytest.mark.process
def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.site", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "docs" / "get-started" / "index.html").exists()


def test_what_is_dead_or_of_elsewhere_in_a_built_page_is_found(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<a href="other/#there">x</a><a href="other/#gone">x</a><a href="no/">x</a>'
        '<script src="https://cdn.example/x.js"></script><link rel="stylesheet" href="//cdn.example/x.css">'
        '<link rel="canonical" href="https://docs.example/"><script src="own.js"></script>'
    )
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.html").write_text('<h1 id="there">x</h1>')
    assert len(list(dead_in(tmp_path))) == 2
    assert len(list(foreign_in(tmp_path))) == 2


def test_each_test_that_a_promise_names_is_there() -> None:
    text = (ROOT / "docs" / "guarantees.md").read_text()
    named = re.findall(r"\[`(tests/[\w/]+\.py)::(test_\w+)`\]\(\.\./(tests/[\w/]+\.py)\)", text)
    assert len(named) == text.count("::test_")
    for file, test, linked in named:
        assert file == linked
        tree = ast.parse((ROOT / file).read_text())
        assert test in {
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }


@pytest.mark.parametrize("number", range(1, 8))
def test_each_promise_names_tests(number: int) -> None:
    text = (ROOT / "docs" / "guarantees.md").read_text()
    section = re.search(rf"^## {number}\. .*?(?=^## )", text, re.MULTILINE | re.DOTALL)
    assert section is not None
    assert section[0].count("::test_") >= 4
