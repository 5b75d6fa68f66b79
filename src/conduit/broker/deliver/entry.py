"""A message made ready for delivery: its frame is built once and shared by all who receive it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from conduit.broker.catalog import Topic
from conduit.core.message import Committed, DeadLetter
from conduit.core.trace_context import TraceContext
from conduit.protocol.codec import encode_json, format_time, text_frame

# What Python needs for an entry besides its frame: the object, the id, and what holds them.
ENTRY_BYTES = 250

# The end of a first delivery to an ephemeral subscriber, the most frequent frame.
_FIRST_ATTEMPT = b',"attempt":1}'


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One message of a topic with its frame for a first delivery to an ephemeral subscriber."""

    seq: int
    message_id: str
    frame: bytes
    head_bytes: int
    """Size of the frame's WebSocket header."""
    published_at_ms: int
    trace: TraceContext | None = None
    """Of a message that is traced."""

    def frame_for(self, attempt: int, failures: int, subscription: bytes) -> bytes:
        """The frame of another attempt, or for a durable subscription (its name, else empty)."""
        if attempt == 1 and not subscription:
            return self.frame
        text = self.frame[self.head_bytes : -len(_FIRST_ATTEMPT)]
        if failures:
            text += b',"failures":%d' % failures
        if subscription:
            return text_frame(
                b'%b,"attempt":%d,"subscription":"%b"}' % (text, attempt, subscription)
            )
        return text_frame(b'%b,"attempt":%d}' % (text, attempt))


def make_entry(
    topic: Topic,
    message: Committed | DeadLetter,
    seq: int,
    trace: TraceContext | None = None,
) -> Entry:
    """Build the frame."""
    text = (
        b'{"type":"message","message_id":"%b","topic":"%b","payload":%b,"published_at":"%b","seq":%d'
        b',"epoch":"%b"'
        % (
            message.message_id.encode(),
            topic.name_bytes,
            message.payload,
            format_time(message.published_at_ms).encode(),
            seq,
            topic.epoch_bytes,
        )
    )
    if message.key is not None:
        text += b',"key":' + encode_json(message.key)
    if message.headers is not None:
        text += b',"headers":' + message.headers
    text += _FIRST_ATTEMPT
    frame = text_frame(text)
    head_bytes = len(frame) - len(text)
    return Entry(seq, message.message_id, frame, head_bytes, message.published_at_ms, trace)


MakeEntry = Callable[[Topic, Committed | DeadLetter, int], Entry]
"""`make_entry`, or what calls it."""
