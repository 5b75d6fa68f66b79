"""Durable subscriptions that run here and are to run on another node are given away.

Before that they are held: nothing of them is handed out, so that what one subscriber gives back is not handed
to the next, who is about to be sent on as well. What they settle meanwhile still counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from conduit.broker.deliver.owned import Owned
from conduit.broker.deliver.progress import ProgressWriter
from conduit.broker.deliver.running import Running

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

    def hold(self, is_own: IsOwn) -> None:
        """Hand out nothing of what is not to run here, until `go_on`."""
        for running in self._of_others(is_own):
            running.hold()

    def go_on(self, is_own: IsOwn) -> None:
        """Hand out again of what was held and is to run here after all."""
        for running in self._owned.running():
            name = running.group.name
            if running.group.is_leaving and name is not None and is_own(running.tenant, name):
                running.resume()

    async def stored(self) -> None:
        """Have all that was settled so far stored. Raises Unavailable if it never will be."""
        await self._progress.stored()

    async def give_away(self, is_own: IsOwn, *, only_stored: bool = False) -> int:
        """Run none any more that is not to run here; returns how many. What is not stored of them comes again
        elsewhere: with `only_stored` those stay of which something is not. While it waits others may have
        come, of which the caller hears, and others may have become this node's, which stay."""
        self.hold(is_own)
        count = 0
        for running in tuple(self._of_others(is_own)):
            name = running.group.name or ""
            record = self._owned.find(running.tenant, name)
            if record is None or running.is_over or is_own(running.tenant, name):
                continue
            if only_stored and not self._progress.is_stored(running.group):
                continue
            self._owned.move_away(record, "it is to run on another node", is_meant=True)
            count += 1
            if count % STEP_COUNT == 0:
                await asyncio.sleep(0)
        return count

    def _of_others(self, is_own: IsOwn) -> Iterator[Running]:
        for running in self._owned.running():
            record = self._owned.find(running.tenant, running.group.name or "")
            if record is not None and not is_own(record.tenant, record.name):
                yield running
