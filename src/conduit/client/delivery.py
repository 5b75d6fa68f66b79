"""What an application receives: one delivery, with the means to settle it, and gaps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from conduit.protocol.frames import Ack, ClientFrame, Extend, MessageFrame, Nack, Reject

Settle = Callable[[MessageFrame, ClientFrame], Awaitable[None]]
"""Sends a frame that settles (or extends) the delivery of the message."""


class Delivery:
    """One handing of one message. Settle it once: `ack`, `nack` or `reject`.

    The four methods return when the frame is written, not when it is recorded: if the connection is
    lost in between, the message comes again. With automatic acks there is nothing to settle.
    """

    __slots__ = ("_settle", "message")

    def __init__(self, message: MessageFrame, settle: Settle) -> None:
        self.message = message
        """The frame as it came: `message_id`, `topic`, `seq`, `attempt`, `published_at`, `key`,
        `headers`, `subscription`, and `payload` as the JSON that was published."""
        self._settle = settle

    @property
    def payload(self) -> Any:  # noqa: ANN401 - whatever JSON can say
        """The payload, decoded anew at each access."""
        return msgspec.json.decode(self.message.payload)

    async def ack(self) -> None:
        """Done: it does not come again."""
        await self._settle(
            self.message, Ack(self.message.message_id, subscription=self.message.subscription)
        )

    async def nack(self, delay_ms: int | None = None, reason: str | None = None) -> None:
        """Failed: it comes again after `delay_ms`, or after the backoff of this attempt; after the
        last attempt it becomes a dead letter."""
        await self._settle(
            self.message,
            Nack(
                self.message.message_id,
                subscription=self.message.subscription,
                delay_ms=delay_ms,
                reason=reason,
            ),
        )

    async def reject(self, reason: str | None = None) -> None:
        """It can never succeed: it becomes a dead letter now."""
        await self._settle(
            self.message,
            Reject(self.message.message_id, subscription=self.message.subscription, reason=reason),
        )

    async def extend(self, ms: int | None = None) -> None:
        """More time: `ms` from now, or this attempt's wait once more."""
        await self._settle(
            self.message,
            Extend(self.message.message_id, subscription=self.message.subscription, ms=ms),
        )


class GapEvent(msgspec.Struct, frozen=True):
    """Messages that the stream cannot give. `to_seq` is None when the end is not known.

    `reason`: `retention` (removed as too old), `epoch_changed` (the topic was created anew or
    restored), `log_lost`; or `positions_forgotten`, which the client says itself: the pattern has
    more active topics than it can keep positions for, and those forgotten (`topic` is the pattern)
    went on as the subscription had begun.
    """

    topic: str
    from_seq: int | None
    to_seq: int | None
    reason: str
