"""The committers of all shards of the log, each with its own commits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from conduit.broker.commits import Commits
from conduit.broker.publish.committer import Committed, Committer
from conduit.broker.publish.queue import Unit
from conduit.broker.standstill import Standstill
from conduit.core.message import NewMessage
from conduit.errors import ConduitError
from conduit.storage.base import SHARDS_MAX_COUNT, Appender, Store

# Between two looks at who has waited too long, so how much later than the time-out somebody is told.
CHECK_INTERVAL_S = 0.25
# A look that is later than this finds nobody late before the loop has heard what the store has answered.
LATE_MAX_S = 0.5

Submit = Callable[[Sequence[NewMessage], int, Unit, float | None, object], None]


class Committers:
    """One committer for each shard of a store, or one for all of it. `start` it when the store is open."""

    def __init__(
        self,
        store: Store,
        commits: Commits,
        on_committed: Committed,
        on_idle: Callable[[], None],
        timeout_s: float,
    ) -> None:
        self._store = store
        self._make: Callable[[Appender], Committer] = lambda appender: Committer(
            appender, commits, on_committed, on_idle, timeout_s
        )
        self.wrap: Callable[[Appender], Appender] = lambda appender: appender
        """What is between them and each shard; to be set before `start`."""
        # By the number of the shard; a log that is not divided has one.
        self._committers: Mapping[int, Committer] = {}
        self._tasks: list[asyncio.Task[None]] = []
        # What takes the units of a log that is not divided: the way of every publish.
        self.submit: Submit = self._submit
        self._timer: asyncio.TimerHandle | None = None
        # The one committer, if there is only one.
        self._only: Committer | None = None

    async def start(self) -> None:
        """Begin to store what is submitted, when it is known whether the store takes it."""
        shards = self._store.shards or {0: self._store}
        self._committers = {
            number: self._make(self.wrap(shard)) for number, shard in shards.items()
        }
        if len(shards) == 1:
            self._only = next(iter(self._committers.values()))
            self.submit = self._only.submit
        else:
            for number, each in self._committers.items():
                each.proof.name = f"part {number} of the store"
        loop = asyncio.get_running_loop()
        standstill = Standstill(loop.time, CHECK_INTERVAL_S, LATE_MAX_S)
        for each in self._committers.values():
            each.proof.now = standstill.now
        await asyncio.gather(*(each.proof.start() for each in self._committers.values()))
        self._tasks = [loop.create_task(each.run()) for each in self._committers.values()]
        self._timer = loop.call_later(CHECK_INTERVAL_S, self._checked, standstill)

    def _checked(self, standstill: Standstill) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(CHECK_INTERVAL_S, self._checked, standstill)
        if not standstill.look():
            self.check(loop.time())

    async def stop(self) -> None:
        """Take nothing more, and answer what was taken. Returns although the store does not answer: everybody
        has been told so by then. Idempotent; call `end` when the store is closed."""
        for committer in self._committers.values():
            committer.close()
            await committer.proof.stop()
        for committer in self._committers.values():
            await committer.answered()
        if self._timer is not None:
            self._timer.cancel()

    async def end(self) -> None:
        """Have what was begun come to its end. Idempotent."""
        for committer in self._committers.values():
            await committer.drain()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def problem(self) -> str | None:
        """Why the store, or a part of it, takes no writes, as peers are told; None while it does."""
        problems = (each.proof.told for each in self._committers.values())
        return next((problem for problem in problems if problem is not None), None)

    def tick(self) -> None:
        """See `Proof.tick`."""
        for committer in self._committers.values():
            committer.proof.tick()

    def shard_of(self, topic_id: int) -> int:
        """Messages of one unit must agree in this."""
        return topic_id % SHARDS_MAX_COUNT if len(self._committers) > 1 else 0

    def check_room(self, count: int, whose: object) -> None:
        """See `Committer.check_room`; of several committers nobody knows yet which it will be."""
        if self._only is not None:
            self._only.check_room(count, whose)

    def offer(
        self, messages: Sequence[NewMessage], unit: Unit, since: float | None, whose: object
    ) -> None:
        """As `submit`, but the unit is told if it cannot be queued. Those who have idempotency keys need
        that: a key is pending until the unit hears of it."""
        try:
            size_bytes = sum([len(message.payload) for message in messages])
            self.submit(messages, size_bytes, unit, since, whose)
        except ConduitError as error:
            unit.failed(error)

    def _submit(
        self,
        messages: Sequence[NewMessage],
        size_bytes: int,
        unit: Unit,
        since: float | None,
        whose: object,
    ) -> None:
        """See `Committer.submit`; the messages are of one shard."""
        committer = self._committers[self.shard_of(messages[0].topic_id)]
        committer.submit(messages, size_bytes, unit, since, whose)

    async def catch_up(self, topic_id: int, whose: object) -> None:
        """See `Committer.catch_up`; of the shard that the topic is in."""
        await self._committers[self.shard_of(topic_id)].catch_up(whose)

    def check(self, now: float) -> None:
        """See `Committer.check`."""
        for committer in self._committers.values():
            committer.check(now)
