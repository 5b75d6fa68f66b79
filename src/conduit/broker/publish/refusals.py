"""What publishers were refused with: counted by code, and told in the log, seldom."""

from __future__ import annotations

from conduit.broker.causes import Causes
from conduit.broker.stats import Stats
from conduit.errors import ConduitError, StateError, Unavailable


class Refusals:
    """The log tells of those that are the server's: a publisher's own faults are told to the publisher."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        self._causes = Causes("publishes")

    def add(self, error: ConduitError) -> None:
        """A publish was answered with this."""
        counts = self._stats.publish_errors
        counts[error.code] = counts.get(error.code, 0) + 1
        if isinstance(error, Unavailable | StateError):
            self._causes.add(error)

    def tick(self, now: float) -> None:
        """See `Causes.tick`."""
        self._causes.tick(now)
