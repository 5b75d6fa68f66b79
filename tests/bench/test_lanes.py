"""Closed-loop publishers: when the load is over."""

import re
import socket
import threading

from bench import lanes
from bench.lanes import Dialect, Lane, Shape
from tests.support.wait import DEADLINE_S


def _never(*_: object) -> socket.socket:
    raise AssertionError("the lanes have their connections")


def _publishes(_topic: str, _lane: int, payloads: list[bytes]) -> bytes:
    return b"".join([payload + b"\n" for payload in payloads])


SPOKEN = Dialect(
    connect=_never,
    publishes=_publishes,
    answer=re.compile(rb"stored (\d+)"),
    end=b"\n",
    refusal=b"refused",
)


class Watched(Lane):
    """Says when it has read."""

    def __init__(self, index: int, connection: socket.socket) -> None:
        super().__init__(SPOKEN, "t", index, connection)
        self.has_read = threading.Semaphore(0)

    def take(self) -> int:
        unanswered = super().take()
        self.has_read.release()
        return unanswered


def test_what_a_server_says_to_a_lane_that_is_done_ends_no_other_lane():
    ours, theirs = zip(*[socket.socketpair() for _ in range(2)], strict=True)
    done, other = (Watched(index, connection) for index, connection in enumerate(ours))

    def serve() -> None:
        # The second is unasked, as NATS's PING.
        for said in (b"stored 1\n", b"PING\n"):
            theirs[0].sendall(said)
            assert done.has_read.acquire(timeout=DEADLINE_S)
        theirs[1].sendall(b"stored 2\n")

    serving = threading.Thread(target=serve)
    serving.start()
    published = lanes._run([done, other], Shape(2, 1, most=2), 60.0)
    serving.join()
    for connection in (*ours, *theirs):
        connection.close()
    assert published.noted == [[b"1"], [b"2"]]
