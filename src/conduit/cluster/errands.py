"""What one node asks another one about durable subscriptions that run there, as bytes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from conduit.broker.administer.views import Attached, SubscriptionView
from conduit.cluster.links.failures import error_of, failure_of
from conduit.cluster.links.frames import Failure
from conduit.cluster.subscribing import UNREADABLE
from conduit.core.message import DeadPlace
from conduit.errors import ConduitError, InvalidRequest
from conduit.names import NAME_LENGTH_MAX, check_tenant, check_text
from conduit.protocol.frames import StartSpec
from conduit.protocol.records import Moved, TopicProgress

# Subscribers that one answer has: a thousandth of what fits into a frame of a link, for each.
ATTACHED_MAX_COUNT = 2_000


class Kind(StrEnum):
    """Of a request."""

    GET = "subscription.get"
    """Answered with a list of views: of those that are there."""
    UPDATE = "subscription.update"
    PAUSE = "subscription.pause"
    RESUME = "subscription.resume"
    """These are answered with a list of one view."""
    DELETE = "subscription.delete"
    SEEK = "subscription.seek"
    TOPICS = "subscription.topics"
    REDRIVE = "subscription.redrive"
    ATTACHED = "subscription.attached"
    """Answered with a list of `Attached`: the first ATTACHED_MAX_COUNT."""


class Errand(msgspec.Struct, array_like=True, frozen=True):
    """A request; what its kind does not need is left as it is."""

    incarnation: str
    """Of the node that is asked."""
    tenant: str
    names: Sequence[str]
    """Of subscriptions: several for GET, else one."""
    changes: Mapping[str, Any] = {}
    """Of settings, which are checked where they are changed."""
    start: bytes = b""
    """As JSON."""
    dry_run: bool = False
    limit: int = 0
    after: str | None = None
    places: Sequence[DeadPlace] = ()
    at_ms: int = 0
    topic: str | None = None
    """Of the topics of each only this one, for GET."""
    pattern: str | None = None
    """Only a subscription that is to these topics is changed."""


class _Outcome(msgspec.Struct, array_like=True, frozen=True):
    body: bytes = b""
    failure: Failure | None = None


class _Refused(msgspec.Struct, array_like=True, frozen=True):
    dead_id: str
    failure: Failure


_encode = msgspec.msgpack.encode
_errand = msgspec.msgpack.Decoder(Errand).decode
_views = msgspec.msgpack.Decoder(list[SubscriptionView]).decode
_moved = msgspec.msgpack.Decoder(Moved).decode
_topics = msgspec.msgpack.Decoder(list[TopicProgress]).decode
_attached = msgspec.msgpack.Decoder(list[Attached]).decode
_outcome = msgspec.msgpack.Decoder(_Outcome).decode
_refused = msgspec.msgpack.Decoder(list[_Refused]).decode
_start = msgspec.json.Decoder(StartSpec).decode


def encode_errand(errand: Errand) -> bytes:
    """For `decode_errand`."""
    return _encode(errand)


def decode_errand(body: bytes) -> Errand:
    """Raises InvalidRequest, also if no subscription is named, or something that no store could look for."""
    try:
        errand = _errand(body)
    except UNREADABLE as error:
        raise InvalidRequest(f"a request of a node cannot be read: {error}") from error
    if not errand.names:
        raise InvalidRequest("a request of a node names no subscription")
    check_tenant(errand.tenant, "tenant")
    for place in errand.places:
        for text in (place.dead_id, place.subscription, place.topic):
            check_text(text, "places", NAME_LENGTH_MAX)
    for name in errand.names:
        check_text(name, "names", NAME_LENGTH_MAX)
    check_text(errand.after or "", "after", NAME_LENGTH_MAX)
    check_text(errand.topic or "", "topic", NAME_LENGTH_MAX)
    check_text(errand.pattern or "", "pattern", NAME_LENGTH_MAX)
    return errand


def is_look(kind: Kind, errand: Errand) -> bool:
    """Whether it changes nothing."""
    return kind in (Kind.GET, Kind.TOPICS, Kind.ATTACHED) or (kind == Kind.SEEK and errand.dry_run)


def start_of(errand: Errand) -> StartSpec:
    """Where it seeks to. Raises InvalidRequest."""
    try:
        start: StartSpec = _start(errand.start)
    except msgspec.MsgspecError as error:
        raise InvalidRequest(f"the start of a node cannot be read: {error}") from error
    return start


def encode_done(body: bytes) -> bytes:
    """The outcome of an errand that was done, and its answer."""
    return _encode(_Outcome(body))


def encode_failed(error: ConduitError) -> bytes:
    """The outcome of one that was begun, and failed."""
    return _encode(_Outcome(failure=failure_of(1, error)))


def open_outcome(outcome: bytes) -> bytes:
    """The answer to what was done. Raises why it failed, and msgspec.MsgspecError."""
    found = _outcome(outcome)
    if found.failure is not None:
        raise error_of(found.failure)
    return found.body


def encode_answer(answer: object) -> bytes:
    """Views, or what else is answered, for the functions below."""
    return _encode(answer)


def decode_views(body: bytes) -> list[SubscriptionView]:
    """Raises msgspec.MsgspecError, as those below."""
    return _views(body)


def decode_view(body: bytes) -> SubscriptionView:
    """The one of an answer that has one."""
    views = _views(body)
    if len(views) != 1:
        raise msgspec.ValidationError(f"one view was expected, and there are {len(views)}")
    return views[0]


def decode_moved(body: bytes) -> Moved:
    """The answer to SEEK."""
    return _moved(body)


def decode_topics(body: bytes) -> list[TopicProgress]:
    """The answer to TOPICS."""
    return _topics(body)


def decode_attached(body: bytes) -> list[Attached]:
    """The answer to ATTACHED."""
    return _attached(body)


def encode_refused(failed: Mapping[str, ConduitError]) -> bytes:
    """The answer to REDRIVE: dead letters that were not redriven, and why."""
    return _encode([_Refused(dead_id, failure_of(1, why)) for dead_id, why in failed.items()])


def decode_refused(body: bytes) -> dict[str, ConduitError]:
    """See `encode_refused`."""
    return {each.dead_id: error_of(each.failure) for each in _refused(body)}
