"""Whether this node may hand out as the owner of durable subscriptions.

A store that one process has for itself knows no other owner: nothing is asked, and nothing recorded. Where
nodes share a log, each has a lease, and hands out of a subscription only

- while its lease holds, by its own clock: it ends there before it ends in the store, and nobody else may
  claim what the node has before that;
- if the subscription is known to be its own in this *term* of the lease: it was claimed in it, or the store
  was asked in it. A lease that was lost and is held again is another term: another node may have claimed
  meanwhile, run the subscription, and given it up.

The fence refuses what a stale owner stores, the lease what it would hand out.
"""

from __future__ import annotations

from collections.abc import Callable

# Of a node that has no lease; no term has this number.
NO_TERM = 0


class Title:
    """One per node, asked by the groups of durable subscriptions before they hand out anything."""

    __slots__ = ("_holds", "owner", "takes_over", "term")

    def __init__(self) -> None:
        self.owner: str | None = None
        """The incarnation of this node, under which it claims; None: no owner is recorded, nor a lease
        needed."""
        self.takes_over = True
        """Whether it takes subscriptions from nodes whose leases hold: who cannot reach them has no other way
        to serve its clients."""
        self.term = NO_TERM
        """Of the lease that it has. It may have lapsed, and nobody has told yet: see `holds`."""
        self._holds: Callable[[], bool] = _never

    def begin(self, owner: str, holds: Callable[[], bool], *, takes_over: bool) -> None:
        """From now on this node needs a lease; it has none yet. `holds` says whether one holds at the moment
        of the call."""
        self.owner, self._holds, self.takes_over = owner, holds, takes_over

    def holds(self, term: int) -> bool:
        """Whether what is known to be this node's in that term may be handed out now."""
        return NO_TERM != term == self.term and self._holds()

    def end(self) -> None:
        """Hand out nothing any more, whatever becomes of the lease."""
        self.term, self._holds = NO_TERM, _never


def _never() -> bool:
    return False
