"""What publishers were refused with: counted by code, and told in the log, seldom."""

from __future__ import annotations

import logging

from conduit.broker.stats import Stats
from conduit.errors import ConduitError, Unavailable

# Between two log lines about one code.
WARNING_INTERVAL_S = 60.0

logger = logging.getLogger(__name__)


class Refusals:
    """The log tells of those that are the server's: a publisher's own faults are told to the publisher."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        # By code, since the last line about it: how many, and the newest reason.
        self._untold: dict[str, tuple[int, str]] = {}
        self._told_at: dict[str, float] = {}

    def add(self, error: ConduitError) -> None:
        """A publish was answered with this."""
        counts = self._stats.publish_errors
        counts[error.code] = counts.get(error.code, 0) + 1
        if isinstance(error, Unavailable):
            count, _ = self._untold.get(error.code, (0, ""))
            self._untold[error.code] = count + 1, error.detail

    def tick(self, now: float) -> None:
        """Tell of each code at once when it comes up, then at most once in WARNING_INTERVAL_S. Call it
        every second."""
        for code in [*self._untold]:
            if now >= self._told_at.get(code, now - WARNING_INTERVAL_S) + WARNING_INTERVAL_S:
                count, reason = self._untold.pop(code)
                self._told_at[code] = now
                logger.warning(
                    "publishes refused with %s: %d, the last because: %s", code, count, reason
                )
