"""Settling deliveries for one connection: which delivery an ack means, and what is answered."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from conduit.broker.deliver.router import Hub
from conduit.broker.deliver.running import Outlet, Subscriber
from conduit.core.delivery import Delivery
from conduit.errors import ConduitError, InvalidRequest, NotFound, Overloaded
from conduit.protocol.codec import server_frame
from conduit.protocol.frames import Ack, Acked, ErrorFrame, Extend, Nack, Reject

# Ids in one `ack` frame.
IDS_MAX_COUNT = 1_000
# Frames of one connection whose ids are being looked up in the store.
LOOKUPS_MAX_COUNT = 64
REASON_MAX_CHARS = 255
DELAY_MAX_MS = 24 * 3_600_000

Act = Callable[[Delivery, int, int], bool]
"""Does one thing to one delivery (of this number, for this holder); False if its state forbids it."""


class Settlement(msgspec.Struct):
    """One request: what to do to the deliveries of some messages, and who wants to know."""

    act: Act
    counter: str
    """The field of `Stats` that counts it."""
    subscription: str | None
    ref: str | None
    is_recorded: bool = False
    """Whether the store has to hear of it: a durable subscription's progress, or a death."""


class Acks:
    """Applies `ack`, `nack`, `reject` and `extend` to the subscribers of one connection.

    Where several of them hold the same message and the frame names no subscription, one request
    settles one delivery, in the order of subscribing: a client that acks what it gets settles all.
    """

    def __init__(
        self, hub: Hub, subscribers: Mapping[tuple[str, str | None], Subscriber], outlet: Outlet
    ) -> None:
        self._hub = hub
        self._subscribers = subscribers
        self._outlet = outlet
        self._lookup_count = 0

    # Frames ---------------------------------------------------------------------------------------

    def ack(self, frame: Ack) -> None:
        """By id, by a list of ids, or everything of a topic up to a number. Raises InvalidRequest."""
        if frame.message_id is not None:
            if not _all_none(frame.message_ids, frame.topic, frame.seq):
                raise _one_form()
            self._settle(
                [frame.message_id],
                Settlement(_ack, "acked_count", frame.subscription, frame.ref),
            )
        elif frame.message_ids is not None:
            if not _all_none(frame.topic, frame.seq):
                raise _one_form()
            if not 1 <= len(frame.message_ids) <= IDS_MAX_COUNT:
                raise InvalidRequest(
                    f"message_ids must have 1 to {IDS_MAX_COUNT} elements", field="message_ids"
                )
            self._settle(
                frame.message_ids,
                Settlement(_ack, "acked_count", frame.subscription, frame.ref),
            )
        else:
            self._ack_through(frame)

    def nack(self, frame: Nack) -> None:
        """The attempt failed; try again after `delay_ms` or the backoff. Raises InvalidRequest."""
        delay_s = _seconds(frame.delay_ms, "delay_ms", 0)
        reason = _reason(frame.reason, "nack")
        now, jitter = self._hub.clock.now(), self._hub.rng.random()

        def act(delivery: Delivery, seq: int, holder: int) -> bool:
            return _holds(delivery, seq, holder) and delivery.nack(
                seq, now, delay_s, reason, jitter
            )

        settlement = Settlement(act, "nacked_count", frame.subscription, frame.ref)
        self._settle([frame.message_id], settlement)

    def reject(self, frame: Reject) -> None:
        """Dead-letter now. Raises InvalidRequest."""
        reason = _reason(frame.reason, "rejected")

        def act(delivery: Delivery, seq: int, holder: int) -> bool:
            return _holds(delivery, seq, holder) and delivery.reject(seq, reason)

        settlement = Settlement(act, "rejected_count", frame.subscription, frame.ref)
        self._settle([frame.message_id], settlement)

    def extend(self, frame: Extend) -> None:
        """More time from now on. Raises InvalidRequest."""
        wait_s = _seconds(frame.ms, "ms", 1)
        now = self._hub.clock.now()

        def act(delivery: Delivery, seq: int, holder: int) -> bool:
            return _holds(delivery, seq, holder) and delivery.extend(seq, now, wait_s)

        settlement = Settlement(act, "extended_count", frame.subscription, frame.ref)
        self._settle([frame.message_id], settlement)

    # Parts ----------------------------------------------------------------------------------------

    def _settle(self, message_ids: Sequence[str], settlement: Settlement) -> None:
        unknown: list[str] = []
        missing: list[str] = []
        for message_id in message_ids:
            found = self._hub.index.get(message_id)
            if found is None:
                missing.append(message_id)
            elif not self._apply(found[0], found[1], settlement):
                unknown.append(message_id)
        if not missing:
            if settlement.ref is not None:
                self._answer(settlement, message_ids, unknown)
            return
        if self._lookup_count >= LOOKUPS_MAX_COUNT:
            self._hub.stats.unknown_ack_count += len(missing)
            self._refuse(settlement.ref, Overloaded("too many acks of old messages at once"))
            return
        self._lookup_count += 1
        self._hub.reader.spawn(self._settle_missing(message_ids, missing, unknown, settlement))

    async def _settle_missing(
        self,
        message_ids: Sequence[str],
        missing: Sequence[str],
        unknown: list[str],
        settlement: Settlement,
    ) -> None:
        """Settle what has left the index, or never was in it: the store knows all that is kept."""
        try:
            for message_id in missing:
                place = await self._look_up(message_id)
                if place is None:
                    self._hub.stats.unknown_ack_count += 1
                    unknown.append(message_id)
                elif not self._apply(*place, settlement):
                    unknown.append(message_id)
        except ConduitError as error:
            self._refuse(settlement.ref, error)
        else:
            self._answer(settlement, message_ids, unknown)
        finally:
            self._lookup_count -= 1

    async def _look_up(self, message_id: str) -> tuple[int, int] | None:
        try:
            uuid.UUID(message_id)
        except ValueError:
            return None
        tenants = {subscriber.dispatch.tenant for subscriber in self._subscribers.values()}
        for tenant in tenants:
            found = await self._hub.store.find(tenant, message_id)
            if found is not None and self._hub.catalog.by_id(found[0]) is not None:
                return found[0], found[1].seq
        return None

    def _apply(self, topic_id: int, seq: int, settlement: Settlement) -> bool:
        """Settle one delivery of the message; False if this connection has none that is open."""
        stats = self._hub.stats
        for subscriber in self._holders(settlement.subscription):
            stream = subscriber.dispatch.streams.get(topic_id)
            if stream is not None and settlement.act(stream.delivery, seq, subscriber.holder):
                if subscriber.dispatch.name is not None or stream.delivery.has_dead:
                    settlement.is_recorded = True
                stream.changed()
                setattr(stats, settlement.counter, getattr(stats, settlement.counter) + 1)
                return True
        stats.late_ack_count += 1
        return False

    def _ack_through(self, frame: Ack) -> None:
        if frame.topic is None or frame.seq is None:
            raise _one_form()
        settlement = Settlement(_ack, "acked_count", frame.subscription, frame.ref)
        for subscriber in self._holders(frame.subscription):
            topic = self._hub.catalog.find(subscriber.dispatch.tenant, frame.topic)
            stream = subscriber.dispatch.streams.get(topic.topic_id) if topic is not None else None
            if stream is None or frame.seq > stream.delivery.cursor:
                continue
            self._hub.stats.acked_count += stream.delivery.ack_through(frame.seq)
            stream.changed()
            settlement.is_recorded = subscriber.dispatch.name is not None
            self._answer(settlement, [], [])
            return
        self._hub.stats.unknown_ack_count += 1
        detail = f"number {frame.seq} of {frame.topic!r} was not delivered here"
        self._refuse(frame.ref, NotFound(detail, code="unknown_delivery"))

    def _holders(self, subscription: str | None) -> Iterable[Subscriber]:
        if subscription is None:
            return self._subscribers.values()
        return [
            subscriber
            for subscriber in self._subscribers.values()
            if subscriber.dispatch.name == subscription
        ]

    def _answer(
        self, settlement: Settlement, message_ids: Sequence[str], unknown: Sequence[str]
    ) -> None:
        if settlement.ref is None:
            return
        if unknown:
            detail = f"no unsettled delivery of {unknown[0]!r} is known here"
            self._refuse(settlement.ref, NotFound(detail, code="unknown_delivery"))
            return
        message_id = message_ids[0] if len(message_ids) == 1 else None
        frame = server_frame(Acked(settlement.ref, message_id))
        if not settlement.is_recorded:
            self._outlet.write(frame)
            return
        try:
            self._hub.ledger.confirm(lambda: self._outlet.write(frame))
        except Overloaded as error:
            self._refuse(settlement.ref, error)

    def _refuse(self, ref: str | None, error: ConduitError) -> None:
        if ref is not None:
            self._outlet.write(server_frame(ErrorFrame(error.code, error.told, ref, error.field)))


def _ack(delivery: Delivery, seq: int, _holder: int) -> bool:
    # Whoever has handled the message may say so, even if it has gone to another subscriber since.
    return delivery.ack(seq)


def _holds(delivery: Delivery, seq: int, holder: int) -> bool:
    """Whether the attempt that runs is this subscriber's: only its own may it fail or extend."""
    held = delivery.history(seq)
    return held is not None and held.holder == holder


def _all_none(*values: object) -> bool:
    return all(value is None for value in values)


def _one_form() -> InvalidRequest:
    return InvalidRequest("ack takes message_id, or message_ids, or topic and seq")


def _seconds(ms: int | None, field: str, low: int) -> float | None:
    if ms is not None and not low <= ms <= DELAY_MAX_MS:
        raise InvalidRequest(f"{field} must be {low} to {DELAY_MAX_MS}", field=field)
    return None if ms is None else ms / 1000


def _reason(reason: str | None, default: str) -> str:
    if reason is not None and len(reason) > REASON_MAX_CHARS:
        raise InvalidRequest(f"reason may have {REASON_MAX_CHARS} characters", field="reason")
    return reason or default
