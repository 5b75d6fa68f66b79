"""A peer that says what it is told to: a listening socket with one scripted conversation."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

from tests.support.wait import DEADLINE_S


@contextlib.contextmanager
def scripted(*turns: tuple[bytes, bytes]) -> Iterator[int]:
    """The port of a peer that for each turn waits for the first text and then sends the second.

    It sends byte by byte, so that reads end anywhere, and nothing more after the last turn.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_talk, args=(listening, turns))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            thread.join(DEADLINE_S)
            assert not thread.is_alive(), "the script was not played to its end"


def _talk(listening: socket.socket, turns: tuple[tuple[bytes, bytes], ...]) -> None:
    listening.settimeout(DEADLINE_S)
    connection, _ = listening.accept()
    with connection:
        connection.settimeout(DEADLINE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        read = b""
        for awaited, answer in turns:
            while awaited not in read:
                part = connection.recv(4096)
                if not part:
                    return
                read += part
            read = read.split(awaited, 1)[1]
            for at in range(len(answer)):
                connection.sendall(answer[at : at + 1])
        # A close with something unread would be a reset, which may take what was sent with it.
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
