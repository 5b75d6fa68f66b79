"""A server of a test's own: it answers as told, and knows what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answers = Mapping[str, Any]
"""Method and path → the body of a 200; or a status and a body; or a list of these, one after the other, of
which the last is repeated."""


class Asked:
    """One request."""

    def __init__(self, line: str, headers: Mapping[str, str], body: bytes) -> None:
        self.line = line
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = json.loads(body) if body else None

    @property
    def key(self) -> str | None:
        """What it signs in with."""
        return self.headers.get("authorization", "").removeprefix("Bearer ") or None


class Answering:
    """Its address, and what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[Asked] = []

    @property
    def lines(self) -> list[str]:
        """Method and path of each request."""
        return [one.line for one in self.asked]


@contextmanager
def answering(answers: Answers) -> Iterator[Answering]:
    """A server that gives these answers, and 404 to everything else."""
    left = {
        line: list(told) if isinstance(told, list) else [told] for line, told in answers.items()
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            super().handle_one_request()

        def answer(self) -> None:
            size = int(self.headers.get("content-length", 0))
            line = f"{self.command} {self.path}"
            found.asked.append(Asked(line, dict(self.headers), self.rfile.read(size)))
            told = left.get(line.partition("?")[0], [(404, {"code": "not_found", "detail": line})])
            one = told.pop(0) if len(told) > 1 else told[0]
            status, body = one if isinstance(one, tuple) else (200, one)
            text = json.dumps(body).encode() if body is not None else b""
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Answering(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
