"""What the server answers, as records. Fields that this version does not know are ignored.

Times are RFC 3339 text as the server sent it; payloads are `msgspec.Raw`, the JSON as it was
published, so that no number loses a digit.
"""

from __future__ import annotations

import msgspec

from conduit.protocol.node_records import NodeAnswer, RouteAnswer
from conduit.protocol.records import (
    AuditAnswer,
    JobAnswer,
    KeyAnswer,
    SubscriptionAnswer,
    TenantAnswer,
    TopicAnswer,
)

Topic = TopicAnswer
Subscription = SubscriptionAnswer
RedriveJob = JobAnswer
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
