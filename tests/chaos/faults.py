"""What can go wrong in a cluster: each brought about and undone by `strike`, and noted in the history."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from itertools import combinations
from random import Random
from typing import ClassVar

from tests.chaos.history import ClusterHistory, Kind, Struck
from tests.chaos.world import DATABASE, REDIS, World, faketime
from tests.support.http import Api
from tests.support.wait import until

# Twice as long as a lease, which is 3 s.
STOPPED_S = 6.0
LEASE_S = 3.0
HOUR_S = 3600
LINKS_S = 60.0
CLOCK_S = 30.0
# Of a fault that is to outlast a lease, also in a short run.
PAST_LEASE_S = 4.2


@dataclass
class Scene:
    """What faults act on. In a short run what lasts as long as one likes is shorter: `pace` of it."""

    world: World
    history: ClusterHistory
    random: Random
    pace: float = 1.0

    def node(self) -> str:
        """Any of them."""
        return self.random.choice(self.world.names)

    async def last(self, seconds: float, at_least_s: float = 0.0) -> None:
        """Let a fault last for so long, or less in a short run."""
        await asyncio.sleep(max(seconds * self.pace, at_least_s))

    @contextlib.asynccontextmanager
    async def noted(self, kind: Kind, *nodes: str) -> AsyncIterator[list[Struck]]:
        """Note a fault on these nodes that lasts as long as the block; it is in the list meanwhile, to be
        replaced by one that says more."""
        began = Struck(kind, nodes, time.monotonic(), float("inf"))
        self.history.struck.append(began)
        place, known = len(self.history.struck) - 1, [began]
        try:
            yield known
        finally:
            self.history.struck[place] = replace(known[0], until=time.monotonic())


class Fault:
    """A base for all of them."""

    kind: ClassVar[Kind]
    times: ClassVar[int] = 20
    """How often in a whole run."""
    needs_networks: ClassVar[bool] = False

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.world = scene.world
        self.random = scene.random

    def missing(self) -> str:
        """Why it cannot be brought about here; "" if it can."""
        if self.needs_networks and self.world.networks is None:
            return "there are no networks to cut"
        return ""

    async def strike(self) -> None:
        """Do it, and undo it."""
        raise NotImplementedError


class Killed(Fault):
    """SIGKILL of a node; it is started again, at once or when its lease is over."""

    kind = "kill"
    times = 50

    async def strike(self) -> None:
        """Do it, and undo it."""
        name = self.scene.node()
        async with self.scene.noted("kill", name):
            await asyncio.to_thread(self.world.nodes[name].kill)
            await self.scene.last(self.random.choice((0, 0, 0.5, LEASE_S + 1)))
            await asyncio.to_thread(self.world.start_node, name)


class Stopped(Fault):
    """SIGSTOP of a node for longer than its lease: connections stay, and nothing is answered."""

    kind = "stop"

    async def strike(self) -> None:
        """Do it, and undo it."""
        name = self.scene.node()
        async with self.scene.noted("stop", name) as known:
            is_clean = await asyncio.to_thread(self.world.stop_node, name)
            await self.scene.last(STOPPED_S, PAST_LEASE_S)
            known[0] = replace(known[0], is_clean=is_clean, resumed_at=time.monotonic())
            self.world.continue_node(name)


class _Cut(Fault):
    """Two parts do not reach each other for a while."""

    needs_networks = True
    for_s: ClassVar[tuple[float, float]] = (2.0, 7.0)
    min_s: ClassVar[float] = 1.5

    def ends(self) -> tuple[str, str]:
        """Who."""
        raise NotImplementedError

    async def strike(self) -> None:
        """Do it, and undo it."""
        networks, ends = self.world.networks, self.ends()
        assert networks is not None
        nodes = [end for end in ends if end in self.world.nodes]
        async with self.scene.noted(self.kind, *nodes):
            await asyncio.to_thread(networks.cut, *ends)
            await self.scene.last(self.random.uniform(*self.for_s), self.min_s)
            await asyncio.to_thread(networks.mend)


class NodesCut(_Cut):
    """Two nodes from each other."""

    kind = "nodes"

    def ends(self) -> tuple[str, str]:
        """Who."""
        one, other = self.random.sample(self.world.names, 2)
        return one, other


class RedisCut(_Cut):
    """A node from Redis."""

    kind = "node-redis"

    def ends(self) -> tuple[str, str]:
        """Who."""
        return self.scene.node(), REDIS


class DatabaseCut(_Cut):
    """A node from PostgreSQL, for longer than its lease."""

    kind = "node-postgres"
    for_s = (2.0, 8.0)
    min_s = PAST_LEASE_S

    def ends(self) -> tuple[str, str]:
        """Who."""
        return self.scene.node(), DATABASE


class LinksCut(Fault):
    """All nodes from each other: nobody is told anything, and what there is comes from the log."""

    kind = "links"
    times = 1
    needs_networks = True

    async def strike(self) -> None:
        """Do it, and undo it."""
        networks = self.world.networks
        assert networks is not None
        async with self.scene.noted("links", *self.world.names):
            for one, other in combinations(self.world.names, 2):
                await asyncio.to_thread(networks.cut, one, other)
            await self.scene.last(LINKS_S)
            await asyncio.to_thread(networks.mend)


class RedisRestarted(Fault):
    """FLUSHALL, and then Redis is killed and started again, empty."""

    kind = "redis"

    async def strike(self) -> None:
        """Do it, and undo it."""
        async with self.scene.noted("redis"):
            await asyncio.to_thread(self.world.ask_redis, "FLUSHALL")
            await asyncio.sleep(self.random.choice((0, 0.5)))
            self.world.redis.kill()
            await self.scene.last(self.random.choice((0.2, 1.0, 3.0)), 0.2)
            await asyncio.to_thread(self.world.start_redis)
            # What a node does when it is back belongs to it.
            await asyncio.sleep(0.5)


class DatabaseRestarted(Fault):
    """PostgreSQL is killed, or told to end, and started again."""

    kind = "postgres"
    times = 10

    async def strike(self) -> None:
        """Do it, and undo it."""
        async with self.scene.noted("postgres", *self.world.names):
            end = self.random.choice((self.world.cluster.kill, self.world.cluster.stop))
            await asyncio.to_thread(end)
            await self.scene.last(self.random.choice((0, 0.2, 2.0)))
            await asyncio.to_thread(self.world.start_postgres)


class Rolling(Fault):
    """Each node in turn is drained and ended, and started again before the next one is."""

    kind = "rolling"
    times = 10

    async def strike(self) -> None:
        """Do it, and undo it."""
        for name in self.world.names:
            async with self.scene.noted("rolling", name):
                await asyncio.to_thread(leave, self.world, name)
                await asyncio.to_thread(self.world.start_node, name)
            await asyncio.sleep(self.random.uniform(0, 1))


class WrongClock(Fault):
    """One node has a wall clock that is an hour off; it is restarted for that, and again for the right
    one."""

    kind = "clock"
    times = 1

    def missing(self) -> str:
        """Why it cannot be brought about here; "" if it can."""
        try:
            faketime()
        except FileNotFoundError as error:
            return str(error)
        return ""

    async def strike(self) -> None:
        """Do it, and undo it."""
        name, ahead_s = self.scene.node(), self.random.choice((-HOUR_S, HOUR_S))
        await self._restarted(name, ahead_s)
        async with self.scene.noted("clock", name):
            await self.scene.last(CLOCK_S)
        await self._restarted(name, 0)

    async def _restarted(self, name: str, ahead_s: int) -> None:
        async with self.scene.noted("rolling", name):
            await asyncio.to_thread(leave, self.world, name)
            self.world.set_clock(name, ahead_s)
            await asyncio.to_thread(self.world.start_node, name)


def leave(world: World, name: str) -> None:
    """Have a node drain, and end. Raises AssertionError if it ends in another way."""
    api = Api(world.url(name))
    answer = api.post(f"/api/nodes/{name}/drain")
    # Just after a fault of the database it begins, and goes on by itself.
    assert answer.status == 200 or answer.code == "store_unavailable", answer
    until(lambda: api.get("/health").json["phase"] == "drained")
    code = world.end_node(name)
    assert code == 0, f"{name} has ended with {code}\n{world.nodes[name].log_tail()}"


FAULTS: dict[Kind, type[Fault]] = {
    fault.kind: fault
    for fault in (
        *(Killed, Stopped, NodesCut, RedisCut, DatabaseCut),
        *(RedisRestarted, DatabaseRestarted, Rolling, LinksCut, WrongClock),
    )
}
