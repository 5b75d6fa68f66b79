"""The other nodes and what they want, as it is seen and heard in Redis."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence

from conduit.cluster.registry import wire
from conduit.cluster.registry.counts import Counts
from conduit.cluster.registry.wire import Announcement, Presence
from conduit.core.interest import Change, Interest
from conduit.core.members import Member, Members, Node

logger = logging.getLogger(__name__)

# Another process with the name of this node may be the one before, which was killed.
DOUBLE_AFTER_S = 15.0


class Others:
    """Who is there say the leases, once `set_live` was called; until then what nodes say of themselves in
    Redis does. `on_nodes` is told when the latter changes."""

    def __init__(self, own: Member, counts: Counts, on_nodes: Callable[[], None]) -> None:
        self._own = own
        self._counts = counts
        self._on_nodes = on_nodes
        self._has_leases = False
        # Since when there is another process with the name of this node; infinite once that was told.
        self._double_since: float | None = None
        self._members = Members(own.node)
        self.interest = Interest()

    @property
    def nodes(self) -> tuple[Member, ...]:
        """By what they say of themselves: this one, and the others by name."""
        return (self._own, *self._members.others)

    @property
    def has_double(self) -> bool:
        """Whether another process has the name of this one, and has had it for so long that it is not the one
        before."""
        return self._double_since == math.inf

    def set_live(self, nodes: Iterable[Node]) -> None:
        """These have leases; this node may be among them."""
        self._has_leases = True
        self.interest.set_nodes(node for node in nodes if node != self._own.node)

    def forgive(self, now: float) -> None:
        """What this node had said is gone from Redis, so what the others had may be too: they need time to
        say it again."""
        self._members.forgive(now)

    def disconnected(self) -> None:
        """Nothing is seen or heard any more."""
        self.interest.distrust()

    def look(self, found: Sequence[Presence], now: float) -> None:
        """All these are there."""
        if self._members.look(map(_member, found), now):
            self._changed()
        self.interest.keep_trust_in(self._members.seen)
        self._warn_of_double(now)
        for presence in found:
            self.interest.look(presence.node, presence.said)

    def hear(self, said: Announcement) -> bool:
        """This was announced. Returns whether it is by a node that was not seen yet."""
        if said.incarnation == self._own.incarnation:
            return False
        self._counts.heard += 1
        if said.is_leaving:
            if self._members.leave(said.node):
                self._changed()
            return False
        changes: Sequence[Change] | None = None
        if said.changes is not None:
            changes = wire.changes(said.changes)
            if len(changes) < len(said.changes):
                # What has changed is in its state.
                self._counts.malformed += len(said.changes) - len(changes)
                changes = None
        self.interest.hear(said.node, said.version, changes)
        return said.node not in self._members.seen

    def _changed(self) -> None:
        if not self._has_leases:
            self.interest.set_nodes(member.node for member in self._members.others)
        self._on_nodes()

    def _warn_of_double(self, now: float) -> None:
        if not self._members.has_double:
            self._double_since = None
        elif self._double_since is None:
            self._double_since = now
        elif now - self._double_since >= DOUBLE_AFTER_S:
            self._double_since = math.inf
            logger.warning(
                "another process of this cluster has the NODE_ID %s too: messages may miss one of them. Give"
                " each node a NODE_ID of its own",
                self._own.name,
            )


def _member(presence: Presence) -> Member:
    """Without what changes all the time."""
    return Member(
        name=presence.name,
        incarnation=presence.incarnation,
        address=presence.address,
        version=presence.version,
        since_ms=presence.since_ms,
    )
