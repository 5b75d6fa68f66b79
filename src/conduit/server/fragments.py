"""WebSocket messages that come in several frames, and text that has to be UTF-8 (RFC 6455 §5.4, §8.1)."""

from __future__ import annotations

import codecs


class Fragments:
    """A message of which the last frame has not come."""

    __slots__ = ("_decoder", "data", "is_text", "seen_at")

    def __init__(self, *, is_text: bool) -> None:
        self.is_text = is_text
        # When the sweep saw it first.
        self.seen_at: float | None = None
        self.data = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def add(self, fragment: bytes, *, last: bool) -> bool:
        """Whether the message is well-formed so far."""
        self.data += fragment
        if self.is_text:
            try:
                self._decoder.decode(fragment, last)
            except UnicodeDecodeError:
                return False
        return True


def is_utf8(text: bytes) -> bool:
    """Whether text is well-formed."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
