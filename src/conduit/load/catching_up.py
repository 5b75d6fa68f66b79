"""Subscribers that read what a topic has, whoever published it. A process of its own runs `catch_up`."""

from __future__ import annotations

import dataclasses
import gc
import re
import select
import time
from collections.abc import Callable

from conduit.errors import ConduitError
from conduit.load.checks import Checks, Sequence, Shared
from conduit.load.files import allow_files
from conduit.load.plan import RECEIVED, STOP
from conduit.load.process import Counters
from conduit.load.system import Subscriber
from conduit.load.wire import READ_BYTES, Target, blocking, has_more, read_now

_POLL_S = 0.1
_SEQ = b'","seq":'


@dataclasses.dataclass(frozen=True)
class Own:
    """The messages of a run, to be looked for in what is read."""

    fields: re.Pattern[bytes]
    """As `Plan.fields`."""
    due: list[int]
    """By publisher, how many of its messages were answered, which are the first."""


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
    max_messages: int = 10_000_000
    """So many are read by each, or by all who share."""
    own: Own | None = None


@dataclasses.dataclass
class CaughtUp:
    """What was read until all had the last message, or time was up."""

    count: int
    bytes_read: int
    seconds: float
    checks: Checks
    """Of the numbers of the topic, from the first to the last that each was to have."""
    not_reached: int
    """How many of these had not come when reading ended, and could have come later: not `lost`."""
    messages: int
    """How many there were to be read, by one."""
    gaps: int
    """How often the server said that it does not have some of them."""
    closed: int
    """How many connections ended."""
    cores: float
    own: Checks
    own_missing: list[tuple[int, int, int]]
    """As `Received.missing`."""


def catch_up(ready: Callable[[], None], reading: Reading, board: Counters) -> CaughtUp:
    """The load: subscribe, and read. Raises ConduitError if a subscriber is refused."""
    allow_files(reading.subscribers)
    gc.disable()
    ready()
    began, cpu_s = time.monotonic(), time.process_time()
    crowd = Crowd([_Reader(reading, board) for _ in range(reading.subscribers)], reading)
    crowd.read(board, began + reading.seconds)
    cores = (time.process_time() - cpu_s) / max(time.monotonic() - began, 1e-9)
    return crowd.caught_up(began, cores)


class Crowd:
    """All who read."""

    def __init__(self, readers: list[_Reader], reading: Reading) -> None:
        self._readers = readers
        self._reading = reading
        self._is_shared = reading.subscription is not None
        self._last_at = 0.0
        self._closed = 0
        self._came: set[int] = set()
        """Of those who share: the numbers that one of them has."""
        if self._is_shared:
            # Before the first of them had anything.
            first = min(each.first for each in readers)
            for each in readers:
                each.first = first
        for each in readers:
            each.end = min(reading.last_seq + 1, each.first + reading.max_messages)

    def read(self, board: Counters, until: float) -> None:
        """Read until all is read, everybody has gone, or then."""
        epoll = select.epoll()
        by_fd = {each.subscriber.connection.fileno(): each for each in self._readers}
        for fd in by_fd:
            epoll.register(fd, select.EPOLLIN)
        while by_fd and not board[STOP] and time.monotonic() < until and not self._is_done():
            for fd, _ in epoll.poll(_POLL_S):
                if by_fd[fd].take():
                    self._last_at = time.monotonic()
                else:
                    epoll.unregister(fd)
                    del by_fd[fd]
                    self._closed += 1
        epoll.close()
        for each in self._readers:
            each.subscriber.connection.close()

    def _is_done(self) -> bool:
        if not self._is_shared:
            return all(each.last_seq >= each.end - 1 for each in self._readers)
        for each in self._readers:
            self._came.update(each.news())
        return len(self._came) >= self._readers[0].due

    def caught_up(self, began: float, cores: float) -> CaughtUp:
        """What came of it."""
        readers = self._readers
        checks, not_reached = self._shared() if self._is_shared else self._alone()
        own, own_missing = self._own()
        return CaughtUp(
            count=sum(each.count for each in readers),
            bytes_read=sum(each.bytes_read for each in readers),
            seconds=max(self._last_at - began, 1e-9),
            checks=checks,
            not_reached=not_reached,
            messages=max(each.due for each in readers),
            gaps=sum(each.gaps for each in readers),
            closed=self._closed,
            cores=cores,
            own=own,
            own_missing=own_missing,
        )

    def _alone(self) -> tuple[Checks, int]:
        pairs = [check(each.seqs, each.first, each.due) for each in self._readers]
        return sum((checks for checks, _ in pairs), Checks()), sum(late for _, late in pairs)

    def _shared(self) -> tuple[Checks, int]:
        """What did not come to one of them may be on its way to another."""
        shared = Shared(len(self._readers), self._readers[0].first)
        for sharer, each in enumerate(self._readers):
            for seq in each.seqs:
                shared.add(sharer, seq)
        checks = shared.checks(self._readers[0].due)
        return dataclasses.replace(checks, lost=0), checks.lost

    def _own(self) -> tuple[Checks, list[tuple[int, int, int]]]:
        checks, missing = Checks(), []
        due = self._reading.own.due if self._reading.own else []
        for each in self._readers:
            for publisher, (found, count) in enumerate(zip(each.own, due, strict=True)):
                checks += found.checks(count)
                missing += [(publisher, start, stop) for start, stop in found.missing(count)]
        return checks, missing


def check(seqs: list[int], first: int, due: int) -> tuple[Checks, int]:
    """The numbers that came to one, against first … first + due - 1; and how many of these it has not
    reached: they come behind the greatest that came."""
    sequence = Sequence(first)
    for seq in seqs:
        sequence.see(seq)
    checks = sequence.checks(due)
    not_reached = max(0, first + due - 1 - max(seqs, default=first - 1))
    return dataclasses.replace(checks, lost=checks.lost - not_reached), not_reached


class _Reader:
    """One subscriber: the numbers of the messages that it was given."""

    def __init__(self, reading: Reading, board: Counters) -> None:
        fields: dict[str, object] = {"topic": reading.topic, "start": reading.start, "ack": "auto"}
        if reading.subscription is not None:
            fields |= {"subscription": reading.subscription, "ack": "explicit"}
        else:
            fields["create"] = False
        connection, told = reading.at.subscribed(**fields)
        blocking(connection)
        if not isinstance(told.get("seq"), int):
            raise ConduitError(
                "the server does not tell where the stream begins", code="bad_answer"
            )
        self.subscriber = Subscriber(connection, acks=reading.subscription is not None)
        self.first = int(told["seq"]) + 1
        """Which number it is to have first, and the end of those."""
        self.end = self.first
        self.seqs: list[int] = []
        """Those below the end."""
        self.count = 0
        """Of all, also what was published meanwhile."""
        self.last_seq = 0
        self.gaps = 0
        self.bytes_read = 0
        self.own = [Sequence() for _ in reading.own.due] if reading.own else []
        self._fields = reading.own.fields if reading.own else None
        self._news_at = 0
        self._board = board
        self._rest = b""

    @property
    def due(self) -> int:
        """How many it is to have."""
        return max(self.end - self.first, 0)

    def news(self) -> list[int]:
        """The numbers that came since it was asked."""
        news = self.seqs[self._news_at :]
        self._news_at += len(news)
        return news

    def take(self) -> bool:
        """Read once; whether the connection goes on."""
        connection = self.subscriber.connection
        while (data := read_now(connection, READ_BYTES)) is not None:
            if not data:
                return False
            self.bytes_read += len(data)
            before = self.count
            self._look(data)
            self._board[RECEIVED] += self.count - before
            if reply := self.subscriber.reply(data):
                try:
                    connection.sendall(reply)
                except OSError:
                    return False
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
            self.count += 1
            self.last_seq = max(self.last_seq, seq)
            if seq < self.end:
                self.seqs.append(seq)
            if self._fields is not None and (of_run := self._fields.search(data, start, end)):
                self.own[int(of_run[2])].see(int(of_run[1]))
        elif data.startswith(b'{"type":"gap"', start):
            self.gaps += 1
