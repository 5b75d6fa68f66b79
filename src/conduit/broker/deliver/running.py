"""One running subscription: its subscribers, and its streams through the topics that it covers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

import msgspec

from conduit.broker.deliver.cursor import Stream
from conduit.core.delivery import Delivery, Policy, Snapshot
from conduit.core.message import Progress, SubscriptionRecord, SubscriptionSettings

if TYPE_CHECKING:
    from conduit.broker.catalog import Topic
    from conduit.broker.deliver.router import Hub

_decode_snapshot = msgspec.msgpack.Decoder(Snapshot).decode


class Removal(Enum):
    """Why a subscriber is taken from its subscription."""

    DELETED = auto()
    """The subscription was deleted."""
    TOPIC_DELETED = auto()
    MOVED = auto()
    """Another node has claimed the subscription."""


class Outlet(Protocol):
    """Where a subscriber's frames go: one WebSocket connection."""

    writable: bool
    """False while the socket does not drain; nothing should be written then."""

    def write(self, data: bytes) -> None:
        """Write whole frames; never blocks, never fails."""


class Subscriber:
    """One live attachment: a connection's share in a dispatch. `holder` is its number there."""

    __slots__ = ("dispatch", "holder", "on_removed", "outlet")

    def __init__(
        self, dispatch: Dispatch, holder: int, outlet: Outlet, on_removed: Callable[[Removal], None]
    ) -> None:
        self.dispatch = dispatch
        self.holder = holder
        self.outlet = outlet
        self.on_removed = on_removed

    @property
    def room(self) -> int:
        """How many more deliveries it takes now."""
        dispatch = self.dispatch
        if not self.outlet.writable:
            return 0
        if dispatch.is_auto:
            return sys.maxsize
        return dispatch.settings.max_in_flight - dispatch.in_flight.get(self.holder, 0)


class Dispatch:
    """A subscription that runs here, ephemeral (`name` None, one subscriber) or durable."""

    __slots__ = (
        "_next_holder",
        "_rotation",
        "fence",
        "hub",
        "in_flight",
        "is_auto",
        "is_paused",
        "is_strict",
        "name",
        "name_bytes",
        "pattern",
        "policy",
        "saved",
        "settings",
        "streams",
        "subscribers",
        "subscription_id",
        "tenant",
    )

    def __init__(self, hub: Hub, tenant: str, pattern: str, settings: SubscriptionSettings) -> None:
        self.hub = hub
        self.tenant = tenant
        self.pattern = pattern
        self.name: str | None = None
        self.name_bytes = b""
        self.subscription_id = 0
        self.fence: int | None = None
        self.subscribers: list[Subscriber] = []
        self.in_flight: dict[int, int] = {}
        # topic_id -> stream, and stored progress of topics that have no stream yet.
        self.streams: dict[int, Stream] = {}
        self.saved: dict[int, Progress] = {}
        self.is_paused = False
        self._next_holder = 1
        self._rotation = 0
        self.policy = self.policy_of(settings)
        self.configure(settings)

    def make_durable(self, record: SubscriptionRecord, fence: int, saved: list[Progress]) -> None:
        """Give it a name, and what is stored under it since `fence`; before anything follows it."""
        self.subscription_id = record.subscription_id
        self.fence = fence
        self.name = record.name
        self.name_bytes = record.name.encode()
        self.is_paused = record.paused
        self.saved = {progress.topic_id: progress for progress in saved}

    def configure(self, settings: SubscriptionSettings) -> None:
        """Use these settings from the next hand-out on."""
        self.settings = settings
        self.is_auto = settings.ack == "auto"
        self.is_strict = settings.order == "strict"
        before, self.policy = self.policy, self.policy_of(settings)
        for stream in self.streams.values() if before != self.policy else ():
            stream.delivery.set_policy(self.policy)

    @staticmethod
    def policy_of(settings: SubscriptionSettings) -> Policy:
        """The part of the settings that the delivery machine knows."""
        return Policy(
            ack_wait_s=settings.ack_wait_ms / 1000,
            max_ack_wait_s=settings.max_ack_wait_ms / 1000,
            max_attempts=settings.max_attempts,
        )

    # Subscribers ----------------------------------------------------------------------------------

    def add(self, outlet: Outlet, on_removed: Callable[[Removal], None]) -> Subscriber:
        """A new subscriber, which gets deliveries from the next `pump` on."""
        subscriber = Subscriber(self, self._next_holder, outlet, on_removed)
        self._next_holder += 1
        self.subscribers.append(subscriber)
        self.hub.subscriber_count += 1
        for stream in self.streams.values():
            stream.feed.subscriber_count += 1
        return subscriber

    def remove(self, subscriber: Subscriber) -> None:
        """The subscriber is gone: what it had out goes to the others, or waits."""
        self.subscribers.remove(subscriber)
        self.hub.subscriber_count -= 1
        now = self.hub.clock.now()
        for stream in self.streams.values():
            stream.feed.subscriber_count -= 1
            if stream.delivery.release(subscriber.holder, now):
                stream.changed()

    def next_subscriber(self) -> Subscriber | None:
        """The next in turn that has room."""
        subscribers = self.subscribers
        for _ in subscribers:
            self._rotation = (self._rotation + 1) % len(subscribers)
            if subscribers[self._rotation].room > 0:
                return subscribers[self._rotation]
        return None

    def share(self, available_count: int) -> int:
        """How many of what is available one of several subscribers gets at once."""
        return -(-available_count // len(self.subscribers))

    def run(self) -> None:
        """The socket of a subscriber drains again, or no longer.

        Done at the end of a turn, never from within a write: while a feed writes one turn's frames, its
        live streams must stay where they are.
        """
        for stream in tuple(self.streams.values()):
            if self.name is None and not self.subscribers[0].outlet.writable:
                stream.leave_live()
            else:
                stream.pump()

    # Topics ---------------------------------------------------------------------------------------

    def follow(self, topic: Topic, floor: int) -> Stream:
        """Begin a stream through the topic after `floor`, or after what is stored for it."""
        delivery = Delivery(self.policy, floor, self.in_flight)
        progress = self.saved.pop(topic.topic_id, None)
        if progress is not None:
            snapshot = _decode_snapshot(progress.open) if progress.open else Snapshot()
            delivery.restore(progress.floor, progress.cursor, snapshot, self.hub.clock.now())
        stream = Stream(self, self.hub.feed_of(topic), delivery)
        self.streams[topic.topic_id] = stream
        stream.open()
        return stream

    def follow_backlog(self) -> None:
        """Begin the streams of a durable subscription that have something to give now.

        Topics that are up to date get theirs with their next message.
        """
        for topic in self.hub.matching(self.tenant, self.pattern):
            if topic.topic_id in self.streams:
                continue
            progress = self.saved.get(topic.topic_id)
            floor = 0 if progress is None else progress.floor
            if topic.last_seq > floor or self.pattern == topic.name:
                self.follow(topic, floor)

    def seek(self, floors: dict[int, int]) -> None:
        """Begin anew after `floors`, by topic id; the store has been told already."""
        for topic_id in floors:
            self.saved.pop(topic_id, None)
        for topic in self.hub.matching(self.tenant, self.pattern):
            floor = floors.get(topic.topic_id)
            if floor is None:
                continue
            stream = self.streams.get(topic.topic_id)
            if stream is not None:
                stream.delivery.seek(floor)
                stream.changed()
            elif topic.last_seq > floor:
                self.follow(topic, floor)
