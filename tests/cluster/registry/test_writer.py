"""What a node wants as it is written, a step at a time, to a real Redis."""

import asyncio
import math
import uuid

import pytest

from conduit.cluster.registry import wire
from conduit.cluster.registry.connection import Connection
from conduit.cluster.registry.counts import Counts
from conduit.cluster.registry.wire import Keys
from conduit.cluster.registry.writer import Writer
from conduit.core.members import Node
from conduit.core.own_interest import OwnInterest
from conduit.errors import RegistryUnavailable

pytestmark = pytest.mark.process

NODE = Node("b", "01")


class Kit:
    def __init__(self, server):
        self.keys = Keys(str(uuid.uuid4()))
        self.key = self.keys.wants(NODE.incarnation)
        self.server = server
        self.own = OwnInterest()
        self.writer = Writer(self.own, NODE, self.keys, Counts())
        self.calls = None

    def want(self, first, after, count=1):
        for number in range(first, after):
            self.own.put(("acme", "", f"t{number}"), count)

    async def connect(self):
        self.calls = Connection(self.server.url, Counts().latency)
        await self.calls.open()

    async def look(self):
        self.writer.look(*await self.calls.call(("HGET", self.key, "="), ("HLEN", self.key)))

    async def step(self):
        await self.writer.step(self.calls, asyncio.get_running_loop().time())

    async def finish(self):
        while self.writer.due_at(0.0) < math.inf:
            await self.step()

    def stored(self):
        """The fields, without the mark; None if there is no mark."""
        fields = self.server.ask("HGETALL", self.key)
        return None if fields.pop("=", None) is None else fields

    def is_whole(self):
        return self.stored() == {f"{'/'.join(entry)}": str(n) for entry, n in self.own.state()}


@pytest.fixture
async def kit(redis_server):
    made = Kit(redis_server)
    await made.connect()
    yield made
    await made.calls.close()


async def written(kit, count):
    await kit.look()
    kit.want(0, count)
    await kit.finish()
    assert kit.is_whole()


async def test_what_is_wanted_stands_in_redis_in_the_end(kit):
    await written(kit, 3 * wire.STEP_MAX_COUNT + 7)
    kit.want(0, 300, count=0)
    kit.want(300, 310, count=5)
    await kit.finish()
    assert kit.is_whole()
    assert len(kit.stored()) == 3 * wire.STEP_MAX_COUNT - 293


async def test_nothing_is_written_before_it_was_seen_what_is_there(kit):
    kit.want(0, 10)
    assert kit.writer.due_at(0.0) == math.inf
    await kit.look()
    assert kit.writer.due_at(0.0) == 0.0


@pytest.mark.parametrize(
    "fault",
    [("DEL",), ("HDEL", "acme//t1"), ("HSET", "acme//more", 1), ("HSET", "=", "9 9")],
    ids=lambda fault: "-".join(map(str, fault)),
)
async def test_a_change_of_what_is_not_there_as_it_should_be_is_not_made(kit, fault):
    await written(kit, 10)
    command, *args = fault
    kit.server.ask(command, kit.key, *args)
    before = kit.server.ask("HGETALL", kit.key)
    kit.want(20, 21)
    await kit.step()
    assert kit.server.ask("HGETALL", kit.key) == before
    assert not kit.writer.is_sure
    # And nothing else until it was looked at.
    kit.want(21, 22)
    assert kit.writer.due_at(0.0) == math.inf
    await kit.look()
    await kit.finish()
    assert kit.is_whole()


async def test_one_that_is_flushed_while_it_is_written_anew_is_never_half_there(kit):
    await written(kit, 4 * wire.STEP_MAX_COUNT)
    kit.server.ask("DEL", kit.key)
    await kit.look()
    await kit.step()
    await kit.step()
    kit.server.ask("DEL", kit.key)
    await kit.finish()
    assert kit.stored() is None
    await kit.look()
    await kit.finish()
    assert kit.is_whole()


async def test_what_was_begun_on_a_connection_that_is_lost_is_begun_anew(kit):
    await written(kit, 4 * wire.STEP_MAX_COUNT)
    kit.server.ask("DEL", kit.key)
    await kit.look()
    await kit.step()
    await kit.calls.call(("CLIENT", "KILL", "SKIPME", "no", "ID", await client_id(kit)))
    with pytest.raises(RegistryUnavailable):
        await kit.finish()
    await kit.connect()
    kit.writer.reset()
    await kit.look()
    while kit.writer.due_at(0.0) < math.inf:
        await kit.step()
        assert kit.stored() is None or kit.is_whole()
    assert kit.is_whole()


async def client_id(kit):
    return (await kit.calls.call(("CLIENT", "ID")))[0]


async def test_a_part_that_comes_late_does_not_get_into_what_is_written_then(kit):
    """Of a connection that was given up: its command was on the way."""
    await written(kit, 3 * wire.STEP_MAX_COUNT)
    kit.server.ask("DEL", kit.key)
    late = ("EVAL", wire.SCRIPT, 1, kit.key, 100, "", "", 1000, "x", "", 0, "acme//old", 1)
    await kit.look()
    await kit.step()
    assert await kit.calls.call(late) == [0]
    await kit.finish()
    assert await kit.calls.call(late) == [0]
    assert kit.is_whole()


async def test_a_state_that_is_said_anew_has_another_mark(kit):
    await written(kit, 10)
    before = wire.mark(kit.server.ask("HGET", kit.key, "=").encode())
    kit.server.ask("DEL", kit.key)
    await kit.look()
    await kit.finish()
    after = wire.mark(kit.server.ask("HGET", kit.key, "=").encode())
    assert after == before._replace(writing=before.writing + 1)
