"""States of other nodes as they are read, a part at a time, from a real Redis."""

import uuid

import pytest

from conduit.cluster.registry import wire
from conduit.cluster.registry.connection import Connection
from conduit.cluster.registry.counts import Counts
from conduit.cluster.registry.reader import Reader
from conduit.cluster.registry.wire import Keys
from conduit.core.interest import Interest
from conduit.core.members import Node

pytestmark = pytest.mark.process

NODE = Node("b", "01")
COUNT = 10 * wire.STEP_MAX_COUNT


class Kit:
    def __init__(self, server, calls):
        self.keys = Keys(str(uuid.uuid4()))
        self.key = self.keys.wants(NODE.incarnation)
        self.calls = calls
        self.ask = server.ask
        self.interest = Interest()
        self.interest.set_nodes([NODE])
        self.reader = Reader(self.interest, self.keys, Counts())

    def write(self, mark, *, first=0, count=COUNT):
        self.ask("UNLINK", self.key)
        pairs = [f"acme//t{number}" for number in range(first, first + count)]
        fields = [part for field in pairs for part in (field, "1")]
        self.ask("HSET", self.key, "=", mark, *fields)

    async def step(self, count=1):
        for _ in range(count):
            await self.reader.step(self.calls)

    async def finish(self):
        while self.reader.has_work:
            await self.step()

    def wants(self, number):
        return self.interest.wanting("acme", f"t{number}") == {NODE: 1}


@pytest.fixture
async def kit(redis_server):
    calls = Connection(redis_server.url, Counts().latency)
    await calls.open()
    yield Kit(redis_server, calls)
    await calls.close()


async def test_a_state_is_read_in_parts(kit):
    kit.write("5 1")
    await kit.step(3)
    assert kit.reader.has_work
    assert not kit.interest.is_known(NODE)
    await kit.finish()
    assert kit.interest.is_known(NODE)
    assert all(map(kit.wants, range(COUNT)))


@pytest.mark.parametrize("mark", ["5 2", "6 2"])
async def test_one_that_is_written_anew_meanwhile_is_read_anew(kit, mark):
    kit.write("5 1")
    await kit.step(3)
    kit.write(mark, first=COUNT)
    await kit.finish()
    assert not kit.interest.is_known(NODE)
    kit.interest.look(NODE, 6)
    await kit.finish()
    assert kit.interest.is_known(NODE)
    assert kit.interest.entry_count() == COUNT
    assert kit.wants(COUNT)


async def test_one_that_is_flushed_meanwhile_is_unknown(kit):
    kit.write("5 1")
    await kit.step(3)
    kit.ask("UNLINK", kit.key)
    await kit.finish()
    assert kit.interest.unknown == (NODE,)


async def test_one_that_is_not_whole_yet_is_unknown(kit):
    kit.ask("HSET", kit.key, "acme//t", "1")
    await kit.finish()
    assert kit.interest.unknown == (NODE,)


async def test_one_of_another_kind_is_unknown(kit):
    kit.ask("SET", kit.key, "a text")
    await kit.finish()
    assert kit.interest.unknown == (NODE,)


async def test_a_node_that_goes_while_it_is_read_is_read_no_further(kit):
    kit.write("5 1")
    await kit.step(3)
    kit.interest.set_nodes([])
    await kit.step()
    assert not kit.reader.has_work


async def test_one_that_wants_everything_has_nothing_to_be_read(kit):
    kit.write("5 1 all", count=1)
    await kit.finish()
    assert kit.interest.wanting("other", "anything") == {NODE: 0}
