"""With which nodes this one deals, where no leases say who lives: those that say that they are there, and
those that it has a link to.

What nodes say of themselves may be lost with the place where they say it, and one of them may not reach that
place. A link is the better proof: who answers on it is there, whatever is said. So a node goes when it is
neither seen nor linked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from conduit.core.members import NODES_MAX_COUNT, Member, Node


class Acquainted:
    """Of one name there is one node: the one that is seen, if one is."""

    def __init__(self) -> None:
        self._seen: dict[str, Member] = {}
        self._linked: set[Node] = set()
        # Not seen any more, but linked.
        self._kept: dict[str, Member] = {}

    @property
    def nodes(self) -> Sequence[Member]:
        """By name."""
        found = self._kept | self._seen
        return [found[name] for name in sorted(found)]

    def look(self, seen: Iterable[Member]) -> None:
        """These say that they are there, one of each name, and no others."""
        before = self._kept | self._seen
        self._seen = {member.name: member for member in seen}
        self._keep(before.values())

    def link_up(self, node: Node) -> None:
        """There is a link to it."""
        self._linked.add(node)

    def link_down(self, node: Node) -> None:
        """There is none any more."""
        self._linked.discard(node)
        self._keep(self._kept.values())

    def _keep(self, known: Iterable[Member]) -> None:
        room = max(0, NODES_MAX_COUNT - len(self._seen))
        linked = [
            member
            for member in known
            if member.node in self._linked and member.name not in self._seen
        ]
        self._kept = {member.name: member for member in linked[:room]}
