"""Followers at one position of a topic, at the end of its log as a rule: the same bytes go to each of them.

A topic has as many of these sets as it needs for all. One is written at once, and the others in turns of
their own (turn.py): so what goes to thousands of sockets holds up nobody else for longer than one set takes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from conduit.broker.allowances import Allowance
from conduit.broker.catalog import Topic
from conduit.broker.deliver.entry import Entry
from conduit.broker.deliver.subscriber import Outlet
from conduit.broker.pacing import Deliveries, Held

# Followers in one set.
LIVE_MAX_COUNT = 256
# What is written of one set in one go, to all followers together; but one message at least. The system takes
# 2 to 5 ns for a byte: 64 messages of 4 KB to 200 sockets held up everybody for a quarter of a second.
WRITTEN_MAX_BYTES = 2 << 20
# What a write to a socket takes when the loop's turn is over (bench fanout: ten messages each, 9 µs).
WRITE_S = 8e-6

logger = logging.getLogger(__name__)


class Written(NamedTuple):
    """To how many something was written at once."""

    times: int
    settling_count: int
    """Of these: whose deliveries are open until they are settled."""


class Share(Held, Protocol):
    """A follower's subscription."""

    is_auto: bool
    """Whether what is written is settled by that."""


class Follower(Protocol):
    """Who follows a topic."""

    live_set: LiveSet | None
    """Belongs to the set that it is in; begins as None."""

    @property
    def group(self) -> Share:
        """Its subscription, as it waits for the rate of its tenant."""

    def write_live(self, first: int, last: int, data: bytes, now: float) -> bool:
        """Take the joined frames of these numbers; for those in a live set without an outlet there, or whose
        outlet does not drain. False if that was not possible: they have left it, and go on by themselves."""

    def arrive(self) -> None:
        """There is something new; for those in `Feed.waiting`, which they have left by that."""

    def fall_behind(self, position: int) -> None:
        """What follows `position`, where the live set is, has to be read from the log; for those in one, and
        those in `Feed.waiting`. Must leave them, and act at the end of the turn."""


class Tail(Protocol):
    """The topic's feed, as a set sees it."""

    topic: Topic
    position: int

    def slice(self, from_seq: int, limit: int, to_seq: int | None) -> list[Entry]:
        """See `Feed.slice`."""

    def wrote(self, live: LiveSet, entries: list[Entry], now: float, times: int) -> None:
        """These were handed out to so many of the set, all that are in it now."""

    def now(self) -> float:
        """On the clock of deadlines."""

    def again(self, live: LiveSet) -> None:
        """Have it run when its turn comes: there is more to be written."""


class LiveSet:
    """Who is in it has exactly `position`, until `run` has written what the feed has beyond that."""

    __slots__ = ("_tail", "followers", "position")

    def __init__(self, tail: Tail) -> None:
        self._tail = tail
        self.position = tail.position
        # With the outlet of those who take everything as it comes and have few topics: most do, and they cost
        # least.
        self.followers: dict[Follower, Outlet | None] = {}

    @property
    def whose(self) -> Allowance:
        """Its tenant; for those who let tenants take turns."""
        return self._tail.topic.allowance

    @property
    def settling_count(self) -> int:
        """How many of those in it settle what they get."""
        return sum(1 for follower in self.followers if not follower.group.is_auto)

    def run(self) -> None:
        """Bring all to the position of the feed, or so far as may be written in one go."""
        tail, before = self._tail, self.position
        if before >= tail.position or not self.followers:
            return
        self.position = tail.position
        entries = tail.slice(before + 1, tail.position - before, tail.position)
        if entries:
            some = self._in_one_go(entries)
            if len(some) < len(entries):
                self.position = some[-1].seq
                tail.again(self)
            self._write(some)
            return
        # It waited for so long that the tail was cut.
        for follower in tuple(self.followers):
            follower.fall_behind(before)

    def _in_one_go(self, entries: list[Entry]) -> list[Entry]:
        room_bytes = WRITTEN_MAX_BYTES // len(self.followers)
        for count, entry in enumerate(entries):
            room_bytes -= len(entry.frame)
            if room_bytes < 0:
                return entries[: count or 1]
        return entries

    def _write(self, entries: list[Entry]) -> None:
        tail = self._tail
        data = b"".join([entry.frame for entry in entries])
        first, last, now = entries[0].seq, entries[-1].seq, tail.now()
        written_count = 0
        deliveries = tail.topic.allowance.deliveries
        # A copy: who has no credit leaves the set at once.
        followers = tuple(self.followers.items())
        for follower, outlet in (
            followers if deliveries is None else self._allowed(followers, deliveries, first, last)
        ):
            try:
                if outlet is not None and outlet.writable:
                    outlet.write(data)
                    written_count += 1
                else:
                    written_count += follower.write_live(first, last, data, now)
            except Exception:
                logger.exception("a follower failed")
                follower.fall_behind(first - 1)
        if written_count:
            tail.wrote(self, entries, now, written_count)

    def _allowed(
        self,
        followers: Iterable[tuple[Follower, Outlet | None]],
        deliveries: Deliveries,
        first: int,
        last: int,
    ) -> Iterator[tuple[Follower, Outlet | None]]:
        """Those to whom the tenant's rate allows all of these. The others fall behind."""
        count = last - first + 1
        for follower, outlet in followers:
            if deliveries.room(follower.group) < count:
                follower.fall_behind(first - 1)
                continue
            yield follower, outlet
            # Who had no credit has left it, and pays when it has some.
            if follower.live_set is self:
                deliveries.spend(follower.group, count)
