"""The committers of all shards of the log, each with its own commits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from conduit.broker.clock import Clock
from conduit.broker.publish.committer import Committed, Committer, Done
from conduit.core.message import NewMessage
from conduit.storage.base import SHARDS_MAX_COUNT, Store


class Committers:
    """One committer for each shard of a store, or one for all of it. `start` it when the store is open."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        on_committed: Committed,
        on_idle: Callable[[], None],
        timeout_s: float,
    ) -> None:
        self._store = store
        self._make: Callable[..., Committer] = lambda appender: Committer(
            appender, clock, on_committed, on_idle, timeout_s
        )
        # By the number of the shard; a log that is not divided has one.
        self._committers: Mapping[int, Committer] = {}
        self._tasks: list[asyncio.Task[None]] = []
        # What takes the units of a log that is not divided: the way of every publish.
        self.submit: Callable[[Sequence[NewMessage], int, Done], None] = self._submit

    def start(self) -> None:
        """Begin to store what is submitted."""
        shards = self._store.shards or {0: self._store}
        self._committers = {number: self._make(shard) for number, shard in shards.items()}
        if len(shards) == 1:
            self.submit = next(iter(self._committers.values())).submit
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(each.run()) for each in self._committers.values()]

    async def stop(self) -> None:
        """Take nothing more, and answer what was taken. Idempotent."""
        for committer in self._committers.values():
            committer.close()
        await self.drain()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def shard_of(self, topic_id: int) -> int:
        """Messages of one unit must agree in this."""
        return topic_id % SHARDS_MAX_COUNT if len(self._committers) > 1 else 0

    def _submit(self, messages: Sequence[NewMessage], size_bytes: int, done: Done) -> None:
        """See `Committer.submit`; the messages are of one shard."""
        self._committers[self.shard_of(messages[0].topic_id)].submit(messages, size_bytes, done)

    @property
    def oldest_ms(self) -> int:
        """What is not committed yet has this `published_at_ms`, or a later one."""
        return min(committer.oldest_ms for committer in self._committers.values())

    @property
    def is_busy(self) -> bool:
        """Whether something is queued or being stored."""
        return any(committer.is_busy for committer in self._committers.values())

    async def drain(self) -> None:
        """Wait until everything that was submitted is answered."""
        for committer in self._committers.values():
            await committer.drain()

    def check(self, now: float) -> None:
        """See `Committer.check`."""
        for committer in self._committers.values():
            committer.check(now)
