"""The walk itself, in namespaces of its own, where the root's mounts and processes end with it."""

from __future__ import annotations

import http.client
import json
import re
import secrets
import socket
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.support.page import DOCS, typed
from tests.support.wait import until
from tests.walk.terminals import Failed, Terminal
from tools.bare_root import ENVIRONMENT, Machine, NoRoot, mount_caches

PAGE = DOCS / "walk.md"
STAYS = "# until Ctrl-C"
# Packages of Debian, Python and npm come over a network.
STEP_WITHIN_S = 600.0
# What a cluster does by itself: a second attempt, another owner, a node that comes back.
SOON_S = 120.0
PROCESS = re.compile(r"^  node-1 +\S+ +(\d+)", re.MULTILINE)
# The dashboard, beside a cluster that starts.
BUILT_WITHIN_S = 300.0
# The page's ports are this with another digit.
PORTS = ":808"


class Walk:
    """One reader's. `cluster` and `handler` are the terminals where something stays."""

    def __init__(self, root: Path, environment: Mapping[str, str], ports: int) -> None:
        self._root = root
        self._ports = f":{ports}"
        self.url = f"http://localhost:{ports}0"
        # Where the page needs no port: make's, and the command's.
        self._environment = {**environment, "PORT": f"{ports}0", "CONDUIT_URL": self.url}
        self._typing = Terminal(root, "second", self._environment)
        self._staying: list[Terminal] = []
        self._seen: set[str] = set()

    def run(self) -> None:
        """All blocks of the page. Raises Failed."""
        for block in typed(PAGE):
            began = time.monotonic()
            commands = block.commands.replace(PORTS, self._ports)
            if "kill -9 PID" in commands:
                process = PROCESS.search(self._cluster.said())
                assert process is not None
                commands = commands.replace("PID", process[1])
            if STAYS in commands:
                name = ("first", "third")[len(self._staying)]
                self._staying.append(Terminal(self._root, name, self._environment))
                self._staying[-1].start(commands)
            else:
                self._typed(commands)
            self._check(commands)
            told = commands.strip().splitlines()[-1]
            print(f"walk: {time.monotonic() - began:6.1f} s  {block.heading}: {told}", flush=True)
        if missed := CHECKS.keys() - self._seen:
            raise Failed(f"{PAGE.name} has none of the commands {sorted(missed)} any more")
        self._cluster.interrupt()
        self._cluster.wait_for("cluster: ended after", SOON_S)

    @property
    def _cluster(self) -> Terminal:
        return self._staying[0]

    def _typed(self, commands: str) -> None:
        """Once; what only looks until it shows what the page says."""
        self._said = self._typing.run(commands, STEP_WITHIN_S)
        for looks, shows in LOOKS.items():
            if looks in commands:
                deadline = time.monotonic() + SOON_S
                while not re.search(shows, self._said):
                    if time.monotonic() > deadline:
                        raise Failed(f"{self._said}\n{looks} does not show {shows}")
                    self._said = self._typing.run(commands, STEP_WITHIN_S)

    def _check(self, commands: str) -> None:
        for command, check in CHECKS.items():
            if command in commands:
                self._seen.add(command)
                check(self)

    # What the page says that happens ----------------------------------------------------------------

    def is_ready(self) -> None:
        self._cluster.wait_for("Ctrl-C ends it all", STEP_WITHIN_S)

    def has_dashboard(self) -> None:
        """The page, what it loads, and signing in as the page does."""
        key = (self._root / "srv/conduit/admin-key").read_text().strip()
        until(lambda: _is_built(f"{self.url}/ui/"), BUILT_WITHIN_S)
        browser = Browser(self.url)
        page = browser.fetch("/ui/").decode()
        assets = re.findall(r"""(?:src|href)="([^"]*assets/[^"]+)""", page)
        if not assets:
            raise Failed(f"the dashboard's page loads nothing:\n{page}")
        for asset in assets:
            browser.fetch(urllib.parse.urljoin("/ui/", asset))
        browser.fetch("/api/session", {"path": "/"}, Authorization=f"Bearer {key}")
        # By the cookie alone.
        session = json.loads(browser.fetch("/api/whoami"))
        if session["session"] is None:
            raise Failed(f"no session: {session}")

    def fails_twice(self) -> None:
        self._staying[1].wait_for("order 42 failed, attempt 2", SOON_S)

    def is_shipped(self) -> None:
        self._staying[1].wait_for("order 42 is shipped", SOON_S)

    def goes_on(self) -> None:
        self._staying[1].wait_for("order 43 is shipped", SOON_S)
        self._cluster.wait_for("node-1 is back", SOON_S)


# Commands that look, and what they show in the end.
LOOKS = {
    "conduit node ls": r'(?s)(?:"state": "up".*){3}',
    "conduit dlq ls": '"reason": "no stock"',
    "conduit subscription get": r'"lag": 0\b',
}
CHECKS: dict[str, Callable[[Walk], None]] = {
    "make cluster": Walk.is_ready,
    "conduit node ls": Walk.has_dashboard,
    "conduit pub orders.created '{\"id\": 42}'": Walk.fails_twice,
    "conduit dlq redrive": Walk.is_shipped,
    "conduit pub orders.created '{\"id\": 43}'": Walk.goes_on,
}


class Browser:
    """What a browser has of the dashboard: requests, and the cookie of its session."""

    def __init__(self, url: str) -> None:
        self._url = url
        cookies = urllib.request.HTTPCookieProcessor()
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), cookies)

    def fetch(self, path: str, body: object = None, **headers: str) -> bytes:
        """Raises OSError, also if the status is none of success."""
        data = None if body is None else json.dumps(body).encode()
        headers |= {"Content-Type": "application/json", "X-Conduit-Session": "1"}
        request = urllib.request.Request(f"{self._url}{path}", data, headers)
        with self._opener.open(request, timeout=30) as answer:
            found: bytes = answer.read()
            return found


def _is_built(url: str) -> bool:
    try:
        Browser(url).fetch("")
    except urllib.error.HTTPError as error:
        if error.code != http.client.SERVICE_UNAVAILABLE:
            raise
        return False
    return True


def _free_ports() -> int:
    """A number that with 0 to 3 behind it is a port on which nothing listens."""
    while True:
        ports = secrets.choice(range(1_100, 3_000))
        if all(_is_free(ports * 10 + last) for last in range(4)):
            return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def main(root: Path, cache: Path | None) -> int:
    """The exit code."""
    machine = Machine.here()
    try:
        machine.mount(root)
        if cache is not None:
            mount_caches(root, cache)
        Walk(root, {**ENVIRONMENT, **machine.environment}, _free_ports()).run()
    except (Failed, NoRoot, OSError) as error:
        print(f"walk: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None))
