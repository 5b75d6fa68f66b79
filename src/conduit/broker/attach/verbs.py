"""Settling deliveries for one connection: which delivery a verb means, and what is answered."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

import msgspec

from conduit.broker.attach.elsewhere import NOTHING, Told
from conduit.broker.attach.lookups import Lookups
from conduit.broker.catalog import Catalog
from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.subscriber import Outlet, Sharing, Subscriber
from conduit.broker.deliver.verbs import ACKED, Acked, Extended, Nacked, Outcome, Rejected, Verb
from conduit.core.topics import matches
from conduit.errors import (
    ConduitError,
    Conflict,
    InvalidRequest,
    NotFound,
    Overloaded,
    Unavailable,
)
from conduit.names import check_bytes
from conduit.protocol import frames
from conduit.protocol.codec import error_frame, server_frame

# Ids in one `ack` frame.
IDS_MAX_COUNT = 1_000
# A place in a topic that is none.
_NOWHERE = (0, 0)


class _Request(msgspec.Struct):
    """One frame: what to do to the deliveries of some messages, and who wants to know."""

    verb: Verb
    message_ids: Sequence[str]
    subscription: str | None
    ref: str | None
    told: Told | None = None
    """Who is told instead of the client."""
    recorded: tuple[Sharing, ...] = ()
    """Of whose deliveries the store has to hear: a durable subscription's progress, or a death."""
    refused: ConduitError | None = None
    """Why the first of those that could not be settled was not."""

    def refuse(self, error: ConduitError) -> None:
        """Keep the first reason."""
        if self.refused is None:
            self.refused = error

    def record(self, group: Sharing) -> None:
        """The store has to hear of what was done there."""
        if group not in self.recorded:
            self.recorded += (group,)


class Verbs:
    """Applies `ack`, `nack`, `reject` and `extend` to the subscribers of one connection.

    Where several of them hold the same message and the frame names no subscription, one request
    settles one delivery, in the order of subscribing: a client that acks what it gets settles all.
    """

    def __init__(
        self,
        engine: Engine,
        catalog: Catalog,
        subscribers: Mapping[tuple[str, str | None], Subscriber],
        tenant: str,
        outlet: Outlet,
        on_idle: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._catalog = catalog
        self._subscribers = subscribers
        self._tenant = tenant
        self._outlet = outlet
        self.on_nothing: Callable[[str], None] | None = None
        """If it is set, the answer to an ack up to a number that is in order and has settled nothing; with
        its `ref`."""
        self.lookups = Lookups(engine.reader, on_idle)
        """While they are busy, hand in no further frames; `on_idle` tells the end of that."""

    @property
    def is_busy(self) -> bool:
        """Whether no further frames should be handed in."""
        return self.lookups.is_busy

    @property
    def has_subscribers(self) -> bool:
        """Whether the connection has any here."""
        return bool(self._subscribers)

    def follows(self, topic: str) -> bool:
        """Whether one of them is to what the topic belongs to."""
        return any(matches(pattern, topic) for pattern, _ in self._subscribers)

    # Frames ---------------------------------------------------------------------------------------

    def ack(self, frame: frames.Ack, told: Told | None = None) -> None:
        """By id, by a list of ids, or everything of a topic up to a number. Raises InvalidRequest.

        `told`: who is told instead of the client what came of it.
        """
        message_ids = check_ack(frame)
        if message_ids is None:
            self._ack_through(frame, told)
            return
        verb = ACKED if frame.attempt is None else Acked(frame.attempt)
        self._settle(_Request(verb, message_ids, frame.subscription, frame.ref, told))

    def nack(self, frame: frames.Nack) -> None:
        """The attempt failed; try again after `delay_ms` or the backoff. Raises InvalidRequest."""
        verb = Nacked(
            frame.attempt,
            now=self._engine.clock.now(),
            delay_s=_seconds(frame.delay_ms, "delay_ms", 0),
            reason=_reason(frame.reason, "nack"),
            jitter=self._engine.deadlines.rng.random(),
        )
        self._settle(_Request(verb, [frame.message_id], frame.subscription, frame.ref))

    def reject(self, frame: frames.Reject) -> None:
        """Dead-letter now. Raises InvalidRequest."""
        verb = Rejected(frame.attempt, reason=_reason(frame.reason, "rejected"))
        self._settle(_Request(verb, [frame.message_id], frame.subscription, frame.ref))

    def extend(self, frame: frames.Extend) -> None:
        """More time from now on. Raises InvalidRequest."""
        wait_s = _seconds(frame.ms, "ms", 1)
        verb = Extended(frame.attempt, now=self._engine.clock.now(), wait_s=wait_s)
        self._settle(_Request(verb, [frame.message_id], frame.subscription, frame.ref))

    # Parts ----------------------------------------------------------------------------------------

    def _settle(self, request: _Request) -> None:
        get = self._engine.index.get
        holders = self._holders(request.subscription)
        # One that is not known is applied too, nowhere: so that takes as long as with another tenant's.
        missing = [
            message_id
            for message_id in request.message_ids
            if not self._apply(message_id, get(message_id) or _NOWHERE, request, holders)
        ]
        if not missing:
            if request.ref is not None or request.told is not None:
                self._answer(request)
            return
        # Those who hold it now: an ack that came before the connection's end takes effect after it.
        self.lookups.add(partial(self._settle_missing, missing, request, tuple(holders)))

    async def _settle_missing(
        self, missing: Sequence[str], request: _Request, holders: Collection[Subscriber]
    ) -> None:
        """Settle what has left the index, or never was in it: the store knows all that is kept."""
        try:
            for message_id in missing:
                place = await self._look_up(message_id)
                if place is None:
                    self._engine.stats.unknown_ack_count += 1
                    request.refuse(_unknown(message_id))
                else:
                    self._apply(message_id, place, request, holders)
        except ConduitError as error:
            self._tell(request, error)
        else:
            self._answer(request)

    async def _look_up(self, message_id: str) -> tuple[int, int] | None:
        try:
            uuid.UUID(message_id)
        except ValueError:
            return None
        found = await self._engine.reader.find(self._tenant, message_id)
        if found is None or self._catalog.by_id(found[0]) is None:
            return None
        return found

    def _apply(
        self,
        message_id: str,
        place: tuple[int, int],
        request: _Request,
        holders: Collection[Subscriber],
    ) -> bool:
        """Settle one delivery of the message; keep the reason if this connection has none that is open. False
        if the message is another tenant's: then nothing is known of it."""
        outcome = Outcome.UNKNOWN
        for subscriber in holders:
            settled = subscriber.settle(*place, request.verb)
            if settled is Outcome.DONE:
                group = subscriber.group
                if group.name is not None or isinstance(request.verb, Nacked | Rejected):
                    request.record(group)
                return True
            if settled is Outcome.FULL:
                request.refuse(Overloaded("too many dead letters wait for the store"))
                return True
            if settled is Outcome.STALE:
                outcome = settled
        topic = self._catalog.by_id(place[0])
        if topic is None or topic.tenant != self._tenant:
            # As what does not exist, it is looked for in the store: an answer that came sooner would tell.
            return False
        self._engine.stats.late_ack_count += 1
        stale = outcome is Outcome.STALE
        request.refuse(_stale(message_id, request.verb) if stale else _unknown(message_id))
        return True

    def _ack_through(self, frame: frames.Ack, told: Told | None) -> None:
        assert frame.topic is not None
        assert frame.seq is not None
        request = _Request(ACKED, (), frame.subscription, frame.ref, told)
        topic = self._catalog.find(self._tenant, frame.topic)
        holders = () if topic is None else self._holders(frame.subscription)
        is_known, settled_count = False, None
        for subscriber in holders:
            assert topic is not None
            settled_count = subscriber.settle_through(topic, frame.seq)
            if settled_count is None:
                continue
            is_known = True
            if subscriber.group.name is not None:
                request.record(subscriber.group)
            if settled_count:
                # As with ids: one request settles for one of those who have the same messages.
                break
        if is_known and not settled_count and told is not None:
            told(NOTHING)
            return
        if is_known and not settled_count and self.on_nothing is not None and frame.ref is not None:
            self.on_nothing(frame.ref)
            return
        if is_known:
            self._answer(request)
            return
        self._engine.stats.unknown_ack_count += 1
        detail = f"number {frame.seq} of {frame.topic!r} was not delivered here"
        self._tell(request, NotFound(detail, code="unknown_delivery"))

    def _holders(self, subscription: str | None) -> Collection[Subscriber]:
        if subscription is None:
            return self._subscribers.values()
        return [
            subscriber
            for (_, name), subscriber in self._subscribers.items()
            if name == subscription
        ]

    def _answer(self, request: _Request) -> None:
        if request.ref is None and request.told is None:
            return
        if request.refused is not None or not request.recorded:
            self._tell(request, request.refused)
            return
        try:
            # When it is stored, or known never to be.
            self._engine.progress.confirm(partial(self._stored, request))
        except Unavailable as error:
            self._tell(request, error)

    def _stored(self, request: _Request, error: ConduitError | None) -> None:
        if error is None and any(group.was_moved for group in request.recorded):
            # What it had not stored by then is lost, and this may be of that.
            error = Unavailable("the subscription has moved; what is not settled comes again")
        self._tell(request, error)

    def _tell(self, request: _Request, error: ConduitError | None) -> None:
        if request.told is not None:
            request.told(error)
        elif request.ref is not None and error is not None:
            self._outlet.write(error_frame(error, request.ref))
        elif request.ref is not None:
            message_id = request.message_ids[0] if len(request.message_ids) == 1 else None
            self._outlet.write(server_frame(frames.Acked(request.ref, message_id)))


def check_ack(frame: frames.Ack) -> Sequence[str] | None:
    """The ids that it names, each once; None if it names a topic and a number. Raises InvalidRequest."""
    is_through = frame.topic is not None or frame.seq is not None
    if frame.message_id is not None:
        if is_through or frame.message_ids is not None:
            raise _one_form()
        return (frame.message_id,)
    if frame.message_ids is not None:
        if is_through:
            raise _one_form()
        if not 1 <= len(frame.message_ids) <= IDS_MAX_COUNT:
            raise InvalidRequest(
                f"message_ids must have 1 to {IDS_MAX_COUNT} elements", field="message_ids"
            )
        _check_no_attempt(frame)
        # One that stands there twice is meant once.
        return list(dict.fromkeys(frame.message_ids))
    if frame.topic is None or frame.seq is None:
        raise _one_form()
    _check_no_attempt(frame)
    return None


def check_nack(frame: frames.Nack) -> None:
    """Raises InvalidRequest."""
    _seconds(frame.delay_ms, "delay_ms", 0)
    _reason(frame.reason, "nack")


def check_reject(frame: frames.Reject) -> None:
    """Raises InvalidRequest."""
    _reason(frame.reason, "rejected")


def check_extend(frame: frames.Extend) -> None:
    """Raises InvalidRequest."""
    _seconds(frame.ms, "ms", 1)


def _check_no_attempt(frame: frames.Ack) -> None:
    if frame.attempt is not None:
        raise InvalidRequest("attempt belongs to message_id", field="attempt")


def _unknown(message_id: str) -> NotFound:
    detail = f"no unsettled delivery of {message_id!r} is known here"
    return NotFound(detail, code="unknown_delivery")


def _stale(message_id: str, verb: Verb) -> Conflict:
    detail = f"attempt {verb.attempt} of {message_id!r} is over: it was handed out again since"
    return Conflict(detail, code="stale_attempt", field="attempt")


def _one_form() -> InvalidRequest:
    return InvalidRequest("ack takes message_id, or message_ids, or topic and seq")


def _seconds(ms: int | None, field: str, low: int) -> float | None:
    if ms is not None and not low <= ms <= frames.DELAY_MAX_MS:
        raise InvalidRequest(f"{field} must be {low} to {frames.DELAY_MAX_MS}", field=field)
    return None if ms is None else ms / 1000


def _reason(reason: str | None, default: str) -> str:
    return check_bytes(reason or default, "reason", frames.REASON_MAX_BYTES)
