"""Whether the peer of a WebSocket lives, takes what it is sent, and answers a close frame.

Looked at about once a second. Taken is what the peer's system has taken: what waits in our memory or in the
buffer of our own system is not. Whoever takes enough of that is alive as long as our ping waits behind it.
Once the peer's system has the ping, the peer must answer: the system of a program that hangs goes on taking.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from conduit.core.drain import Drain, Pace


class Timing(msgspec.Struct, frozen=True):
    """What a peer may take before something is done about it; one instance serves all connections."""

    ping_interval_s: float = 25.0
    """Without a whole frame from the peer for so long, it is sent a ping …"""
    pong_timeout_s: float = 10.0
    """… and without one for so long after its system has that, or took too little, it is dead."""
    slow_timeout_s: float = 10.0
    """Blocked, and taking too little for so long, the connection is closed with 4008."""
    close_timeout_s: float = 5.0
    """Without an answer to our close frame for so long, and taking too little, it is dropped …"""
    closing_max_s: float = 30.0
    """… and after so long in any case: what the peer had is out until then, and its acks are void."""
    min_bytes_per_s: float = 1_024.0
    """Less is too little."""


DEFAULT_TIMING = Timing()


class Sent(NamedTuple):
    """What was sent to a peer, in bytes."""

    taken_bytes: int
    untaken_bytes: int


class Verdict(enum.Enum):
    """What is to be done now."""

    NOTHING = enum.auto()
    PING = enum.auto()
    SLOW = enum.auto()
    """It does not take what it must: close it."""
    GONE = enum.auto()
    """It does not answer: drop it."""


class State(enum.Enum):
    """Of a connection, as it was looked at last."""

    OPEN = enum.auto()
    PINGED = enum.auto()
    """The same, and nothing came for long: it was sent a ping."""
    BLOCKED = enum.auto()
    """More waits for it than may."""
    CLOSING = enum.auto()
    """Our close frame is written."""


class Liveness:
    """Of one connection. Times are in monotonic seconds; `taken_bytes` only grows, from any beginning."""

    __slots__ = (
        "_behind_at",
        "_closing_since",
        "_drain",
        "_ping_after_bytes",
        "_quiet_since",
        "_silent_since",
        "_state",
        "_taken_bytes",
        "_timing",
        "silent_s",
    )

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._state = State.OPEN
        # Since the state began; not while it is open.
        self._drain: Drain | None = None
        self._quiet_since: float | None = None
        self._closing_since: float | None = None
        # Of one that is pinged: what it has taken when it lacks no more than the ping, and when the ping was
        # last known to be on its way.
        self._ping_after_bytes = 0
        self._behind_at = 0.0
        # Of one that is blocked or closing.
        self._taken_bytes = 0
        self._silent_since: float | None = None
        self.silent_s = 0.0
        """For how long it had neither sent nor taken anything when it was last found blocked or closing."""

    def look_open(self, now: float, *, heard: bool, sent: Callable[[], Sent]) -> Verdict:
        """All can be written; `heard` says whether a frame came since the last look, or none could be read.

        Most connections are open and not pinged: of these it is not asked what they have taken.
        """
        window_s = self._timing.pong_timeout_s
        if heard or self._quiet_since is None:
            self._quiet_since = now
            self._to(State.OPEN)
        elif self._state is State.PINGED:
            taken_bytes = sent().taken_bytes
            if taken_bytes <= self._ping_after_bytes:
                self._behind_at = now
                is_gone = self._is_too_slow(now, taken_bytes, window_s)
            else:
                is_gone = now - self._behind_at >= window_s
            return Verdict.GONE if is_gone else Verdict.NOTHING
        elif now - self._quiet_since >= self._timing.ping_interval_s:
            self._to(State.PINGED)
            bytes_now = sent()
            self._ping_after_bytes = bytes_now.taken_bytes + bytes_now.untaken_bytes
            self._behind_at = now
            self._is_too_slow(now, bytes_now.taken_bytes, window_s)
            return Verdict.PING
        return Verdict.NOTHING

    def look_blocked(self, now: float, *, heard: bool, taken_bytes: int) -> Verdict:
        """More waits for it than may."""
        self._to(State.BLOCKED)
        self._listen(now, heard, taken_bytes)
        is_slow = self._is_too_slow(now, taken_bytes, self._timing.slow_timeout_s)
        return Verdict.SLOW if is_slow else Verdict.NOTHING

    def look_closing(self, now: float, *, heard: bool, taken_bytes: int) -> Verdict:
        """Our close frame is written, behind what the peer may have to take, and its own has not come."""
        self._to(State.CLOSING)
        self._listen(now, heard, taken_bytes)
        if self._closing_since is None:
            self._closing_since = now
        is_over = now - self._closing_since >= self._timing.closing_max_s
        is_gone = self._is_too_slow(now, taken_bytes, self._timing.close_timeout_s)
        return Verdict.GONE if is_gone or is_over else Verdict.NOTHING

    def handling(self) -> None:
        """The same, and what was read before is not all handled: no time passes for the peer."""
        self._closing_since = None
        self._to(State.OPEN)

    def unblocked(self) -> None:
        """All can be written again: the peer has taken much."""
        self._to(State.OPEN)
        self._silent_since = None

    def _to(self, state: State) -> None:
        if state is not self._state:
            self._state = state
            self._drain = None if state is State.OPEN else Drain()

    def _is_too_slow(self, now: float, taken_bytes: int, window_s: float) -> bool:
        pace = Pace(window_s, self._timing.min_bytes_per_s)
        return self._drain is not None and self._drain.is_too_slow(taken_bytes, 0, now, pace)

    def _listen(self, now: float, heard: bool, taken_bytes: int) -> None:
        if self._silent_since is None or heard or taken_bytes > self._taken_bytes:
            self._silent_since = now
        self._taken_bytes = taken_bytes
        self.silent_s = now - self._silent_since
