"""The k6 scripts hold, in short; and they do not where something is not as it should be."""

import itertools
import json
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.load.__main__ import keep
from tests.load.running import SCRIPTS, SHORT, Result, Target, run, running

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    with running(request.param) as found:
        yield found


@pytest.mark.parametrize(
    ("target", "script"),
    [(target, script) for target, scripts in SCRIPTS.items() for script in scripts],
    indirect=["target"],
)
def test_a_script_holds(target, script):
    result = run(script, target, SHORT)
    assert result.code == 0, result.text
    # A publish whose answer was lost with its node may be stored.
    assert result.metrics["lost"]["count"] <= 0
    publishes = result.metrics["http_req_failed{kind:publish}"]
    assert publishes["fails"] > 0
    if script == "fanout":
        assert result.metrics["received"]["count"] == 20 * publishes["fails"]
    if script == "node-failure":
        assert result.metrics["node_down_checks"]["count"] > 0


class Forgetful(BaseHTTPRequestHandler):
    """A server that acknowledges everything, and stores what `kept` leaves of it."""

    protocol_version = "HTTP/1.1"
    log: ClassVar[list[object]] = []
    kept: ClassVar[Callable[[int], int]]
    asked_count: ClassVar[Iterator[int]]
    turn: ClassVar = threading.Lock()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/api/publish":
            with self.turn:
                self.log.extend([body["payload"]] * type(self).kept(next(self.asked_count)))
        self._answer(201 if self.path == "/api/topics" else 200, {})

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        first, limit = (int(query[name][0]) for name in ("from_seq", "limit"))
        page = self.log[first - 1 : first - 1 + limit]
        messages = [{"seq": first + at, "payload": payload} for at, payload in enumerate(page)]
        self._answer(200, {"messages": messages})

    def do_DELETE(self) -> None:
        self._answer(200, {})

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.mark.parametrize(
    ("kept", "broken"),
    [
        (lambda _: 1, None),
        (lambda number: 0 if number == 20 else 1, "lost"),
        (lambda number: 2 if number == 20 else 1, "stored_twice"),
    ],
    ids=["all", "one is lost", "one is stored twice"],
)
def test_what_was_acked_and_is_not_stored_once_is_noticed(monkeypatch, kept, broken):
    monkeypatch.setattr(Forgetful, "log", [])
    monkeypatch.setattr(Forgetful, "kept", staticmethod(kept), raising=False)
    monkeypatch.setattr(Forgetful, "asked_count", itertools.count(), raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Forgetful) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        result = run("sustained", Target(f"http://127.0.0.1:{server.server_port}"), SHORT)
        server.shutdown()
        thread.join()
    found = {name for name in ("lost", "stored_twice") if result.metrics[name]["count"] != 0}
    assert (result.code, found) == ((99, {broken}) if broken else (0, set())), result.text


def test_what_was_measured_is_kept_with_what_it_was_measured_on(tmp_path):
    keep(tmp_path, "sqlite", "fanout", Result(99, "", {"received": {"count": 7}}))
    kept = json.loads((tmp_path / "sqlite-fanout.json").read_text())
    assert (kept["holds"], kept["metrics"]) == (False, {"received": {"count": 7}})
    assert f"{os.cpu_count()} CPUs" in kept["conditions"]
