"""Channels: many conversations on one link, none of which holds up another.

Either side opens them. What one sends is bounded by credit in bytes: so many may be on their way or wait with
the other side's consumer, who gives credit back as it takes. A channel costs what its use costs: no task, no
timer, and nothing is looked up in all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Protocol

from conduit.broker.turn import guarded
from conduit.cluster.links.frames import (
    TEXT_MAX_CHARS,
    ChannelClose,
    ChannelFrame,
    ChannelOpen,
    Credit,
    encode,
)
from conduit.errors import ConduitError, InvalidRequest, LimitReached, StateError, Unavailable

# What one side may have sent on a channel that the other's consumer has not taken, but for the last frame.
WINDOW_BYTES = 262_144
# As much has to be taken before credit is given back.
CREDIT_STEP_BYTES = WINDOW_BYTES // 2
# Channels that each side may have opened on one link.
CHANNELS_MAX_COUNT = 65_536

logger = logging.getLogger(__name__)


class Carrier(Protocol):
    """The link, as its channels see it."""

    @property
    def is_congested(self) -> bool:
        """Whether so much waits to be written that channels have to hold back."""

    def put(self, frame: bytes) -> None:
        """Send it behind what was put before."""

    def spread(self, steps: Iterator[object]) -> None:
        """Take the steps in as many turns of the loop as they need."""


class ChannelUser(Protocol):
    """What a channel is for. Calls come on the loop's thread, and none from within a call of the channel."""

    def on_frame(self, body: bytes) -> None:
        """One frame of the other side. Once it is consumed, `Channel.take` its bytes."""

    def on_credit(self) -> None:
        """`may_send` or `send` has said no: it is worth asking again."""

    def on_close(self, code: str, text: str) -> None:
        """The other side has closed it, or the link is gone. The last call; not after an own `close`."""


class Channel:
    """One channel. Its user may keep it after its end: then it does nothing any more."""

    __slots__ = (
        "_channels",
        "_credit_bytes",
        "_held_bytes",
        "_is_waiting",
        "_owed_bytes",
        "id",
        "user",
    )

    def __init__(self, channels: Channels, channel_id: int) -> None:
        # None after its end.
        self._channels: Channels | None = channels
        self.id = channel_id
        self.user: ChannelUser = _NOBODY
        # What may be sent; below 0 after a last frame that was larger.
        self._credit_bytes = WINDOW_BYTES
        # What came and was not taken, and what was taken and not given back as credit.
        self._held_bytes = self._owed_bytes = 0
        # Whether its user is to hear that there is credit.
        self._is_waiting = False

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self._channels is not None

    def may_send(self) -> bool:
        """Whether there is credit now. If not, `on_credit` follows, unless the channel has ended."""
        channels = self._channels
        if channels is None:
            return False
        if self._credit_bytes > 0 and not channels.carrier.is_congested:
            return True
        self._is_waiting = True
        if self._credit_bytes > 0:
            channels.wait(self)
        return False

    def send(self, body: bytes) -> bool:
        """Send a frame, if `may_send`; returns whether it was sent.

        Raises LimitReached if the body is over `frames.BODY_MAX_BYTES`, and InvalidRequest if it is empty.
        """
        if not body:
            raise InvalidRequest("a frame of a channel is not empty")
        if not self.may_send() or self._channels is None:
            return False
        self._channels.carrier.put(encode(ChannelFrame(self.id, body)))
        self._credit_bytes -= len(body)
        return True

    def take(self, size_bytes: int) -> None:
        """So many bytes of bodies that have come are consumed: the other side may send as much again.
        Raises StateError if not so many have come."""
        if size_bytes > self._held_bytes:
            raise StateError("more of a channel is taken than has come")
        self._held_bytes -= size_bytes
        self._owed_bytes += size_bytes
        if self._owed_bytes >= CREDIT_STEP_BYTES and self._channels is not None:
            self._channels.carrier.put(encode(Credit(self.id, self._owed_bytes)))
            self._owed_bytes = 0

    def close(self, code: str, text: str) -> None:
        """End it for both sides, behind what was sent; `code` is one of `protocol/codes.py`, or of the user's
        own. Idempotent."""
        if self._channels is not None:
            self._channels.carrier.put(encode(ChannelClose(self.id, code, text[:TEXT_MAX_CHARS])))
            self.leave()

    # For `Channels` -------------------------------------------------------------------------------

    def receive(self, body: bytes) -> None:
        """A frame has come. Raises InvalidRequest if there was no credit for it."""
        if self._held_bytes + self._owed_bytes >= WINDOW_BYTES:
            raise InvalidRequest(f"more came on channel {self.id} than there was credit for")
        self._held_bytes += len(body)
        try:
            self.user.on_frame(body)
        except Exception:
            logger.exception("a frame of a channel failed, which is closed")
            self.close("internal", "the other node made an error; its log has it")
            guarded(self.user.on_close, "internal", "a frame of it failed")

    def credit(self, size_bytes: int) -> None:
        """The other side gives credit back. Raises InvalidRequest if that is more than it was given."""
        self._credit_bytes += size_bytes
        if self._credit_bytes > WINDOW_BYTES:
            raise InvalidRequest(f"channel {self.id} was given more credit than there is")
        if self._is_waiting and self._credit_bytes > 0 and self._channels is not None:
            if self._channels.carrier.is_congested:
                self._channels.wait(self)
            else:
                self.wake()

    def wake(self) -> None:
        """Its user may send again."""
        self._is_waiting = False
        guarded(self.user.on_credit)

    def leave(self) -> None:
        """It has ended."""
        if self._channels is not None:
            self._channels.forget(self)
            self._channels = None

    def end(self, code: str, text: str) -> None:
        """It has ended, and not by its user."""
        if self._channels is not None:
            self.leave()
            guarded(self.user.on_close, code, text)


Accept = Callable[[Channel, str, bytes], ChannelUser]


class Channels:
    """Those of one link."""

    __slots__ = ("_last_theirs", "_next_id", "_open", "_own_count", "_waiting", "carrier")

    def __init__(self, carrier: Carrier, *, is_dialer: bool) -> None:
        self.carrier = carrier
        self._open: dict[int, Channel] = {}
        # Of those that are open, how many this side has opened.
        self._own_count = 0
        # Ids of the dialer are even, so that they never meet.
        self._next_id = 2 if is_dialer else 1
        self._last_theirs = -1 if is_dialer else 0
        # Who waits until the line is shorter.
        self._waiting: dict[Channel, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def open(self, kind: str, body: bytes, user: ChannelUser) -> Channel:
        """A new one, for which the other side is asked. Raises LimitReached."""
        if self._own_count >= CHANNELS_MAX_COUNT:
            raise LimitReached(f"a link has {CHANNELS_MAX_COUNT} channels at most")
        opening = encode(ChannelOpen(self._next_id, kind, body))
        channel = Channel(self, self._next_id)
        channel.user = user
        self._next_id += 2
        self._own_count += 1
        self._open[channel.id] = channel
        self.carrier.put(opening)
        return channel

    def opened(self, frame: ChannelOpen, accept: Accept) -> None:
        """The other side opens one; `accept` says for whom, or raises ConduitError. Raises InvalidRequest for
        an id that it may not give."""
        if self.is_own(frame.id) or frame.id <= self._last_theirs:
            raise InvalidRequest(f"channel {frame.id} is opened by the wrong side, or again")
        self._last_theirs = frame.id
        channel = self._open[frame.id] = Channel(self, frame.id)
        try:
            if len(self._open) - self._own_count > CHANNELS_MAX_COUNT:
                raise LimitReached(f"a link has {CHANNELS_MAX_COUNT} channels at most")
            channel.user = accept(channel, frame.kind, frame.body)
        except ConduitError as error:
            channel.close(error.code, error.told)
        except Exception:
            logger.exception("a channel could not be opened")
            channel.close("internal", "the other node made an error; its log has it")

    def received(self, frame: ChannelFrame) -> None:
        """Raises InvalidRequest for a channel that never was, and as `Channel.receive`."""
        channel = self._find(frame.id)
        if channel is not None:
            channel.receive(frame.body)

    def credited(self, frame: Credit) -> None:
        """Raises as `received`."""
        channel = self._find(frame.id)
        if channel is not None:
            channel.credit(frame.size_bytes)

    def closed(self, frame: ChannelClose) -> None:
        """Raises as `received`."""
        channel = self._find(frame.id)
        if channel is not None:
            channel.end(frame.code, frame.text)

    def drained(self) -> None:
        """The line is short again: serve those who wait, in turn, until it is not."""
        if self._waiting:
            self.carrier.spread(self._serve())

    def end(self, why: str) -> Iterator[None]:
        """The link is gone: tell each channel once, in steps."""
        for channel in tuple(self._open.values()):
            channel.end(Unavailable.code, why)
            yield

    # For a channel --------------------------------------------------------------------------------

    def wait(self, channel: Channel) -> None:
        """Wake it when the line is shorter."""
        self._waiting[channel] = None

    def forget(self, channel: Channel) -> None:
        """It has ended."""
        self._open.pop(channel.id, None)
        self._waiting.pop(channel, None)
        self._own_count -= self.is_own(channel.id)

    # Inside ---------------------------------------------------------------------------------------

    def _serve(self) -> Iterator[None]:
        while self._waiting and not self.carrier.is_congested:
            channel = next(iter(self._waiting))
            del self._waiting[channel]
            channel.wake()
            yield

    def is_own(self, channel_id: int) -> bool:
        """Whether it was opened by this side."""
        return channel_id % 2 == self._next_id % 2

    def _find(self, channel_id: int) -> Channel | None:
        """None for one that has ended: the other side may not know that yet."""
        channel = self._open.get(channel_id)
        if channel is None:
            last = self._next_id - 2 if self.is_own(channel_id) else self._last_theirs
            if channel_id > last:
                raise InvalidRequest(f"channel {channel_id} was not opened")
        return channel


class _Nobody:
    """The user of a channel that has none yet."""

    def on_frame(self, body: bytes) -> None:
        pass

    def on_credit(self) -> None:
        pass

    def on_close(self, code: str, text: str) -> None:
        pass


_NOBODY = _Nobody()
