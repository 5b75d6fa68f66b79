"""Rights: what a credential may do, to which topics and durable subscriptions.

A grant is a scope with patterns. The same records are on the wire, in the store and in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Annotated, Literal, get_args

import msgspec

from conduit.errors import InvalidRequest
from conduit.names import NAME_LENGTH_MAX, PATTERN_SCHEMA, TEXT_SCHEMA, check_pattern, check_text

Scope = Literal["publish", "subscribe", "manage", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
# Of one credential. Each publish may be compared with all of them.
GRANTS_MAX_COUNT = 8
PATTERNS_MAX_COUNT = 32
# In all grants of one credential: where one gives rights to another each is compared with each, at once.
ALL_PATTERNS_MAX_COUNT = 64
# Patterns that are kept taken apart; a few of the longest take 5 KB each.
_SPLIT_MAX_COUNT = 1_024

_ONE, _REST = "*", ">"


# Described and not checked: `check_grants` does that, with codes of its own.
_SOME = msgspec.Meta(extra_json_schema={"minItems": 1, "maxItems": PATTERNS_MAX_COUNT})
_Pattern = Annotated[str, msgspec.Meta(extra_json_schema=PATTERN_SCHEMA)]
_Patterns = Annotated[tuple[_Pattern, ...], _SOME]
_Text = Annotated[str, msgspec.Meta(extra_json_schema=TEXT_SCHEMA)]
_SubscriptionPatterns = Annotated[tuple[_Text, ...], _SOME]


class Grant(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """One scope. `topics`: patterns of the topics that it is for; None: all of the tenant's.

    `subscriptions`, of `subscribe`: patterns of the names of durable subscriptions that may be used, by dots
    as topics are; None: all, for a key, and none, for a token.
    """

    scope: Scope
    topics: _Patterns | None = None
    subscriptions: _SubscriptionPatterns | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing limits it to some topics or subscriptions."""
        return self.topics is None and self.subscriptions is None


def check_grants(grants: Sequence[Grant], field: str = "scopes") -> tuple[Grant, ...]:
    """Return what a request may give, or raise InvalidRequest that names the part of `field`."""
    if not 1 <= len(grants) <= GRANTS_MAX_COUNT:
        raise InvalidRequest(f"{field} must have 1 to {GRANTS_MAX_COUNT} entries", field=field)
    for index, grant in enumerate(grants):
        at = f"{field}.{index}"
        if grant.scope == "admin" and not grant.is_whole:
            raise InvalidRequest("admin is for everything: it has no patterns", field=f"{at}.scope")
        if grant.subscriptions is not None and grant.scope != "subscribe":
            raise InvalidRequest(
                "only subscribe is limited to subscriptions", field=f"{at}.subscriptions"
            )
        _check_patterns(grant.topics, f"{at}.topics")
        for name in _counted(grant.subscriptions, f"{at}.subscriptions"):
            check_text(name, f"{at}.subscriptions", NAME_LENGTH_MAX)
    count = sum(len(each.topics or ()) + len(each.subscriptions or ()) for each in grants)
    if count > ALL_PATTERNS_MAX_COUNT:
        raise InvalidRequest(
            f"{field} may have {ALL_PATTERNS_MAX_COUNT} patterns in all", field=field
        )
    return tuple(grants)


def _check_patterns(patterns: Sequence[str] | None, field: str) -> None:
    for pattern in _counted(patterns, field):
        check_pattern(pattern, field)


def _counted(patterns: Sequence[str] | None, field: str) -> Sequence[str]:
    if patterns is not None and not 1 <= len(patterns) <= PATTERNS_MAX_COUNT:
        raise InvalidRequest(f"{field} must have 1 to {PATTERNS_MAX_COUNT} patterns", field=field)
    return patterns or ()


def covers(wide: str, narrow: str) -> bool:
    """Whether every topic of the pattern, or the topic, `narrow` is one of the pattern `wide`.

    Both must be valid. A topic is a pattern of itself.
    """
    if wide in (narrow, _REST):
        return True
    outer, inner = _split(wide), _split(narrow)
    if outer[-1] == _REST:
        outer = outer[:-1]
        if len(inner) <= len(outer):
            return False
        # What `>` stands for may be anything, and at least one token: `inner` may end with one of its own.
    elif len(inner) != len(outer):
        return False
    for want, token in zip(outer, inner, strict=False):
        # A `>` among these stands for more than one token, which neither `*` nor a token does.
        if want != token and (want != _ONE or token == _REST):
            return False
    return True


@lru_cache(_SPLIT_MAX_COUNT)
def _split(pattern: str) -> tuple[str, ...]:
    return tuple(pattern.split("."))


def covered(patterns: Iterable[str] | None, narrow: str) -> bool:
    """Whether one of the patterns covers it; None is all."""
    return patterns is None or any(covers(each, narrow) for each in patterns)


def within(narrow: Grant, wide: Sequence[Grant]) -> bool:
    """Whether a grant gives nothing that these do not give. Who has `admin` has everything."""
    return any(
        each.scope in ("admin", narrow.scope)
        and _all_within(narrow.topics, each.topics)
        and _all_within(narrow.subscriptions, each.subscriptions)
        for each in wide
    )


def _all_within(narrow: Sequence[str] | None, wide: Sequence[str] | None) -> bool:
    if wide is None:
        return True
    return narrow is not None and all(covered(wide, each) for each in narrow)
