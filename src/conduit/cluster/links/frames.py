"""What is said on a link: frames, several of which are one WebSocket message. Pure.

A message is an array of msgpack, each frame in it an array that begins with its kind. What a newer node adds
at the end of a frame is not looked at. Frames of a kind that is not known are skipped if the kind is
IGNORABLE_FROM or above; below that the meaning of what follows could depend on them, and they end the link.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from conduit.errors import InvalidRequest, LimitReached

# One frame, as it is encoded. What is larger has to be split by its sender.
FRAME_MAX_BYTES = 1_048_576
# Frames are joined up to here; a larger one is a message of its own.
MESSAGE_BYTES = 262_144
# So no message is larger than this.
MESSAGE_MAX_BYTES = FRAME_MAX_BYTES + 5
# A body that surely fits, with what a frame has besides.
BODY_MAX_BYTES = FRAME_MAX_BYTES - 1_024
# Of a node that knows more: kinds from here on mean nothing to what follows.
IGNORABLE_FROM = 64
TEXT_MAX_CHARS = 500

Id = Annotated[int, Meta(ge=1, lt=1 << 53)]
_Name = Annotated[str, Meta(min_length=1, max_length=64)]
_Text = Annotated[str, Meta(max_length=TEXT_MAX_CHARS)]
# Their bytes are counted as credit, so there has to be one.
_Body = Annotated[bytes, Meta(min_length=1)]


class Ping(msgspec.Struct, array_like=True, tag=1, gc=False):
    """Answer at once."""

    number: Id


class Pong(msgspec.Struct, array_like=True, tag=2, gc=False):
    """This ping, and all before it, have come."""

    number: Id


class Hint(msgspec.Struct, array_like=True, tag=3, gc=False):
    """What may get lost."""

    body: bytes


class Request(msgspec.Struct, array_like=True, tag=4, gc=False):
    """Something is asked. Ids are the asker's, and grow."""

    id: Id
    kind: _Name
    body: bytes


class Reply(msgspec.Struct, array_like=True, tag=5, gc=False):
    """The answer to a request."""

    id: Id
    body: bytes


class Failure(msgspec.Struct, array_like=True, tag=6, gc=False):
    """The answer to a request that has failed; the code is one of `protocol/codes.py`."""

    id: Id
    code: _Name
    text: _Text
    field: str | None = None
    retry_after_s: float = 0.0
    limit: str | None = None


class ChannelOpen(msgspec.Struct, array_like=True, tag=7, gc=False):
    """A new channel. Ids grow; those of the dialer are even, those of the acceptor odd."""

    id: Id
    kind: _Name
    body: bytes


class ChannelFrame(msgspec.Struct, array_like=True, tag=8, gc=False):
    """Something on a channel."""

    id: Id
    body: _Body


class ChannelClose(msgspec.Struct, array_like=True, tag=9, gc=False):
    """The channel has ended, for both."""

    id: Id
    code: _Name
    text: _Text


class Credit(msgspec.Struct, array_like=True, tag=10, gc=False):
    """So many bytes more may be sent on the channel."""

    id: Id
    size_bytes: Annotated[int, Meta(ge=1, lt=1 << 32)]


Frame = (
    Ping
    | Pong
    | Hint
    | Request
    | Reply
    | Failure
    | ChannelOpen
    | ChannelFrame
    | ChannelClose
    | Credit
)

_encode = msgspec.msgpack.encode
_decode_all = msgspec.msgpack.Decoder(list[Frame]).decode
_decode_one = msgspec.msgpack.Decoder(Frame).decode
_decode_raw = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_ERRORS = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)


def encode(frame: Frame) -> bytes:
    """One frame, for `message`. Raises LimitReached if it is over FRAME_MAX_BYTES."""
    data = _encode(frame)
    if len(data) > FRAME_MAX_BYTES:
        raise LimitReached(
            f"a frame of a link has {FRAME_MAX_BYTES} bytes at most, and this one {len(data)}"
        )
    return data


def message(frames: list[bytes]) -> bytes:
    """One WebSocket message from encoded frames."""
    return b"\xdd%b%b" % (len(frames).to_bytes(4, "big"), b"".join(frames))


def decode(data: bytes) -> Iterable[Frame]:
    """The frames of a message. Raises InvalidRequest if any of them cannot be read."""
    try:
        return _decode_all(data)
    except _ERRORS as error:
        return _decode_known(data, error)


def _decode_known(data: bytes, error: Exception) -> list[Frame]:
    """The same, of what may have frames of a newer node."""
    try:
        raw = _decode_raw(data)
        return [_decode_one(each) for each in raw if _kind(bytes(each)) < IGNORABLE_FROM]
    except _ERRORS:
        raise InvalidRequest(f"what came is no frame of a link: {error}") from error


def _kind(frame: bytes) -> int:
    """What a frame says of its kind; 0 if it is no array that begins with a small number."""
    # Of the array's head: in its first byte, or in two or four behind it.
    size = {0xDC: 3, 0xDD: 5}.get(frame[0], 1 if 0x91 <= frame[0] <= 0x9F else len(frame))
    kind = frame[size] if size < len(frame) else 0
    return kind if kind < 0x80 else 0
