"""Durable subscriptions as they are shown: where they are, and what became of a message."""

from __future__ import annotations

from itertools import chain, islice
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from conduit.broker.catalog import Topic
from conduit.broker.clock import Clock
from conduit.broker.deliver.group import Group
from conduit.broker.deliver.starts import Beginning
from conduit.core.delivery import Delivery
from conduit.core.lag import lag_of
from conduit.core.message import SubscriptionRecord
from conduit.core.retries import NOBODY
from conduit.protocol.frames import Gap
from conduit.protocol.records import GapAnswer, TopicProgress
from conduit.storage.dead_letters import DEAD, DISCARDED, DROPPED, FORGOTTEN, REDRIVEN, Fate

# Of what a start cannot be given so much is shown: a pattern may lack something in each of its topics.
GAPS_SHOWN_COUNT = 1_000


class SubscriptionView(msgspec.Struct):
    """A subscription and what is going on in it. `topics` is empty if they are `more_topics` than are shown
    with it."""

    record: SubscriptionRecord
    topics: list[TopicProgress] = []
    more_topics: bool = False
    lag: int = 0
    subscribers: int = 0
    in_flight_count: int = 0
    pending_retry_count: int = 0
    full: bool = False
    dead_count: int = 0
    """Dead letters that were not redriven …"""
    redriven_count: int = 0
    """… and those that were."""
    gaps: list[GapAnswer] = []
    """What its start could not be given; of a subscription that was just created."""
    more_gaps: bool = False

    def narrow(self, topic: str) -> None:
        """Show of its topics only this one, if it is among them."""
        shown = [place for place in self.topics if place.topic == topic]
        self.more_topics = self.more_topics or len(shown) < len(self.topics)
        self.topics = shown

    def add(self, topic: Topic, delivery: Delivery) -> None:
        """One of its topics, and what it does there."""
        self.topics.append(place_of(topic, delivery))
        self.lag += self.topics[-1].lag
        self.in_flight_count += delivery.out_count
        self.pending_retry_count += delivery.waiting_count


class SubscriptionPage(NamedTuple):
    """Views by name, and behind which name the list goes on, if it does. It may have fewer than were asked
    for: what was deleted meanwhile is left out."""

    views: list[SubscriptionView]
    next_after: str | None


class Attached(msgspec.Struct):
    """One subscriber of a subscription, as `SubscriberAnswer`. `node`: None means the node that looks."""

    node: str | None
    in_flight_count: int
    max_in_flight: int | None
    is_reading: bool


class DeliveryState(msgspec.Struct):
    """What one subscription has done with one message."""

    subscription: str
    state: str
    """`pending`, `in_flight`, `retrying` or `acked`; the dead letters know whether it is another one."""
    attempts: int = 0
    last_reason: str | None = None
    next_attempt_at_ms: int | None = None
    died_at_ms: int | None = None
    """When it became a dead letter last, and when that was redriven, as long as the letter is there."""
    redriven_at_ms: int | None = None


def missing(beginning: Beginning) -> tuple[list[GapAnswer], bool]:
    """What a start could not be given, for whoever asked for it: no subscriber is told. And whether there is
    more of it than is shown."""
    every = chain(beginning.gaps, beginning.removed)
    shown = [_missing(beginning, gap) for gap in islice(every, GAPS_SHOWN_COUNT)]
    return shown, len(beginning.gaps) + len(beginning.removed) > GAPS_SHOWN_COUNT


def _missing(beginning: Beginning, gap: Gap) -> GapAnswer:
    was_published: bool | msgspec.UnsetType = msgspec.UNSET
    if gap.reason == "log_lost":
        # Of another epoch's position it would be another gap.
        asked = beginning.asked.get(gap.topic)
        was_published = asked is not None and asked.epoch is not None
    return GapAnswer(gap.topic, gap.from_seq, gap.to_seq, gap.reason, gap.epoch, was_published)


def place_of(topic: Topic, delivery: Delivery) -> TopicProgress:
    """Where a subscription is in a topic."""
    lag = lag_of(delivery, topic.first_seq, topic.last_seq)
    return TopicProgress(topic.name, delivery.floor, topic.last_seq, lag)


def attached_to(group: Group) -> list[Attached]:
    """Its subscribers, those who have come first before others."""
    return [
        Attached(
            each.outlet.node_name,
            group.in_flight.get(each.holder, 0),
            None if group.is_auto else each.window,
            each.outlet.writable,
        )
        for each in group.subscribers
    ]


def state_of(name: str, delivery: Delivery, seq: int, clock: Clock) -> DeliveryState:
    """What it has done with a message."""
    if seq > delivery.cursor:
        return DeliveryState(name, "pending")
    retry = delivery.history(seq)
    if retry is None:
        return DeliveryState(name, "acked")
    state = "retrying" if retry.holder == NOBODY else "in_flight"
    # A deadline is on another clock than what is shown.
    next_at_ms = clock.wall_ms() + int((retry.at - clock.now()) * 1000)
    return DeliveryState(name, state, retry.attempt, retry.reason or None, next_at_ms)


def state_after(state: DeliveryState, fate: Fate) -> DeliveryState:
    """What a delivery that died has come to: one that is settled by that, or one that was redriven since."""
    times = (fate.died_at_ms, fate.redriven_at_ms)
    if state.state != "acked":
        return replace(state, died_at_ms=times[0], redriven_at_ms=times[1])
    if fate.name == DEAD:
        return DeliveryState(state.subscription, "dead", fate.attempts, fate.reason, None, *times)
    return DeliveryState(state.subscription, _FATES[fate.name], 0, None, None, *times)


# One that was redriven is settled since. Where more letters are gone than are remembered, nobody knows any
# more whether it was acked.
_FATES = {
    REDRIVEN: "acked",
    DROPPED: "dropped",
    DISCARDED: "discarded",
    FORGOTTEN: "settled",
}
