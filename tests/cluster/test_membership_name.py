"""Two processes that want one name."""

from __future__ import annotations

import asyncio

import pytest

from conduit.core.lease import LEASE_S
from conduit.core.rival import WAIT_S
from conduit.errors import ConfigError
from tests.cluster.kit import killed, started, unstarted
from tests.support.wait import DEADLINE_S

pytestmark = pytest.mark.process

OVER = "UPDATE conduit.nodes SET lease_until = now()"
RENEWED = "UPDATE conduit.nodes SET lease_until = now() + interval '3 s'"


async def test_a_chosen_name_that_a_living_node_has_is_refused_with_its_address(url):
    async with started(url, "a") as a, unstarted(url, "a") as second:
        with pytest.raises(ConfigError) as raised:
            await second.start()
        (problem,) = raised.value.problems
        assert problem.startswith("NODE_ID: a is the name of another node, at a.example:8080")
        assert "give each node a NODE_ID of its own" in problem
        assert second.diary.entries == []
        # The first one has noticed nothing.
        assert a.diary.turns == ["held 1"]


async def test_with_the_name_of_the_machine_a_second_node_takes_another_one(url, caplog):
    async with started(url, "host") as first:
        async with started(url, "host", other_name="host-8081") as second:
            assert second.node.name == "host-8081"
            assert second.holds()
            assert "this one is called host-8081" in caplog.text
            await first.diary.says("host host-8081")
            async with unstarted(url, "host", other_name="host-8081") as third:
                with pytest.raises(ConfigError, match="host-8081 is the name of another node"):
                    await third.start()
            # And back, when the first one is gone.
            await first.close()
        async with started(url, "host", other_name="host-8081") as again:
            assert again.node.name == "host"


async def test_after_a_predecessor_that_was_killed_a_node_starts_and_has_its_lease_when_it_can(
    url, caplog
):
    loop = asyncio.get_running_loop()
    async with killed(url) as before, unstarted(url) as a:
        began_at = loop.time()
        await a.start()
        assert WAIT_S - 0.1 <= loop.time() - began_at < LEASE_S - 0.5
        assert not a.holds()
        assert "starts without a lease" in caplog.text
        assert before.address in caplog.text
        await a.diary.says("held 1")
        assert loop.time() - began_at < LEASE_S + 1
        assert not a.failed.done()
        assert a.views()[0].number == 2


async def test_with_the_name_of_the_machine_too_the_place_of_one_that_was_killed_is_taken(url):
    async with killed(url, "host"), started(url, "host", other_name="host-8081") as a:
        await a.diary.says("held 1")
        assert a.node.name == "host"


async def test_also_where_the_name_of_the_machine_has_another_node(url):
    second = started(url, "host", other_name="host-8081")
    async with started(url, "host"), killed(url, "host-8081"), second as a:
        await a.diary.says("held 1")
        assert a.node.name == "host-8081"


async def test_where_the_lease_of_a_killed_predecessor_ends_soon_the_start_waits_for_it(
    url, cluster
):
    async with killed(url), unstarted(url) as a:
        cluster.sql("UPDATE conduit.nodes SET lease_until = now() + interval '0.5 s'")
        await a.start()
        assert a.holds()


async def test_a_predecessor_that_lives_after_all_is_told_to_who_waits_for_that(url, cluster):
    async with killed(url) as before, unstarted(url) as a:
        await a.start()
        assert not a.failed.done()
        cluster.sql(RENEWED)
        error = await asyncio.wait_for(a.failed, DEADLINE_S)
        assert before.address in error.problems[0]
        assert not a.holds()
        assert a.diary.turns == []


async def test_a_node_whose_name_another_process_has_taken_meanwhile_gives_up_for_good(
    url, cluster
):
    async with started(url) as a:
        # As after it has stood still for long.
        cluster.sql(OVER)
        async with started(url, "a") as second:
            error = await asyncio.wait_for(a.failed, DEADLINE_S)
            assert "NODE_ID" in error.problems[0]
            assert a.diary.turns == ["held 1", "lost"]
            assert second.holds()
            assert second.views()[0].number == 2
        # What it does at its end touches nobody else.
        async with started(url, "a") as third:
            await a.close()
            await third.set_draining(is_draining=True)
            assert third.diary.turns == ["held 1"]


async def test_a_node_whose_name_was_taken_by_one_that_is_gone_has_it_again(url, cluster):
    async with started(url) as a:
        cluster.sql(OVER)
        async with started(url, "a"):
            pass
        await a.diary.says("held 2")
        assert a.diary.turns == ["held 1", "lost", "held 2"]
        assert not a.failed.done()
