"""Deliveries of traced messages: when each was handed out, and what became of it.

A delivery's span ends when its frame is written. What became of it is a span of its own, from then until it
was settled; so that the former is there even if the latter never comes. To know whose it is, the deliveries
that are out and traced are kept here: a bounded number, of which the oldest are forgotten first.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Protocol

import msgspec

from conduit.broker import spans
from conduit.broker.catalog import Topic
from conduit.broker.deliver.entry import Entry, make_entry
from conduit.broker.deliver.group import Group
from conduit.broker.deliver.verbs import Verb
from conduit.broker.spans import Operation, Value
from conduit.broker.traces import Moment, Traces
from conduit.core.delivery import Delivery
from conduit.core.message import Committed, DeadLetter, Death
from conduit.core.policy import REASON_LOST, REASON_TIMEOUT
from conduit.core.retries import Retry
from conduit.core.trace_context import TraceContext

# Deliveries that are out and traced.
OUT_MAX_COUNT = 10_000
# Of one cumulative ack so many deliveries are recorded, the newest.
THROUGH_MAX_COUNT = 256
# Of one message to ephemeral subscribers, who may be thousands, so many settlements.
EPHEMERAL_MAX_COUNT = 16

# Reasons that are not a subscriber's words, which may say anything.
_CAUSES = frozenset({REASON_LOST, REASON_TIMEOUT})

_Place = tuple[int, int]
"""Subscription and topic; all ephemeral subscriptions are 0."""


class Out(msgspec.Struct):
    """A traced delivery that is with somebody. Nothing of the message but its names: a payload that is kept
    here would be in no bound."""

    context: TraceContext
    """Of its span."""
    message_id: str
    seq: int
    at: float
    """When it was handed out, on the clock of deadlines."""
    failures: int = 0
    """Attempts that had failed by then."""
    settled_count: int = 0
    """By how many ephemeral subscribers."""
    is_settled: bool = False
    """Whether a subscriber has said what became of it: it waits, or is about to die."""


class Settled(Protocol):
    """A cursor: one subscription in one topic."""

    @property
    def group(self) -> Group:
        """The subscription."""

    @property
    def topic(self) -> Topic:
        """The topic."""

    @property
    def delivery(self) -> Delivery:
        """Its progress there."""


class DeliveryTraces:
    """What the traced deliveries of a node have in common."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces
        # By number, in the order of handing out.
        self._out: dict[_Place, dict[int, Out]] = {}
        # The same in one order, for those that are forgotten.
        self._order: dict[tuple[_Place, int], None] = {}

    def make_entry(self, topic: Topic, message: Committed | DeadLetter, seq: int) -> Entry:
        """As the function of this name; the entry knows whether it is traced."""
        return make_entry(topic, message, seq, self._traces.of_message(message.headers))

    # Handed out -----------------------------------------------------------------------------------

    def wrote(self, topic: Topic, entries: Sequence[Entry], now: float, times: int) -> None:
        """These were written at once to so many ephemeral subscribers: one span for each message."""
        for entry in entries:
            if entry.trace is not None:
                self._hand(None, topic, entry, now, {spans.SUBSCRIBER_COUNT: times})

    def handed(self, group: Group, topic: Topic, entries: Sequence[Entry], now: float) -> None:
        """These went to a subscriber of the group for the first time."""
        for entry in entries:
            if entry.trace is not None:
                self._hand(group, topic, entry, now, {})

    def handed_again(
        self, group: Group, topic: Topic, entry: Entry, retry: Retry, now: float
    ) -> None:
        """The same of one that was handed out before, or may have been."""
        if entry.trace is None:
            return
        before = self.find(group, topic, entry.seq)
        if before is not None and group.name is not None:
            # Nobody has said what became of it.
            outcome = "timeout" if retry.failures > before.failures else "returned"
            self._settled(group, topic, before, outcome)
        more: dict[str, Value] = {spans.ATTEMPT: retry.attempt, spans.FAILURES: retry.failures}
        self._hand(group, topic, entry, now, more)

    def _hand(
        self, group: Group | None, topic: Topic, entry: Entry, now: float, more: dict[str, Value]
    ) -> None:
        traces, trace = self._traces, entry.trace
        assert trace is not None
        attributes = {spans.ATTEMPT: 1, **_attributes(group, topic, entry), **more}
        moment = Moment(now, traces.now())
        context = traces.span(Operation.DELIVER, trace, moment, topic.tenant, attributes)
        if group is not None and group.is_auto:
            return
        failures = int(more.get(spans.FAILURES, 0))
        place = _place(group, topic)
        self._forget(place, entry.seq)
        if len(self._order) >= OUT_MAX_COUNT:
            self._forget(*next(iter(self._order)))
        self._out.setdefault(place, {})[entry.seq] = Out(
            context or trace, entry.message_id, entry.seq, now, failures
        )
        self._order[place, entry.seq] = None

    # Settled --------------------------------------------------------------------------------------

    def find(self, group: Group, topic: Topic, seq: int) -> Out | None:
        """The delivery, if it is traced and out."""
        found = self._out.get(_place(group, topic))
        return None if found is None else found.get(seq)

    def settled(self, group: Group, topic: Topic, out: Out, verb: Verb) -> None:
        """A subscriber has said what became of it; whether it has died by that is told afterwards."""
        if verb.title is None:
            return
        if group.name is not None:
            self._settled(group, topic, out, verb.title)
            out.is_settled = True
            if verb.is_ack:
                self._forget(_place(group, topic), out.seq)
        elif out.settled_count < EPHEMERAL_MAX_COUNT:
            out.settled_count += 1
            self._settled(group, topic, out, verb.title)
        else:
            self._traces.dropped["ephemeral"] += 1

    def open_through(self, cursor: Settled, seq: int) -> list[Out]:
        """Those of the newest that are traced and out, up to this number."""
        found = self._out.get(_place(cursor.group, cursor.topic))
        if found is None:
            return []
        newest = islice(reversed(found.values()), THROUGH_MAX_COUNT)
        return [out for out in newest if out.seq <= seq and cursor.delivery.is_open(out.seq)]

    def settled_through(self, cursor: Settled, before: Sequence[Out], verb: Verb) -> None:
        """Of these, which were open, some may be settled now."""
        for out in before:
            if not cursor.delivery.is_open(out.seq):
                self.settled(cursor.group, cursor.topic, out, verb)

    def died(self, group: Group, topic: Topic, deaths: Sequence[Death]) -> None:
        """These deliveries became dead letters."""
        for death in deaths:
            out = self.find(group, topic, death.seq)
            if out is None:
                continue
            if death.reason == REASON_TIMEOUT and not out.is_settled:
                self._settled(group, topic, out, "timeout")
            now = self._traces.now()
            cause = death.reason if death.reason in _CAUSES else "consumer"
            attributes = _attributes(group, topic, out)
            attributes |= {spans.CAUSE: cause, spans.ATTEMPT: death.attempts}
            moment = Moment(now, now)
            self._traces.span(Operation.DEAD_LETTER, out.context, moment, topic.tenant, attributes)
            if group.name is not None:
                self._forget(_place(group, topic), death.seq)

    def _settled(self, group: Group, topic: Topic, out: Out, outcome: str) -> None:
        if out.is_settled:
            return
        attributes = _attributes(group, topic, out) | {spans.OUTCOME: outcome}
        moment = Moment(out.at, self._traces.now())
        self._traces.span(Operation.SETTLE, out.context, moment, topic.tenant, attributes)

    def _forget(self, place: _Place, seq: int) -> None:
        if (place, seq) in self._order:
            del self._order[place, seq]
            found = self._out[place]
            del found[seq]
            if not found:
                del self._out[place]


def _place(group: Group | None, topic: Topic) -> _Place:
    return (0 if group is None else group.subscription_id, topic.topic_id)


def _attributes(group: Group | None, topic: Topic, one: Entry | Out) -> dict[str, Value]:
    attributes: dict[str, Value] = {
        spans.TOPIC: topic.name,
        spans.MESSAGE_ID: one.message_id,
        spans.SEQ: one.seq,
    }
    if group is not None and group.name is not None:
        attributes[spans.SUBSCRIPTION] = group.name
    return attributes
