"""The dashboard in a browser: a view that is opened, and what may not happen on it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

from tests.support.http import Api
from tests.support.server import RunningServer
from tests.support.wait import until

# What the browser says by itself: that an answer was a refusal, which some are meant to be.
REFUSED = re.compile(r"the server responded with a status of (?:404|409) ")
# Where keys are asked for, before somebody has signed in, and once he may not any more.
UNKNOWN = re.compile(r"the server responded with a status of 40[13] ")
# While the server is away.
AWAY = re.compile(r"net::ERR_(?:CONNECTION_|EMPTY_RESPONSE|SOCKET_NOT_CONNECTED|NETWORK_CHANGED)")

WAIT_MAX_MS = 30_000
# Between the beginning of a page and what is meant on it.
TABS_MAX_COUNT = 80


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
        self.meant = [REFUSED]
        """What may be said."""
        self._origin = origin
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))

    def check(self) -> None:
        wrong = [text for text in self.said if not any(one.search(text) for one in self.meant)]
        assert not wrong, wrong
        assert self.asked
        assert not [url for url in self.asked if not url.startswith(self._origin)]


@contextlib.contextmanager
def watched(browser: Any, server: RunningServer, view: str = "", **context: Any) -> Iterator[Any]:
    """A page that asks for a view, and what is seen of it; at its end nothing may have gone wrong on it."""
    made = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **context})
    try:
        page = made.new_page()
        page.set_default_timeout(WAIT_MAX_MS)
        watch = Watch(page, server.url)
        page.goto(f"{server.url}/ui/{view}")
        yield page, watch
        watch.check()
    finally:
        made.close()


@contextlib.contextmanager
def opened(browser: Any, server: RunningServer, view: str = "", **context: Any) -> Iterator[Any]:
    """A page that shows a view; at its end nothing may have gone wrong on it."""
    with watched(browser, server, view, **context) as (page, _):
        page.wait_for_selector("h1")
        yield page


@contextlib.contextmanager
def signed_in(
    browser: Any,
    server: RunningServer,
    view: str,
    key: str,
    *,
    may_be_away: bool = False,
    **context: Any,
) -> Iterator[Any]:
    """The same where keys are asked for, of who has this one. `may_be_away`: the server is killed
    meanwhile."""
    with watched(browser, server, view, **context) as (page, watch):
        watch.meant += [UNKNOWN, *([AWAY] if may_be_away else [])]
        sign_in(page, key)
        page.get_by_label("API key").wait_for(state="detached")
        page.wait_for_selector("h1")
        yield page


def sign_in(page: Any, key: str) -> None:
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in", exact=True).click()


def aimed_at(button: Any) -> tuple[float, float]:
    """Where the pointer is, which is on it now."""
    button.hover()
    box = button.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def settled(page: Any) -> None:
    page.wait_for_function("() => !document.querySelector('[aria-busy=true]')")


def go(page: Any, letter: str) -> None:
    """To another page, by the two keys that lead there."""
    page.keyboard.press("g")
    page.keyboard.press(letter)


def walk_to(page: Any, row: Any) -> None:
    """From row to row of a list, down and then up, until this one has the focus."""
    row.wait_for()
    for key in ["j", "k"]:
        for _ in range(page.locator("main [data-row]").count()):
            page.keyboard.press(key)
            if has_focus(row):
                return
    raise AssertionError(f"no way by keyboard to {row}")


def tab_to(page: Any, wanted: Any) -> None:
    """By the key that goes from one control to the next."""
    wanted.wait_for()
    for _ in range(TABS_MAX_COUNT):
        page.keyboard.press("Tab")
        if has_focus(wanted):
            return
    raise AssertionError(f"no way by keyboard to {wanted}")


def has_focus(wanted: Any) -> bool:
    """Whether what is typed goes there."""
    return bool(wanted.evaluate("element => element === document.activeElement"))


def focused(wanted: Any) -> None:
    """Wait until it has the focus."""
    wanted.wait_for()
    until(lambda: has_focus(wanted))


def scrolled_to(page: Any, table: str, last: str) -> None:
    """Scroll a long table until the link with this name is there; only the rows that are seen exist."""
    found = page.get_by_role("table", name=table)
    found.wait_for()
    scroller = found.get_by_role("rowgroup").nth(1)
    for _ in range(60):
        scroller.evaluate("element => element.scrollBy(0, 2000)")
        page.wait_for_timeout(50)
        assert page.get_by_role("row").count() < 60
        if page.get_by_role("link", name=last).count():
            break
    page.get_by_role("link", name=last).wait_for()
