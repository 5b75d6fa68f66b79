"""Connections that were closed because they did not drain: counted one by one, told in the log together."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from conduit.broker.stats import Stats

logger = logging.getLogger(__name__)

# Thousands may be closed at once, where a network fails: the line names some of them, and some of what each
# was subscribed to.
NAMED_MAX_COUNT = 5


class SlowClosed:
    """Those since the last line."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        self._count = 0
        self._named: list[str] = []

    def add(self, peer: object, names: Sequence[str]) -> None:
        """One is being closed: where it comes from (the socket's address), and the subscriptions it has, or
        the topics of those without a name."""
        self._stats.slow_closed_count += 1
        self._count += 1
        if len(self._named) < NAMED_MAX_COUNT:
            host, port = peer[:2] if isinstance(peer, tuple) else ("?", "?")
            shown = ", ".join(names[:NAMED_MAX_COUNT]) or "no subscription"
            more = len(names) - NAMED_MAX_COUNT
            self._named.append(f"{host}:{port} ({shown}{f' and {more} more' if more > 0 else ''})")

    def tell(self) -> None:
        """A line about them, if there were any. Call it every second."""
        if not self._count:
            return
        more = self._count - len(self._named)
        logger.info(
            "closed %d slow %s with 4008, which took too little: %s%s",
            self._count,
            "subscriber" if self._count == 1 else "subscribers",
            "; ".join(self._named),
            f" and {more} more" if more else "",
        )
        self._count, self._named = 0, []
