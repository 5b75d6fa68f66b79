"""What the server answers, as records. Fields that this version does not know are ignored.

Times are RFC 3339 text as the server sent it; payloads are `msgspec.Raw`, the JSON as it was
published, so that no number loses a digit.
"""

from __future__ import annotations

import msgspec

from conduit.protocol.job_records import JobAnswer, JobList
from conduit.protocol.node_records import NodeAnswer, RouteAnswer
from conduit.protocol.records import (
    AuditAnswer,
    KeyAnswer,
    SubscriptionAnswer,
    TenantAnswer,
    TopicAnswer,
)

Topic = TopicAnswer
Subscription = SubscriptionAnswer
DeadLetterJob = JobAnswer
DeadLetterJobs = JobList
Key = KeyAnswer
Tenant = TenantAnswer
Node = NodeAnswer
Route = RouteAnswer
AuditEntry = AuditAnswer


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A delivery that was given up. `subscription` is None for an ephemeral subscriber's. `payload_lost`: the
    log had lost the message before it died."""

    id: str
    message_id: str | None
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
    payload_lost: bool = False


class StoredMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message as the log has it."""

    message_id: str
    topic: str
    seq: int
    published_at: str
    payload: msgspec.Raw
    key: str | None = None
    headers: dict[str, str] | None = None


class MessagePage(msgspec.Struct, frozen=True):
    """Some messages of a topic. `next` is where the next page begins, a number; None at the end.
    `scanned_to`: of a search, the last number that was looked at."""

    messages: list[StoredMessage]
    next: int | None = None
    scanned_to: int | None = None


class DeliveryState(msgspec.Struct, frozen=True):
    """What became of a message in one durable subscription. `state`: `pending`, `in_flight`, `retrying`,
    `acked`, `dead`, `dropped`, `discarded` or `settled`. `died_at`, `redriven_at`: of its dead letter, as
    long as that is there."""

    subscription: str
    state: str
    attempts: int
    last_reason: str | None = None
    next_attempt_at: str | None = None
    died_at: str | None = None
    redriven_at: str | None = None


class MessageDetail(StoredMessage, frozen=True, kw_only=True):
    """A message, and what became of it in each durable subscription, by name. `next`: of a page, where the
    next one begins; None of what `get` answers."""

    deliveries: list[DeliveryState]
    next: str | None = None


class DeadLetterFilter(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which dead letters are meant; None does not restrict. `q`: text in payload, key or reason. `redriven`:
    whether they were and did not die again since; not for a redrive, which takes only those that were not."""

    topic: str | None = None
    subscription: str | None = None
    reason: str | None = None
    from_time: str | None = None
    to_time: str | None = None
    q: str | None = None
    redriven: bool | None = None
