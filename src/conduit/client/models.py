"""What the server answers, as records. Fields that this version does not know are ignored.

Times are RFC 3339 text as the server sent it; payloads are `msgspec.Raw`, the JSON as it was
published, so that no number loses a digit.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Receipt(msgspec.Struct, frozen=True):
    """The result of a publish. `duplicate`: the idempotency key was known, nothing was stored."""

    message_id: str
    topic: str
    subscribers: int
    published_at: str
    seq: int
    epoch: str
    durable: bool
    duplicate: bool


class Retention(msgspec.Struct, frozen=True, omit_defaults=True):
    """How much of a topic is kept; what is left out is not bounded by the topic itself."""

    max_age_s: int | None = None
    max_messages: int | None = None
    max_bytes: int | None = None


class Topic(msgspec.Struct, frozen=True):
    """One topic. Messages `first_seq` to `last_seq` are stored."""

    name: str
    subscriber_count: int
    message_count: int
    created_at: str
    first_seq: int
    last_seq: int
    epoch: str
    stored_bytes: int
    retention: Retention


class TopicProgress(msgspec.Struct, frozen=True):
    """How far a subscription is in one topic: everything up to `floor` is settled."""

    topic: str
    floor: int
    last_seq: int
    lag: int


class Subscription(msgspec.Struct, frozen=True):
    """One durable subscription."""

    name: str
    topic: str
    created_at: str
    paused: bool
    ack: str
    order: str
    max_in_flight: int
    ack_wait_ms: int
    max_ack_wait_ms: int
    max_attempts: int
    subscribers: int
    in_flight_count: int
    pending_retry_count: int
    dead_count: int
    topics: list[TopicProgress]

    @property
    def lag(self) -> int:
        """Messages that are not settled, of all topics."""
        return sum(topic.lag for topic in self.topics)


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A delivery that was given up. `subscription` is None for an ephemeral subscriber's."""

    id: str
    message_id: str
    topic: str
    seq: int
    attempts: int
    reason: str
    died_at: str
    payload: msgspec.Raw
    subscription: str | None = None
    published_at: str | None = None
    redriven_at: str | None = None
    key: str | None = None
    headers: dict[str, str] | None = None


class DeadLetterFilter(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which dead letters are meant; None does not restrict. `q`: text in payload, key or reason."""

    topic: str | None = None
    subscription: str | None = None
    reason: str | None = None
    from_time: str | None = None
    to_time: str | None = None
    q: str | None = None


class RedriveJob(msgspec.Struct, frozen=True):
    """Redriving many. A dry run has no `id` and has only counted."""

    id: str | None
    state: Literal["dry_run", "running", "done", "cancelled", "failed"]
    matched_count: int
    redriven_count: int
    failed_count: int
    rate_per_s: float
    error: str | None = None
    """Why the job failed."""
