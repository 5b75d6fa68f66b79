"""The web pages of the documentation do in Chromium what the text beside them says."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.browser.pages import running_browser
from tests.docs.blocks import Step, all_blocks
from tests.docs.terminal import Terminals
from tests.support.access import Signed
from tests.support.http import Api
from tests.support.server import free_port, running_server
from tests.support.wait import until

pytestmark = [pytest.mark.process, pytest.mark.timeout(90)]

KEY = "a-key-for-the-examples"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running_browser() as browser:
        yield browser


def save_all(file: str, terminals: Terminals) -> None:
    """The files that a page has its reader save."""
    for each in all_blocks():
        if each.file == file and each.file_name:
            terminals.save(each.file_name, each.block.text)


def test_the_first_page_shows_what_is_published(browser: Any, tmp_path: Path) -> None:
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with (
        running_server() as server,
        Terminals(tmp_path, server) as terminals,
        ThreadingHTTPServer(("127.0.0.1", 0), handler) as files,
    ):
        save_all("docs/get-started.md", terminals)
        serving = Thread(target=files.serve_forever)
        serving.start()
        try:
            api = Api(server.url)
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{files.server_port}/page.html")
            shown = page.locator("li")
            until(lambda: api.get("/api/topics/demo").status == 200)
            until(lambda: api.topic("demo")["subscriber_count"] == 1)
            api.publish("demo", {"hello": "browser"})
            shown.get_by_text('#1 {"hello":"browser"}').wait_for()
            page.close()
        finally:
            files.shutdown()
            serving.join()


def test_the_page_that_signs_in_goes_on_where_it_was_after_a_restart(
    browser: Any, tmp_path: Path
) -> None:
    port = free_port()
    with running_server(
        ENABLE_AUTH="true",
        DEFAULT_API_KEY=KEY,
        CORS_ORIGIN=f"http://localhost:{port}",
        DATABASE_URL="sqlite:///conduit.db",
    ) as server:
        api = Signed(server.url, KEY)
        with Terminals(tmp_path, server, page_port=port, CONDUIT_API_KEY=KEY) as terminals:
            save_all("docs/how-to/browser.md", terminals)
            terminals.begin(Step("python backend.py", "http://localhost:5173/feed.html"))
            api.create_topic("users.17.feed")
            page = browser.new_page()
            page.goto(f"http://localhost:{port}/feed.html")
            until(lambda: api.topic("users.17.feed")["subscriber_count"] == 1)
            api.publish("users.17.feed", {"text": "hello"})
            page.get_by_text("#1 hello").wait_for()
            server.restart()
            api.publish("users.17.feed", {"text": "missed"})
            page.get_by_text("#2 missed").wait_for()
            assert page.locator("li").all_inner_texts() == ["#1 hello", "#2 missed"]
            page.close()
