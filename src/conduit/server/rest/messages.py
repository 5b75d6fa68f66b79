"""Stored messages: `/api/topics/{name}/messages` and `/api/messages/{id}`"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import Depends, Query, Request, Response
from msgspec import UNSET, UnsetType
from pydantic import Field, model_validator

from conduit.broker.administer.browse import Window, no_message
from conduit.core.message import Message
from conduit.core.scan import Wanted
from conduit.errors import InvalidRequest
from conduit.protocol.codec import format_time
from conduit.server.rest.access import Reading, hidden
from conduit.server.rest.inputs import (
    PAGE_MAX_COUNT,
    AnId,
    Number,
    Page,
    QueryModel,
    Shared,
    Text,
    Time,
    TopicName,
    cut_page,
    decode_cursor,
)
from conduit.server.rest.replies import answers, optional_time, reply
from conduit.server.rest.routing import routes

router = routes("/api", "messages")

MESSAGES_MAX_COUNT = 1_000
# What the parameters begin with that name headers.
HEADER = "header."


class MessageQuery(QueryModel):
    """Which messages of a topic to list, and from which end."""

    from_seq: Annotated[Number, Field(ge=0, le=1 << 53)] | None = Field(
        None, description="Where to begin: a number."
    )
    from_time: Time | None = Field(None, description="Published at this time or later.")
    to_time: Time | None = Field(None, description="Published before this time.")
    limit: Number = Field(50, ge=1, le=MESSAGES_MAX_COUNT)
    order: Literal["asc", "desc"] = "asc"
    key: Text | None = Field(None, description="Only those with this key.")
    contains: Text | None = Field(
        None, description="Only those with this text in the payload, as it was published."
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_headers(cls, given: object) -> object:
        """They have names of their own: see `_headers`."""
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if not name.startswith(HEADER)}


async def _headers(request: Request) -> dict[str, str]:
    """The headers that messages must have: `header.NAME=value` for each. Raises InvalidRequest."""
    asked = {
        name.removeprefix(HEADER): value
        for name, value in request.query_params.items()
        if name.startswith(HEADER)
    }
    if "" in asked:
        raise InvalidRequest(f"{HEADER} has no name of a header behind it", field=HEADER)
    return asked


Headers = Annotated[dict[str, str], Depends(_headers)]
# As no model can say it: the name is a part of the parameter's.
_HEADER_DOCUMENT: dict[str, Any] = {
    "parameters": [
        {
            "name": f"{HEADER}NAME",
            "in": "query",
            "required": False,
            "schema": {"type": "string"},
            "description": "Only those whose header NAME has this value; for any name, and several of them.",
        }
    ]
}


class MessageAnswer(msgspec.Struct):
    """One stored message. `payload` and `headers` are the bytes that were published."""

    message_id: str
    topic: str
    seq: int
    published_at: str
    payload: msgspec.Raw
    key: str | UnsetType = UNSET
    headers: msgspec.Raw | UnsetType = UNSET


class DeliveryQuery(Page):
    """How many subscriptions to tell of, and which."""

    limit: Number = Field(PAGE_MAX_COUNT, ge=1, le=PAGE_MAX_COUNT)


class MessageList(msgspec.Struct):
    """A page of messages. `next` is the `from_seq` of the next page, or null.

    `scanned_to`: of a search, the last number that was looked at; what comes behind it was not, and `next`
    goes on there.
    """

    messages: list[MessageAnswer]
    next: int | None
    scanned_to: int | UnsetType = UNSET


class DeliveryAnswer(msgspec.Struct):
    """What became of a message in one durable subscription.

    `state`: `pending`, `in_flight`, `retrying`, `acked` or `dead`; if its dead letter is gone, `dropped`
    (there were too many, or it was too old) or `discarded`. `settled`: it was acked, or its dead letter is
    gone for so long that this is not known any more. `died_at`: when it became a dead letter last;
    `redriven_at`: when that was redriven. They are known as long as the dead letter is there.
    """

    subscription: str
    state: str
    attempts: int
    last_reason: str | None
    next_attempt_at: str | None
    died_at: str | None
    redriven_at: str | None


class MessageDetail(MessageAnswer, kw_only=True):
    """A message with its deliveries, by subscription. `next`: the cursor of the next page of these, or
    null."""

    deliveries: list[DeliveryAnswer]
    next: str | None


def fields(topic: str, message: Message) -> dict[str, Any]:
    """The fields of a MessageAnswer."""
    return {
        "message_id": message.message_id,
        "topic": topic,
        "seq": message.seq,
        "published_at": format_time(message.published_at_ms),
        "payload": msgspec.Raw(message.payload),
        "key": UNSET if message.key is None else message.key,
        "headers": UNSET if message.headers is None else msgspec.Raw(message.headers),
    }


@router.get(
    "/topics/{name}/messages",
    responses=answers(MessageList, "topic_not_found", "overloaded"),
    openapi_extra=_HEADER_DOCUMENT,
)
async def list_messages(
    shared: Shared,
    caller: Reading,
    name: TopicName,
    query: Annotated[MessageQuery, Query()],
    headers: Headers,
) -> Response:
    """Browse the stored messages of a topic, or search in them; nothing is consumed.

    A page ends before it has more than 4 MiB of payloads, keys and headers. With `key`, `contains` or a
    header messages are looked at one by one: a search ends after 20,000 of them, 32 MiB or three seconds with
    what it has found, which may be nothing, `scanned_to` and `next`.
    """
    caller.check(("manage", "subscribe"), name)
    window = Window(
        from_seq=query.from_seq,
        from_ms=query.from_time,
        to_ms=query.to_time,
        descending=query.order == "desc",
    )
    wanted = Wanted(query.key, headers, query.contains)
    browser, scanned_to = shared.broker.messages, None
    if wanted.is_search:
        scanned = await browser.search(caller.tenant, name, window, wanted, query.limit)
        found, following, scanned_to = scanned.messages, scanned.following, scanned.scanned_to
    else:
        found, following = await browser.browse(caller.tenant, name, window, query.limit)
    shown = [MessageAnswer(**fields(name, message)) for message in found]
    return reply(MessageList(shown, following, UNSET if scanned_to is None else scanned_to))


@router.get(
    "/messages/{id}",
    responses=answers(MessageDetail, "message_not_found", "overloaded"),
)
async def get_message(
    shared: Shared, caller: Reading, message_id: AnId, query: Annotated[DeliveryQuery, Query()]
) -> Response:
    """Look at one stored message and what became of it in durable subscriptions, by name."""
    after = decode_cursor("deliveries", query.cursor)
    topic, message, states = await shared.broker.messages.get(
        caller.tenant, message_id, limit=query.limit + 1, after=after
    )
    hidden(caller, ("manage", "subscribe"), topic.name, no_message())
    page, following = cut_page(states, query.limit, "deliveries", lambda state: state.subscription)
    deliveries = [
        DeliveryAnswer(
            subscription=state.subscription,
            state=state.state,
            attempts=state.attempts,
            last_reason=state.last_reason,
            next_attempt_at=optional_time(state.next_attempt_at_ms),
            died_at=optional_time(state.died_at_ms),
            redriven_at=optional_time(state.redriven_at_ms),
        )
        for state in page
    ]
    shown = fields(topic.name, message)
    return reply(MessageDetail(**shown, deliveries=deliveries, next=following))
