"""The bytes of one HTTP connection as whole requests. No I/O: bytes go in, requests come out."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from conduit.errors import LimitReached
from conduit.server.chunks import Chunks, too_large
from conduit.server.context import Limits
from conduit.server.head import (
    END,
    KNOWN_HEAD_MAX_BYTES,
    PUBLISH,
    WEBSOCKET,
    Head,
    Route,
    cut_credential,
    cut_trace,
    known_head,
    parse_head,
)
from conduit.tenancy.principal import Principal

# Whose bodies may be as large as a batch: one that is not read may be one, and hears why it is refused.
_LARGE = frozenset({Route.BATCH, Route.ENCODED, Route.MISTYPED})
# A body that came in parts and is larger is given out as it is: a copy of 8 MB takes 2 ms, and the last byte
# of many may come in one turn.
COPIED_MAX_BYTES = 16 * 1024

Body = bytes | bytearray


class Request(NamedTuple):
    """One whole request, and who asks."""

    head: Head
    caller: Principal
    body: Body


# A head's bytes, what it asks for, and who does.
_Asked = tuple[bytes, Head, Principal]
Admit = Callable[[Head, bytes | None], Principal | None]
"""Who asks, by a head and the credential that was in it; somebody who is not known, rather than an error.
None if that is not clear yet: the head is then the next one again."""


class Phase(enum.Enum):
    """What the connection waits for."""

    IDLE = "request"
    HEAD = "head"
    BODY = "body"


class Framer:
    """Splits one connection's bytes into requests, each with its whole body, decoded if chunked.

    At most `max_headers_bytes` of a head and one body within its limit are kept, besides what the
    caller feeds without asking for the requests in it; of a body whose sender is not known nothing. After an
    error nothing more can be read.
    """

    __slots__ = (
        "_at",
        "_body",
        "_caller",
        "_chunks",
        "_data",
        "_head",
        "_last_raw",
        "_last_size",
        "_limits",
        "_small_bytes",
        "expects_continue",
        "last_caller",
        "last_head",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # Bodies up to here are within the limit of every route.
        self._small_bytes = min(limits.max_frame_bytes, limits.max_batch_bytes)
        # What was fed and is not used up begins at `_at`.
        self._data = b""
        self._at = 0
        # Of the request whose body is not complete.
        self._head: Head | None = None
        self._caller: Principal | None = None
        self._body = bytearray()
        self._chunks: Chunks | None = None
        # The bytes of `last_head`, and how many came with it and its body; -1 if it may not come again.
        self._last_raw = b""
        self._last_size = -1
        self.last_head: Head | None = None
        """The head that came last; `repeated` compares with it …"""
        self.last_caller: Principal | None = None
        """… and who asked with it."""
        self.expects_continue = False
        """Whether the client waits for `100 Continue` before it sends a body; the caller resets it."""

    def repeated(self, data: bytes) -> bytes | None:
        """The body, if `data` is one whole request with the head and the length of the last one.

        Most are, on a connection that publishes: then nothing is fed, searched or looked up. None:
        `data` is still to be fed. Whoever asked may not be good any more: that is the caller's to see.
        """
        if len(data) != self._last_size or self._data or not data.startswith(self._last_raw):
            return None
        return data[len(self._last_raw) :]

    def feed(self, data: bytes) -> None:
        """Add what was read; then ask for requests with `next_request`."""
        if self._at == len(self._data):
            self._data = data
        else:
            self._data = self._data[self._at :] + data
        self._at = 0

    def next_request(self, admit: Admit) -> Request | None:
        """The next request, or None until more is fed, or it is clear who asks; `admit` is asked that at the
        end of each head.

        Raises InvalidRequest; LimitReached `headers_too_large` or `payload_too_large`, the latter
        as soon as the head is there if it gives a length; and as soon as that, what somebody is told who is
        not known and has not sent the whole body yet.
        """
        if self._head is not None and self._caller is not None:
            return self._continue_body(self._head, self._caller)
        data, start = self._data, self._at
        if start == len(data):
            return None
        asked = self._same_head(data, start) or self._next_head(data, start, admit)
        if asked is None:
            return None
        raw, head, caller = asked
        end = start + len(raw)
        stop = end + head.content_length
        self._last_size = -1
        if stop <= len(data) and head.content_length <= self._small_bytes and not head.chunked:
            self._use_up_to(stop)
            # Who is not known now may be soon: that is asked again. And a session has an end that only its
            # cookie tells.
            if len(raw) <= KNOWN_HEAD_MAX_BYTES and caller.is_known and not caller.is_page:
                self.last_head, self._last_raw, self._last_size = head, raw, stop - start
                self.last_caller = caller
            return Request(head, caller, data[end:stop])
        self._at = end
        return self._begin_body(head, caller)

    def _same_head(self, data: bytes, start: int) -> _Asked | None:
        """The last head, if it comes again and who sent it may still come in: so it is with those who
        pipeline, and nothing is looked up."""
        last, head, caller = self._last_raw, self.last_head, self.last_caller
        if not last or head is None or caller is None or not data.startswith(last, start):
            return None
        if caller.is_over:
            return None
        caller.is_used = True
        return last, head, caller

    def _next_head(self, data: bytes, start: int, admit: Admit) -> _Asked | None:
        """The next head, and who asks; None if it is not complete, or that is not clear. Raises as
        `next_request`."""
        empty_line = data.find(END, start)
        end = empty_line + len(END) if empty_line >= 0 else len(data)
        if end - start > self._limits.max_headers_bytes:
            raise _headers_too_large(self._limits.max_headers_bytes)
        if empty_line < 0:
            return None
        raw = data[start:end]
        bare, credential = cut_credential(raw)
        bare, trace = cut_trace(bare)
        # No two of those that open a WebSocket are the same, and one may have a ticket in its address.
        is_known = len(bare) <= KNOWN_HEAD_MAX_BYTES and not bare.startswith(WEBSOCKET)
        head = known_head(bare) if is_known else parse_head(bare)
        if trace is not None:
            head = replace(head, trace=trace)
        caller = admit(head, credential)
        return None if caller is None else (raw, head, caller)

    def _use_up_to(self, at: int) -> None:
        if at == len(self._data):
            # An idle connection keeps nothing of what it has read.
            self._data = b""
            self._at = 0
        else:
            self._at = at

    @property
    def phase(self) -> Phase:
        """What is incomplete, or would be if every request had been asked for."""
        if self._head is not None:
            return Phase.BODY
        return Phase.HEAD if self.has_input else Phase.IDLE

    @property
    def head(self) -> Head | None:
        """Of the request whose body is incomplete."""
        return self._head

    @property
    def is_publish(self) -> bool:
        """Whether what is incomplete, or cannot be read, is a publish."""
        if self._head is not None:
            return self._head.is_publish
        return PUBLISH.match(self._data, self._at) is not None

    @property
    def has_input(self) -> bool:
        """Whether bytes have been fed that `next_request` has not used yet."""
        return self._at < len(self._data)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept of a request that has not been given out."""
        return not self._data and self._head is None

    @property
    def kept_bytes(self) -> int:
        """What is in memory of requests that have not been given out."""
        return len(self._data) + len(self._body)

    def forget(self) -> None:
        """Let go what was fed; nothing more can be read."""
        self._data = b""
        self._at = 0
        self._head = self._caller = self._chunks = None
        self._body = bytearray()

    def forget_last(self) -> None:
        """Let go of the bytes of the last head, which may have a credential in them."""
        self._last_raw, self._last_size = b"", -1
        self.last_head = self.last_caller = None

    @property
    def is_behind(self) -> bool:
        """Whether `next_request` was None although there is more to decode of a body: ask again."""
        return self._chunks is not None and self._chunks.is_behind

    def take_rest(self) -> bytes:
        """All that has been fed and belongs to no request, for another protocol to read."""
        rest = self._data[self._at :]
        self._use_up_to(len(self._data))
        return rest

    def _begin_body(self, head: Head, caller: Principal) -> Request | None:
        is_small = head.route not in _LARGE
        limit = self._limits.max_frame_bytes if is_small else self._limits.max_batch_bytes
        self._head, self._caller = head, caller
        if not caller.is_known and (head.content_length or head.chunked):
            # Nothing of it is kept.
            raise caller.refusal(())
        if head.content_length > limit:
            raise too_large(limit)
        self.expects_continue = head.expects_continue and not self.has_input
        self._chunks = Chunks(self._body, limit) if head.chunked else None
        return self._continue_body(head, caller)

    def _continue_body(self, head: Head, caller: Principal) -> Request | None:
        if self._chunks is not None:
            self._at = self._chunks.feed(self._data, self._at)
            complete = self._chunks.complete
        else:
            stop = self._at + head.content_length - len(self._body)
            part = self._data[self._at : stop]
            self._body += part
            self._at += len(part)
            complete = len(self._body) == head.content_length
        # What is in the body is not kept beside it.
        self._use_up_to(self._at)
        if not complete:
            return None
        body: Body = self._body
        if len(body) <= COPIED_MAX_BYTES:
            body = bytes(body)
        self.expects_continue = False
        self._head = self._chunks = None
        self._caller = None
        self._body = bytearray()
        return Request(head, caller, body)


def _headers_too_large(limit: int) -> LimitReached:
    return LimitReached(f"the headers are over {limit} bytes", code="headers_too_large")
