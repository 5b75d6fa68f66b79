"""What the broker counts: plain integers that grow, and rates over the last seconds.

The hot path only adds to integers. `tick`, which the broker calls once a second, moves their growth
into the rate windows, so no event costs more than one addition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from conduit.core.histogram import LONG_S, SHORT_S, Histogram
from conduit.core.lateness import Lateness
from conduit.core.rate import RateWindow

# What publishes are refused with most.
PUBLISH_ERRORS = (
    "malformed_json",
    "invalid_request",
    "unknown_field",
    "invalid_topic",
    "json_too_deep",
    "payload_too_large",
    "topic_not_found",
    "idempotency_conflict",
    "rate_limited",
    "limit_reached",
    "overloaded",
    "store_unavailable",
    "outcome_unknown",
)
# Acks whose time is measured in one second: that of each costs a tenth of what the ack does.
ACKS_TIMED_COUNT = 100


class Rates(msgspec.Struct, frozen=True):
    """Events per second, the mean of the last ten seconds."""

    published: float
    delivered: float
    redelivered: float
    acked: float
    dead_lettered: float


class Gauges(msgspec.Struct, frozen=True):
    """What there is at one moment. `backlog_count`: what durable subscriptions have to settle."""

    topic_count: int
    subscriber_count: int
    backlog_count: int
    connection_count: int = 0


class Stamped(Protocol):
    """A message, as far as its age is measured."""

    @property
    def published_at_ms(self) -> int:
        """When it was published."""


class Stats:
    """Counters since the start of the process. Whoever causes an event adds to its counter.

    `delivered_count` has every delivery, redeliveries included. Times are on the clock of deadlines.
    """

    def __init__(self, started_at: float, wall_ms: int = 0) -> None:
        self.started_at = started_at
        self.published_count = 0
        self.duplicate_count = 0
        # Publishes refused or failed, by error code. These are there before they come up, so that one can
        # watch for them.
        self.publish_errors = dict.fromkeys(PUBLISH_ERRORS, 0)
        self.forgotten_key_count = 0
        self.delivered_count = 0
        self.redelivered_count = 0
        self.log_read_count = 0
        self.dropped_page_count = 0
        self.dropped_tail_count = 0
        self.acked_count = 0
        self.nacked_count = 0
        self.rejected_count = 0
        self.extended_count = 0
        self.dead_lettered_count = 0
        self.dead_letter_dropped_count = 0
        self.dead_letter_lost_count = 0
        self.late_ack_count = 0
        self.unknown_ack_count = 0
        self.gap_count = 0
        self.full_count = 0
        self.slow_closed_count = 0
        self.bad_frame_count = 0
        self.bad_closed_count = 0
        self.frames_held_count = 0
        self.commit_times = Histogram(SHORT_S)
        """Of commits, from the store's having it to its answer."""
        self.publish_times = Histogram(SHORT_S)
        """Of publishes that were stored, from their coming to their answer; what shares a commit counts as
        having come with the first of it."""
        self.delivery_times = Histogram(LONG_S)
        """Of messages, from their being published to their first hand-out to a subscriber: of those that came
        while somebody followed, and not of what was read from the log."""
        self.ack_times = Histogram(LONG_S)
        """From a first hand-out to its ack: of ACKS_TIMED_COUNT acks in a second at most, since …"""
        self.acks_to_time = ACKS_TIMED_COUNT
        """… so many may still be measured before the next `tick`."""
        self.loop_lateness = Lateness()
        """How long what is due waits until the loop comes to it."""
        self.stamp_offset_s = wall_ms / 1000 - started_at
        """By how much the clock of stamps is ahead of that of deadlines, as of the last tick: so nobody has
        to read both."""
        # Field of Rates → window and the counter's value that the window has seen.
        self._windows = {name: RateWindow() for name in Rates.__struct_fields__}
        self._seen = dict.fromkeys(self._windows, 0)

    def tick(self, now: float, wall_ms: int) -> None:
        """Bring the rates up to date; call it every second, with what both clocks say."""
        self.stamp_offset_s = wall_ms / 1000 - now
        self.acks_to_time = ACKS_TIMED_COUNT
        for name, window in self._windows.items():
            count: int = getattr(self, f"{name}_count")
            if count != self._seen[name]:
                window.add(count - self._seen[name], now)
                self._seen[name] = count

    def delivered(self, messages: Sequence[Stamped], now: float, times: int = 1) -> None:
        """These, in their order, were handed out for the first time, to so many, as they came."""
        count = len(messages) * times
        self.delivered_count += count
        at_s = now + self.stamp_offset_s
        oldest_ms, newest_ms = messages[0].published_at_ms, messages[-1].published_at_ms
        # Stamps of a topic never go back, and those of one commit are one.
        if oldest_ms == newest_ms:
            self.delivery_times.add(at_s - oldest_ms / 1000, count)
        else:
            ages_s = [at_s - message.published_at_ms / 1000 for message in messages]
            self.delivery_times.add_falling(ages_s, times)

    def acked_after(self, seconds: float) -> None:
        """One of `acks_to_time` took so long."""
        self.acks_to_time -= 1
        self.ack_times.add(seconds)

    def rates(self, now: float) -> Rates:
        """The rates at `now`, as of the last tick, to a hundredth."""
        windows = self._windows.items()
        return Rates(**{name: round(window.per_second(now), 2) for name, window in windows})
