"""What publishers were refused with: counted by code, and told in the log, seldom."""

from __future__ import annotations

from conduit.broker.causes import Causes
from conduit.broker.stats import Stats
from conduit.errors import ConduitError, StateError
from conduit.protocol.codes import CODES


class Refusals:
    """A producer all of whose publishes are refused may be one that nobody looks at: so these are told here
    too, whether the fault is the server's or the publisher's.

    The broker adds what it refuses; who answers a publish without asking the broker adds that.
    """

    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        self._causes = Causes("publishes")

    def add(self, error: ConduitError) -> None:
        """A publish was answered with this."""
        counts = self._stats.publish_errors
        # As it is answered: a code is a label, and there are only so many.
        code = error.code if error.code in CODES else StateError.code
        counts[code] = counts.get(code, 0) + 1
        self._causes.add(error)

    def tick(self, now: float) -> None:
        """See `Causes.tick`."""
        self._causes.tick(now)
