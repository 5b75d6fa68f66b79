"""The decisions of a client that loses its connection: again or not, when, and from where.

Pure: no clock, no randomness, no I/O. `roll` is a random number in [0, 1) that the caller throws.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from conduit.names import is_pattern
from conduit.protocol.codes import BROKEN_WIRE
from conduit.protocol.frames import Gap, MessageFrame, StartAt, StartPosition, StartSpec, Subscribed

BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 20.0
# 0.1 s doubled so often is past the cap; a larger power would overflow a float some day.
_DOUBLINGS_MAX = 8
# A connection that lived shorter counts as a failure, so that a server which accepts and then
# closes at once is not asked again without a pause.
STABLE_S = 5.0
# Clocks that differ by nearly as much as a token lives must not make a client sign in without a pause.
RENEW_MIN_S = 5.0
RENEW_UNKNOWN_S = 60.0

# A `subscribe` frame with all positions stays below the 320 KiB that a server takes by default.
POSITIONS_MAX_BYTES = 256 * 1024
# `"name":{"seq":<16 digits>,"epoch":"<36 characters>"},` without the name, rounded up.
_POSITION_BYTES = 96
# Unsettled numbers that are remembered per topic: twice the largest window.
OPEN_MAX_COUNT = 20_000


def backoff_s(failures: int, roll: float) -> float:
    """How long to wait after so many failures in a row (0, 1, …): full jitter up to 0.1 · 2^n s,
    at most 20 s. (Brooker, "Exponential Backoff and Jitter", AWS 2015.)"""
    return roll * min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(failures, _DOUBLINGS_MAX))


def renew_after_s(expires_at: str, now: datetime, roll: float) -> float:
    """How long after it was told to sign in again: when about three quarters of the time are over, but not
    all clients whose server restarted at once.

    `expires_at` is of the server's clock and `now` of this machine's. What is over as soon as it is told
    shows that they differ, and nothing is known of the time that is left.
    """
    try:
        left_s = (datetime.fromisoformat(expires_at) - now) / timedelta(seconds=1)
    except (TypeError, ValueError):
        left_s = 0.0
    if left_s <= 0:
        return RENEW_UNKNOWN_S
    return max(left_s * (0.7 + 0.1 * roll), RENEW_MIN_S)


def may_reconnect(close_code: int) -> bool:
    """Whether a connection that closed with this code may be opened again."""
    return close_code not in BROKEN_WIRE and not 4500 <= close_code <= 4999


class Backoff:
    """When to try again: `lost` is for a connection that ended, `failed` for a try that failed."""

    def __init__(self) -> None:
        self._failures = 0

    def lost(self, lived_s: float, reconnect_after_s: float, roll: float) -> float:
        """Seconds to wait after a connection that lived so long. The time that the server named is
        the same for all of its clients, so it is stretched by up to as much again."""
        if lived_s >= STABLE_S:
            self._failures = 0
        return reconnect_after_s * (1.0 + roll) + self.failed(roll)

    def failed(self, roll: float, retry_after_s: float | None = None) -> float:
        """Seconds to wait after a try that failed, and not less than the server asked for. It asks all whom
        it refuses for much the same, so that is stretched as in `lost`."""
        delay_s = backoff_s(self._failures, roll)
        self._failures += 1
        return delay_s if retry_after_s is None else max(delay_s, retry_after_s * (1.0 + roll))


_EPOCH = "1970-01-01T00:00:00Z"


def _time_of(topic: str, start: StartSpec | None) -> str | None:
    """Since when a stream has a topic that no message has come from, if its start says so."""
    if isinstance(start, StartAt):
        # One number in each topic of a pattern cannot be asked for beside positions: rather some messages
        # that come before it than none of those behind.
        is_everywhere = start.seq is not None and is_pattern(topic)
        return _EPOCH if is_everywhere else start.time
    return _EPOCH if start == "earliest" else None


class _Place:
    """Where the stream is in one topic: the last number received, and those not settled yet."""

    __slots__ = ("epoch", "last", "open")

    def __init__(self, last: int, epoch: str | None) -> None:
        self.last = last
        self.epoch = epoch
        self.open: dict[int, None] = {}

    @property
    def next(self) -> int:
        return min(self.open, default=self.last + 1)


class Positions:
    """From where an ephemeral stream goes on after a lost connection, so that nothing is missed.

    With explicit acks that is the first message which is not settled; what comes again although it
    was settled is told by `Holds`. With automatic acks it is the one after the last received. Topics
    without a message so far are not known here; they begin as the subscription did.

    A position is a number and the epoch of the numbering it belongs to: a topic that was made anew
    counts from 1 in another epoch.
    """

    def __init__(self, topic: str, start: StartSpec | None, *, explicit: bool) -> None:
        self._topic = topic
        self._start = start
        # For topics of a pattern that no message has come from: since when the stream has them.
        self._since = _time_of(topic, start)
        # Positions that were asked for, for topics that no message has come from.
        self._asked: Mapping[str, StartPosition] = {}
        if isinstance(start, StartAt) and start.positions is not None and is_pattern(topic):
            self._asked = start.positions
        self._has_begun = False
        self._explicit = explicit
        self._places: dict[str, _Place] = {}
        self._places_bytes = 0
        self.forgotten_count = 0
        """What was dropped because `POSITIONS_MAX_BYTES` or `OPEN_MAX_COUNT` was reached."""

    def began(self, frame: Subscribed) -> None:
        """The server accepted the subscription, and says where it begins."""
        self._has_begun = True
        if self._since is None:
            self._since = frame.at
        if frame.seq is not None:
            self._put(frame.topic, _Place(frame.seq, frame.epoch))

    def received(self, message: MessageFrame) -> None:
        """A delivery came."""
        place = self._places.get(message.topic)
        if place is None or place.epoch not in (None, message.epoch):
            place = _Place(message.seq - 1, message.epoch)
        place.epoch = message.epoch
        place.last = max(place.last, message.seq)
        if self._explicit:
            place.open[message.seq] = None
            if len(place.open) > OPEN_MAX_COUNT:
                del place.open[next(iter(place.open))]
                self.forgotten_count += 1
        # Last in the dict: the most recently active topics are the last to be forgotten.
        self._put(message.topic, place)

    def settled(self, message: MessageFrame) -> None:
        """The application is done with a message."""
        place = self._places.get(message.topic)
        if place is not None and place.epoch == message.epoch:
            place.open.pop(message.seq, None)

    def gap(self, frame: Gap) -> None:
        """Messages that will not come: go on after them."""
        if frame.reason == "epoch_changed":
            # The numbering has begun anew; without an epoch, the topic does not even exist.
            self._put(frame.topic, _Place(0, frame.epoch or None))
        elif frame.reason == "log_lost":
            self._put(frame.topic, _Place(frame.from_seq - 1, frame.epoch))
        elif (place := self._places.get(frame.topic)) is not None and frame.to_seq is not None:
            place.last = max(place.last, frame.to_seq)
            place.epoch = frame.epoch
            for seq in [seq for seq in place.open if frame.from_seq <= seq <= frame.to_seq]:
                del place.open[seq]

    def resume(self) -> StartSpec | None:
        """What to ask for on the next connection. From now on what is open was not received."""
        if not self._places and not (self._asked and self._has_begun):
            began_at_new = self._start in (None, "new") and self._since is not None
            return StartAt(time=self._since) if began_at_new else self._start
        for place in self._places.values():
            place.last = place.next - 1
            place.open.clear()
        if not is_pattern(self._topic):
            place = self._places[self._topic]
            return StartAt(seq=place.next, epoch=place.epoch)
        return StartAt(positions=self._all_positions(), time=self._since)

    def _all_positions(self) -> dict[str, StartPosition]:
        """Of the topics that are known, and of those that were asked for, as far as there is room."""
        found = {
            topic: StartPosition(seq=place.next, epoch=place.epoch)
            for topic, place in self._places.items()
        }
        room_bytes = POSITIONS_MAX_BYTES - self._places_bytes
        for topic, position in self._asked.items():
            if topic not in found:
                room_bytes -= len(topic) + _POSITION_BYTES
                if room_bytes < 0:
                    self.forgotten_count += 1
                else:
                    found[topic] = position
        return found

    def _put(self, topic: str, place: _Place) -> None:
        if self._places.pop(topic, None) is None:
            self._places_bytes += len(topic) + _POSITION_BYTES
        self._places[topic] = place
        self._shrink()

    def _shrink(self) -> None:
        while self._places_bytes > POSITIONS_MAX_BYTES:
            topic = next(iter(self._places))
            del self._places[topic]
            self._places_bytes -= len(topic) + _POSITION_BYTES
            self.forgotten_count += 1
