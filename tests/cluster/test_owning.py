"""Owners of a durable subscription that are processes of their own: stopped, killed and ended."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from conduit.broker.broker import Broker, BrokerOptions
from conduit.broker.clock import SystemClock, boot_s
from conduit.broker.waiting import result_of
from conduit.cluster.owning import Owning
from conduit.core.lease import LEASE_S
from conduit.names import DEFAULT_TENANT
from conduit.protocol.codes import CLOSE_MOVED
from conduit.protocol.frames import PublishRequest
from conduit.storage.postgres import PostgresStore
from tests.broker.kit import running_broker
from tests.cluster.kit import started
from tests.cluster.processes import Process, process
from tests.support.wait import DEADLINE_S, until

pytestmark = pytest.mark.process

LEFT_S = (
    "SELECT extract(epoch FROM lease_until - clock_timestamp()) FROM conduit.nodes WHERE name = 'a'"
)
PAUSE_S = 0.02
# For a claim, which is tried every 0.2 s, and what the store is asked then.
TAKING_OVER_S = 1.0


class Publisher:
    """Publishes at a node of its own."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.last_seq = 0

    async def publish(self, count: int) -> int:
        """So many at once; the number of the last."""
        requests = [PublishRequest("t", msgspec.Raw(b"1"))] * count
        receipts = await result_of(
            lambda answer: self._broker.publish_batch(DEFAULT_TENANT, requests, answer)
        )
        self.last_seq = receipts[-1].seq
        return self.last_seq

    async def run(self) -> None:
        """All the time."""
        while True:
            await self.publish(1)
            await asyncio.sleep(PAUSE_S)


@asynccontextmanager
async def publishing(url: str) -> AsyncIterator[Publisher]:
    broker = Broker(PostgresStore(url), SystemClock(), BrokerOptions())
    await broker.start()
    await broker.topics.ensure(DEFAULT_TENANT, "t")
    try:
        yield Publisher(broker)
    finally:
        await broker.stop()


async def tells(node: Process, what: str) -> tuple[int, float]:
    """The number that it tells next of this, and when that was."""
    async with asyncio.timeout(DEADLINE_S):
        while not (await node.next()).startswith(what):
            pass
    words = node.lines[-1].split()
    return (int(words[1]), float(words[2])) if len(words) == 3 else (0, 0.0)


async def gets(node: Process) -> tuple[int, float]:
    """What it gets next, and when."""
    return await tells(node, "got")


async def takes_over(node: Process) -> float:
    """When it has it."""
    return (await tells(node, "subscribed"))[1]


async def gets_all_up_to(node: Process, seq: int) -> None:
    while (await gets(node))[0] < seq:
        pass


def got(*nodes: Process) -> list[tuple[float, str, int]]:
    """What they got: when, who and which."""
    found = []
    for number, node in enumerate(nodes):
        for line in node.lines:
            if line.startswith("got"):
                _, seq, at = line.split()
                found.append((float(at), "abc"[number], int(seq)))
    return sorted(found)


async def test_an_owner_that_was_stopped_hands_out_nothing_when_another_has_taken_over(
    url, cluster
):
    async with publishing(url) as publisher, process("owner", url, "a") as a:
        await takes_over(a)
        async with process("owner", url, "b") as b:
            await publisher.publish(500)
            await gets_all_up_to(a, 20)
            # It has the others in memory.
            a.signal(signal.SIGSTOP)
            left_s, stopped_at = float(cluster.sql(LEFT_S)), boot_s()
            taken_at = await takes_over(b)
            assert 0 < left_s <= LEASE_S
            # A clock is read before the other.
            assert left_s - 0.05 < taken_at - stopped_at < left_s + TAKING_OVER_S
            await gets_all_up_to(b, await publisher.publish(50))
            await asyncio.to_thread(until, lambda: float(cluster.sql(LEFT_S)) < -LEASE_S)
            a.signal(signal.SIGCONT)
            await tells(a, "woke")
            await a.next()
            await gets_all_up_to(b, await publisher.publish(50))
            told = a.lines[a.lines.index("woke False") :]
            assert told == ["woke False", f"closed {CLOSE_MOVED}"]
            who = "".join(name for _, name, _ in got(a, b))
            assert who == "a" * who.count("a") + "b" * who.count("b")
            assert {seq for _, _, seq in got(a, b)} == {*range(1, 601)}


async def test_what_an_owner_gives_up_another_has_at_once_and_what_it_cannot_when_its_lease_is_over(
    url,
):
    async with publishing(url) as publisher, process("owner", url, "a") as a:
        going_on = asyncio.get_running_loop().create_task(publisher.run())
        await gets(a)
        async with process("owner", url, "b") as b:
            await gets_all_up_to(a, publisher.last_seq + 50)
            ended_at = boot_s()
            await a.end()
            taken_at = await takes_over(b)
            assert taken_at - ended_at < TAKING_OVER_S
            async with process("owner", url, "c") as c:
                await gets_all_up_to(b, publisher.last_seq + 50)
                killed_at = boot_s()
                b.signal(signal.SIGKILL)
                await b.has_ended()
                taken_at = await takes_over(c)
                assert 1.0 < taken_at - killed_at < LEASE_S + TAKING_OVER_S
                last_seq = publisher.last_seq
                await gets_all_up_to(c, last_seq + 1)
                assert {seq for _, _, seq in got(a, b, c)} >= {*range(1, last_seq + 1)}
                going_on.cancel()


async def test_a_broker_hears_of_a_lease_that_is_held_already(url):
    async with started(url) as member, running_broker() as bench:
        await member.diary.says("held 1")
        Owning(bench.broker, member)
        title = bench.broker.ownership.title
        assert (title.owner, title.term) == (member.node.incarnation, 1)
        assert title.holds(1)
        await member.close()
        assert not title.holds(1)
        assert title.term == 0
