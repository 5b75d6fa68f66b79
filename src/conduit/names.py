"""The grammar of names: topics, patterns, subscriptions; and what every store can keep as text.

A topic is 1–255 characters: tokens of `[A-Za-z0-9_-]` joined by dots. A pattern is a topic in which
a token may be `*` (exactly one token) and the last token may be `>` (one or more tokens). No topic is
called `.` or `..`, and no new subscription: clients and proxies take them out of an address.
"""

from __future__ import annotations

import re
from typing import Any

from conduit.errors import InvalidRequest

NAME_LENGTH_MAX = 255
# Of a key of a message, and of an idempotency key, in characters.
KEY_MAX_CHARS = 255
# The tenant of every call without authentication, and of DEFAULT_API_KEY.
DEFAULT_TENANT = "default"

# A pattern's inside: what breaks or moves a line. Who reads such a text cannot type it.
_UNSEEN = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"
_LINE = re.compile(rf"[^{_UNSEEN}]*")

_TOKEN = r"[A-Za-z0-9_-]+"
_TOPIC = re.compile(rf"{_TOKEN}(?:\.{_TOKEN})*")
_PATTERN = re.compile(rf"(?:(?:{_TOKEN}|\*)\.)*(?:{_TOKEN}|\*|>)")
_ID = re.compile(r"[0-9a-f-]{36}")
_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_SUBSCRIPTION = re.compile(r"[A-Za-z0-9_.-]+")
# All that ASCII can print, but what divides a path: neither `.` nor `..`, and no slash.
_NODE = re.compile(r"\.{0,2}[!-,0-~-][!-.0-~]*|\.{3}[!-.0-~]*")
# The steps of a path that mean "here" and "one up" (RFC 3986 §5.2.4).
DOT_SEGMENTS = frozenset({".", ".."})


def _schema(pattern: str, max_length: int, example: str) -> dict[str, Any]:
    return {
        "pattern": f"^({pattern})$",
        "minLength": 1,
        "maxLength": max_length,
        "examples": [example],
    }


# The same as in a document: for those who describe what they do not check by it. No pattern has a
# lookahead, which not every reader of a schema knows.
TOPIC_SCHEMA = _schema(_TOPIC.pattern, NAME_LENGTH_MAX, "orders.created")
PATTERN_SCHEMA = _schema(_PATTERN.pattern, NAME_LENGTH_MAX, "orders.*")
SUBSCRIPTION_SCHEMA = _schema(
    # Neither `.` nor `..`: one that was called so once has no address.
    r"\.{0,2}[A-Za-z0-9_-][A-Za-z0-9_.-]*|\.{3}[A-Za-z0-9_.-]*",
    NAME_LENGTH_MAX,
    "billing",
)
# Of what was made before as well, or of none at all.
ANY_SUBSCRIPTION_SCHEMA = {
    **_schema(r"[A-Za-z0-9_.-]*", NAME_LENGTH_MAX, "billing"),
    "minLength": 0,
}
# What `check_text` takes, if it may be as long as a name.
TEXT_SCHEMA = {**_schema(r"[^\u0000]*", NAME_LENGTH_MAX, "web.user-42"), "minLength": 0}
# What `check_line` takes.
LINE_PATTERN = rf"^[^{_UNSEEN}]*$"
TENANT_SCHEMA = _schema(_TENANT.pattern, 63, "acme")
# Of an API key.
KEY_ID_SCHEMA = {**_schema(r"[0-9A-Za-z]{8}", 8, "a1B2c3D4"), "minLength": 8}
NODE_SCHEMA = _schema(_NODE.pattern, NAME_LENGTH_MAX, "node-1")
KEY_SCHEMA = _schema(r"[^\u0000]+", KEY_MAX_CHARS, "order-42")
ID_SCHEMA = {
    **_schema(_ID.pattern, 36, "0190a0a0-5bf7-7c3e-8a4e-2f1d3c4b5a69"),
    "minLength": 36,
}


def check_topic(name: str, field: str = "topic") -> str:
    """Return `name` unchanged, or raise InvalidRequest `invalid_topic` naming `field`."""
    if not name:
        raise InvalidRequest(f"{field} is empty", code="invalid_topic", field=field)
    if len(name) > NAME_LENGTH_MAX or not _TOPIC.fullmatch(name):
        raise InvalidRequest(
            f"{field} must be 1–{NAME_LENGTH_MAX} characters: tokens of A–Z a–z 0–9 _ - joined by dots",
            code="invalid_topic",
            field=field,
        )
    return name


def is_pattern(expression: str) -> bool:
    """Whether the expression has a wildcard token; the expression need not be valid."""
    return "*" in expression or ">" in expression


def check_pattern(expression: str, field: str = "topic") -> str:
    """Return a topic or pattern unchanged, or raise InvalidRequest `invalid_pattern`."""
    if not is_pattern(expression):
        return check_topic(expression, field)
    if len(expression) > NAME_LENGTH_MAX or not _PATTERN.fullmatch(expression):
        raise InvalidRequest(
            f"{field} is not a pattern: '*' stands for one whole token, '>' for one or more at the end",
            code="invalid_pattern",
            field=field,
        )
    return expression


def check_subscription(name: str, field: str = "subscription") -> str:
    """Return the name of a durable subscription unchanged, or raise InvalidRequest `invalid_name`."""
    if not 1 <= len(name) <= NAME_LENGTH_MAX or not _SUBSCRIPTION.fullmatch(name):
        raise InvalidRequest(
            f"{field} must be 1–{NAME_LENGTH_MAX} characters of A–Z a–z 0–9 _ . -",
            code="invalid_name",
            field=field,
        )
    return name


def check_new_subscription(name: str, field: str = "subscription") -> str:
    """As `check_subscription`, for one that does not exist: `.` and `..` are refused as well."""
    check_subscription(name, field)
    if name in DOT_SEGMENTS:
        raise InvalidRequest(
            f"{field} may not be {name!r}: it would be taken out of the addresses of the HTTP API",
            code="invalid_name",
            field=field,
        )
    return name


def check_tenant(name: str, field: str = "name") -> str:
    """Return the name of a tenant unchanged, or raise InvalidRequest `invalid_name`."""
    if not _TENANT.fullmatch(name):
        raise InvalidRequest(
            f"{field} must be 1–63 characters of a–z 0–9 _ -, the first a letter or a digit",
            code="invalid_name",
            field=field,
        )
    return name


def is_node(name: str) -> bool:
    """Whether a node may be called so."""
    return len(name) <= NAME_LENGTH_MAX and _NODE.fullmatch(name) is not None


def named(name: str, tenant: str) -> str:
    """A topic or a subscription for the log, where names of several tenants stand side by side."""
    return f"{name!r}{of_tenant(tenant)}"


def of_tenant(tenant: str) -> str:
    """Whose something is, behind its name in a log line; nothing for the tenant that is always there."""
    return "" if tenant == DEFAULT_TENANT else f" of tenant {tenant!r}"


def check_key(text: str, field: str) -> str:
    """Return the key of a message, or an idempotency key, unchanged, or raise InvalidRequest."""
    if not 1 <= len(text) <= KEY_MAX_CHARS:
        raise InvalidRequest(f"{field} must have 1 to {KEY_MAX_CHARS} characters", field=field)
    return check_text(text, field, KEY_MAX_CHARS)


def own_key(text: str) -> str:
    """An idempotency key of the server's own: longer than `check_key` allows, so that no client publishes
    under it, by accident or on purpose."""
    return text.ljust(KEY_MAX_CHARS + 1)


def check_bytes(text: str, field: str, max_bytes: int) -> str:
    """As `check_text`, with a bound on the text in UTF-8."""
    if len(text.encode()) > max_bytes:
        raise InvalidRequest(f"{field} may have {max_bytes} bytes in UTF-8", field=field)
    return check_text(text, field, max_bytes)


def check_text(text: str, field: str, max_chars: int) -> str:
    """Return a text of a client's choice unchanged, or raise InvalidRequest: the bound, or U+0000, which not
    every store can keep or look for. So no store refuses what another takes."""
    if len(text) > max_chars:
        raise InvalidRequest(f"{field} may have {max_chars} characters", field=field)
    if "\0" in text:
        raise InvalidRequest(f"{field} may not have the character U+0000", field=field)
    return text


def check_line(text: str, field: str, max_chars: int) -> str:
    """As `check_text`, for what people read and type: control characters are refused, such as tabs and line
    breaks."""
    check_text(text, field, max_chars)
    if not _LINE.fullmatch(text):
        raise InvalidRequest(
            f"{field} may have no control characters, such as tabs and line breaks", field=field
        )
    return text


def is_id(text: str) -> bool:
    """Whether it looks as ids of messages, dead letters and jobs do; nothing else has to be looked for."""
    return _ID.fullmatch(text) is not None


def time_of(an_id: str) -> int:
    """When one of our ids was made, in ms (RFC 9562, section 5.7)."""
    return int(an_id.replace("-", "")[:12], 16)
