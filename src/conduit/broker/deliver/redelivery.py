"""Handing out again what a cursor has open, under the order that core/delivery.py gives."""

from __future__ import annotations

from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.feed import Feed
from conduit.broker.deliver.group import Group
from conduit.broker.deliver.source import HAND_MAX_COUNT, Lack, Source
from conduit.broker.deliver.states import Handed
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

    def before_new(self, now: float) -> Handed:
        """Hand out what is due again; DONE if nothing of that is left."""
        if self._owes_suspect:
            self._owes_suspect = False
            self._suspect(now)
        handed_count = 0
        while (seq := self._delivery.due(now)) is not None:
            if self._group.line and handed_count >= HAND_MAX_COUNT:
                return Handed.NO_CREDIT
            handed = self.one(seq, now)
            if handed is not Handed.DONE:
                # Behind one that has to be read all wait their turn, so that they stay in order.
                return handed
            handed_count += 1
        return Handed.DONE

    def after_new(self, now: float) -> Handed:
        """Hand out a suspect that is due, if there is one."""
        if self._delivery.due_suspect(now) is None:
            self._source.nothing_again()
            return Handed.DONE
        handed = self._suspect(now)
        self._owes_suspect = handed is Handed.NO_CREDIT
        return handed

    def _suspect(self, now: float) -> Handed:
        seq = self._delivery.due_suspect(now)
        return Handed.DONE if seq is None else self.one(seq, now)

    def one(self, seq: int, now: float) -> Handed:
        """Hand out this one, which waits."""
        subscriber = self._group.next()
        if subscriber is None:
            return Handed.NO_CREDIT
        entry = self._source.again(seq, now)
        if isinstance(entry, Lack):
            return Handed.READING if entry is Lack.READING else Handed.STALLED
        retry = self._delivery.hand_again(seq, subscriber.holder, now)
        if self._group.is_auto:
            self._delivery.ack(seq)
        self._handed_count += 1
        stats = self._engine.stats
        stats.delivered_count += 1
        if retry.attempt > 1:
            stats.redelivered_count += 1
        self._engine.index.put(entry.message_id, self._feed.topic.topic_id, seq)
        name = self._group.name_bytes
        subscriber.outlet.write(entry.frame_for(retry.attempt, retry.failures, name))
        return Handed.DONE
