"""Whatever happens to Redis and to what it announces, all registries agree with the truth soon after."""

import asyncio
import contextlib
import random
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.redis_proxy import RedisProxy
from tests.support.registries import Party
from tests.support.wait import until_true

pytestmark = pytest.mark.process

NODES_COUNT = 3
STEPS_COUNT = 30
# Two looks, a pause before the next connection, and a reading; and much for a busy machine.
AGREE_WITHIN_S = 15.0
PATTERNS = ("a", "a.b", "a.*", ">")


class World:
    """Nodes, each with a proxy of its own in front of Redis."""

    def __init__(self, redis, chance):
        self.redis = redis
        self.chance = chance
        self.proxies = [RedisProxy(redis.port) for _ in range(NODES_COUNT)]

    async def __aenter__(self):
        for proxy in self.proxies:
            await proxy.start()
        self.nodes = Party([proxy.url for proxy in self.proxies])
        for registry in self.nodes.registries:
            await registry.start()
        return self

    async def __aexit__(self, *_):
        self.heal()
        await asyncio.gather(*(each.close() for each in self.nodes.registries))
        for proxy in self.proxies:
            await proxy.close()

    def heal(self):
        for proxy in self.proxies:
            proxy.resume()
            proxy.loses = lambda _channel: False

    # The steps

    def want(self, place):
        for _ in range(self.chance.randint(1, 6)):
            tenant, subscription = self.chance.choice(["acme", "other"]), self.chance.choice("s ")
            pattern, count = self.chance.choice(PATTERNS), self.chance.randint(0, 3)
            self.nodes.want(place, tenant, subscription.strip(), pattern, count)

    def want_many(self, place):
        count = self.chance.randint(0, 2)
        for number in range(1_200):
            self.nodes.want(place, "many", "", f"t{number}", count)

    def lose(self, place):
        losing = self.chance.random()
        self.proxies[place].loses = lambda channel: (
            channel.endswith(b":said") and self.chance.random() < losing
        )

    def flush(self, _place):
        self.redis.ask("FLUSHALL")

    def forget(self, place):
        self.redis.ask("DEL", self.nodes.key(place))

    def cut(self, place):
        self.proxies[place].cut()

    def stop(self, place):
        self.proxies[place].stop()

    def resume(self, place):
        self.proxies[place].resume()

    def unsubscribe(self, _place):
        self.redis.ask("CLIENT", "KILL", "TYPE", "pubsub")

    async def pass_time(self):
        over = time.monotonic() + self.chance.choice([0.0, 0.0, 0.02, 0.06, 0.2, 0.7])
        await until_true(lambda: time.monotonic() >= over)


WEIGHTS = {
    World.want: 10,
    World.want_many: 2,
    World.lose: 2,
    World.flush: 1,
    World.forget: 1,
    World.cut: 1,
    World.stop: 1,
    World.resume: 2,
    World.unsubscribe: 0.5,
}


async def lived(redis, seed):
    chance = random.Random(seed)
    async with World(redis, chance) as world:
        await until_true(world.nodes.agrees)
        for step in chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=STEPS_COUNT):
            step(world, chance.randrange(NODES_COUNT))
            await world.pass_time()
        world.heal()
        await until_true(world.nodes.agrees, AGREE_WITHIN_S)
        await until_true(world.nodes.is_up, AGREE_WITHIN_S)


@settings(
    max_examples=2,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 1 << 32))
def test_after_any_faults_all_agree_with_the_truth(own_redis, seed):
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        loop.run_until_complete(lived(own_redis, seed))
