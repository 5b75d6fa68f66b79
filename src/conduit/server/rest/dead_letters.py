"""`/api/dlq`: dead letters, listed and one by one"""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import Query, Response
from msgspec import UNSET, UnsetType
from pydantic import AfterValidator, BaseModel, Field

from conduit.broker.administer.dead_letters import no_letter
from conduit.core.message import DeadLetter
from conduit.names import (
    ANY_SUBSCRIPTION_SCHEMA,
    check_subscription,
    time_of,
)
from conduit.protocol.codec import format_time
from conduit.server.rest.access import From, Managing, hidden, seen_patterns
from conduit.server.rest.inputs import (
    NO_QUERY,
    AnId,
    Flag,
    Page,
    QueryModel,
    Reason,
    Shared,
    Text,
    Time,
    Topic,
    decode_cursor,
    encode_cursor,
)
from conduit.server.rest.replies import answers, fails, optional_time, reply
from conduit.server.rest.routing import routes
from conduit.storage.dead_letters import DeadFilter
from conduit.tenancy.principal import Principal

router = routes("/api/dlq", "dead letters")

REDRIVEN = (
    "Only those that were redriven and did not die again since (true), or only the others (false)."
)

SubscriptionOrNone = Annotated[
    Text,
    AfterValidator(lambda name: name and check_subscription(name)),
    Field(json_schema_extra=ANY_SUBSCRIPTION_SCHEMA),
]
Subscription = Annotated[
    SubscriptionOrNone | None,
    Field(description="The subscription it died on; empty: an ephemeral subscriber's."),
]
ReasonFilter = Annotated[Reason | None, Field(description="The whole reason.")]
Since = Annotated[Time | None, Field(description="Died at this time or later.")]
To = Annotated[Time | None, Field(description="Died before this time.")]
Search = Annotated[
    Text | None, Field(description="A part of the payload, the key, the message id or the reason.")
]


class Which(BaseModel):
    """Which dead letters are meant; all that is said must be so."""

    topic: Topic | None = None
    subscription: Subscription = None
    reason: ReasonFilter = None
    from_time: Since = None
    to_time: To = None
    q: Search = None


class DeadQuery(Page, Which):
    """Which dead letters to list."""

    redriven: Annotated[Flag | None, Field(description=REDRIVEN)] = None


class GroupQuery(QueryModel, Which):
    """Which dead letters to group."""

    redriven: Annotated[Flag | None, Field(description=REDRIVEN)] = None
    cursor: str | None = Field(None, description="`next` of the groups before.")


class DeadLetterAnswer(msgspec.Struct):
    """One dead letter. `subscription` is null for an ephemeral subscriber's.

    `payload_lost`: the log had lost the message before it died, and `message_id`, `published_at` and
    `payload` are null.
    """

    id: str
    message_id: str | None
    topic: str
    seq: int
    subscription: str | None
    attempts: int
    reason: str
    died_at: str
    redriven_at: str | None
    published_at: str | None
    payload: msgspec.Raw
    payload_lost: bool | UnsetType = UNSET
    key: str | UnsetType = UNSET
    headers: msgspec.Raw | UnsetType = UNSET


class DeadLetterList(msgspec.Struct):
    """A page of dead letters, newest first.

    `searched_to`: the search took too long, and has come back to those that died at this time; `next` goes on
    from there.
    """

    dead_letters: list[DeadLetterAnswer]
    next: str | None
    searched_to: str | UnsetType = UNSET


def filter_of(
    asked: Which, *, redriven: bool | None, patterns: tuple[str, ...] | None = None
) -> DeadFilter:
    """What was asked for, as a store is; of the topics of some patterns alone, if there are any."""
    return DeadFilter(
        topic=asked.topic,
        subscription=asked.subscription,
        reason=asked.reason,
        from_ms=asked.from_time,
        to_ms=asked.to_time,
        q=asked.q,
        is_redriven=redriven,
        patterns=patterns,
    )


def show(letter: DeadLetter) -> DeadLetterAnswer:
    """The dead letter as it is answered."""
    return DeadLetterAnswer(
        id=letter.dead_id,
        message_id=letter.message_id or None,
        topic=letter.topic,
        seq=letter.seq,
        subscription=letter.subscription or None,
        attempts=letter.attempts,
        reason=letter.reason,
        died_at=format_time(letter.died_at_ms),
        redriven_at=optional_time(letter.redriven_at_ms),
        published_at=None if letter.is_lost else format_time(letter.published_at_ms),
        payload=msgspec.Raw(letter.payload or b"null"),
        payload_lost=letter.is_lost or UNSET,
        key=UNSET if letter.key is None else letter.key,
        headers=UNSET if letter.headers is None else msgspec.Raw(letter.headers),
    )


async def _own_letter(shared: Shared, caller: Principal, dead_id: str) -> DeadLetter:
    """One of a topic that the caller may not manage is not there for it."""
    letter = await shared.broker.dead_letters.get(caller.tenant, dead_id)
    hidden(caller, ("manage",), letter.topic, no_letter())
    return letter


@router.get("", responses=answers(DeadLetterList, "overloaded"))
async def list_dead_letters(
    shared: Shared, caller: Managing, query: Annotated[DeadQuery, Query()]
) -> Response:
    """List dead letters, newest first, by when each died first: one that is redriven and dies again keeps its
    place. A page ends before it has more than 4 MiB of payloads, keys and headers. A key for some topics is
    told of those alone.

    A search ends three seconds after its turn has come with what it has found by then, `searched_to` and
    `next`. If too many search at once, it is refused.
    """
    patterns = seen_patterns(caller, query.topic)
    found = await shared.broker.dead_letters.list(
        caller.tenant,
        filter_of(query, redriven=query.redriven, patterns=patterns),
        limit=query.limit,
        before_id=decode_cursor("dead_letters", query.cursor),
    )
    following = searched_to = None
    if found.before_id is not None:
        following = encode_cursor("dead_letters", found.before_id)
        searched_to = format_time(time_of(found.before_id)) if found.is_cut else None
    shown = [show(letter) for letter in found.letters]
    return reply(DeadLetterList(shown, following, searched_to or UNSET))


@router.get(
    "/{id}", dependencies=[NO_QUERY], responses=answers(DeadLetterAnswer, "dead_letter_not_found")
)
async def get_dead_letter(shared: Shared, caller: Managing, dead_id: AnId) -> Response:
    """Look at one dead letter."""
    return reply(show(await _own_letter(shared, caller, dead_id)))


@router.delete(
    "/{id}", status_code=204, dependencies=[NO_QUERY], responses=fails("dead_letter_not_found")
)
async def discard_dead_letter(
    shared: Shared, caller: Managing, origin: From, dead_id: AnId
) -> Response:
    """Delete one dead letter for good."""
    if not caller.is_whole("manage"):
        await _own_letter(shared, caller, dead_id)
    async with shared.audit.if_unsure(caller, origin, "dead_letter.discard", dead_id):
        await shared.broker.dead_letters.discard(caller.tenant, dead_id)
    await shared.audit.done(caller, origin, "dead_letter.discard", dead_id)
    return Response(status_code=204)


@router.post(
    "/{id}/redrive",
    dependencies=[NO_QUERY],
    responses=answers(
        DeadLetterAnswer,
        "dead_letter_not_found",
        "subscription_not_found",
        "topic_not_found",
        "letter_topic_gone",
        "already_redriven",
        "payload_lost",
        "conflict",
        "subscription_full",
    ),
)
async def redrive(shared: Shared, caller: Managing, origin: From, dead_id: AnId) -> Response:
    """Deliver it again to the subscription that it died on, with attempts from 1.

    One of an ephemeral subscriber is published anew to its topic.
    """
    if not caller.is_whole("manage"):
        await _own_letter(shared, caller, dead_id)
    async with shared.audit.if_unsure(caller, origin, "dead_letter.redrive", dead_id):
        letter = await shared.broker.dead_letters.redrive(caller.tenant, dead_id)
    await shared.audit.done(caller, origin, "dead_letter.redrive", dead_id)
    return reply(show(letter))
