"""What a node asks others about what they do, and what they say, as bytes. Pure.

Records go with the names of their fields, so that a node of another version reads what it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

import msgspec

from conduit.broker.administer.attention import Attended
from conduit.broker.administer.letter_acts import LetterJob
from conduit.broker.history import DEFAULT_INTERVAL_S
from conduit.broker.stats import Rates
from conduit.cluster.figures import Figures, Point, TopicFigures
from conduit.cluster.links.peers import LinkView
from conduit.cluster.subscribing import UNREADABLE
from conduit.core.signed_out import SignedOut
from conduit.errors import InvalidRequest
from conduit.names import NAME_LENGTH_MAX, check_pattern, check_tenant, check_text

T = TypeVar("T")

# Points of a history that are decoded in one turn of the loop: a millisecond. A day has 1,440.
POINTS_STEP_COUNT = 100


class Kind(StrEnum):
    """Of a request."""

    STATE = "node.state"
    """Answered with a `State`."""
    STATS = "node.stats"
    """With `Figures`: of the tenant, or of the node."""
    HISTORY = "node.history"
    """With a list of `Point`: of the tenant, or of the node, the newest of one resolution."""
    SUBSCRIBERS = "topic.subscribers"
    """Of these topics of the tenant: with how many subscribers each has."""
    ACTIVITY = "topic.activity"
    """Of these topics of the tenant: with a list of `TopicFigures`, of those that are known."""
    BUSIEST = "topic.busiest"
    """Of the tenant, or of all: with the same of those through which most went."""
    ATTENTION = "node.attention"
    """With `Attended`: of the tenant, or of all."""
    USAGE = "tenant.usage"
    """Of these tenants: with a list of `TenantUse`."""
    SIGNED_OUT = "page.end"
    """Of a session of a page, by the id of its key, its end in ms and its own id: with nothing; it counts no
    more. Without names: with a list of all `SignedOut` that are known."""
    JOBS = "job.list"
    """Of the tenant: with a list of its jobs."""
    JOB = "job.get"
    """The job of the tenant with this id: with a list of it, or of nothing."""
    CANCEL = "job.cancel"
    """The same, which is cancelled; one that has ended is a Conflict."""


class Question(msgspec.Struct, frozen=True):
    """A request. What its kind does not need is left out."""

    incarnation: str = ""
    """Of the node that is asked."""
    tenant: str | None = None
    names: Sequence[str] = ()
    interval_s: int = DEFAULT_INTERVAL_S
    """Which resolution of a history; a node of another version may know no other than the default."""
    limit: int | None = None
    """How many of it, or of the busiest topics; None: all."""
    patterns: Sequence[str] | None = None
    """The busiest topics that one of these covers; None: of all."""


class State(msgspec.Struct, frozen=True):
    """What only a node itself knows."""

    connections: int
    owned_subscriptions: int
    rates: Rates
    links: list[LinkView]
    settings: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Those that must be the same on all nodes, in words; none: of a version that does not say them."""
    loop_lag_s: float | None = None
    """See `NodeAnswer.loop_lag_s`; None: of a version that does not say it."""
    phase: str | None = None
    """See `NodeAnswer.phase`."""


class TenantUse(msgspec.Struct, frozen=True):
    """What one tenant has on one node, of what no other node can know."""

    connections: int
    pending_retries: int


class Inquiry(NamedTuple, Generic[T]):
    """A kind of request, with what reads its answers."""

    kind: Kind
    decode: Callable[[bytes], T]
    """Raises msgspec.MsgspecError."""
    in_steps: Callable[[bytes], Iterator[T]] | None = None
    """The same for what is long: what there is of it after each step, and at last all."""
    is_order: bool = False
    """Whether it changes something at who is asked."""


_raws = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_point = msgspec.msgpack.Decoder(Point).decode


def decode_points_in_steps(body: bytes) -> Iterator[list[Point]]:
    """See `Inquiry.in_steps`: POINTS_STEP_COUNT more after each. Raises msgspec.MsgspecError."""
    found: list[Point] = []
    raws = _raws(body)
    for first in range(0, len(raws), POINTS_STEP_COUNT):
        found += map(_point, raws[first : first + POINTS_STEP_COUNT])
        yield found
    if not raws:
        yield found


_encode = msgspec.msgpack.encode
_question = msgspec.msgpack.Decoder(Question).decode

STATE = Inquiry(Kind.STATE, msgspec.msgpack.Decoder(State).decode)
STATS = Inquiry(Kind.STATS, msgspec.msgpack.Decoder(Figures).decode)
HISTORY = Inquiry(Kind.HISTORY, msgspec.msgpack.Decoder(list[Point]).decode, decode_points_in_steps)
SUBSCRIBERS = Inquiry(Kind.SUBSCRIBERS, msgspec.msgpack.Decoder(list[int]).decode)
ACTIVITY = Inquiry(Kind.ACTIVITY, msgspec.msgpack.Decoder(list[TopicFigures]).decode)
BUSIEST = Inquiry(Kind.BUSIEST, ACTIVITY.decode)
ATTENTION = Inquiry(Kind.ATTENTION, msgspec.msgpack.Decoder(Attended).decode)
USAGE = Inquiry(Kind.USAGE, msgspec.msgpack.Decoder(list[TenantUse]).decode)
SIGNED_OUT = Inquiry(Kind.SIGNED_OUT, msgspec.msgpack.Decoder(list[SignedOut]).decode)
JOBS = Inquiry(Kind.JOBS, msgspec.msgpack.Decoder(list[LetterJob]).decode)
JOB = Inquiry(Kind.JOB, JOBS.decode)
CANCEL = Inquiry(Kind.CANCEL, JOBS.decode, is_order=True)


def encode_question(question: Question) -> bytes:
    """For `decode_question`."""
    return _encode(question)


def decode_question(body: bytes) -> Question:
    """Raises InvalidRequest."""
    try:
        question = _question(body)
    except UNREADABLE as error:
        raise InvalidRequest(f"what a node asks cannot be read: {error}") from error
    if question.tenant is not None:
        check_tenant(question.tenant, "tenant")
    for name in question.names:
        check_text(name, "names", NAME_LENGTH_MAX)
    for pattern in question.patterns or ():
        check_pattern(pattern, "patterns")
    return question


def encode_answer(answer: object) -> bytes:
    """What its kind is answered with."""
    return _encode(answer)
