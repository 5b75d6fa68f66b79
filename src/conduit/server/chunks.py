"""A chunked body (RFC 9112 §7.1), decoded at a cost that follows its bytes, whatever the chunks.

Strict, so that no server before this one can read it differently: a line ends with CR LF and nothing else, a
size is hexadecimal digits, and what may follow it is `;` and an extension. Extensions and trailers are
dropped, but count against the limit, as all bytes of the body on the wire do.
"""

from __future__ import annotations

import re

from conduit.errors import InvalidRequest, LimitReached

# Of the size of a chunk with its extension, or of a trailer.
LINE_MAX_BYTES = 4_096
# After so much a call ends: 1,400 chunks of one byte, half a millisecond. A large chunk is one step.
AT_ONCE_BYTES = 8_192

_CRLF = b"\r\n"
_TEXT = rb"[\t\x20-\x7e\x80-\xff]*"
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[\t ]*;" + _TEXT + rb")?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:" + _TEXT)
# The sizes of small chunks, of which there may be many; the last chunk is not one of them.
_SMALL_LINE_BYTES = 4
_SMALL = {spelling % size: size for size in range(1, 256) for spelling in (b"%x", b"%X")}


class Chunks:
    """Decodes into `body`. At most `max_bytes` are taken, however little of them is body."""

    __slots__ = (
        "_body",
        "_in_trailers",
        "_lacking_bytes",
        "_max_bytes",
        "_wire_bytes",
        "complete",
        "is_behind",
    )

    def __init__(self, body: bytearray, max_bytes: int) -> None:
        self._body = body
        self._max_bytes = max_bytes
        self._wire_bytes = 0
        # Of the chunk that has begun: 0 if only its CR LF is due, None if the next line is a size.
        self._lacking_bytes: int | None = None
        self._in_trailers = False
        self.complete = False
        self.is_behind = False
        """Whether `feed` has stopped although there is more that it can decode: call it again."""

    def feed(self, data: bytes, at: int) -> int:
        """Decode `data` from `at` on; returns up to where. What is behind that is to be fed again, with more.

        Raises InvalidRequest, or LimitReached `payload_too_large`.
        """
        begin, enough = at, at + AT_ONCE_BYTES
        while at < enough and not self.complete:
            before = at
            if self._in_trailers:
                at = self._trailer(data, at)
            elif self._lacking_bytes is not None:
                at = self._part(data, at, self._lacking_bytes)
            else:
                at = self._chunk(data, self._small_chunks(data, at, enough))
            if at == before:
                break
        self.is_behind = enough <= at < len(data)
        self._wire_bytes += at - begin
        if self._wire_bytes > self._max_bytes:
            raise too_large(self._max_bytes)
        return at

    def _small_chunks(self, data: bytes, at: int, enough: int) -> int:
        """Those that are there whole, and have nothing special; returns where the first other one begins."""
        body, find, size_of = self._body, data.find, _SMALL.get
        while at < enough:
            begin = find(_CRLF, at, at + _SMALL_LINE_BYTES) + 2
            size = size_of(data[at : begin - 2]) if begin > at else None
            if size is None:
                break
            stop = begin + size
            if data[stop : stop + 2] != _CRLF:
                break
            body += data[begin:stop]
            at = stop + 2
        return at

    def _chunk(self, data: bytes, at: int) -> int:
        """A size, and the chunk if all of it is there; returns `at` if the line is not."""
        end = data.find(_CRLF, at, at + LINE_MAX_BYTES)
        if end < 0:
            return _incomplete(data, at)
        size = _size(data[at:end])
        if size > self._max_bytes:
            raise too_large(self._max_bytes)
        begin, stop = end + 2, end + 2 + size
        if size == 0:
            self._in_trailers = True
        elif data[stop : stop + 2] == _CRLF:
            self._body += data[begin:stop]
            return stop + 2
        else:
            self._lacking_bytes = size
        return begin

    def _part(self, data: bytes, at: int, lacking_bytes: int) -> int:
        """What there is of a chunk that does not come at once, or the end of its last line."""
        if lacking_bytes:
            part = data[at : at + lacking_bytes]
            self._body += part
            self._lacking_bytes = lacking_bytes - len(part)
            return at + len(part)
        end = data[at : at + 2]
        if end == _CRLF:
            self._lacking_bytes = None
            return at + 2
        if not _CRLF.startswith(end):
            raise _malformed("a chunk is longer than its size")
        return at

    def _trailer(self, data: bytes, at: int) -> int:
        end = data.find(_CRLF, at, at + LINE_MAX_BYTES)
        if end < 0:
            return _incomplete(data, at)
        if end == at:
            self.complete = True
        elif not _TRAILER.fullmatch(data, at, end):
            raise _malformed("a trailer is not a field")
        return end + 2


def _size(line: bytes) -> int:
    found = _SIZE.fullmatch(line)
    if found is None:
        raise _malformed("a chunk's size is not a number")
    return int(found[1], 16)


def _incomplete(data: bytes, at: int) -> int:
    begun = data[at : at + LINE_MAX_BYTES]
    if len(begun) == LINE_MAX_BYTES:
        raise _malformed(f"a line is over {LINE_MAX_BYTES} bytes")
    if b"\n" in begun or b"\r" in begun[:-1]:
        raise _malformed("a line does not end with CR LF")
    return at


def _malformed(why: str) -> InvalidRequest:
    return InvalidRequest(f"the chunked body is malformed: {why}")


def too_large(limit: int) -> LimitReached:
    """A body that is over this limit."""
    return LimitReached(f"the body is over {limit} bytes", code="payload_too_large")
