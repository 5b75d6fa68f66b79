"""A server for a load: it takes publishes over HTTP, and does with each what a test says."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STORED = b'HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{"message_id":"1"}'
_REQUEST = re.compile(rb"POST [^\r]+\r\n(?:[^\r]+\r\n)*?Content-Length: (\d+)\r\n\r\n")

Answer = Callable[[int], bytes | None]
"""Takes which publish it is, of all from 0 on; None closes the connection."""


@contextmanager
def publishes(
    answer: Answer, idle_s: float | None = None, *, closes: bool = False
) -> Iterator[int]:
    """Its port. It closes a connection over which nothing has come for so long, or behind an answer."""
    peer = _Peer(answer, idle_s, closes=closes)
    accepting = threading.Thread(target=peer.accept)
    accepting.start()
    try:
        yield peer.listener.getsockname()[1]
    finally:
        peer.listener.shutdown(socket.SHUT_RDWR)
        accepting.join()
        peer.listener.close()
        for connection in peer.threads:
            connection.join()


class _Peer:
    def __init__(self, answer: Answer, idle_s: float | None, *, closes: bool) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.threads: list[threading.Thread] = []
        self._answer = answer
        self._idle_s = idle_s
        self._closes = closes
        self._count = 0
        self._lock = threading.Lock()

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self.threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(self._idle_s)
        data = b""
        with connection:
            while True:
                try:
                    part = connection.recv(65536)
                except OSError:
                    return
                if not part:
                    return
                data += part
                while (found := _REQUEST.match(data)) and len(data) >= found.end() + int(found[1]):
                    data = data[found.end() + int(found[1]) :]
                    with self._lock:
                        number, self._count = self._count, self._count + 1
                    said = self._answer(number)
                    if said is None:
                        return
                    connection.sendall(said)
                    if self._closes:
                        return
