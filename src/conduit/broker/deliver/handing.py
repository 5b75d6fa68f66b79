"""What one cursor hands out, in which order, and to whom.

What comes first: what is due again and was not lost more than once; then what is new; then one suspect
(core/delivery.py). In strict order: the lowest open number, alone; then what is new.

Nothing here waits. Where it went no further, the state is returned in which the cursor goes on (states.py).
"""

from __future__ import annotations

from typing import Protocol

from conduit.broker.deliver.backlog import Behind
from conduit.broker.deliver.deadlines import Timed
from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.entry import Entry
from conduit.broker.deliver.feed import Feed
from conduit.broker.deliver.group import Group
from conduit.broker.deliver.marks import Recorded
from conduit.broker.deliver.source import HAND_MAX_COUNT, Source
from conduit.broker.deliver.states import State
from conduit.broker.deliver.subscriber import Subscriber
from conduit.core.delivery import Delivery


class Handed(Recorded, Timed, Behind, Protocol):
    """The cursor, as it is recorded and watched."""


class Handing:
    """Hands out for one cursor, its `owner`, and records that."""

    __slots__ = (
        "_delivery",
        "_engine",
        "_feed",
        "_group",
        "_owes_suspect",
        "_owner",
        "_source",
    )

    def __init__(self, engine: Engine, feed: Feed, source: Source, owner: Handed) -> None:
        self._engine = engine
        self._group: Group = owner.group
        self._feed = feed
        self._delivery: Delivery = owner.delivery
        self._source = source
        self._owner = owner
        # What is new took all credit: the suspect that was due has the next one.
        self._owes_suspect = False

    def work(self, now: float, step_count: int, *, is_served: bool) -> State:
        """Hand out all that may go now, of a page of the log up to `step_count`. `is_served`: it is this
        one's turn, however many wait."""
        if not self._delivery.retries.by_seq:
            if not is_served and self._group.waiting and self._has_new():
                return self._let_others()
            return self._new(now, step_count)
        if not is_served and self._group.waiting and self._has_something(now):
            return self._let_others()
        state = self._before_new(now)
        if state is None or state is State.STALLED:
            state = self._new(now, step_count)
            after = self._after_new(now)
            if after is State.CREDIT:
                state = after
            elif after is State.CROWDED:
                # A suspect never holds up what is new.
                self._source.stall(now)
        return state

    def work_strictly(self, now: float, step_count: int, *, is_served: bool) -> State:
        """The same one at a time, and always the lowest."""
        delivery = self._delivery
        while not delivery.out_count:
            lowest = delivery.lowest_open()
            if lowest is None:
                if not is_served and self._group.waiting and self._has_new():
                    return self._let_others()
                return self._new(now, step_count)
            if delivery.retries.by_seq[lowest].at > now:
                break
            if not is_served and self._group.waiting:
                return self._let_others()
            state = self._again(lowest, now)
            if state is not None:
                return state
            # Without acks it is settled already, and the next one may go.
        return State.HELD

    def _let_others(self) -> State:
        """There may be credit, but others wait for it, or for a read."""
        self._group.freed()
        return State.CREDIT

    def _has_new(self) -> bool:
        return self._feed.position > self._delivery.cursor

    def _has_something(self, now: float) -> bool:
        return (
            self._has_new()
            or self._delivery.due(now) is not None
            or self._delivery.due_suspect(now) is not None
        )

    # What is new ----------------------------------------------------------------------------------

    def _new(self, now: float, step_count: int) -> State:
        """Hand out what follows the cursor; returns why it went no further."""
        delivery, group, feed, source = self._delivery, self._group, self._feed, self._source
        if group.pending.count and group.is_full and self._has_new():
            group.held_back(self._engine.stats)
            return State.FULL
        while (available_count := feed.position - delivery.cursor) > 0:
            subscriber = group.next()
            if subscriber is None:
                return State.CREDIT
            limit = 1
            if available_count > 1 and not group.is_strict:
                limit = min(subscriber.credit, HAND_MAX_COUNT, group.share(available_count))
                if group.allowance.deliveries is not None:
                    limit = min(limit, group.room)
            entries = source.new(delivery.cursor + 1, limit, step_count, now)
            if isinstance(entries, State):
                return entries
            if source.page is not None:
                # One step is a few messages of a page; what is in the tail has no page.
                step_count = 0
            self._hand(subscriber, entries, now)
            if group.is_strict and not delivery.is_idle:
                return State.HELD
            if group.waiting and self._has_new() and not source.has(delivery.cursor + 1):
                return self._let_others()
        return self._at_the_end(available_count)

    def _at_the_end(self, available_count: int) -> State:
        group = self._group
        if available_count or group.name is not None or group.is_strict or group.is_full:
            return State.TAIL
        return State.LIVE

    def _hand(self, subscriber: Subscriber, entries: list[Entry], now: float) -> None:
        engine, owner, last = self._engine, self._owner, entries[-1].seq
        is_at_end = last == self._feed.position
        if self._source.page is not None or not is_at_end:
            # However long ago it was read: acks are to find it. What is at the end of the tail came a moment
            # ago as a rule, and is known; if not, its acks are looked up in the store.
            put, topic_id = engine.index.put, self._feed.topic.topic_id
            for entry in entries:
                put(entry.message_id, topic_id, entry.seq)
        if self._group.is_auto:
            self._delivery.pass_over(last)
            subscriber.handed_settled()
        else:
            deadline = self._delivery.hand(entries[0].seq, last, subscriber.holder, now)
            if deadline < owner.watched_at:
                engine.deadlines.watch(owner, deadline)
        name = self._group.name_bytes
        if name:
            engine.progress.mark(owner)
            data = b"".join([entry.frame_for(1, 0, name) for entry in entries])
        else:
            data = b"".join([entry.frame for entry in entries])
        if self._source.page is None and entries[0].published_at_ms >= self._group.attached_ms:
            engine.stats.delivered(entries, now)
        else:
            # What it finds there, and what it had to read: how old that is says nothing of this server.
            engine.stats.delivered_count += len(entries)
        self._feed.topic.delivered_count += len(entries)
        self._group.handed(len(entries))
        subscriber.outlet.write(data)
        if engine.traces is not None:
            engine.traces.handed(self._group, self._feed.topic, entries, now)
        if is_at_end:
            engine.backlog.live(owner)

    # What comes again -----------------------------------------------------------------------------

    def _before_new(self, now: float) -> State | None:
        """Hand out what is due again; None if nothing of that is left, or the state in which to go on."""
        if self._owes_suspect:
            self._owes_suspect = False
            self._suspect(now)
        handed_count = 0
        while (seq := self._delivery.due(now)) is not None:
            if self._group.waiting and handed_count >= HAND_MAX_COUNT:
                return self._let_others()
            state = self._again(seq, now)
            if state is not None:
                # Behind one that has to be read all wait their turn, so that they stay in order.
                return state
            handed_count += 1
        return None

    def _after_new(self, now: float) -> State | None:
        """Hand out a suspect that is due, if there is one. None, or the state in which to wait for it."""
        state = self._suspect(now)
        if state is State.CREDIT:
            self._owes_suspect = True
        return state

    def _suspect(self, now: float) -> State | None:
        seq = self._delivery.due_suspect(now)
        return None if seq is None else self._again(seq, now)

    def _again(self, seq: int, now: float) -> State | None:
        """Hand out this one, which waits. None, or the state in which to wait for it."""
        subscriber = self._group.next()
        if subscriber is None:
            return State.CREDIT
        entry = self._source.again(seq, now)
        if isinstance(entry, State):
            return entry
        retry = self._delivery.hand_again(seq, subscriber.holder, now)
        self._group.one_waits_less()
        if self._group.is_auto:
            self._delivery.ack(seq)
            subscriber.handed_settled()
        engine, name = self._engine, self._group.name_bytes
        if name:
            engine.progress.mark(self._owner)
        engine.stats.delivered_count += 1
        self._feed.topic.delivered_count += 1
        self._group.handed(1)
        if retry.attempt > 1:
            engine.stats.redelivered_count += 1
            self._group.allowance.counts.redelivered_count += 1
        engine.index.put(entry.message_id, self._feed.topic.topic_id, seq)
        subscriber.outlet.write(entry.frame_for(retry.attempt, retry.failures, name))
        if engine.traces is not None:
            engine.traces.handed_again(self._group, self._feed.topic, entry, retry, now)
        return None
