"""Who had a durable subscription when, and who had a lease, by what the database has noted. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.chaos.history import Claimed, ClusterHistory, Kind, Leased, Struck

# Faults in which what an owner has handed out may be under way for as long as they last, and in which it
# loses the connections of others.
STANDS_STILL: frozenset[Kind] = frozenset({"stop", "nodes", "links"})
LOSES: frozenset[Kind] = STANDS_STILL | {"kill", "rolling"}
# A node without a lease is none for the others: they give its clients' connections up.
LOSES_LEASE: frozenset[Kind] = LOSES | {"node-postgres", "postgres"}
ENDS: frozenset[Kind] = frozenset({"kill", "rolling", "stop"})
# After a fault its effects are for so long those of the fault.
AFTERWARDS_S = 2.0
FOREVER = float("inf")


class Period(NamedTuple):
    """A subscription had one owner, with one fence, from `since` until `until`. `node` "": nobody."""

    node: str
    incarnation: str
    since: float
    until: float


class Window(NamedTuple):
    """From one moment to another."""

    since: float
    until: float


class Owners:
    """Of one durable subscription. Before the first claim there is nothing."""

    def __init__(self, claimed: Sequence[Claimed]) -> None:
        changes: list[Claimed] = []
        for claim in claimed:
            before = changes[-1] if changes else None
            if before is None or (before.fence, before.incarnation) != (
                claim.fence,
                claim.incarnation,
            ):
                changes.append(claim)
        ends = [each.at for each in changes[1:]] + [FOREVER]
        self.periods = [
            Period(each.node, each.incarnation, each.at, end)
            for each, end in zip(changes, ends, strict=True)
        ]
        self._starts = [each.at for each in changes]

    def index(self, at: float) -> int:
        """Which of the periods it was then; -1: before all."""
        return bisect_right(self._starts, at) - 1

    def at(self, at: float) -> str:
        """The node that had it then; "": nobody."""
        index = self.index(at)
        return self.periods[index].node if index >= 0 else ""


class Leases:
    """Of all processes of all nodes."""

    def __init__(self, leased: Sequence[Leased]) -> None:
        self._of: dict[str, list[Leased]] = defaultdict(list)
        for lease in leased:
            self._of[lease.incarnation].append(lease)

    def without(self, incarnation: str) -> Iterator[Window]:
        """When that process had none, from its first one on; the last has no end."""
        known = self._of[incarnation]
        for index, lease in enumerate(known):
            following = known[index + 1].at if index + 1 < len(known) else FOREVER
            if following > lease.until:
                yield Window(lease.until, following)

    def until(self, incarnation: str, at: float) -> float:
        """When the lease ends, as the database knew it at that moment; 0: it knew none."""
        known = self._of[incarnation]
        index = bisect_right([each.at for each in known], at) - 1
        return known[index].until if index >= 0 else 0.0


class Faults:
    """What was brought about, by the nodes that it was brought on."""

    def __init__(self, history: ClusterHistory) -> None:
        self._of: dict[str, list[Struck]] = defaultdict(list)
        for each in history.struck:
            for node in each.nodes:
                self._of[node].append(each)

    def on(self, node: str, kinds: frozenset[Kind], since: float, until: float) -> Iterator[Struck]:
        """Those of these kinds that that node had, or still felt, between these moments."""
        for each in self._of[node]:
            if each.kind in kinds and each.at <= until and each.until + AFTERWARDS_S >= since:
                yield each

    def felt(self, node: str, kinds: frozenset[Kind], since: float, until: float) -> bool:
        """Whether there were any."""
        return any(True for _ in self.on(node, kinds, since, until))


def idle_windows(owners: Owners, leases: Leases) -> list[tuple[Window, str]]:
    """When nobody may hand out of that subscription, and who had it then, or last."""
    found: list[tuple[Window, str]] = []
    last = ""
    for period in owners.periods:
        if not period.node:
            found.append((Window(period.since, period.until), last))
            continue
        last = period.node
        for without in leases.without(period.incarnation):
            window = Window(max(without.since, period.since), min(without.until, period.until))
            if window.since < window.until:
                found.append((window, period.node))
    return found
