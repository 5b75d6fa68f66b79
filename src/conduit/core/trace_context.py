"""The context of a trace as services pass it on: the two headers of W3C Trace Context, read and written.

https://www.w3.org/TR/trace-context/ (level 2). What is not valid counts as not given, as it says there.
"""

from __future__ import annotations

import re

import msgspec

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"

# Of a `tracestate`; a longer one is not passed on. The standard asks for 512 at least.
TRACESTATE_MAX_CHARS = 512
TRACESTATE_MAX_COUNT = 32
# Of a `traceparent` of a version that does not exist yet.
TRACEPARENT_MAX_CHARS = 128

SAMPLED = 0x01
# Of the flags those that are known: sampled, and that the trace's id is random.
_KNOWN_FLAGS = 0x03
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
_PARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
    r"(?P<rest>-[!-~]*)?"
)
_MEMBER = re.compile(
    r"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
)


class TraceContext(msgspec.Struct, frozen=True, gc=False):
    """One span of a trace, as whoever continues it has to know it. Ids are lower-case hexadecimal."""

    trace_id: str
    """32 digits, not all 0."""
    span_id: str
    """16 digits, not all 0."""
    flags: int = SAMPLED
    state: str = ""
    """Of the vendors that took part: the `tracestate`, or nothing."""

    @property
    def is_sampled(self) -> bool:
        """Whether whoever began the trace records it."""
        return bool(self.flags & SAMPLED)

    @property
    def traceparent(self) -> str:
        """The header."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"


def parse_traceparent(text: str, state: str | None = None) -> TraceContext | None:
    """The context in a `traceparent`, with the `tracestate` beside it; None if the former is not valid.

    A `tracestate` that is not valid or too long is left out, and the rest counts (§3.3.1.3.1, §3.3.1.5).
    """
    if len(text) > TRACEPARENT_MAX_CHARS:
        return None
    found = _PARENT.fullmatch(text)
    if found is None or found["version"] == "ff":
        return None
    if found["rest"] is not None and found["version"] == "00":
        return None
    if found["trace"] == _NO_TRACE or found["span"] == _NO_SPAN:
        return None
    flags = int(found["flags"], 16) & _KNOWN_FLAGS
    return TraceContext(found["trace"], found["span"], flags, checked_state(state or ""))


def checked_state(text: str) -> str:
    """A `tracestate` in one spelling, or nothing if it is not valid or too long."""
    if not text or len(text) > TRACESTATE_MAX_CHARS:
        return ""
    members = [member.strip(" \t") for member in text.split(",")]
    members = [member for member in members if member]
    keys = {member.partition("=")[0] for member in members}
    if len(members) > TRACESTATE_MAX_COUNT or len(keys) < len(members):
        return ""
    if not all(_MEMBER.fullmatch(member) for member in members):
        return ""
    return ",".join(members)
