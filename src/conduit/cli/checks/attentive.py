"""What needs a look by a server's own account: subscriptions, dead letters, limits. Pure."""

from __future__ import annotations

from typing import Any

from conduit.cli.checks.finding import Finding, failure, ok, unseen, warning
from conduit.cli.checks.refused import why_not
from conduit.cli.output import counted
from conduit.errors import ConduitError

# Of one kind, so that many of one hide no other.
NAMED_MAX_COUNT = 5
# Of a limit, from which on it is as good as reached.
FULL_PART = 0.98

Attention = dict[str, Any] | ConduitError

_MEND = {
    "full": "its consumers fail: look at their log, then at `conduit dlq ls`. Nothing new goes out until "
    "some are settled",
    "slow": "add consumers, or make them faster",
    "absent": "start its consumer; or `conduit subscription rm` it, if nobody wants it any more",
    "paused": "`conduit subscription resume` it, if that was not meant",
}
_SAID = {
    "full": "so many messages wait for another attempt that nothing new is delivered",
    "slow": "more comes than its consumers do",
    "absent": "nobody is attached",
    "paused": "paused",
}
_SILENT = "the answer of the server says nothing of them"


def subscriptions(found: Attention) -> list[Finding]:
    """Those with a backlog and a trouble."""
    name = "subscriptions"
    if isinstance(found, ConduitError):
        return [unseen(name, why_not(found, "manage for all topics"))]
    if "counts" not in found:
        return [unseen(name, _SILENT)]
    told = []
    for trouble, count in found["counts"].items():
        some = [each for each in found["subscriptions"] if each["trouble"] == trouble]
        named = ", ".join(_named(each) for each in some[:NAMED_MAX_COUNT])
        more = count - min(len(some), NAMED_MAX_COUNT)
        seen = f"{_SAID.get(trouble, trouble)}: {named}" + (f", and {more:,} more" if more else "")
        kind = failure if trouble == "full" else warning
        told.append(kind(name, seen, _MEND.get(trouble, "look at it: `conduit subscription get`")))
    told += partial(name, found)
    if found.get("is_fresh") is not True:
        age_s = found.get("age_s")
        age = "not yet" if age_s is None else f"{age_s:.0f} s ago"
        told.append(unseen(name, f"a node has looked at them last {age}: there may be more"))
    return told or [ok(name, "none lags that is paused, too slow, or has nobody attached")]


def partial(check: str, found: dict[str, Any]) -> list[Finding]:
    """Whether nodes are missing in an answer that is of all of them."""
    count = found.get("unanswered_count", 0)
    if not count:
        return []
    return [
        unseen(check, f"{counted(count, 'node')} did not answer, so what is there is not known")
    ]


def _named(one: dict[str, Any]) -> str:
    whose = "" if one.get("tenant") == "default" else f" of tenant {one.get('tenant')}"
    return f"{one['name']}{whose} ({counted(one['lag'], 'message')})"


def dead_letters(found: Attention) -> list[Finding]:
    """Those that were not redriven."""
    name = "dead letters"
    if isinstance(found, ConduitError):
        return [unseen(name, why_not(found, "manage for all topics"))]
    count = found.get("dead_letters")
    if count is None:
        return [unseen(name, _SILENT)]
    if not count:
        return [ok(name, "none")]
    tenants = found.get("dead_letters_by_tenant", [])[:NAMED_MAX_COUNT]
    by = ", ".join(f"{each['tenant']} {each['dead_letters']:,}" for each in tenants)
    return [
        warning(
            name,
            f"{count:,} that were not redriven" + (f": {by}" if by else ""),
            "`conduit dlq groups` says of what they died; when that is mended, `conduit dlq redrive`",
        )
    ]


def quotas(found: Attention) -> list[Finding]:
    """Limits of tenants that are used to 80 % or more."""
    if isinstance(found, ConduitError):
        return []
    told = []
    for each in found.get("quotas", [])[:NAMED_MAX_COUNT]:
        part = each["used"] / each["max"] if each["max"] else 1.0
        seen = f"tenant {each['tenant']} uses {part:.0%} of its {each['limit']}"
        kind = failure if part >= FULL_PART else warning
        told.append(
            kind("limits", seen, "`conduit tenant change` raises it, or let the tenant use less")
        )
    return told
