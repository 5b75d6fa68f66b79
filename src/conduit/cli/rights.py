"""What people type, and read, for rights, limits and how long a key is good."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from conduit.cli.output import F, size_text
from conduit.cli.values import NO_BOUND, Parsed, parse_count, parse_duration, parse_size, parse_time
from conduit.errors import InvalidRequest

if TYPE_CHECKING:
    from conduit.grants import Grant
    from conduit.limits import TenantLimits

# Of `grants.py` and `limits.py`, which `--help` does not load; a test compares them.
SCOPES = ("publish", "subscribe", "manage", "admin")
LIMITS = (
    "publishes_per_s",
    "publish_bytes_per_s",
    "deliveries_per_s",
    "connections",
    "subscriptions",
    "topics",
    "stored_bytes",
    "message_bytes",
    "dead_letters",
    "pending_retries",
)
KEY_LIMITS = ("publishes_per_s", "publish_bytes_per_s", "connections", "message_bytes")

_SCOPE = re.compile(r"(\w+)(?::([^@]+))?(?:@(.+))?")

Scope = Mapping[str, object]
"""A grant as it is on the wire."""
Limits = Sequence[tuple[str, int | None]]
"""Bounds by their names; None: none."""


def parse_scope(text: str) -> Scope:
    """`publish`, `publish:orders.*,logs`, `subscribe:orders.>@billing`: a scope, patterns of topics, patterns
    of subscriptions. Raises ValueError."""
    found = _SCOPE.fullmatch(text)
    if found is None or found[1] not in SCOPES:
        raise ValueError(
            f"{text!r} is not a scope ({', '.join(SCOPES)}), nor one with patterns, such as "
            "publish:orders.*,logs or subscribe:orders.>@billing"
        )
    # Not on top: `conduit --help` does without.
    from conduit.names import check_pattern

    grant: dict[str, object] = {"scope": found[1]}
    if found[2] is not None:
        grant["topics"] = found[2].split(",")
        for pattern in found[2].split(","):
            try:
                check_pattern(pattern, f"{pattern!r} in {text!r}")
            except InvalidRequest as error:
                raise ValueError(error.detail) from None
    if found[3] is not None:
        grant["subscriptions"] = found[3].split(",")
    return grant


def parse_limit(text: str, names: Sequence[str]) -> tuple[str, int | None]:
    """`topics=100`, `stored_bytes=10GiB`, `connections=none`. Raises ValueError."""
    name, equals, value = text.partition("=")
    if name not in names or not equals:
        raise ValueError(
            f"{text!r} is not NAME=NUMBER or NAME=none, with one of {', '.join(names)}"
        )
    if value == NO_BOUND:
        return name, None
    return name, (parse_size if "bytes" in name else parse_count)(value)


def parse_expiry(text: str) -> float | str:
    """Seconds, for a duration; without end for `none`; or a time. Raises ValueError."""
    if text == NO_BOUND:
        return math.inf
    if text[:4].isdecimal() and "-" in text:
        return parse_time(text, datetime.now(UTC))
    try:
        seconds = parse_duration(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither a duration such as 90d, nor a time such as 2027-05-01T12:00:00Z, nor none"
        ) from None
    if seconds < 1:
        raise ValueError(f"{text!r} is shorter than a second")
    return seconds


def moment_of(expiry: float | str) -> str | None:
    """When that is; None: never."""
    if isinstance(expiry, str):
        return expiry
    if expiry == math.inf:
        return None
    at = datetime.now(UTC) + timedelta(seconds=expiry)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


SCOPE = Parsed("scope", parse_scope)
EXPIRY = Parsed("time", parse_expiry)


def with_scopes(*, required: bool) -> Callable[[F], F]:
    """Adds the option `--scope`; the command gets `scopes`."""
    return click.option(
        "--scope",
        "scopes",
        type=SCOPE,
        metavar="SCOPE",
        multiple=True,
        required=required,
        help="publish, subscribe, manage or admin; with patterns behind it for some topics only: "
        "'publish:orders.*,logs', and for some durable subscriptions: 'subscribe:orders.>@billing'. "
        "May be repeated.",
    )


def with_limits(names: Sequence[str]) -> Callable[[F], F]:
    """Adds the option `--limit`; the command gets `limits`."""
    return click.option(
        "--limit",
        "limits",
        type=Parsed("limit", lambda text: parse_limit(text, names)),
        metavar="NAME=NUMBER",
        multiple=True,
        help=f"A bound, or none: {', '.join(names)}. May be repeated.",
    )


def grants_of(scopes: Iterable[Scope]) -> list[Grant]:
    """What the options say, as the client takes it."""
    from msgspec import convert

    from conduit.grants import Grant

    return convert(list(scopes), list[Grant])


def scopes_text(grants: Iterable[Grant]) -> str:
    """As `parse_scope` takes them, with blanks in between."""
    texts = []
    for grant in grants:
        topics = "" if grant.topics is None else f":{','.join(grant.topics)}"
        names = "" if grant.subscriptions is None else f"@{','.join(grant.subscriptions)}"
        texts.append(f"{grant.scope}{topics}{names}")
    return " ".join(texts)


def limits_text(limits: TenantLimits) -> str:
    """Those that there are, on one line."""
    found = [(name, getattr(limits, name)) for name in LIMITS]
    return ", ".join(f"{name} {bound_text(name, most)}" for name, most in found if most is not None)


def bound_text(name: str, most: int) -> str:
    """One bound, in its unit."""
    return size_text(most) if "bytes" in name else f"{most:,}"
