"""What an application receives: one delivery, with the means to settle it, and gaps."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from conduit.client.faults import UnreadablePayload
from conduit.client.text import encoded
from conduit.errors import InvalidRequest
from conduit.names import check_bytes
from conduit.protocol.frames import (
    DELAY_MAX_MS,
    REASON_MAX_BYTES,
    Ack,
    Extend,
    Gap,
    MessageFrame,
    Nack,
    Reject,
)

_log = logging.getLogger("conduit.client")

Verb = Ack | Nack | Reject | Extend
"""What can be said of a delivery."""


class Delivery:
    """One handing of one message. Settle it once: `ack`, `nack` or `reject`; what is said of it after
    that changes nothing.

    Until then, and as long as the application refers to it, the client keeps it from timing out, for
    up to HOLD_MAX_S (`client/holds.py`), and hands out no second copy. If the message came again all
    the same, by a lost connection for example, `ack` still settles it; `nack` and `reject` then speak
    of an attempt that is over, and the newer one is handed out.

    The methods return when the frame is written, not when it is recorded: if the connection is lost in
    between, the message may come again. With automatic acks there is nothing to settle.
    """

    # A stream refers to its deliveries weakly: one that the application dropped is not kept alive.
    __slots__ = ("__weakref__", "_settle", "message")

    def __init__(self, message: MessageFrame, settle: Settle) -> None:
        self.message = message
        """The frame as it came: `message_id`, `topic`, `seq` and `epoch` (the position), `attempt`,
        `failures`, `published_at`, `key`, `headers`, `subscription`, and `payload` as the JSON that
        was published."""
        self._settle = settle

    @property
    def payload(self) -> Any:  # noqa: ANN401 - whatever JSON can say
        """The payload, decoded anew at each access.

        Raises UnreadablePayload for what Python cannot hold; `message.payload` is its JSON.
        """
        try:
            return msgspec.json.decode(self.message.payload)
        except (msgspec.DecodeError, RecursionError) as error:
            message = self.message
            raise UnreadablePayload(
                f"the payload of {message.topic} #{message.seq} cannot be decoded: {error}"
            ) from error

    @property
    def attempt(self) -> int:
        """How often the message was handed out, this time included: 1, 2 …"""
        return self.message.attempt

    @property
    def failures(self) -> int:
        """How many attempts have failed so far, by `nack` or by time; at `max_attempts` it is dead."""
        return self.message.failures

    async def ack(self) -> None:
        """Done: it does not come again."""
        message = self.message
        await self._settle(self, Ack(message.message_id, subscription=message.subscription))

    async def nack(self, delay_ms: int | None = None, reason: str | None = None) -> None:
        """Failed: it comes again after `delay_ms`, or after the backoff of this attempt; after the
        last attempt it becomes a dead letter.

        A reason that is longer than REASON_MAX_BYTES in UTF-8 is cut. Raises InvalidRequest for one that is
        no text, or cannot be sent or stored, and for a delay that is not 0 to DELAY_MAX_MS: nothing is
        settled then.
        """
        _check_ms(delay_ms, "delay_ms", 0)
        await self._settle(
            self,
            Nack(
                self.message.message_id,
                subscription=self.message.subscription,
                delay_ms=delay_ms,
                reason=_short(reason),
            ),
        )

    async def reject(self, reason: str | None = None) -> None:
        """It can never succeed: it becomes a dead letter now. The reason is cut, and InvalidRequest raised,
        as by `nack`."""
        message = self.message
        await self._settle(
            self,
            Reject(message.message_id, subscription=message.subscription, reason=_short(reason)),
        )

    async def extend(self, ms: int | None = None) -> None:
        """A sign of life: HOLD_MAX_S begins anew, and the server waits for at least `ms` from now.

        Only work that takes longer than HOLD_MAX_S needs it, or code that blocks the event loop for
        longer than HOLD_MS, since nothing else can be sent meanwhile. Raises InvalidRequest if `ms` is not
        1 to DELAY_MAX_MS.
        """
        _check_ms(ms, "ms", 1)
        await self._settle(
            self, Extend(self.message.message_id, subscription=self.message.subscription, ms=ms)
        )


def _check_ms(ms: int | None, field: str, low: int) -> None:
    """Raise InvalidRequest for a time that the server would refuse: it would be told too late, when the
    call has returned and the delivery counts as settled here."""
    if ms is not None and (type(ms) is not int or not low <= ms <= DELAY_MAX_MS):
        raise InvalidRequest(
            f"{field} must be a whole number, {low} to {DELAY_MAX_MS}", field=field
        )


# At the end of a reason that was too long.
_CUT = "…"


def _short(reason: str | None) -> str | None:
    """A reason as it can be stored: error texts have no bound, and must not keep it from being settled."""
    if reason is None:
        return None
    if not isinstance(reason, str):
        raise InvalidRequest("reason must be a text, such as str(error)", field="reason")
    encoded(reason)
    text = reason.encode()
    if len(text) > REASON_MAX_BYTES:
        room = REASON_MAX_BYTES - len(_CUT.encode())
        reason = text[:room].decode(errors="ignore") + _CUT
    return check_bytes(reason, "reason", REASON_MAX_BYTES)


Settle = Callable[[Delivery, Verb], Awaitable[None]]
"""Says something of a delivery."""


class GapEvent(msgspec.Struct, frozen=True):
    """Messages that the stream cannot give. `to_seq` is None when the end is not known.

    `reason`: `retention` (removed as too old), `epoch_changed` (the topic was deleted, created
    anew or restored; what follows has `epoch`, which is empty if there is no topic), `log_lost`; or
    `positions_forgotten`, which the client says itself when it had to forget where it was: the
    pattern has more active topics than it can keep positions for, and those forgotten (`topic` is
    the pattern) went on as the subscription had begun.
    """

    topic: str
    from_seq: int | None
    to_seq: int | None
    reason: str
    subscription: str | None = None
    epoch: str | None = None


def gap_event(frame: Gap) -> GapEvent:
    """What a `gap` frame tells the application."""
    return GapEvent(
        frame.topic, frame.from_seq, frame.to_seq, frame.reason, frame.subscription, frame.epoch
    )


OnGap = Callable[[GapEvent], None]
"""Told of each gap of a stream."""


def log_gap(gap: GapEvent) -> None:
    """What happens to a gap when the application does not say: a warning in the log."""
    _log.warning("gap in %s: %s to %s (%s)", gap.topic, gap.from_seq, gap.to_seq, gap.reason)
