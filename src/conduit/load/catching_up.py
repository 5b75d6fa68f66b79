"""Subscribers that read what a topic has, whoever published it. A process of its own runs `catch_up`."""

from __future__ import annotations

import dataclasses
import gc
import select
import time
from collections.abc import Callable

from conduit.load.checks import Checks
from conduit.load.files import allow_files
from conduit.load.plan import RECEIVED, STOP
from conduit.load.process import Counters
from conduit.load.system import Subscriber
from conduit.load.wire import READ_BYTES, Target, has_more, read_now

_POLL_S = 0.1
_SEQ = b'","seq":'


@dataclasses.dataclass(frozen=True)
class Reading:
    """What to read: `last_seq` is the last message that was there when it began."""

    at: Target
    topic: str
    start: object
    """As a `subscribe` frame has it."""
    last_seq: int
    subscribers: int
    seconds: float
    subscription: str | None = None
    """The durable one that the subscribers share; then they ack."""


@dataclasses.dataclass
class CaughtUp:
    """What was read until all had the last message, or time was up."""

    count: int
    bytes_read: int
    seconds: float
    checks: Checks
    gaps: int
    """What the server said it cannot give."""
    is_complete: bool
    closed: int
    """How many connections ended."""
    cores: float


def catch_up(ready: Callable[[], None], reading: Reading, board: Counters) -> CaughtUp:
    """The load: subscribe, and read. Raises ConduitError if a subscriber is refused."""
    allow_files(reading.subscribers)
    gc.disable()
    ready()
    began, cpu_s = time.monotonic(), time.process_time()
    readers = [_Reader(reading, board) for _ in range(reading.subscribers)]
    last_at, closed = _read(readers, reading, board, began)
    seconds = max(last_at - began, 1e-9)
    cores = (time.process_time() - cpu_s) / max(time.monotonic() - began, 1e-9)
    return CaughtUp(
        count=sum(len(each.seqs) for each in readers),
        bytes_read=sum(each.bytes_read for each in readers),
        seconds=seconds,
        checks=_checks(readers, is_shared=reading.subscription is not None),
        gaps=sum(each.gaps for each in readers),
        is_complete=_have_all(readers, reading),
        closed=closed,
        cores=cores,
    )


def _read(
    readers: list[_Reader], reading: Reading, board: Counters, began: float
) -> tuple[float, int]:
    """Read until all have the last message; when the last one came, and how many connections ended."""
    epoll, last_at, closed = select.epoll(), began, 0
    by_fd = {each.subscriber.connection.fileno(): each for each in readers}
    for fd in by_fd:
        epoll.register(fd, select.EPOLLIN)
    while by_fd and not board[STOP] and time.monotonic() < began + reading.seconds:
        if _have_all(readers, reading):
            break
        for fd, _ in epoll.poll(_POLL_S):
            if by_fd[fd].take():
                last_at = time.monotonic()
            else:
                epoll.unregister(fd)
                del by_fd[fd]
                closed += 1
    return last_at, closed


def _have_all(readers: list[_Reader], reading: Reading) -> bool:
    if reading.subscription is not None:
        return max(each.last_seq for each in readers) >= reading.last_seq
    return min(each.last_seq for each in readers) >= reading.last_seq


def _checks(readers: list[_Reader], *, is_shared: bool) -> Checks:
    if is_shared:
        return check([each.seqs for each in readers])
    return sum((check([each.seqs]) for each in readers), Checks())


def check(several: list[list[int]]) -> Checks:
    """Numbers that came to several who share them, against all from the least to the greatest of them."""
    came: set[int] = set()
    disordered = 0
    for seqs in several:
        greatest = 0
        for seq in seqs:
            disordered += seq < greatest and seq not in came
            greatest = max(greatest, seq)
            came.add(seq)
    seen = sum(map(len, several))
    due = max(came) - min(came) + 1 if came else 0
    return Checks(due, seen, due - len(came), seen - len(came), disordered)


class _Reader:
    """One subscriber: the numbers of the messages that it was given."""

    def __init__(self, reading: Reading, board: Counters) -> None:
        fields: dict[str, object] = {"topic": reading.topic, "start": reading.start, "ack": "auto"}
        if reading.subscription is not None:
            fields |= {"subscription": reading.subscription, "ack": "explicit"}
        else:
            fields["create"] = False
        acks = reading.subscription is not None
        self.subscriber = Subscriber(reading.at.subscribe(**fields), acks=acks)
        self.subscriber.connection.settimeout(None)
        self.seqs: list[int] = []
        self.last_seq = 0
        self.gaps = 0
        self.bytes_read = 0
        self._board = board
        self._rest = b""

    def take(self) -> bool:
        """Read once; whether the connection goes on."""
        connection = self.subscriber.connection
        while (data := read_now(connection, READ_BYTES)) is not None:
            if not data:
                return False
            if reply := self.subscriber.reply(data):
                connection.sendall(reply)
            self.bytes_read += len(data)
            before = len(self.seqs)
            self._look(data)
            self._board[RECEIVED] += len(self.seqs) - before
            if not has_more(connection):
                break
        return True

    def _look(self, data: bytes) -> None:
        data, at = self._rest + data, 0
        while len(data) - at >= 2:
            size, head = data[at + 1], at + 2
            if size >= 126:
                head += 2 if size == 126 else 8
                size = int.from_bytes(data[at + 2 : head], "big")
            if head + size > len(data):
                break
            self._see(data, head, head + size)
            at = head + size
        self._rest = data[at:]

    def _see(self, data: bytes, start: int, end: int) -> None:
        if data.startswith(b'{"type":"message"', start):
            # Behind the payload, where only a header may be called so, whose value is a text.
            found = data.rfind(_SEQ, start, end)
            while not data[found + len(_SEQ) : found + len(_SEQ) + 1].isdigit():
                found = data.rfind(_SEQ, start, found)
            found += len(_SEQ)
            seq = int(data[found : data.index(b",", found, end)])
            self.seqs.append(seq)
            self.last_seq = max(self.last_seq, seq)
        elif data.startswith(b'{"type":"gap"', start):
            self.gaps += 1
