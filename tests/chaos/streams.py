"""The judgement of what one stream of subscribers saw. Pure; linear in what it saw, but for duplicates.

Definitions. *Open*: a delivery that its client has not settled, on a connection that it has not left.
*Under way*: a frame may come UNDER_WAY_S after it was handed out, and later if the client's node stood
still or was cut off then, unless that node was the owner itself: what an owner hands out to its own clients
is not under way. A *period* is the time in which one node had the subscription, with one fence, as the
database has it.

What a cluster may do: hand out again, with a new owner, what was not settled when the old one was lost,
also with attempt 1 what it had handed out in its last fifth of a second. What it may not do is in the names
of the violations.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tests.chaos.owners import (
    ENDS,
    LOSES,
    LOSES_LEASE,
    STANDS_STILL,
    Faults,
    Leases,
    Owners,
    Window,
    idle_windows,
)
from tests.chaos.report import Place, Report
from tests.crash.history import Connected, Delivered, Fault, Settled, Stored, Stream

UNDER_WAY_S = 1.0
# What was handed out just before the lease has ended, or the owner has changed.
EDGE_S = 0.3
# Before it a delivery does not come again because nobody has answered; the waits of tests are 20 s and
# longer.
ANSWER_WITHIN_S = 15.0
# Of a process that was not stopped in a clean moment: what it had half done is done when it goes on.
HALF_DONE_S = 0.3

Event = Connected | Delivered | Settled | Fault


@dataclass
class _Connection:
    node: str
    opened_at: float
    left_at: float


class _Confirmed(NamedTuple):
    settled: Settled
    index: int


@dataclass(frozen=True)
class Known:
    """What streams are judged by."""

    log: Mapping[Place, Stored]
    left_at: Mapping[int, float]
    leases: Leases
    faults: Faults


class StreamCheck:
    """Of one stream; `owners` is None if it has none, or nothing is known of them."""

    def __init__(self, stream: Stream, owners: Owners | None, known: Known, report: Report) -> None:
        self.stream = stream
        self.owners = owners
        self.known = known
        self.report = report
        self.connections: dict[int, _Connection] = {}
        self.opened: dict[int, int] = {}
        self.seen: set[Place] = set()
        self.decided: set[Place] = set()
        self.acked: dict[Place, _Confirmed] = {}
        self.failed: dict[Place, _Confirmed] = {}
        self.open: dict[Place, list[Delivered]] = defaultdict(list)
        # Of each topic, of all that was seen; and of what came from the owner of now, as first attempts.
        self.highest: Counter[str] = Counter()
        self.highest_now: Counter[str] = Counter()
        self.highest_of: dict[int, Counter[str]] = defaultdict(Counter)
        self.period = -1
        self.below: Counter[str] = Counter()

    def run(self, events: Iterable[Event], dead: Counter[Place]) -> None:
        """Go through the events once, then look at what must be true at the end."""
        self.dead = dead
        for index, event in enumerate(events):
            if isinstance(event, Connected):
                left_at = self.known.left_at.get(event.connection, float("inf"))
                self.connections[event.connection] = _Connection(event.node, event.at, left_at)
                self.opened[event.connection] = index
            elif isinstance(event, Delivered):
                self._delivered(event)
            elif isinstance(event, Settled):
                self._settled(event, index)
            else:
                self._break("fault", event, None)
        self._end()

    def _break(self, kind: str, sample: object, place: Place | None) -> None:
        self.report.breaks(kind, f"{self.stream.name}: {sample}", self.stream.name, place)

    # Deliveries -----------------------------------------------------------------------------------

    def _delivered(self, event: Delivered) -> None:
        place = (event.topic, event.seq)
        self.report.count("delivered")
        if place in self.seen:
            self.report.count("duplicates")
        self._check_content(event, place)
        self._check_settled(event, place)
        self._check_order(event, place)
        if self.stream.durable:
            self._check_open(event, place)
        self.seen.add(place)
        self.highest[event.topic] = max(self.highest[event.topic], event.seq)

    def _check_content(self, event: Delivered, place: Place) -> None:
        entry = self.known.log.get(place)
        if entry is None:
            self._break("delivered_but_not_stored", event, place)
        elif (entry.value, entry.message_id) != (event.value, event.message_id):
            self._break("altered", (event, entry), place)

    def _check_settled(self, event: Delivered, place: Place) -> None:
        acked, failed = self.acked.get(place), self.failed.get(place)
        if acked and self._comes_after(event, acked):
            self._break("confirmed_ack_delivered_again", (event, acked.settled), place)
        if failed and self._follows(event, failed) and event.attempt <= failed.settled.attempt:
            self._break("attempt_went_back", (event, failed.settled), place)

    def _follows(self, event: Delivered, confirmed: _Confirmed) -> bool:
        """Whether it must have been handed out after that, by the order of frames."""
        is_same = event.connection == confirmed.settled.connection
        return is_same or self.opened.get(event.connection, 0) > confirmed.index

    def _comes_after(self, event: Delivered, confirmed: _Confirmed) -> bool:
        if self._follows(event, confirmed):
            return True
        return event.at > confirmed.settled.at + UNDER_WAY_S and not self._was_under_way(event)

    def _was_under_way(self, event: Delivered) -> bool:
        """Whether its node has stood still with it, having got it from the owner; or has it half done."""
        node = self.connections[event.connection].node
        for fault in self.known.faults.on(node, STANDS_STILL, event.at, event.at):
            is_owner = self.owners is not None and self.owners.at(fault.at) == node
            if not is_owner or fault.kind != "stop":
                return True
            if not fault.is_clean and event.at <= fault.resumed_at + HALF_DONE_S:
                return True
        return False

    # Order ----------------------------------------------------------------------------------------

    def _check_order(self, event: Delivered, place: Place) -> None:
        is_first = place not in self.seen
        if not self.stream.durable:
            self._check_contiguous(event, place, is_first=is_first)
        if event.attempt > 1 or self._is_between_owners(event):
            return
        highest_of = self.highest_of[event.connection]
        if event.seq <= highest_of[event.topic]:
            self._break("out_of_order", event, place)
        highest_of[event.topic] = event.seq
        if is_first and self.stream.durable and not self.stream.shared:
            if event.seq < self.highest_now[event.topic]:
                self._break("late", (event, self.highest_now[event.topic]), place)
            self.highest_now[event.topic] = event.seq
        if self.stream.strict and is_first:
            self._check_strict(event)

    def _is_between_owners(self, event: Delivered) -> bool:
        """Whether it may be from either of two owners. With each of them order begins anew."""
        if self.owners is None:
            return False
        index = self.owners.index(event.at - UNDER_WAY_S)
        is_between = index != self.owners.index(event.at + EDGE_S)
        if is_between or index != self.period:
            self.period = index
            self.highest_of.clear()
            self.highest_now.clear()
        return is_between

    def _check_contiguous(self, event: Delivered, place: Place, *, is_first: bool) -> None:
        """Who resumes where he was gets the next one, and no other."""
        if is_first and event.seq != self.highest[event.topic] + 1:
            kind = "skipped" if event.seq > self.highest[event.topic] else "late"
            self._break(kind, (event, self.highest[event.topic]), place)

    def _check_strict(self, event: Delivered) -> None:
        """Everything below a message that appears for the first time is acked or dead."""
        below = self.below[event.topic]
        while below + 1 < event.seq:
            below += 1
            place = (event.topic, below)
            if place not in self.decided and place not in self.dead:
                self._break("not_strict", (event, below), place)
        self.below[event.topic] = below

    # One owner ------------------------------------------------------------------------------------

    def _check_open(self, event: Delivered, place: Place) -> None:
        others = self.open[place]
        for other in others:
            if self._is_at_once(other, event):
                self._break("two_at_once", (other, event), place)
        others[:] = [other for other in others if other.connection != event.connection]
        others.append(event)

    def _is_at_once(self, one: Delivered, other: Delivered) -> bool:
        """Whether the second was handed out while the first was open, in one period, and no fault has lost
        the connection of the first."""
        connection = self.connections[one.connection]
        if other.at - one.at > ANSWER_WITHIN_S or connection.left_at <= other.at + UNDER_WAY_S:
            return False
        felt = self.known.faults.felt
        if self.owners is None:
            return not felt(connection.node, LOSES, one.at, other.at)
        index = self.owners.index(one.at - UNDER_WAY_S)
        if index < 0 or index != self.owners.index(other.at + EDGE_S):
            return False
        owner = self.owners.periods[index].node
        if owner == connection.node:
            return not felt(owner, ENDS, one.at, other.at)
        is_lost = felt(connection.node, LOSES_LEASE, one.at, other.at)
        return not is_lost and not felt(owner, LOSES, one.at, other.at)

    def check_idle(self, events: Iterable[Event]) -> None:
        """That nothing came while nobody may hand out."""
        if self.owners is None:
            return
        windows = idle_windows(self.owners, self.known.leases)
        windows.sort()
        position = 0
        for event in events:
            if not isinstance(event, Delivered):
                continue
            while position < len(windows) and windows[position][0].until <= event.at:
                position += 1
            if position < len(windows):
                self._check_window(event, *windows[position])

    def _check_window(self, event: Delivered, window: Window, owner: str) -> None:
        if not window.since + EDGE_S < event.at < window.until:
            return
        if not self._was_under_way(event):
            sample = (event, f"nobody may, {owner} had it until {window.since:.3f}", window)
            self._break("delivered_by_nobody", sample, (event.topic, event.seq))

    # Settling -------------------------------------------------------------------------------------

    def _settled(self, event: Settled, index: int) -> None:
        place = (event.topic, event.seq)
        if not event.confirmed:
            mine = event.connection
            self.open[place] = [each for each in self.open[place] if each.connection != mine]
        confirmed = _Confirmed(event, index) if event.confirmed else None
        if event.verdict == "nack":
            if confirmed:
                self.failed[place] = confirmed
            return
        self.decided.add(place)
        if confirmed and event.verdict == "ack":
            self.acked[place] = confirmed
            self.report.count("acks_confirmed")
        if confirmed and event.verdict == "reject" and place not in self.dead:
            self._break("rejected_but_not_dead", event, place)

    def _end(self) -> None:
        for place, times in self.dead.items():
            if times > 1:
                self._break("dead_twice", place, place)
            if place in self.acked:
                self._break("acked_and_dead", place, place)
        topics = set(self.stream.topics)
        for place, entry in self.known.log.items():
            if entry.topic not in topics:
                continue
            if place not in self.seen and place not in self.dead:
                self._break("missed", entry, place)
            if entry.value.endswith(self.stream.doomed or ("\0",)) and place not in self.dead:
                self._break("doomed_but_not_dead", entry, place)
