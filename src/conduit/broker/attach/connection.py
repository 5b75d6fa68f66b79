"""What one connection is subscribed to."""

from __future__ import annotations

from functools import partial
from typing import Protocol

import msgspec

from conduit.broker.administer.subscriptions import Subscriptions, check_settings
from conduit.broker.attach.verbs import Acks
from conduit.broker.deliver.router import Hub
from conduit.broker.deliver.running import Dispatch, Outlet, Removal, Subscriber
from conduit.broker.deliver.starts import Beginning, begin, check_start
from conduit.core.message import SubscriptionRecord, SubscriptionSettings
from conduit.errors import Conflict, LimitReached
from conduit.names import check_pattern, check_subscription, is_pattern
from conduit.protocol.codec import format_time, server_frame
from conduit.protocol.codes import CLOSE_MOVED, CLOSE_TOPIC_DELETED
from conduit.protocol.frames import Subscribe, Subscribed, Unsubscribe, Unsubscribed

# What a `subscribe` frame may set of a subscription.
_SETTINGS = ("ack", "order", "max_in_flight", "ack_wait_ms", "max_attempts")


class Peer(Outlet, Protocol):
    """The connection itself: an outlet that can be closed."""

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake."""


class Connection:
    """The subscriptions of one connection, from its opening to `close`.

    `subscribe` waits for the store; the caller makes sure that frames of one connection are handled
    one after the other.
    """

    def __init__(
        self, hub: Hub, subscriptions: Subscriptions, tenant: str, peer: Peer, max_count: int
    ) -> None:
        self._hub = hub
        self._subscriptions = subscriptions
        self._tenant = tenant
        self._peer = peer
        self._max_count = max_count
        self._is_closed = False
        # (pattern, subscription) -> this connection's share. Insertion order is that of subscribing.
        self._subscribers: dict[tuple[str, str | None], Subscriber] = {}
        self.acks = Acks(hub, self._subscribers, peer)

    # Subscribing ----------------------------------------------------------------------------------

    async def subscribe(self, frame: Subscribe) -> None:
        """Begin a stream; `subscribed` is written before its first message. Raises ConduitError."""
        check_pattern(frame.topic)
        if frame.subscription is not None:
            check_subscription(frame.subscription)
        place = (frame.topic, frame.subscription)
        if place in self._subscribers:
            raise Conflict("this connection has that subscription", code="already_subscribed")
        if len(self._subscribers) >= self._max_count:
            raise LimitReached(f"one connection may have {self._max_count} subscriptions")
        if frame.subscription is None:
            await self._subscribe_ephemeral(frame)
        else:
            await self._subscribe_durable(frame, frame.subscription)

    async def _subscribe_ephemeral(self, frame: Subscribe) -> None:
        settings = check_settings(_settings(frame))
        if not is_pattern(frame.topic):
            await self._hub.catalog.ensure(self._tenant, frame.topic)
        beginning = await begin(self._hub, self._tenant, frame.topic, frame.start)
        if self._is_closed:
            return
        dispatch = Dispatch(self._hub, self._tenant, frame.topic, settings)
        self._hub.add_dispatch(dispatch)
        self._join(dispatch, frame)
        for topic in self._hub.matching(self._tenant, frame.topic):
            floor = beginning.floors.get(topic.topic_id)
            if floor is not None or topic.name == frame.topic:
                dispatch.follow(topic, topic.last_seq if floor is None else floor)
        self._welcome(frame, dispatch, beginning)

    async def _subscribe_durable(self, frame: Subscribe, name: str) -> None:
        record = self._subscriptions.find(self._tenant, name)
        beginning = None
        if record is None:
            beginning = await self._subscriptions.establish(
                self._tenant, name, frame.topic, _settings(frame), frame.start
            )
        if beginning is None:
            record = self._subscriptions.find(self._tenant, name)
            check_start(frame.topic, frame.start)
            if record is not None:
                _check_agreement(record, frame)
        dispatch = await self._subscriptions.attach(self._tenant, name)
        if self._is_closed:
            return
        self._join(dispatch, frame)
        self._welcome(frame, dispatch, beginning)
        self._hub.turn.add(dispatch)

    def _join(self, dispatch: Dispatch, frame: Subscribe) -> None:
        place = (frame.topic, frame.subscription)
        removed = partial(self._removed, place)
        self._subscribers[place] = dispatch.add(self._peer, removed)

    def _welcome(self, frame: Subscribe, dispatch: Dispatch, beginning: Beginning | None) -> None:
        """Write `subscribed`; deliveries come at the end of this turn at the earliest."""
        reply = Subscribed(frame.topic, frame.subscription, ref=frame.ref)
        topic = self._hub.catalog.find(self._tenant, frame.topic)
        if topic is not None and (stream := dispatch.streams.get(topic.topic_id)) is not None:
            reply.seq, reply.epoch = stream.delivery.floor, topic.epoch
        if beginning is not None:
            reply.recovered = beginning.recovered
        if dispatch.name is None and is_pattern(frame.topic):
            reply.at = format_time(self._hub.oldest_uncommitted_ms())
        self._peer.write(server_frame(reply))
        for gap in beginning.gaps if beginning is not None else ():
            self._hub.stats.gap_count += 1
            self._peer.write(server_frame(gap))

    # Leaving --------------------------------------------------------------------------------------

    def unsubscribe(self, frame: Unsubscribe) -> None:
        """End a stream; nothing of it follows the `unsubscribed`. Raises Conflict `not_subscribed`."""
        place = (frame.topic, frame.subscription)
        if place not in self._subscribers:
            raise Conflict("this connection has no such subscription", code="not_subscribed")
        self._leave(place)
        self._peer.write(server_frame(Unsubscribed(frame.topic, frame.subscription, frame.ref)))

    def close(self) -> None:
        """The connection is gone: all that it had out goes back. Idempotent."""
        self._is_closed = True
        for place in tuple(self._subscribers):
            self._leave(place)

    def writable_changed(self) -> None:
        """The socket drains again, or no longer."""
        for subscriber in self._subscribers.values():
            self._hub.turn.add(subscriber.dispatch)

    def _leave(self, place: tuple[str, str | None]) -> None:
        subscriber = self._subscribers.pop(place)
        dispatch = subscriber.dispatch
        dispatch.remove(subscriber)
        if dispatch.name is None:
            self._hub.remove_dispatch(dispatch)
        else:
            # Its progress is stored, and if this was the last subscriber it is unloaded after that.
            self._hub.ledger.wake()

    def _removed(self, place: tuple[str, str | None], why: Removal) -> None:
        """A subscription of this connection does not run here any more."""
        if why is Removal.TOPIC_DELETED:
            self._peer.close(CLOSE_TOPIC_DELETED, "topic deleted")
        elif why is Removal.MOVED:
            self._peer.close(CLOSE_MOVED, "subscription moved")
        elif place in self._subscribers:
            self._leave(place)
            self._peer.write(server_frame(Unsubscribed(*place)))


def _given(frame: Subscribe) -> dict[str, object]:
    values = {field: getattr(frame, field) for field in _SETTINGS}
    return {field: value for field, value in values.items() if value is not None}


def _settings(frame: Subscribe) -> SubscriptionSettings:
    return msgspec.structs.replace(SubscriptionSettings(), **_given(frame))


def _check_agreement(record: SubscriptionRecord, frame: Subscribe) -> None:
    """An existing subscription keeps its settings: a client may repeat them, not change them."""
    if record.pattern != frame.topic:
        raise Conflict(
            f"subscription {record.name!r} is on {record.pattern!r}",
            code="subscription_conflict",
            field="topic",
        )
    for field, value in _given(frame).items():
        if value != getattr(record.settings, field):
            raise Conflict(
                f"subscription {record.name!r} has another {field}",
                code="subscription_conflict",
                field=field,
            )
