"""Which nodes there are, as far as each says so itself: for a cluster without leases."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple, Protocol

import msgspec

# What was lost with everything else in the place where nodes say that they are there is not gone: each says
# it again as soon as it can.
FORGIVEN_S = 6.0
# Others that are kept. A cluster has some ten; more is somebody's mistake.
NODES_MAX_COUNT = 128


class Node(NamedTuple):
    """A node is a process: the same name after a restart is another one."""

    name: str
    incarnation: str
    """UUID version 7: a later one is greater, as far as clocks go."""


class Named(Protocol):
    """Whatever is known of a node by others: a lease, an identity, what it says of itself."""

    @property
    def name(self) -> str:
        """See `Node`."""

    @property
    def incarnation(self) -> str:
        """See `Node`."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """What a node says of itself."""

    name: str
    incarnation: str
    address: str
    """Where other nodes reach it."""
    version: str
    """Of the program."""
    since_ms: int
    """When it started: milliseconds since the epoch, by its own clock."""

    @property
    def node(self) -> Node:
        return Node(self.name, self.incarnation)


class Members:
    """The other nodes. Of several with one name only the one that started last counts."""

    def __init__(self, own: Node) -> None:
        self._own = own
        self._seen: dict[Node, Member] = {}
        self._forgiven_until = 0.0
        self._others: tuple[Member, ...] = ()

    @property
    def others(self) -> tuple[Member, ...]:
        """By name."""
        return self._others

    @property
    def seen(self) -> Collection[Node]:
        """All that are there, but this one."""
        return self._seen.keys()

    @property
    def has_double(self) -> bool:
        """Whether another process has the name of this one."""
        return any(node.name == self._own.name for node in self._seen)

    def forgive(self, now: float) -> None:
        """Others may seem to be gone, because what they said is lost or could not be said."""
        self._forgiven_until = now + FORGIVEN_S

    def look(self, found: Iterable[Member], now: float) -> bool:
        """These say now that they are there. Returns whether that changes anything."""
        seen = {member.node: member for member in found if member.node != self._own}
        if now < self._forgiven_until:
            seen = self._seen | seen
        while len(seen) > NODES_MAX_COUNT:
            del seen[min(seen, key=lambda node: node.incarnation)]
        return self._take(seen)

    def leave(self, node: Node) -> bool:
        """It says that it ends. Returns whether that changes anything."""
        return self._take({each: member for each, member in self._seen.items() if each != node})

    def _take(self, seen: dict[Node, Member]) -> bool:
        self._seen = seen
        newest: dict[str, Member] = {}
        for member in sorted(seen.values(), key=lambda member: member.node):
            if member.name != self._own.name:
                newest[member.name] = member
        others = tuple(newest.values())
        if others == self._others:
            return False
        self._others = others
        return True
