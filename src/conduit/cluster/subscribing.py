"""What two nodes say of a subscriber that is at one of them, while its subscription runs at the other. Pure.

It is said on a channel of kind KIND, which the node of the client opens with an `Opening`. Each body begins
with a byte that says what it is, and whether the next body continues it. The owner says what the client gets,
as whole WebSocket frames; the other side says what the client asks, one frame to a body.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from conduit.broker.attach.elsewhere import Welcome
from conduit.cluster.links.failures import error_of, failure_of
from conduit.cluster.links.frames import Failure
from conduit.errors import ConduitError, InvalidRequest
from conduit.names import check_tenant
from conduit.protocol.frames import Acked, ErrorFrame

KIND = "subscription"
# One part of what does not fit: also the most that is sent beyond a channel's credit.
PART_MAX_BYTES = 131_072
# The id of a subscription, and a window.
_HEAD = struct.Struct(">QI")
_WINDOW = struct.Struct(">I")
_MORE = 0x80
# What a decoder raises of bytes that are not as they must be.
UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)


class Ending:
    """Codes with which a channel is closed. A link that is gone has one of its own (Unavailable)."""

    LEFT = "left"
    """The client has left, or all is done that it asked before."""
    LOST = "lost"
    """The client's connection broke, and that may be because of what it had."""
    MOVED = "moved"
    """The subscription runs elsewhere now."""
    DELETED = "subscription_deleted"
    TOPIC_DELETED = "topic_deleted"
    REFUSED = "refused"
    """See the body before: Said.FAILED."""


class Said(IntEnum):
    """What a body of the owner is."""

    WELCOME = 1
    """The answer to the subscribe, and what else a `Welcome` has."""
    FRAMES = 2
    """Deliveries and gaps."""
    ANSWER = 3
    """The answer to something with a `ref`: a frame."""
    PROBE = 4
    """Whether the client is heard is asked: HEARD or UNHEARD follows behind all that it has asked."""
    FAILED = 5
    """Why it cannot subscribe."""
    NOTHING = 6
    """The answer to an ack up to a number that has settled nothing: its `ref`."""
    WINDOW = 7
    """How many deliveries the client may have out from now on."""


class Asks(IntEnum):
    """What a body of the client's node is."""

    VERB = 1
    """The text of a client's frame."""
    HEARD = 2
    """All that the client is known to have sent was said before."""
    UNHEARD = 3
    """Some of what it has sent is not read yet, or not said."""
    HOLD = 4
    """Its socket does not drain: nothing more is to be handed out to it."""
    GO = 5
    """It drains again."""


class Opening(msgspec.Struct, array_like=True, frozen=True):
    """Who wants to subscribe to what."""

    incarnation: Annotated[str, Meta(max_length=64)]
    """Of the node that is asked."""
    tenant: Annotated[str, Meta(max_length=256)]
    frame: bytes
    """The client's `subscribe`, as JSON."""


_encode = msgspec.msgpack.encode
_opening = msgspec.msgpack.Decoder(Opening).decode
_answer: Callable[[bytes], Acked | ErrorFrame] = msgspec.json.Decoder(Acked | ErrorFrame).decode
_failure = msgspec.msgpack.Decoder(Failure).decode


def encode_opening(opening: Opening) -> bytes:
    """For `decode_opening`."""
    return _encode(opening)


def decode_opening(body: bytes) -> Opening:
    """Raises InvalidRequest."""
    try:
        opening = _opening(body)
    except UNREADABLE as error:
        raise InvalidRequest(f"what a channel was opened with cannot be read: {error}") from error
    check_tenant(opening.tenant, "tenant")
    return opening


def parts(kind: IntEnum, data: bytes) -> Iterator[bytes]:
    """The bodies that say it; together they are what `Joiner` gives."""
    for at in range(0, max(len(data), 1), PART_MAX_BYTES):
        part = data[at : at + PART_MAX_BYTES]
        more = 0 if at + PART_MAX_BYTES >= len(data) else _MORE
        yield b"%c%b" % (kind | more, part)


class Joiner:
    """Bodies in their order, until one of them is the last one of what it says."""

    __slots__ = ("_waiting", "size_bytes")

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self.size_bytes = 0
        """Of those that wait for more."""

    def add(self, body: bytes) -> tuple[int, bytes, int] | None:
        """What is said, and in how many bytes of bodies; None if more of it follows."""
        self.size_bytes += len(body)
        if body[0] & _MORE:
            self._waiting.append(body[1:])
            return None
        data, size_bytes = body[1:], self.size_bytes
        if self._waiting:
            data = b"".join([*self._waiting, data])
            self._waiting.clear()
        self.size_bytes = 0
        return body[0], data, size_bytes


def welcome(first: Welcome) -> bytes:
    """For `decode_welcome`."""
    return _HEAD.pack(first.subscription_id, first.window) + first.frame


def window(count: int) -> bytes:
    """For `decode_window`."""
    return _WINDOW.pack(count)


def decode_window(data: bytes) -> int:
    """How many deliveries the client may have out. Raises InvalidRequest."""
    try:
        (count,) = _WINDOW.unpack(data)
    except struct.error as error:
        raise InvalidRequest(f"a window cannot be read: {error}") from error
    return int(count)


def decode_welcome(data: bytes) -> Welcome:
    """What the client's node is told first. Raises InvalidRequest."""
    try:
        subscription_id, window = _HEAD.unpack_from(data)
    except struct.error as error:
        raise InvalidRequest(f"what a node says first cannot be read: {error}") from error
    return Welcome(subscription_id, window, data[_HEAD.size :])


def decode_answer(frame: bytes) -> Acked | ErrorFrame:
    """The answer to a verb, from the WebSocket frame that carries it. Raises InvalidRequest."""
    size = {126: 4, 127: 10}.get(frame[1], 2)
    try:
        return _answer(frame[size:])
    except msgspec.MsgspecError as error:
        raise InvalidRequest(f"the answer of a node cannot be read: {error}") from error


def failed(error: ConduitError) -> bytes:
    """For `decode_failed`."""
    return _encode(failure_of(1, error))


def decode_failed(data: bytes) -> ConduitError:
    """What the client is refused with. Raises InvalidRequest."""
    try:
        return error_of(_failure(data))
    except msgspec.MsgspecError as error:
        raise InvalidRequest(f"why a node refuses cannot be read: {error}") from error
