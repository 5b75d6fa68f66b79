"""What the server answers over HTTP, as records that the client decodes into.

Order, names and types of the fields are the wire's; an answer's description in the API is the record's
docstring. A client ignores fields that it does not know. Times are RFC 3339 text.

Not here is what is different on the two sides: a message and a dead letter leave the server with the bytes
that were stored, and reach an application decoded.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from conduit.grants import Grant
from conduit.limits import TenantLimits
from conduit.redaction import MASK

# Publishing ---------------------------------------------------------------------------------------


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What became of a publish. `subscribers` is how many it went to on this node.

    `durable`: it was on disk before it was answered. Its JSON is the answer: names, order and types are
    the wire's.
    """

    message_id: str
    topic: str
    subscribers: int
    published_at: str
    seq: int
    epoch: str
    durable: bool
    duplicate: bool


class BatchAnswer(msgspec.Struct, frozen=True):
    """One receipt for each message, in the order of the request."""

    results: list[Receipt]


# Topics -------------------------------------------------------------------------------------------


class Retention(msgspec.Struct, frozen=True):
    """How much of a topic the log keeps; None means no bound of that kind. All bounds apply."""

    max_age_s: int | None = None
    max_messages: int | None = None
    max_bytes: int | None = None


class TopicAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One topic. `first_seq` to `last_seq` are stored; `message_count` were ever published, and
    `subscriber_count` are attached, at all nodes."""

    name: str
    subscriber_count: int
    message_count: int
    created_at: str
    first_seq: int
    last_seq: int
    epoch: str
    stored_bytes: int
    retention: Retention
    unanswered_count: int = 0
    """Nodes whose subscribers are not in `subscriber_count`: they did not answer within a second. Left out if
    there are none."""


class TopicList(msgspec.Struct, frozen=True, omit_defaults=True):
    """A page of topics, by name."""

    topics: list[TopicAnswer]
    next: str | None
    default_retention: Retention | None = None
    """What a topic keeps that is made now, and of which nothing else is said."""


# Subscriptions ------------------------------------------------------------------------------------


class TopicProgress(msgspec.Struct, frozen=True):
    """How far a subscription is in one topic. `lag`: messages that are stored and not settled."""

    topic: str
    floor: int
    last_seq: int
    lag: int


class SubscriptionTopics(msgspec.Struct, frozen=True):
    """A page of a subscription's topics, by name."""

    topics: list[TopicProgress]
    next: str | None


class SubscriptionAnswer(msgspec.Struct, frozen=True):
    """One durable subscription and how far it is. `lag`: messages of all its topics that it has not settled.

    `topics` is empty and `more_topics` true if there are more than 20: `/topics` below it has them in pages.
    In a list of those that follow a topic it is that one, and `more_topics` says whether there are others.
    """

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
    max_lost: int | None
    subscribers: int
    in_flight_count: int
    pending_retry_count: int
    full: bool
    """As many deliveries wait for their next attempt as may: nothing new is handed out until some of them
    were handed out again or settled."""
    dead_count: int
    redriven_count: int
    lag: int
    topics: list[TopicProgress]
    more_topics: bool


class GapAnswer(msgspec.Struct, frozen=True):
    """Messages that a start asks for and cannot be given; the fields are those of a `gap` frame.

    `to_seq` is null when the end is not known; `epoch` is the topic's present one, empty without one.
    `was_published`, with `log_lost` only: whether the position names the present epoch, so that whoever had
    it has seen these numbers, and the log has lost them; else nobody has published them yet, as far as is
    known.
    """

    topic: str
    from_seq: int
    to_seq: int | None
    reason: str
    epoch: str
    was_published: bool | msgspec.UnsetType = msgspec.UNSET


class SubscriptionCreated(SubscriptionAnswer, frozen=True):
    """A new durable subscription. `gaps`: what its `start` could not be given, the first 1,000 of them; there
    are `more_gaps` or not."""

    gaps: list[GapAnswer]
    more_gaps: bool = False


class SubscriptionList(msgspec.Struct, frozen=True):
    """A page of subscriptions, by name."""

    subscriptions: list[SubscriptionAnswer]
    next: str | None


NumberIs = Literal["stored", "removed", "not_published"]
"""What became of a number. `removed`: it was published, and retention or a purge has removed it."""


class TopicMove(TopicProgress, frozen=True, omit_defaults=True):
    """Where a subscription is in one topic after a seek; and, of a dry run only, what that means there.

    `floor_before`: where it is now. `again_count`: messages that it has settled, and gets again.
    `skipped_count`: stored ones that it has not settled, and does not get any more. `next_before_seq`,
    `next_before_at`, `next_seq`, `next_at`: the number of the first message behind either floor that is
    stored, and when that was published; left out if none is. `next_before_is`, `next_is`: what became of the
    number that follows either floor.
    """

    floor_before: int | None = None
    again_count: int | None = None
    skipped_count: int | None = None
    next_before_seq: int | None = None
    next_before_at: str | None = None
    next_before_is: NumberIs | None = None
    next_seq: int | None = None
    next_at: str | None = None
    next_is: NumberIs | None = None


class Moved(msgspec.Struct):
    """Where a subscription is after a seek, or would be. `lag`: messages that it then has before it.

    `topics` and `more_topics` are as in the subscription, `gaps` and `more_gaps` as when it is created.
    `again_count` and `skipped_count` are of a dry run: those of all its topics together. `dead_again_count`
    too: its dead letters among what comes again, which count as redriven then; 10,000 may be more.
    """

    topics: list[TopicMove]
    more_topics: bool
    lag: int
    dry_run: bool
    gaps: list[GapAnswer] = []
    more_gaps: bool = False
    again_count: int | None = None
    skipped_count: int | None = None
    dead_again_count: int | None = None


class PurgeAnswer(msgspec.Struct, frozen=True):
    """What a purge of a topic has done. `matched_count`: messages up to `through_seq` that were stored.
    `next`: where the next one goes on, if the time was too short for all.
    """

    matched_count: int
    purged_count: int
    through_seq: int
    next: str | None


# Dead letters -------------------------------------------------------------------------------------


class DeadLetterGroup(msgspec.Struct, frozen=True):
    """Dead letters of one topic with one reason. `redriven_count`: those of them that were redriven and did
    not die again since. `sample_id`: the newest of them.
    """

    topic: str
    reason: str
    count: int
    redriven_count: int
    first_died_at: str
    last_died_at: str
    sample_id: str


class DeadLetterGroups(msgspec.Struct, frozen=True, omit_defaults=True):
    """Groups of those dead letters that were looked at. `searched_to`: only those that died since then were;
    `next` goes on from there.
    """

    groups: list[DeadLetterGroup]
    next: str | None
    searched_to: str | None = None


# Tenants and keys ---------------------------------------------------------------------------------


class SessionAnswer(msgspec.Struct, frozen=True):
    """The session of a page: it ends at `ends_at`, and earlier when it was not renewed for `idle_s`, its key
    is revoked, expires or is rotated, or somebody signs out. `id` is no secret: a page that sends it as
    `X-Conduit-Session` is refused when the browser's session is another one by then.
    """

    ends_at: str
    idle_s: int
    id: str


class WhoAmI(msgspec.Struct, frozen=True):
    """Whom the credential stands for, and what it may do. `key_id` is null for `DEFAULT_API_KEY`, for tokens
    of an identity provider, and without authentication; `key_name` where it is, and for tokens; `session`
    unless it is one. `now` is the time by the server's clock.
    """

    tenant: str
    actor: str
    key_id: str | None
    scopes: list[Grant]
    expires_at: str | None
    limits: TenantLimits
    """Those of the tenant, and where a key has one of its own that is less, that."""
    key_name: str | None = None
    session: SessionAnswer | None = None
    now: str | None = None
    """Null of a server that does not say it."""


class KeyAnswer(msgspec.Struct, frozen=True):
    """One API key. Its secret is not kept: it is in the answer that made it, and nowhere else.

    `rotating_until`: until then the secret before the last rotation is good as well; None of a revoked key.
    """

    id: str
    name: str
    tenant: str
    scopes: list[Grant]
    limits: TenantLimits
    created_at: str
    created_by: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None
    rotating_until: str | None


class KeyCreated(KeyAnswer, frozen=True):
    """A new key, or one with a new secret. `key` is shown this once."""

    key: str

    def __repr__(self) -> str:
        return f"KeyCreated(id={self.id!r}, key={MASK!r})"


class KeyList(msgspec.Struct, frozen=True):
    """A page of keys, by id. Revoked ones are listed for 30 days."""

    keys: list[KeyAnswer]
    next: str | None


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a tenant has now on all nodes, of what limits bound."""

    topics: int
    subscriptions: int
    connections: int
    stored_bytes: int
    dead_letters: int
    pending_retries: int
    keys: int
    unanswered_count: int = 0
    """Nodes whose `connections` and `pending_retries` are missing here: they did not answer in a second.
    Left out if there are none."""


class TenantAnswer(msgspec.Struct, frozen=True):
    """One tenant."""

    name: str
    created_at: str
    limits: TenantLimits
    usage: Usage


class TenantList(msgspec.Struct, frozen=True):
    """A page of tenants, by name."""

    tenants: list[TenantAnswer]
    next: str | None


class TokenAnswer(msgspec.Struct, frozen=True):
    """A token for a browser, which is good until `expires_at`, and as long as the key that made it."""

    token: str
    expires_at: str

    def __repr__(self) -> str:
        return f"TokenAnswer(token={MASK!r}, expires_at={self.expires_at!r})"


class TicketAnswer(msgspec.Struct, frozen=True):
    """For one WebSocket: `/ws?ticket=`, once, until `expires_at`."""

    ticket: str
    expires_at: str

    def __repr__(self) -> str:
        return f"TicketAnswer(ticket={MASK!r}, expires_at={self.expires_at!r})"


class AuditAnswer(msgspec.Struct, frozen=True):
    """One thing that was done, or tried. `address` is the peer's, `detail` what else is known."""

    id: str
    at: str
    tenant: str
    actor: str
    action: str
    target: str
    address: str
    request_id: str
    detail: dict[str, Any]


class AuditList(msgspec.Struct, frozen=True):
    """A page of the audit log, the newest first."""

    entries: list[AuditAnswer]
    next: str | None
