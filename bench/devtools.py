"""A browser that is driven by its DevTools protocol, and by as little of it as there can be. Playwright has
the browser report each frame of a WebSocket, which at thousands a second is most of what is measured then."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

T = TypeVar("T")

_START_MAX_S = 60.0
_LOOK_EVERY_S = 0.02
_MIDDLE = """element => {
  const { x, y, width, height } = element.getBoundingClientRect();
  return [x + width / 2, y + height / 2];
}"""


class Page:
    """One page of the browser. Times are in seconds, places in CSS pixels."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._ids = itertools.count(1)

    def send(self, method: str, **params: object) -> dict[str, Any]:
        """What the browser answers; events are passed over. Raises RuntimeError if it refuses."""
        number = next(self._ids)
        self._connection.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            answer = json.loads(self._connection.recv(_START_MAX_S))
            if answer.get("id") == number:
                break
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def evaluate(self, script: str, kind: type[T]) -> T:
        """The value of a JavaScript expression, which is of this kind. Raises RuntimeError."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        value = answer["result"].get("value")
        if "exceptionDetails" in answer or not isinstance(value, kind):
            raise RuntimeError(f"{script}: {answer}")
        return value

    def wait_for(self, condition: str, within_s: float = _START_MAX_S) -> None:
        """Until this JavaScript expression holds. Raises TimeoutError."""
        until = time.monotonic() + within_s
        while not self.evaluate(f"Boolean({condition})", bool):
            if time.monotonic() > until:
                raise TimeoutError(condition)
            time.sleep(_LOOK_EVERY_S)

    def click(self, element: str) -> None:
        """As a mouse does, in the middle of what this JavaScript expression finds."""
        x, y = self.evaluate(f"({_MIDDLE})({element})", list)
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


@contextmanager
def page(url: str, width: int, height: int) -> Iterator[Page]:
    """The page at this address, in a browser of its own."""
    # Here, as other questions run where the tools of developers are not installed.
    from websockets.sync.client import connect

    from tests.browser.pages import BROWSERS, TURNED_OFF

    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise RuntimeError("no browser: as root, make services")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                path,
                "--headless=new",
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--remote-debugging-port=0",
                f"--disable-features={','.join(TURNED_OFF)}",
                f"--user-data-dir={profile}",
                f"--window-size={width},{height}",
                url,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with connect(_address(Path(profile), url), max_size=None) as connection:
                yield Page(connection)
        finally:
            process.terminate()
            process.wait()


def _address(profile: Path, url: str) -> str:
    """Where the page's debugger is, once the browser has written it down and has the page."""
    until = time.monotonic() + _START_MAX_S
    while time.monotonic() < until:
        time.sleep(_LOOK_EVERY_S)
        try:
            port = (profile / "DevToolsActivePort").read_text().split()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
                targets = json.load(answer)
        except (OSError, IndexError):
            continue
        for target in targets:
            if target["type"] == "page" and target["url"].startswith(url):
                return str(target["webSocketDebuggerUrl"])
    raise TimeoutError("the browser has not opened the page")
