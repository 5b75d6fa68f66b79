"""Deliveries of traced messages: when each was handed out, and what became of it.

A delivery's span ends when its frame is written. What became of it is a span of its own, from then until it
was settled; so that the former is there even if the latter never comes. To know whose it is, those that are
open are kept (outs.py). One whose span was dropped is not: it has no end either.
"""

from __future__ import annotations

from collections.abc import Sequence

from conduit.broker import spans
from conduit.broker.catalog import Topic
from conduit.broker.deliver.entry import Entry, make_entry
from conduit.broker.deliver.group import Group
from conduit.broker.deliver.live import Written
from conduit.broker.deliver.outs import Out, Outs, Settled
from conduit.broker.deliver.verbs import Verb
from conduit.broker.spans import Operation, Value
from conduit.broker.traces import Moment, Traces
from conduit.core.message import Committed, DeadLetter, Death
from conduit.core.policy import REASON_LOST, REASON_TIMEOUT
from conduit.core.retries import Retry

# Deliveries that one cumulative ack settles, or the end of a subscription: so many are recorded, the newest.
AT_ONCE_MAX_COUNT = 256
# Of one message to ephemeral subscribers, who may be thousands, so many settlements.
EPHEMERAL_MAX_COUNT = 16

# Reasons that are not a subscriber's words, which may say anything.
_CAUSES = frozenset({REASON_LOST, REASON_TIMEOUT})


class DeliveryTraces:
    """What the traced deliveries of a node have in common."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces
        self.outs = Outs()
        """Those that are open."""

    def make_entry(self, topic: Topic, message: Committed | DeadLetter, seq: int) -> Entry:
        """As the function of this name; the entry knows whether it is traced."""
        return make_entry(topic, message, seq, self._traces.of_message(message.headers))

    # Handed out -----------------------------------------------------------------------------------

    def wrote(self, topic: Topic, entries: Sequence[Entry], now: float, written: Written) -> None:
        """These were written at once to several ephemeral subscribers: one span for each message."""
        more: dict[str, Value] = {spans.SUBSCRIBER_COUNT: written.times}
        for entry in entries:
            if entry.trace is not None:
                out = self._deliver(None, topic, entry, now, more)
                if written.settling_count:
                    self._share(topic, entry.seq, out, written.settling_count)

    def handed(self, group: Group, topic: Topic, entries: Sequence[Entry], now: float) -> None:
        """These went to a subscriber of the group for the first time."""
        for entry in entries:
            if entry.trace is not None:
                self._keep(group, topic, entry.seq, self._deliver(group, topic, entry, now, {}))

    def handed_again(
        self, group: Group, topic: Topic, entry: Entry, retry: Retry, now: float
    ) -> None:
        """The same of one that was handed out before, or may have been."""
        if entry.trace is None:
            return
        before = self.outs.find(group, topic, entry.seq)
        if before is not None and group.name is not None:
            # Nobody has said what became of it.
            outcome = "timeout" if retry.failures > before.failures else "returned"
            self._settled(group, topic, before, outcome)
        more: dict[str, Value] = {spans.ATTEMPT: retry.attempt, spans.FAILURES: retry.failures}
        self._keep(group, topic, entry.seq, self._deliver(group, topic, entry, now, more), before)

    def _deliver(
        self, group: Group | None, topic: Topic, entry: Entry, now: float, more: dict[str, Value]
    ) -> Out | None:
        """Record it; None: it was dropped."""
        traces, trace = self._traces, entry.trace
        assert trace is not None
        attributes = {spans.ATTEMPT: 1, **_attributes(group, topic, entry), **more}
        moment = Moment(now, traces.now())
        context = traces.span(Operation.DELIVER, trace, moment, topic.tenant, attributes)
        if context is None:
            return None
        return Out(context, entry.message_id, entry.seq, now, int(more.get(spans.FAILURES, 0)))

    def _keep(
        self, group: Group, topic: Topic, seq: int, out: Out | None, before: Out | None = None
    ) -> None:
        """Wait for its end. `before`: what was kept of the attempt before."""
        if group.name is None:
            if not group.is_auto:
                # It was open already, and is counted.
                self._share(topic, seq, out, 1 if before is None else 0)
        elif out is not None and not group.is_auto:
            self._put(group, topic, out)
        elif before is not None:
            self.outs.give_back(group, topic, before)

    def _share(self, topic: Topic, seq: int, out: Out | None, settling_count: int) -> None:
        """The same for so many ephemeral subscribers more; others may have it."""
        before = self.outs.find(None, topic, seq)
        if before is not None:
            settling_count += before.open_count
        if out is not None:
            out.open_count = settling_count
            out.settled_count = 0 if before is None else before.settled_count
            self._put(None, topic, out)
        elif before is not None:
            before.open_count = settling_count

    def _put(self, group: Group | None, topic: Topic, out: Out) -> None:
        if self.outs.put(group, topic, out):
            self._traces.dropped["out"] += 1

    # Settled --------------------------------------------------------------------------------------

    def settled(self, group: Group, topic: Topic, out: Out, verb: Verb) -> None:
        """A subscriber has said what became of it; whether it has died by that is told afterwards."""
        if verb.title is None:
            return
        if group.name is not None:
            self._settled(group, topic, out, verb.title)
            out.is_settled = True
        elif out.settled_count < EPHEMERAL_MAX_COUNT:
            out.settled_count += 1
            self._settled(group, topic, out, verb.title)
        else:
            self._traces.dropped["ephemeral"] += 1
        if verb.is_ack:
            self.outs.give_back(group, topic, out)

    def settled_through(self, cursor: Settled, before: Sequence[Out], verb: Verb) -> None:
        """Of these, which were open, some may be settled now: the newest are recorded."""
        settled = [out for out in before if not cursor.delivery.is_open(out.seq)]
        for out in self._newest(cursor, settled):
            self.settled(cursor.group, cursor.topic, out, verb)

    def left(self, cursor: Settled) -> None:
        """What is open there is about to be forgotten: nobody says any more what became of it."""
        for out in self._newest(cursor, self.outs.open_in(cursor)):
            self._end(cursor, out)

    def lost(self, cursor: Settled, seq: int) -> None:
        """The log does not have it any more: it was open, and will not be handed out again."""
        out = self.outs.find(cursor.group, cursor.topic, seq)
        if out is not None:
            self._end(cursor, out)

    def _end(self, cursor: Settled, out: Out) -> None:
        group, topic = cursor.group, cursor.topic
        if group.name is not None:
            retry = cursor.delivery.history(out.seq)
            has_failed = retry is not None and retry.failures > out.failures
            self._settled(group, topic, out, "timeout" if has_failed else "returned")
        self.outs.give_back(group, topic, out)

    def _newest(self, cursor: Settled, outs: Sequence[Out]) -> Sequence[Out]:
        """Those of many that are recorded; the others are given back."""
        surplus_count = max(0, len(outs) - AT_ONCE_MAX_COUNT)
        self._traces.dropped["out"] += surplus_count
        for out in outs[:surplus_count]:
            self.outs.give_back(cursor.group, cursor.topic, out)
        return outs[surplus_count:]

    def died(self, group: Group, topic: Topic, deaths: Sequence[Death]) -> None:
        """These deliveries became dead letters."""
        for death in deaths:
            out = self.outs.find(group, topic, death.seq)
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
            self.outs.give_back(group, topic, out)

    def _settled(self, group: Group, topic: Topic, out: Out, outcome: str) -> None:
        if out.is_settled:
            return
        attributes = _attributes(group, topic, out) | {spans.OUTCOME: outcome}
        moment = Moment(out.at, self._traces.now())
        self._traces.span(Operation.SETTLE, out.context, moment, topic.tenant, attributes)


def _attributes(group: Group | None, topic: Topic, one: Entry | Out) -> dict[str, Value]:
    attributes: dict[str, Value] = {
        spans.TOPIC: topic.name,
        spans.MESSAGE_ID: one.message_id,
        spans.SEQ: one.seq,
    }
    if group is not None and group.name is not None:
        attributes[spans.SUBSCRIPTION] = group.name
    return attributes
