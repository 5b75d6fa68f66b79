"""The dashboard in a browser: a view that is opened, and what may not happen on it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

from tests.support.http import Api
from tests.support.server import RunningServer

REFUSED = re.compile(r"the server responded with a status of (?:404|409) ")


def post(server: RunningServer, path: str, body: object) -> Any:
    headers = {"content-type": "application/json"}
    answer = Api(server.url).request("POST", path, json.dumps(body).encode(), headers)
    assert answer.status < 300, answer
    return answer.json


class Watch:
    """What went wrong on a page, and whom it has asked."""

    def __init__(self, page: Any, origin: str) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self._origin = origin
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))

    def check(self) -> None:
        # The browser says itself that an answer was a refusal, which some are meant to be.
        wrong = [text for text in self.said if not REFUSED.search(text)]
        assert not wrong, wrong
        assert self.asked
        assert not [url for url in self.asked if not url.startswith(self._origin)]


@contextlib.contextmanager
def opened(browser: Any, server: RunningServer, view: str = "", **context: Any) -> Iterator[Any]:
    """A page that shows a view; at its end nothing may have gone wrong on it."""
    made = browser.new_context(viewport={"width": 1280, "height": 800}, **context)
    try:
        page = made.new_page()
        page.set_default_timeout(15_000)
        watch = Watch(page, server.url)
        page.goto(f"{server.url}/ui/{view}")
        page.wait_for_selector("h1")
        yield page
        watch.check()
    finally:
        made.close()


def settled(page: Any) -> None:
    page.wait_for_function("() => !document.querySelector('[aria-busy=true]')")
