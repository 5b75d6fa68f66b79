"""Leases when the database does not answer, answers late, or has another time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from conduit.broker.clock import SystemClock
from conduit.errors import StoreUnavailable
from tests.cluster.kit import Member, answers, started, unstarted
from tests.cluster.proxy import Proxy, proxied

pytestmark = pytest.mark.process

UNTIL_S = "SELECT extract(epoch FROM lease_until) FROM conduit.nodes WHERE name = 'a'"
SET_BACK = "UPDATE conduit.nodes SET lease_until = lease_until + interval '1 hour'"


@asynccontextmanager
async def behind_a_proxy(url: str, port: int) -> AsyncIterator[tuple[Proxy, Member]]:
    async with proxied(port) as proxy, started(url.replace(f":{port}/", f":{proxy.port}/")) as a:
        yield proxy, a


async def test_a_renewal_whose_answer_is_lost_costs_no_lease(url, cluster, caplog):
    async with behind_a_proxy(url, cluster.port) as (proxy, a):
        await answers(a, "renew")
        heard = asyncio.Queue[str]()
        a.store.tell = heard.put_nowait
        proxy.answers.clear()
        assert await heard.get() == "renew sent"
        # The next one is sent when this one is given up, on another connection.
        assert await heard.get() == "renew sent"
        proxy.answers.set()
        assert await heard.get() == "renew answered"
        assert a.holds()
        assert a.diary.turns == ["held 1"]
        assert caplog.text.count("the lease of this node is not renewed") == 1
        assert a.problem is None


async def test_a_lease_that_the_database_prolongs_without_an_answer_is_lost_all_the_same(
    url, cluster
):
    async with behind_a_proxy(url, cluster.port) as (proxy, a):
        heard = asyncio.Queue[str]()
        a.store.tell = heard.put_nowait
        proxy.answers.clear()
        assert await heard.get() == "renew sent"
        await a.diary.says("lost")
        lost_s = SystemClock().wall_ms() / 1000
        assert not a.holds()
        # Earlier than the database would have it, which has had a renewal since the last answer.
        assert float(cluster.sql(UNTIL_S)) > lost_s
        proxy.answers.set()
        await a.diary.says("held 2")


async def test_while_the_database_is_away_leases_are_lost_and_afterwards_all_have_them_again(
    url, cluster, caplog
):
    async with started(url, "a") as a, started(url, "b") as b:
        await a.diary.says("a b")
        cluster.stop()
        try:
            with pytest.raises(StoreUnavailable, match="do not know yet"):
                await a.set_draining(is_draining=True)
            for member in (a, b):
                await member.diary.says("lost")
                assert not member.holds()
            assert "this node has no lease any more" in caplog.text
            assert caplog.text.count("the lease of this node is not renewed") == 2
            # What it knew last stays, but for itself.
            assert [(view.id, view.state) for view in a.views()] == [("a", "down"), ("b", "up")]
        finally:
            cluster.start()
        for member in (a, b):
            await member.diary.says("held 2")
        # What could not be told is told now.
        await b.diary.says("a* b")


async def test_a_short_restart_of_the_database_costs_nothing_that_is_not_told(url, cluster):
    async with started(url, "a") as a, started(url, "b") as b:
        cluster.stop()
        cluster.start()
        for member in (a, b):
            await answers(member, "renew")
            assert member.holds()
            # One term, or a loss and another.
            assert member.diary.turns in (["held 1"], ["held 1", "lost", "held 2"])
            assert member.term == len(member.diary.turns) // 2 + 1


async def test_a_node_starts_without_a_lease_while_the_database_does_not_answer(
    url, cluster, caplog
):
    async with unstarted(url) as a:
        cluster.stop()
        try:
            await a.start()
            assert not a.holds()
            assert "starts without a lease" in caplog.text
        finally:
            cluster.start()
        await a.diary.says("held 1")


async def test_a_node_leaves_in_time_while_the_database_does_not_answer(url, cluster, caplog):
    async with started(url) as a:
        cluster.stop()
        try:
            await asyncio.wait_for(a.close(), 10)
        finally:
            cluster.start()
        assert "learn in 3 s only" in caplog.text
        assert a.diary.turns == ["held 1", "lost"]


async def test_a_database_whose_clock_is_set_back_keeps_nobody_alive_who_is_gone(url, cluster):
    async with started(url, "a") as a, unstarted(url, "b") as b:
        await b.start()
        await a.diary.says("a b")
        b._task.cancel()
        cluster.sql(SET_BACK)
        await a.diary.says("a")
        assert a.diary.turns == ["held 1"]
