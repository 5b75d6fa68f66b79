"""The nodes of a cluster, as the one knows them that was asked. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conduit.cli.checks.asked import NODES_MAX_COUNT
from conduit.cli.checks.finding import Finding, failure, ok, unseen, warning
from conduit.cli.checks.refused import why_not
from conduit.cli.output import duration_text
from conduit.errors import ConduitError

if TYPE_CHECKING:
    from conduit.cli.checks.asked import Answered
    from conduit.client import Node

# Of a loop that has nothing to do it is a millisecond; from here on, clients notice.
LAG_WARNING_S = 0.1
LAG_FAILURE_S = 1.0
# A lease is renewed each second, and over after three.
LEASE_LATE_S = 2.0
NAMED_MAX_COUNT = 5


def nodes(found: Answered) -> list[Finding]:
    """Whether all are up, alike, in time, and linked."""
    if isinstance(found.nodes, ConduitError):
        return [*_unanswered(found.stats), unseen("nodes", why_not(found.nodes, "admin"))]
    every = found.nodes[:NODES_MAX_COUNT]
    live = [each for each in every if each.state != "down"]
    well = [each for each in live if each.state != "draining" and not each.unanswered]
    told = _absent(every)
    if well:
        told.append(ok("nodes", f"{len(well)} up: {_names(well)}"))
    if not every:
        told.append(unseen("nodes", "the server names none, not even itself"))
    if len(found.nodes) > len(every):
        told.append(unseen("nodes", f"there are more than {NODES_MAX_COUNT}: `conduit node ls`"))
    return [*told, *_versions(live), *_leases(live), *_lags(live)] if live else told


def _unanswered(stats: dict[str, Any] | ConduitError) -> list[Finding]:
    """What even those hear who may not know nodes."""
    count = 0 if isinstance(stats, ConduitError) else stats.get("unanswered_count", 0)
    if not count:
        return []
    do = "ask an operator, whose key has admin: `conduit node ls` says which"
    return [warning("nodes", f"{count} of them live, and do not answer", do)]


def _names(some: list[Node]) -> str:
    named = ", ".join(each.id for each in some[:NAMED_MAX_COUNT])
    more = len(some) - NAMED_MAX_COUNT
    return f"{named}, and {more} more" if more > 0 else named


def _absent(every: list[Node]) -> list[Finding]:
    told = []
    for each in every:
        if each.state == "down":
            ago = "" if each.lease_age_s is None else f" for {duration_text(each.lease_age_s)}"
            told.append(
                failure(
                    "nodes",
                    f"{each.id} at {each.address} is down{ago}",
                    "start it again, and look into its log for why it ended. One that was taken away for "
                    "good is listed for an hour",
                )
            )
        elif each.state == "draining":
            phase = f" ({each.phase})" if each.phase else ""
            told.append(
                warning(
                    "nodes",
                    f"{each.id} is draining{phase}: it takes nothing new",
                    f"`conduit node undrain {each.id}` has it serve again, if that was not meant",
                )
            )
        if each.state != "down" and each.unanswered:
            told.append(
                warning(
                    "nodes",
                    f"{each.id} at {each.address} lives, and does not answer: {each.unanswered}",
                    "look whether the nodes reach each other at their NODE_ADDR",
                )
            )
    return told


def _versions(live: list[Node]) -> list[Finding]:
    by_version: dict[str, list[Node]] = {}
    for each in live:
        by_version.setdefault(each.version or "unknown", []).append(each)
    if set(by_version) == {"unknown"}:
        return [unseen("versions", "no node has said it")]
    if len(by_version) < 2:
        return [ok("versions", f"all nodes are {version}") for version in by_version]
    seen = "; ".join(f"{version}: {_names(some)}" for version, some in sorted(by_version.items()))
    return [
        warning(
            "versions",
            f"nodes differ: {seen}",
            "finish the upgrade: two versions are for its time only",
        )
    ]


def _leases(live: list[Node]) -> list[Finding]:
    late = [each for each in live if (each.lease_age_s or 0) > LEASE_LATE_S]
    unknown = [each for each in live if each.lease_age_s is None]
    if late:
        return [
            warning(
                "leases",
                f"renewed late: {_names(late)}",
                "look at the load of these machines and of the database: a lease is over after 3 s, and its "
                "subscriptions go to other nodes",
            ),
            *_silent("leases", unknown),
        ]
    if len(live) < 2:
        return []
    return _silent("leases", unknown) or [ok("leases", "all were renewed in the last 2 s")]


def _lags(live: list[Node]) -> list[Finding]:
    known = [(each.loop_lag_s, each.id) for each in live if each.loop_lag_s is not None]
    unknown = [each for each in live if each.loop_lag_s is None]
    if not known:
        return [unseen("loop lag", "no node has said it")]
    return [_lag(known), *_silent("loop lag", unknown)]


def _silent(check: str, some: list[Node]) -> list[Finding]:
    return [unseen(check, f"nothing is known of {_names(some)}")] if some else []


def _lag(known: list[tuple[float, str]]) -> Finding:
    lag_s, name = max(known)
    seen = f"up to {lag_s * 1000:.1f} ms, at {name}"
    do = "the node has more to do than one core can: add a node, or more workers (CONDUIT_WORKERS)"
    if lag_s >= LAG_FAILURE_S:
        return failure("loop lag", seen, do)
    return warning("loop lag", seen, do) if lag_s >= LAG_WARNING_S else ok("loop lag", seen)
