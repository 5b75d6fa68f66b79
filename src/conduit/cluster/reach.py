"""Which nodes are out of reach: they have a lease, and for OUT_OF_REACH_S there was no link to them. Pure.

A node that is dead or stands still loses its lease sooner than that. What is left is a network that is cut
between nodes while all of them reach the database, or a node with another secret or a wrong address.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable

# Longer than a lease, by as much as a node may take to begin, or others to hear that one has ended.
OUT_OF_REACH_S = 5.0


class Reach:
    """`now` is monotonic, in seconds. A node is known by its incarnation, or whatever else tells it apart."""

    def __init__(self) -> None:
        # Those without a link, since when.
        self._since: dict[Hashable, float] = {}

    def know(self, others: Iterable[Hashable], linked: Collection[Hashable], now: float) -> None:
        """These others live, and there are links to those."""
        self._since = {each: self._since.get(each, now) for each in others if each not in linked}

    def out(self, now: float) -> set[Hashable]:
        """Those that are out of reach."""
        return {each for each, since in self._since.items() if now >= since + OUT_OF_REACH_S}

    def next_in_s(self, now: float) -> float | None:
        """After how many seconds there may be one more."""
        left = [since + OUT_OF_REACH_S - now for since in self._since.values()]
        return min((each for each in left if each > 0), default=None)
