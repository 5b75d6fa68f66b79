"""What requests are made of: who asks, checked values, pages.

Models refuse fields that they do not know, in bodies and in query strings alike.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Depends, Path, Query, Request
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from conduit.errors import InvalidRequest
from conduit.names import ID_SCHEMA, SUBSCRIPTION_SCHEMA, TOPIC_SCHEMA, check_topic
from conduit.protocol.codec import parse_time
from conduit.protocol.faults import refuse
from conduit.protocol.frames import StartSpec
from conduit.server.context import Context

T = TypeVar("T")

PAGE_COUNT = 50
PAGE_MAX_COUNT = 500
TEXT_MAX_LENGTH = 255
# Of a reason to look for: as much as one may have, or had when letters were stored that are still kept.
REASON_MAX_BYTES = 1_024
# The type of pydantic's error for a field that does not exist; `name` in its context says which.
UNKNOWN_FIELD = "unknown_field"
_HALF_A_PAIR = "must not hold half of a surrogate pair"


# Who asks -----------------------------------------------------------------------------------------


async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Shared = Annotated[Context, Depends(_context)]

# The broker checks names, with codes of its own: here their grammar is only described.
TopicName = Annotated[
    str, Path(alias="name", description="A topic's name.", json_schema_extra=TOPIC_SCHEMA)
]
SubscriptionName = Annotated[
    str,
    Path(alias="name", description="A subscription's name.", json_schema_extra=SUBSCRIPTION_SCHEMA),
]
AnId = Annotated[str, Path(alias="id", json_schema_extra=ID_SCHEMA)]


# Values -------------------------------------------------------------------------------------------


def _time(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError("must be a time")
    return parse_time(value)


def _digits(value: object) -> object:
    # Python also reads "1_0", "+5" and " 5" as numbers.
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise ValueError("must be decimal digits")
    return value


def _flag(value: object) -> object:
    # pydantic also reads "1", "on" and "y" as one.
    if value not in ("true", "false"):
        raise ValueError("must be true or false")
    return value == "true"


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(_HALF_A_PAIR) from None
    if "\0" in text:
        raise ValueError("may not have the character U+0000")
    return text


def _reason(text: str) -> str:
    if len(text.encode()) > REASON_MAX_BYTES:
        raise ValueError(f"must have at most {REASON_MAX_BYTES} bytes in UTF-8")
    return text


def _shown(value: object) -> str:
    """What the client sent, as pydantic can put it into an error: half of a surrogate pair breaks it."""
    return str(value).encode(errors="replace").decode()


class _Given(msgspec.Struct):
    """A body, as far as its `start` goes: what is wrong with that is told as of a frame."""

    start: StartSpec


def _start(value: object) -> StartSpec:
    given = {"start": value}
    try:
        return msgspec.convert(given, _Given).start
    except UnicodeEncodeError:
        raise ValueError(_HALF_A_PAIR) from None
    except msgspec.ValidationError as error:
        # pydantic lets the InvalidRequest through, since it is no ValueError.
        refuse(msgspec.ValidationError(_shown(error)), json.dumps(given).encode())


Time = Annotated[
    int, BeforeValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})
]
Number = Annotated[int, BeforeValidator(_digits)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Text = Annotated[str, Field(max_length=TEXT_MAX_LENGTH), AfterValidator(_text)]
Topic = Annotated[Text, AfterValidator(check_topic), Field(json_schema_extra=TOPIC_SCHEMA)]
Reason = Annotated[str, AfterValidator(_text), AfterValidator(_reason)]
Start = Annotated[
    StartSpec,
    PlainValidator(_start),
    # Not the bare reference: pydantic would look for it among its own.
    WithJsonSchema({"allOf": [{"$ref": "#/components/schemas/Start"}]}),
]


# Bodies and queries -------------------------------------------------------------------------------


class _Known(BaseModel):
    """Refuses the first field that it does not know. pydantic alone makes an error of each, which for a
    body of 35,000 took 0.1 s that nobody else was served in."""

    @model_validator(mode="before")
    @classmethod
    def _know_all(cls, given: object) -> object:
        if isinstance(given, dict):
            for name in given:
                if name not in cls.model_fields:
                    raise PydanticCustomError(UNKNOWN_FIELD, "is not known", {"name": _shown(name)})
        return given


class Body(_Known):
    """Base of every JSON body: no unknown fields, no guessing of types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class QueryModel(_Known):
    """Base of every query string."""

    model_config = ConfigDict(extra="forbid")


class Page(QueryModel):
    """Base of every list's query."""

    limit: Number = Field(PAGE_COUNT, ge=1, le=PAGE_MAX_COUNT)
    cursor: str | None = Field(None, description="`next` of the page before.")


class _NoQuery(QueryModel):
    pass


async def _no_query(_query: Annotated[_NoQuery, Query()]) -> None:
    """Refuse every query parameter."""


NO_QUERY: Any = Depends(_no_query)


async def _each_once(request: Request) -> None:
    """Refuse a query parameter that comes twice: which of them counts would be a guess."""
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name in seen:
            raise InvalidRequest(f"{name!r} is given more than once", field=name)
        seen.add(name)


EACH_ONCE: Any = Depends(_each_once)


# Pages --------------------------------------------------------------------------------------------


def encode_cursor(kind: str, key: str) -> str:
    """An opaque cursor: the key of the last item of a page, and of which list."""
    return base64.urlsafe_b64encode(f"{kind}:{key}".encode()).decode().rstrip("=")


def decode_cursor(kind: str, cursor: str | None) -> str | None:
    """The key that a cursor of this list holds. Raises InvalidRequest naming `cursor`."""
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        text = ""
    if not text.startswith(f"{kind}:") or "\0" in text:
        raise InvalidRequest("cursor was not given out by this list", field="cursor")
    return text.removeprefix(f"{kind}:")


def cut_page(
    items: list[T], limit: int, kind: str, key: Callable[[T], str]
) -> tuple[list[T], str | None]:
    """A page of `limit` items out of up to one more, and the cursor of the next page, if any."""
    if len(items) <= limit:
        return items, None
    return items[:limit], encode_cursor(kind, key(items[limit - 1]))
