"""Telling of dead letters that were not kept, or not with their messages: counted, and logged at times."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from conduit.broker.clock import Clock
from conduit.broker.stats import Stats
from conduit.names import named
from conduit.storage.dead_letters import Loss

# The log has them at most this often, with so many lines.
LOG_INTERVAL_S = 60.0
LINES_MAX_COUNT = 10

Place = tuple[str, str, str]

logger = logging.getLogger(__name__)


class LossTeller:
    """Counts all losses, and logs what they sum up to: the largest by name, the others as one number."""

    def __init__(self, stats: Stats, clock: Clock) -> None:
        self._stats = stats
        self._clock = clock
        # Not logged yet.
        self._waiting: dict[Place, Loss] = {}
        self._log_at = clock.now()

    def tell(self, losses: Iterable[Loss]) -> None:
        """Of these, and of those before that were not logged yet. Call it every few seconds."""
        for loss in losses:
            self._stats.dead_letter_dropped_count += loss.dropped_count
            self._stats.dead_letter_lost_count += loss.lost_count
            place = (loss.tenant, loss.subscription, loss.topic)
            waiting = self._waiting.setdefault(place, Loss(*place))
            waiting.dropped_count += loss.dropped_count
            waiting.lost_count += loss.lost_count
        now = self._clock.now()
        if self._waiting and now >= self._log_at:
            self._log_at = now + LOG_INTERVAL_S
            self._log()

    def _log(self) -> None:
        largest = sorted(self._waiting.values(), key=_size, reverse=True)
        self._waiting = {}
        for loss in largest[:LINES_MAX_COUNT]:
            if loss.dropped_count:
                logger.warning(
                    "%d dead letters of %s were dropped: there were too many, or they were too old",
                    loss.dropped_count,
                    _name(loss),
                )
            if loss.lost_count:
                logger.warning(
                    "%d dead letters of %s are without their messages, which retention or a bound had"
                    " removed before they died",
                    loss.lost_count,
                    _name(loss),
                )
        if rest := largest[LINES_MAX_COUNT:]:
            logger.warning("so were %d dead letters of others", sum(map(_size, rest)))


def _size(loss: Loss) -> int:
    return loss.dropped_count + loss.lost_count


def _name(loss: Loss) -> str:
    if loss.subscription:
        return f"subscription {named(loss.subscription, loss.tenant)}"
    if loss.topic:
        return f"subscribers without a name of topic {named(loss.topic, loss.tenant)}"
    return "several"
