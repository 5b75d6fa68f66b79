"""Nodes that are processes of their own: stopped, and with a wrong clock."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.cluster.kit import answers, started
from tests.cluster.processes import process
from tests.support.wait import until

pytestmark = pytest.mark.process

OVER_FOR_S = "SELECT extract(epoch FROM clock_timestamp() - lease_until) FROM conduit.nodes"
HOUR_S = 3600


async def test_a_node_that_was_stopped_for_longer_than_its_lease_does_nothing_before_it_knows(
    url, cluster
):
    async with started(url, "a") as a, process("node", url, "b") as b:
        await b.says("held 1")
        await a.diary.says("a b")
        b.signal(signal.SIGSTOP)
        await a.diary.says("a")
        over_for_s = f"{OVER_FOR_S} WHERE name = 'b'"
        await asyncio.to_thread(until, lambda: float(cluster.sql(over_for_s)) > 3)
        before = len(b.lines)
        b.signal(signal.SIGCONT)
        await b.says("held 2")
        told = b.lines[before:]
        woke = told.index("woke False")
        assert "woke True" not in told
        # What it told before it was stopped may be read only now; between its going on and the loss: nothing.
        assert told[woke + 1] == "lost"
        assert told[woke + 2] in ("renew sent", "renew answered")
        await a.diary.says("a b")
        assert a.diary.turns == ["held 1"]


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_node_whose_clock_is_an_hour_off_is_one_like_the_others(url, hours):
    async with started(url, "a") as a, process("node", url, "b", str(hours * HOUR_S)) as b:
        await b.says("held 1")
        await a.diary.says("a b")
        for _ in range(4):
            b.lines.clear()
            await b.says("renew answered")
        assert a.holds()
        assert "lost" not in b.lines
        assert a.state_of("b") == "up"
        await b.end()
        await a.diary.says("a")
        assert a.views()[1].has_left
        assert a.diary.turns == ["held 1"]


async def test_a_node_that_is_killed_and_started_again_has_its_lease_in_time(url):
    async with started(url, "a") as a:
        async with process("node", url, "b") as b:
            await a.diary.says("a b")
            b.signal(signal.SIGKILL)
        async with process("node", url, "b") as b:
            await b.says("held 1")
            await answers(a, "renew", 2)
            assert a.diary.live == "a b"
            assert a.views()[1].number == 2
