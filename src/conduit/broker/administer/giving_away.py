"""Durable subscriptions that run here and are to run on another node are given away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from conduit.broker.deliver.owned import Owned
from conduit.broker.deliver.progress import ProgressWriter
from conduit.core.message import SubscriptionRecord

# Those that are given away in one turn of the loop: each may have its subscribers sent on.
STEP_COUNT = 50

IsOwn = Callable[[str, str], bool]
"""Whether a subscription of a tenant is to run here."""


class GivingAway:
    """Of one broker."""

    def __init__(self, owned: Owned, progress: ProgressWriter) -> None:
        self._owned = owned
        self._progress = progress

    def is_due(self, is_own: IsOwn) -> bool:
        """Whether one runs here that is not to."""
        return next(self._of_others(is_own), None) is not None

    async def stored(self) -> None:
        """Have all that was settled so far stored. Raises Unavailable if it never will be."""
        await self._progress.stored()

    async def give_away(self, is_own: IsOwn) -> int:
        """Run none any more that is not to run here; returns how many. What is not stored of them comes again
        elsewhere. While it waits others may have come, of which the caller hears."""
        count = 0
        for count, record in enumerate(tuple(self._of_others(is_own)), 1):
            self._owned.move_away(record, "it is to run on another node")
            if count % STEP_COUNT == 0:
                await asyncio.sleep(0)
        return count

    def _of_others(self, is_own: IsOwn) -> Iterator[SubscriptionRecord]:
        for running in self._owned.running():
            record = self._owned.find(running.tenant, running.group.name or "")
            if record is not None and not is_own(record.tenant, record.name):
                yield record
