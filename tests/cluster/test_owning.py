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
from conduit.core.lease import LEASE_S
from conduit.names import DEFAULT_TENANT
from conduit.protocol.codes import CLOSE_MOVED
from conduit.protocol.frames import PublishRequest
from conduit.storage.postgres import PostgresStore
from tests.cluster.processes import Process, process
from tests.support.wait import DEADLINE_S

pytestmark = pytest.mark.process

LEFT_S = (
    "SELECT extract(epoch FROM lease_until - clock_timestamp()) FROM conduit.nodes WHERE name = 'a'"
)
PAUSE_S = 0.01
# For a claim, which is tried every 0.2 s, and what the store is asked then.
TAKING_OVER_S = 1.0


class Publisher:
    """Publishes all the time, at a node of its own."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.last_seq = 0

    async def run(self) -> None:
        request = PublishRequest("t", msgspec.Raw(b"1"))
        while True:
            receipt = await result_of(
                lambda answer: self._broker.publish(DEFAULT_TENANT, request, answer)
            )
            self.last_seq = receipt.seq
            await asyncio.sleep(PAUSE_S)


@asynccontextmanager
async def publishing(url: str) -> AsyncIterator[Publisher]:
    broker = Broker(PostgresStore(url), SystemClock(), BrokerOptions())
    await broker.start()
    await broker.topics.ensure(DEFAULT_TENANT, "t")
    publisher = Publisher(broker)
    task = asyncio.get_running_loop().create_task(publisher.run())
    try:
        yield publisher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await broker.stop()


async def tells(node: Process, what: str) -> tuple[int, float]:
    """The number that it tells next of this, and when that was."""
    async with asyncio.timeout(DEADLINE_S):
        while not (await node.next()).startswith(what):
            pass
    _, seq, at = node.lines[-1].split()
    return int(seq), float(at)


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
        await gets(a)
        async with process("owner", url, "b") as b:
            await gets_all_up_to(a, publisher.last_seq + 100)
            a.signal(signal.SIGSTOP)
            left_s, stopped_at = float(cluster.sql(LEFT_S)), boot_s()
            taken_at = await takes_over(b)
            assert 0 < left_s <= LEASE_S
            # A clock is read before the other.
            assert left_s - 0.05 < taken_at - stopped_at < left_s + TAKING_OVER_S
            while boot_s() < stopped_at + 2 * LEASE_S:
                await gets(b)
            before = len(a.lines)
            a.signal(signal.SIGCONT)
            async with asyncio.timeout(DEADLINE_S):
                while not a.lines[-1].startswith("closed"):
                    await a.next()
            await gets_all_up_to(b, publisher.last_seq + 50)
            told = a.lines[before:]
            assert told[told.index("woke False") :] == ["woke False", f"closed {CLOSE_MOVED}"]
            who = "".join(name for _, name, _ in got(a, b))
            assert who == "a" * who.count("a") + "b" * who.count("b")
            assert {seq for _, _, seq in got(a, b)} >= {*range(1, publisher.last_seq - 50)}


async def test_what_an_owner_gives_up_another_has_at_once_and_what_it_cannot_when_its_lease_is_over(
    url,
):
    async with publishing(url) as publisher, process("owner", url, "a") as a:
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
