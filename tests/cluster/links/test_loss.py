"""Nodes that die, hang or are cut off: who has a link with them notices, and gets it again afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from conduit.cluster.links.liveness import PING_TIMEOUT_S
from conduit.cluster.links.outgoing import HINTS_MAX_BYTES
from conduit.errors import ConduitError, OutcomeUnknown
from tests.cluster.links.kit import Conversation, Live, Node, linked, nodes, until
from tests.cluster.links.proxy import proxy_to
from tests.support.server import clean_environment, free_port
from tests.support.wait import DEADLINE_S

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
STOPPED_S = 6.0


class Other:
    """A node in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self.process = process
        self.name = name
        self.told: list[dict[str, Any]] = []
        self._reading = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.told.append(json.loads(line))

    def do(self, **what: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what).encode() + b"\n")

    async def tells(self, **what: Any) -> dict[str, Any]:
        """Wait until it has told this; all of what it told."""
        found: list[dict[str, Any]] = []

        def is_told() -> bool:
            found[:] = [each for each in self.told if what.items() <= each.items()]
            return bool(found)

        await until(is_told)
        return found[-1]

    @property
    def live(self) -> Live:
        return Live(self.name, self.told[0]["incarnation"], self.told[0]["address"])

    async def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self._reading


@contextlib.asynccontextmanager
async def other(name: str = "b", port: int = 0) -> AsyncIterator[Other]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.cluster.links.other", name, str(port)),
        cwd=ROOT,
        env={**clean_environment(), "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    made = Other(process, name)
    try:
        await until(lambda: made.told)
        yield made
    finally:
        await made.end()


def introduce(node: Node, *others: Other) -> None:
    """They know each other, and nobody else."""
    live = [node.live, *(each.live for each in others)]
    node.links.set_live(live)
    for each in others:
        each.do(live=[[it.name, it.incarnation, it.address] for it in live])


async def has_link(node: Node, name: str = "b") -> None:
    await until(lambda: node.links.to(name) is not None)


@pytest.mark.process
async def test_two_processes_talk_whoever_is_older():
    async with nodes("a") as (a,), other("b") as b, nodes("c") as (c,):
        introduce(a, b)
        await has_link(a)
        introduce(c, b)
        await has_link(c)
        for node in (a, c):
            introduce(node, b)
            await has_link(node)
            assert await node.link_to_name("b").ask("k", b"there", 30.0) == b"there"
            b.do(ask=[node.own.name, "and back"])
            await b.tells(answer="and back")
            b.told.remove({"answer": "and back"})


@pytest.mark.process
async def test_a_killed_node_is_missed_at_once_and_linked_again_when_it_is_back_at_its_address():
    port = free_port()
    loop = asyncio.get_running_loop()
    async with nodes("a") as (a,):
        async with other("b", port) as b:
            introduce(a, b)
            await has_link(a)
            outcomes: list[bytes | ConduitError] = []
            a.recorder.answer = lambda _: None
            user = Conversation()
            link = a.link_to_name("b")
            user.channel = link.open("k", b"x", user)
            await link.ask("k", b"x", 30.0)
            b.process.send_signal(signal.SIGSTOP)
            link.request("k", b"never answered", 60.0, outcomes.append)
            killed_at = loop.time()
            b.process.kill()
            await until(lambda: a.recorder.whys and outcomes and user.ends)
            assert loop.time() - killed_at < PING_TIMEOUT_S - 1.0
            assert isinstance(outcomes[0], OutcomeUnknown)
        # Until it is known that it was started anew, the old one is dialed.
        async with other("b", port) as b:
            await until(lambda: "and not b" in (a.links.views()[0].last_error or ""))
            introduce(a, b)
            await has_link(a)
            assert a.link_to_name("b").peer.incarnation == b.live.incarnation


@pytest.mark.process
@pytest.mark.timeout(120)
async def test_a_stopped_node_is_missed_after_three_seconds_and_linked_again_when_it_goes_on():
    loop = asyncio.get_running_loop()
    async with nodes("a") as (a,), other("b") as b, asyncio.timeout(2 * DEADLINE_S):
        introduce(a, b)
        await has_link(a)
        link = a.link_to_name("b")
        stopped_at = loop.time()
        b.process.send_signal(signal.SIGSTOP)
        largest = 0
        while a.links.to("b") is link:
            a.links.send_hint(["b"], bytes(100_000))
            largest = max(largest, link.queue_bytes)
            await asyncio.sleep(0.005)
        assert PING_TIMEOUT_S - 1.2 < loop.time() - stopped_at < PING_TIMEOUT_S + 2.0
        assert largest <= HINTS_MAX_BYTES + 2_000_000
        assert "has not answered" in a.recorder.whys[0]
        assert not link.send_hint(b"x")
        # A system takes connections for a process that is stopped, and nobody answers them.
        await asyncio.sleep(max(0.0, stopped_at + STOPPED_S - loop.time()))
        assert a.links.to("b") is None
        b.process.send_signal(signal.SIGCONT)
        await has_link(a)
        await b.tells(down="a")
        assert await a.link_to_name("b").ask("k", b"again", 30.0) == b"again"
        await until(lambda: len(a.links._links) == 1)


@pytest.mark.process
@pytest.mark.timeout(120)
async def test_a_node_that_stood_still_itself_reads_first_what_has_come():
    """Two seconds are no reason to lose anything, on either side."""
    async with nodes("a") as (a,), other("b") as b:
        introduce(a, b)
        await has_link(a)
        for _ in range(3):
            b.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(2.0)
            b.process.send_signal(signal.SIGCONT)
            assert await a.link_to_name("b").ask("k", b"x", 30.0) == b"x"
        assert a.recorder.whys == []
        assert not [each for each in b.told if "down" in each]


async def through_a_proxy(one: Node, two: Node, address: str) -> None:
    """The older one dials the other by this address."""
    one.links.set_live([one.live, Live(two.own.name, two.own.incarnation, address)])
    two.links.set_live([one.live, two.live])
    await linked(one, two)


async def test_a_connection_that_is_reset_is_made_again():
    async with nodes("a", "b") as (a, b), proxy_to(b.live.address) as proxy:
        await through_a_proxy(a, b, proxy.address)
        for count in range(1, 4):
            a.links.send_hint(["b"], bytes(1_000_000))
            proxy.reset()
            await until(lambda count=count: len(a.recorder.whys) == len(b.recorder.whys) == count)
            await linked(a, b)
        assert a.links.send_hint(["b"], b"last") == 1
        await until(lambda: b"last" in b.recorder.hints)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "stalled", [{}, {"there": False}, {"back": False}], ids=["both", "back", "there"]
)
async def test_a_network_that_stalls_costs_the_link_and_it_comes_back(stalled):
    loop = asyncio.get_running_loop()
    async with nodes("a", "b") as (a, b), proxy_to(b.live.address) as proxy:
        await through_a_proxy(a, b, proxy.address)
        stalled_at = loop.time()
        proxy.stall(**stalled)
        await until(lambda: not (a.links.to("b") or b.links.to("a")))
        assert PING_TIMEOUT_S - 1.2 < loop.time() - stalled_at < PING_TIMEOUT_S + DEADLINE_S / 3
        proxy.heal()
        await linked(a, b)
        await until(lambda: len(a.links._links) == len(b.links._links) == 1)
        assert a.links.send_hint(["b"], b"again") == b.links.send_hint(["a"], b"again") == 1
        await until(lambda: a.recorder.hints and b.recorder.hints)


@pytest.mark.timeout(120)
async def test_a_slow_network_loses_hints_and_not_the_link():
    async with (
        nodes("a", "b") as (a, b),
        proxy_to(b.live.address) as proxy,
        asyncio.timeout(2 * DEADLINE_S),
    ):
        await through_a_proxy(a, b, proxy.address)
        proxy.max_bytes_per_s = 1_000_000.0
        pinged = a.links.counts.round_trip.count
        while a.links.counts.round_trip.count < pinged + 6:
            for _ in range(10):
                a.links.send_hint(["b"], bytes(100_000))
            await asyncio.sleep(0.01)
        assert a.links.counts.hints_dropped > 0
        assert a.recorder.whys == b.recorder.whys == []
        assert b.recorder.hints
