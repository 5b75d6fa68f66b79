"""Other nodes on the same log: whether there are any, and what the log of this one tells of that."""

from __future__ import annotations

import logging

from conduit.storage.base import Store

# Between two lines: nodes that come and go all the time do not fill the log.
TELL_INTERVAL_S = 10.0
# So long it may be somebody else's log too after the last other one was seen, which may have stored something
# just before.
ALONE_AFTER_S = 5.0

logger = logging.getLogger(__name__)


class Company:
    """How many nodes use the log, and how many the log of this one was told of last. Of those that are meant
    to be there it is told nothing."""

    def __init__(self, store: Store, meant_count: int = 1) -> None:
        self._store = store
        self._meant_count = self._told_count = meant_count
        self._tell_at = float("-inf")
        self._seen_at = float("-inf")
        self._now = 0.0
        self.linked_count = 0
        """Other nodes that there are links to."""
        self.live_count = 1
        """Nodes that have a lease, this one among them; 0: it is not known yet."""
        self.has_leases = False
        """Whether nodes have any here: else servers are counted by what they say in the store, in which one
        that was killed is there for ten seconds more."""

    @property
    def may_be_shared(self) -> bool:
        """Whether others may use the store although they were not seen yet: one that has just begun."""
        return self._store.nodes is not None or self.is_shared

    @property
    def is_shared(self) -> bool:
        """Whether others may change what is in the store."""
        is_seen = self._store.server_count > 1 or self._now < self._seen_at + ALONE_AFTER_S
        return is_seen or self.linked_count > 0 or self.live_count != 1

    def tick(self, now: float, *, takes_over: bool) -> None:
        """Look how many there are; `takes_over`: see `Title`. Call it every second."""
        server_count, self._now = self._store.server_count, now
        if server_count > 1 or self.live_count > 1:
            self._seen_at = now
        if self.has_leases:
            # 0: nothing new is known.
            server_count = self.live_count or self._told_count
        server_count = max(server_count, self._meant_count)
        if server_count == self._told_count or now < self._tell_at:
            return
        self._told_count, self._tell_at = server_count, now + TELL_INTERVAL_S
        if server_count > self._meant_count and takes_over:
            logger.warning(
                "%d servers use this log and have no links: what is published or changed at one is known at"
                " the others within a second or two, and a durable subscription moves to the one at which"
                " somebody attaches to it last; give all of them INTERNAL_SECRET (docs/cluster.md)",
                server_count,
            )
        elif server_count > self._meant_count:
            logger.info("%d servers use this log", server_count)
        else:
            logger.info("this server uses the log alone again")
