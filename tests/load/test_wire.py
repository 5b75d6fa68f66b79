"""Connections of the load to a server that does not do its part."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from conduit.errors import ConduitError
from conduit.load import wire
from conduit.load.wire import Target


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.mark.parametrize("drips", [False, True])
def test_a_server_that_does_not_answer_is_an_error_of_the_connection(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, drips: bool
):
    monkeypatch.setattr(wire, "CONNECT_WITHIN_S", 0.1)
    ended = threading.Event()

    def serve() -> None:
        connection = listener.accept()[0]
        with connection:
            while drips and not ended.wait(0.02):
                connection.sendall(b"H")
            ended.wait()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with pytest.raises(ConduitError, match="does not answer: timed out") as caught:
            Target(listener.getsockname()[1]).subscribe(topic="t")
    finally:
        ended.set()
        thread.join()
    assert caught.value.code == "connection_failed"


@pytest.mark.parametrize(
    ("host", "header"),
    [("::1", b"[::1]"), ("127.0.0.1", b"127.0.0.1"), ("a.example", b"a.example")],
)
def test_a_host_is_named_as_http_spells_it(host: str, header: bytes):
    request = Target(80, host).request("/api/publish", b"{}")
    assert b"\r\nHost: " + header + b"\r\n" in request
