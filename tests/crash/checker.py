"""One linear pass over a history: which promises of docs/guarantees.md does it break?

Definitions. A publish is *acked* if the server answered it with a seq. A *first delivery* is a
frame with attempt 1. A delivery is *late* if its message was never seen on its stream before, its
attempt is 1, and a higher seq of the topic was seen before it: a first delivery came out of order.
A frame with attempt 2 or more is not late: the server says with it that the first one was lost on a
dead connection. On a shared stream every connection sees a part: order is judged per connection.

What the server decided last is known only where its frames are in order: a delivery *follows* a
confirmation if it came on the same connection, or on one that was opened after it. On another
connection it may have been under way for a while.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.crash.history import Connected, Delivered, History, Settled, Stored, Stream

SAMPLES_COUNT_MAX = 5
Place = tuple[str, int]
"""A topic and a seq in it."""


@dataclass
class Report:
    """Counts for people, and `violations`: kind → how often, with some samples of each."""

    counts: dict[str, int] = field(default_factory=dict)
    violations: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def ok(self) -> bool:
        """Whether nothing was broken."""
        return not self.violations

    def break_promise(self, kind: str, sample: object) -> None:
        """Count one violation and keep the first few."""
        self.violations[kind] += 1
        if len(self.samples[kind]) < SAMPLES_COUNT_MAX:
            self.samples[kind].append(str(sample))


def check(history: History) -> Report:
    """Judge a whole run. Linear in the size of the history."""
    report = Report()
    log = {(entry.topic, entry.seq): entry for entry in history.stored}
    check_log(history, report)
    check_publishes(history, log, report)
    for stream in history.streams:
        _StreamCheck(stream, history, log, report).run()
    report.counts |= {
        "acked": sum(each.outcome == "ok" for each in history.published),
        "refused": sum(each.outcome == "fail" for each in history.published),
        "unknown": sum(each.outcome == "info" for each in history.published),
        "stored": len(history.stored),
        "dead": len(history.dead),
    }
    return report


def check_log(history: History, report: Report) -> None:
    """The log has no holes, nothing twice, and nothing that nobody sent."""
    attempted = {each.value for each in history.published if each.outcome != "fail"}
    seen: dict[str, Stored] = {}
    ids: dict[str, Stored] = {}
    numbers: dict[str, list[int]] = defaultdict(list)
    for entry in history.stored:
        numbers[entry.topic].append(entry.seq)
        if entry.value not in attempted:
            report.break_promise("unexpected", entry)
        if entry.value in seen:
            report.break_promise("stored_twice", (seen[entry.value], entry))
        seen[entry.value] = entry
        if entry.message_id in ids:
            report.break_promise("id_twice", (ids[entry.message_id], entry))
        ids[entry.message_id] = entry
    for topic, found in numbers.items():
        if sorted(found) != list(range(1, len(found) + 1)):
            missing = set(range(1, max(found) + 1)) - set(found)
            report.break_promise("hole", (topic, sorted(missing)[:5], len(found), max(found)))


def check_publishes(history: History, log: dict[Place, Stored], report: Report) -> None:
    """Every acked publish is in the log, at the number that was answered."""
    last = Counter[str]()
    first: dict[str, int] = {}
    for topic, seq in log:
        last[topic] = max(last[topic], seq)
        first[topic] = min(first.get(topic, seq), seq)
    for publish in history.published:
        if publish.outcome != "ok":
            continue
        entry = log.get((publish.topic, publish.seq))
        if entry is None:
            report.break_promise(f"lost_{_part(publish.seq, publish.topic, first, last)}", publish)
        elif (entry.value, entry.message_id) != (publish.value, publish.message_id):
            report.break_promise("acked_as_another", (publish, entry))
    values = {entry.value for entry in history.stored}
    unknown = [each for each in history.published if each.outcome == "info"]
    report.counts["recovered"] = sum(each.value in values for each in unknown)


def _part(seq: int, topic: str, first: dict[str, int], last: Counter[str]) -> str:
    """Where a loss lies: a lost prefix, middle and postfix have different causes."""
    if seq > last[topic]:
        return "postfix"
    return "prefix" if seq < first[topic] else "middle"


class _Confirmed(NamedTuple):
    """A settlement that the server confirmed."""

    connection: int
    attempt: int
    index: int


class _StreamCheck:
    """The judgement of one stream."""

    def __init__(
        self, stream: Stream, history: History, log: dict[Place, Stored], report: Report
    ) -> None:
        self.stream = stream
        self.log = log
        self.report = report
        self.events = [each for each in history.events if each.stream == stream.name]
        self.dead: Counter[Place] = Counter(
            (each.topic, each.seq) for each in history.dead if each.stream == stream.name
        )
        self.seen: set[Place] = set()
        self.decided: set[Place] = set()
        self.acked: dict[Place, _Confirmed] = {}
        self.failed: dict[Place, _Confirmed] = {}
        self.opened: dict[int, int] = {}
        self.highest: Counter[str] = Counter()
        self.highest_of: Counter[tuple[int, str]] = Counter()
        self.unsettled_below: Counter[str] = Counter()

    def run(self) -> None:
        """Go through the events once, then look at what must be true at the end."""
        for index, event in enumerate(self.events):
            if isinstance(event, Connected):
                self.opened[event.connection] = index
            elif isinstance(event, Delivered):
                self._delivered(event)
            elif isinstance(event, Settled):
                self._settled(event, index)
            else:
                self._break("fault", event)
        self._end()

    def _break(self, kind: str, sample: object) -> None:
        self.report.break_promise(kind, f"{self.stream.name}: {sample}")

    def _count(self, name: str) -> None:
        self.report.counts[name] = self.report.counts.get(name, 0) + 1

    def _delivered(self, event: Delivered) -> None:
        place = (event.topic, event.seq)
        self._count("delivered")
        if place in self.seen:
            self._count("duplicates_after_ack" if place in self.decided else "duplicates")
        self._check_content(event, place)
        self._check_history(event, place)
        self._check_order(event, place)
        self.seen.add(place)
        self.highest[event.topic] = max(self.highest[event.topic], event.seq)

    def _check_content(self, event: Delivered, place: Place) -> None:
        entry = self.log.get(place)
        if entry is None:
            self._break("delivered_but_not_stored", event)
        elif (entry.value, entry.message_id) != (event.value, event.message_id):
            self._break("altered", (event, entry))

    def _check_history(self, event: Delivered, place: Place) -> None:
        acked, failed = self.acked.get(place), self.failed.get(place)
        if acked and self._follows(event, acked):
            self._break("confirmed_ack_delivered_again", (event, acked))
        if failed and self._follows(event, failed) and event.attempt <= failed.attempt:
            self._break("attempt_went_back", (event, failed))

    def _follows(self, event: Delivered, confirmed: _Confirmed) -> bool:
        opened = self.opened.get(event.connection, 0)
        return event.connection == confirmed.connection or opened > confirmed.index

    def _check_order(self, event: Delivered, place: Place) -> None:
        if event.attempt == 1:
            connection = (event.connection, event.topic)
            if event.seq <= self.highest_of[connection]:
                self._break("out_of_order", event)
            self.highest_of[connection] = max(self.highest_of[connection], event.seq)
            late = place not in self.seen and event.seq < self.highest[event.topic]
            if late and not self.stream.shared:
                self._break("late", (event, self.highest[event.topic]))
        if self.stream.strict and place not in self.seen:
            self._check_strict(event)

    def _check_strict(self, event: Delivered) -> None:
        """Everything below a message that appears for the first time is acked or dead."""
        below = self.unsettled_below[event.topic]
        while below + 1 < event.seq:
            below += 1
            if (event.topic, below) not in self.decided and (event.topic, below) not in self.dead:
                self._break("not_strict", (event, below))
        self.unsettled_below[event.topic] = below

    def _settled(self, event: Settled, index: int) -> None:
        place = (event.topic, event.seq)
        confirmed = _Confirmed(event.connection, event.attempt, index) if event.confirmed else None
        if event.verdict == "nack":
            if confirmed:
                self.failed[place] = confirmed
            return
        self.decided.add(place)
        if confirmed and event.verdict == "ack":
            self.acked[place] = confirmed
        if confirmed and event.verdict == "reject" and place not in self.dead:
            self._break("rejected_but_not_dead", event)

    def _end(self) -> None:
        for place, times in self.dead.items():
            if times > 1:
                self._break("dead_twice", place)
            if place in self.acked:
                self._break("acked_and_dead", place)
        for place, entry in self.log.items():
            if entry.topic not in self.stream.topics:
                continue
            if place not in self.seen and place not in self.dead:
                self._break("missed", entry)
            if entry.value.endswith(self.stream.doomed or ("\0",)) and place not in self.dead:
                self._break("doomed_but_not_dead", entry)
