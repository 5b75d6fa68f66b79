"""What nodes tell each other of messages that they have stored, as bytes. Pure.

A hint has messages of several topics. It is about what is in the log: who does not get it finds that there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from conduit.core.message import Committed, Hinted, Retention
from conduit.errors import InvalidRequest

# Of one hint, about: what waits in a line behind it is not to wait long. A link takes at most
# frames.BODY_MAX_BYTES; of a message that is larger than that nobody is told.
HINT_BYTES = 131_072
MESSAGE_MAX_BYTES = 1_000_000
# What a message takes besides its payload, headers and key, and a topic besides its messages.
_MESSAGE_BYTES = 64
_TOPIC_BYTES = 400
_KEY_CHAR_BYTES = 4


class Kept(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`Retention` on the way."""

    max_age_s: Annotated[int, Meta(ge=1)] | None
    max_messages: Annotated[int, Meta(ge=1)] | None
    max_bytes: Annotated[int, Meta(ge=1)] | None

    @classmethod
    def of(cls, retention: Retention) -> Kept:
        return cls(retention.max_age_s, retention.max_messages, retention.max_bytes)

    @property
    def retention(self) -> Retention:
        return Retention(self.max_age_s, self.max_messages, self.max_bytes)


class Told(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Messages of one topic, from `first_seq` on without a hole."""

    tenant: str
    topic: str
    epoch: str
    first_seq: Annotated[int, Meta(ge=1, lt=1 << 53)]
    messages: Annotated[list[Hinted], Meta(min_length=1)]
    kept: Kept | None = None
    """How much of the topic is kept; said to nodes that may have to make the topic."""


_Place = tuple[str, str, str]
"""Tenant, topic, epoch."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Told]).decode


class Hints:
    """Collects what is to be told to the same nodes, and makes bodies of it."""

    def __init__(self) -> None:
        self._parts: list[tuple[object, ...]] = []
        self._size_bytes = 0
        self._bodies: list[bytes] = []

    def add(
        self,
        place: _Place,
        messages: Sequence[Committed],
        first_seq: int,
        kept: Kept | None = None,
    ) -> int:
        """Tell of these too; returns of how many that are too large nobody is told."""
        skipped_count = 0
        more = () if kept is None else (kept,)
        part: list[tuple[object, ...]] = []
        for seq, message in enumerate(messages, first_seq):
            size_bytes = _size(message)
            if size_bytes > MESSAGE_MAX_BYTES:
                skipped_count += 1
                part = []
                continue
            if self._size_bytes and self._size_bytes + size_bytes > HINT_BYTES:
                self._cut()
                part = []
            if not part:
                self._parts.append((*place, seq, part, *more))
                self._size_bytes += _TOPIC_BYTES
            part.append(
                (
                    message.message_id,
                    message.published_at_ms,
                    message.payload,
                    message.key,
                    message.headers,
                )
            )
            self._size_bytes += size_bytes
        return skipped_count

    def take(self) -> Iterable[bytes]:
        """The bodies; nothing is left."""
        self._cut()
        bodies, self._bodies = self._bodies, []
        return bodies

    def _cut(self) -> None:
        if self._parts:
            self._bodies.append(_encode(self._parts))
            self._parts = []
            self._size_bytes = 0


def _size(message: Committed) -> int:
    size_bytes = _MESSAGE_BYTES + len(message.payload)
    if message.key is not None:
        size_bytes += _KEY_CHAR_BYTES * len(message.key)
    if message.headers is not None:
        size_bytes += len(message.headers)
    return size_bytes


def read(body: bytes) -> Iterator[Told]:
    """What a hint tells. Raises InvalidRequest."""
    try:
        return iter(_decode(body))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"a hint cannot be read: {error}") from error
