"""This node's lease, and who is told when it is held and lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from conduit.broker.turn import guarded
from conduit.core.lease import Lease, Renewal, Turn
from conduit.storage.nodes import NodeRecord

# The loop's clock is another one than the lease's: its timer comes by so much later, not a little too early
# again and again.
LATE_S = 0.001

logger = logging.getLogger(__name__)


class Watcher(Protocol):
    """Who acts on what changes. Called on the loop; must not wait. That the lease is lost is told before all
    else, and who lives before that it is held."""

    def nodes_changed(self, live: Sequence[NodeRecord]) -> None:
        """These have a lease, as the store said last: by name, this node among them."""

    def lease_held(self, term: int) -> None:
        """This node has its lease, of a new term: what it began under another one it has to begin anew."""

    def lease_lost(self) -> None:
        """It has it no more, and may not act as if it had: another node may do so by now."""


class Tenure:
    """`core.lease.Lease` with a clock, a timer and watchers. `why` says why it is lost, for the log; None if
    that is meant."""

    def __init__(self, clock: Callable[[], float], why: Callable[[], str | None]) -> None:
        self._clock = clock
        self._why = why
        self._lease = Lease()
        self._watchers: list[Watcher] = []
        self._timer: asyncio.TimerHandle | None = None
        self.lost_count = 0
        """How often it was lost, other than meant."""

    def watch(self, watcher: Watcher) -> None:
        """Tell it of all that changes from now on."""
        self._watchers.append(watcher)

    def holds(self) -> bool:
        """Whether it is held at this moment."""
        return self._lease.holds(self._clock())

    @property
    def term(self) -> int:
        """See `Lease.term`."""
        return self._lease.term

    @property
    def left_s(self) -> float | None:
        """For how long it is held, unless it is prolonged; None if it is not."""
        until = self._lease.holds_until
        return None if until is None else until - self._clock()

    def look(self) -> None:
        """Tell if it has lapsed. To be called first by whatever acts."""
        self._tell(self._lease.look(self._clock()))

    def sent(self) -> Renewal:
        """A renewal is about to be sent."""
        return self._lease.sent(self._clock())

    def granted(self, renewal: Renewal) -> None:
        """The store has prolonged it."""
        self._tell(self._lease.granted(renewal, self._clock()))

    def give_up(self) -> None:
        """It is not held any more, whatever is still answered."""
        self._tell(self._lease.give_up())
        self._arm()

    def nodes_changed(self, live: Sequence[NodeRecord]) -> None:
        """Tell who lives now."""
        for watcher in self._watchers:
            guarded(watcher.nodes_changed, live)

    def _tell(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            if turn is Turn.LOST:
                if (why := self._why()) is not None:
                    self.lost_count += 1
                    logger.warning(
                        "this node has no lease any more (%s): it hands out nothing of durable subscriptions,"
                        " and other nodes may, until it has one again",
                        why,
                    )
                for watcher in self._watchers:
                    guarded(watcher.lease_lost)
            else:
                logger.info("this node has its lease (term %d)", self._lease.term)
                for watcher in self._watchers:
                    guarded(watcher.lease_held, self._lease.term)
                self._arm()

    def _arm(self) -> None:
        """Look when it lapses, unless it is prolonged until then."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        left_s = self.left_s
        if left_s is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, left_s) + LATE_S, self._due)

    def _due(self) -> None:
        self.look()
        self._arm()
