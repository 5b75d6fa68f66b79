"""Handing out again what a cursor has open, under the order that core/delivery.py gives."""

from __future__ import annotations

from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.feed import Feed
from conduit.broker.deliver.group import Group
from conduit.broker.deliver.source import HAND_MAX_COUNT, Source
from conduit.broker.deliver.states import State
from conduit.core.delivery import Delivery


class Redelivery:
    """Second and later hand-outs of one cursor, which records them."""

    __slots__ = (
        "_delivery",
        "_engine",
        "_feed",
        "_group",
        "_handed_count",
        "_owes_suspect",
        "_source",
    )

    def __init__(
        self, engine: Engine, group: Group, feed: Feed, delivery: Delivery, source: Source
    ) -> None:
        self._engine = engine
        self._group = group
        self._feed = feed
        self._delivery = delivery
        self._source = source
        # What is new took all credit: the suspect that was due has the next one.
        self._owes_suspect = False
        self._handed_count = 0

    def took(self) -> bool:
        """Whether anything was handed out since this was last asked."""
        handed_count, self._handed_count = self._handed_count, 0
        return handed_count > 0

    def before_new(self, now: float) -> State | None:
        """Hand out what is due again; None if nothing of that is left, or the state in which to go on."""
        if self._owes_suspect:
            self._owes_suspect = False
            self._suspect(now)
        handed_count = 0
        while (seq := self._delivery.due(now)) is not None:
            if self._group.waiting and handed_count >= HAND_MAX_COUNT:
                self._group.freed()
                return State.CREDIT
            state = self.one(seq, now)
            if state is not None:
                # Behind one that has to be read all wait their turn, so that they stay in order.
                return state
            handed_count += 1
        return None

    def after_new(self, now: float) -> State | None:
        """Hand out a suspect that is due, if there is one. None, or the state in which to wait for it."""
        if self._delivery.due_suspect(now) is None:
            return None
        state = self._suspect(now)
        self._owes_suspect = state is State.CREDIT
        return state

    def _suspect(self, now: float) -> State | None:
        seq = self._delivery.due_suspect(now)
        return None if seq is None else self.one(seq, now)

    def one(self, seq: int, now: float) -> State | None:
        """Hand out this one, which waits. None, or the state in which to wait for it."""
        subscriber = self._group.next()
        if subscriber is None:
            return State.CREDIT
        entry = self._source.again(seq, now)
        if isinstance(entry, State):
            return entry
        retry = self._delivery.hand_again(seq, subscriber.holder, now)
        if self._group.is_auto:
            self._delivery.ack(seq)
            subscriber.handed_settled()
        self._handed_count += 1
        stats = self._engine.stats
        stats.delivered_count += 1
        if retry.attempt > 1:
            stats.redelivered_count += 1
        self._engine.index.put(entry.message_id, self._feed.topic.topic_id, seq)
        name = self._group.name_bytes
        subscriber.outlet.write(entry.frame_for(retry.attempt, retry.failures, name))
        return None
