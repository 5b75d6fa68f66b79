"""With which nodes this one deals, where no leases say who lives: those that say that they are there, and
those that it has a link to.

What nodes say of themselves may be lost with the place where they say it, and one of them may not reach that
place; and whoever can write there can say anything. A link is the better proof: both sides have shown that
they have the secret, and who answers on it is there, whatever is said. So what is said ends no link, and a
node goes when it is neither seen nor linked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from conduit.core.members import NODES_MAX_COUNT, Member, Node


class Acquainted:
    """Of one name there is one node: the one that is linked, if one is, and else the one that is seen."""

    def __init__(self) -> None:
        self._seen: dict[str, Member] = {}
        self._linked: set[Node] = set()
        self._nodes: dict[str, Member] = {}

    @property
    def nodes(self) -> Sequence[Member]:
        """By name."""
        return [self._nodes[name] for name in sorted(self._nodes)]

    def look(self, seen: Iterable[Member]) -> None:
        """These say that they are there, one of each name, and no others."""
        self._seen = {member.name: member for member in seen}
        self._settle()

    def link_up(self, node: Node) -> None:
        """There is a link to it."""
        self._linked.add(node)

    def link_down(self, node: Node) -> None:
        """There is none any more."""
        self._linked.discard(node)
        self._settle()

    def _settle(self) -> None:
        seen = self._seen
        found = {name: each for name, each in self._nodes.items() if each.node in self._linked}
        for name, member in found.items():
            if name in seen and seen[name].node == member.node:
                # It may have another address by now.
                found[name] = seen[name]
        for name, member in seen.items():
            if len(found) >= NODES_MAX_COUNT:
                break
            found.setdefault(name, member)
        self._nodes = found
