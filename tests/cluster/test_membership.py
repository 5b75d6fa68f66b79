"""Nodes that join one database, keep their leases and leave."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from conduit.cluster import membership
from conduit.core.lease import LEASE_S
from conduit.errors import StoreUnavailable
from tests.cluster.kit import Diary, HandClock, answers, started, unstarted
from tests.support.postgres import Cluster
from tests.support.wait import until

pytestmark = pytest.mark.process

ANOTHER = """
INSERT INTO conduit.nodes SELECT 'b', gen_random_uuid(), address, version, protocol, state, number,
  started_at, now() + interval '3 s' FROM conduit.nodes
"""
FORGOTTEN = "DELETE FROM conduit.nodes WHERE name = 'a'"


async def test_a_node_that_starts_has_its_lease_and_knows_who_is_there(url):
    async with unstarted(url) as a:
        assert (a.holds(), a.term) == (False, 0)
        await a.start()
        assert (a.holds(), a.term) == (True, 1)
        # Who acts on the lease knows by then who lives.
        assert a.diary.entries == ["a", "held 1"]
        assert [node.incarnation for node in a.live] == [a.node.incarnation]


async def test_two_nodes_see_each_other_and_that_one_leaves(url):
    async with started(url, "a") as a:
        async with started(url, "b") as b:
            assert b.diary.entries == ["a b", "held 1"]
            await a.diary.says("a b")
            assert b.live[0].address == a.node.address
            seen = a.views()
            assert [(view.id, view.state, view.number) for view in seen] == [
                ("a", "up", 1),
                ("b", "up", 1),
            ]
            assert all(0 <= view.lease_age_s < LEASE_S for view in seen)
        # At its next renewal, and not when the lease would be over.
        began_at = asyncio.get_running_loop().time()
        await a.diary.says("a")
        assert asyncio.get_running_loop().time() - began_at < LEASE_S - 1
        left = a.views()[1]
        assert (left.id, left.state, left.has_left) == ("b", "down", True)
        assert b.diary.turns == ["held 1", "lost"]
        assert a.diary.turns == ["held 1"]


async def test_a_node_keeps_its_lease_for_longer_than_one_lasts(url):
    async with started(url, "a") as a, started(url, "b") as b:
        await answers(b, "renew", 5)
        assert (a.diary.turns, b.diary.turns) == (["held 1"], ["held 1"])
        assert a.holds()
        assert b.holds()


async def test_a_node_that_ends_without_leaving_is_down_when_its_lease_is_over(url, caplog):
    caplog.set_level("INFO")
    async with started(url, "a") as a, unstarted(url, "b") as b:
        await b.start()
        await a.diary.says("a b")
        # As if it were killed: its task ends, and its row stays.
        b._task.cancel()
        await a.diary.says("a")
        down = a.views()[1]
        assert (down.state, down.has_left) == ("down", False)
        assert down.lease_age_s >= LEASE_S
        assert "node b is down: it has not renewed its lease for 3 s" in caplog.text
        assert a.diary.turns == ["held 1"]
        # It has given up by itself, before that.
        assert not b.holds()
        assert b.diary.turns == ["held 1", "lost"]


async def test_ten_nodes_know_each_other(url):
    names = "abcdefghij"
    async with AsyncExitStack() as stack:
        members = [await stack.enter_async_context(started(url, name)) for name in names]
        for member in members:
            await member.diary.says(" ".join(names))
        await members.pop().close()
        for member in members:
            await member.diary.says(" ".join(names[:-1]))
        assert all(member.diary.turns == ["held 1"] for member in members)


async def test_that_a_node_drains_is_told_at_once(url):
    async with started(url, "a") as a, started(url, "b") as b:
        await answers(b, "renew")
        began_at = asyncio.get_running_loop().time()
        await b.set_draining(is_draining=True)
        # And not with the next renewal, in a second.
        assert asyncio.get_running_loop().time() - began_at < 0.8
        assert b.diary.live == "a b*"
        await a.diary.says("a b*")
        assert a.state_of("b") == "draining"
        await b.set_draining(is_draining=True)
        await b.set_draining(is_draining=False)
        await a.diary.says("a b")
        assert b.diary.turns == ["held 1"]


async def test_a_renewal_that_was_under_way_does_not_count_for_what_is_to_be_told(url):
    async with started(url) as a:
        tasks, found = [], []

        async def drain() -> None:
            await a.set_draining(is_draining=True)
            found.append(a.diary.live)

        def begin(call: str) -> None:
            if call == "renew sent" and not tasks:
                tasks.append(asyncio.get_running_loop().create_task(drain()))

        a.store.tell = begin
        await asyncio.to_thread(until, lambda: found)
        assert found == ["a*"]


async def test_a_node_that_starts_to_drain_without_a_lease_says_that_it_is_not_told(
    url, monkeypatch
):
    monkeypatch.setattr(membership, "TWO_CALLS_S", 0.1)
    async with unstarted(url) as a:
        with pytest.raises(StoreUnavailable, match="do not know yet"):
            await a.set_draining(is_draining=True)
        await a.start()
        assert a.diary.live == "a*"


async def test_after_the_machine_slept_it_holds_nothing_and_says_so_before_it_asks(url):
    clock = HandClock()
    async with started(url, clock=clock) as a:
        calls = []
        a.store.tell = lambda call: calls.append((call, list(a.diary.turns)))
        clock.ahead_s += 6
        assert not a.holds()
        assert a.state_of("a") == "down"
        await a.diary.says("held 2")
        assert a.holds()
        assert a.diary.turns == ["held 1", "lost", "held 2"]
        assert a.lost_count == 1
        assert calls[0] == ("renew sent", ["held 1", "lost"])


async def stood_still(url: str, cluster: Cluster, for_s: float) -> list[str]:
    """What a node has told when it asks again, after an answer that it had so late was the first to know of
    another node."""
    clock = HandClock()
    async with started(url, clock=clock) as a:
        found = []

        def sleep(call: str) -> None:
            if call == "renew sent":
                found.append(list(a.diary.entries))
                if len(found) == 1:
                    cluster.sql(ANOTHER)
            elif len(found) == 1:
                clock.ahead_s = for_s

        a.store.tell = sleep
        await a.diary.says("held 2")
        await asyncio.to_thread(until, lambda: len(found) > 1)
        assert a.diary.entries == ["a", "held 1", "lost", "a b", "held 2"]
        return found[1]


async def test_what_was_answered_while_the_process_stood_still_counts_for_nothing(url, cluster):
    # Also not who lived then.
    assert await stood_still(url, cluster, 6) == ["a", "held 1", "lost"]


async def test_what_is_answered_when_the_lease_is_over_and_would_have_prolonged_it_is_a_new_term(
    url, cluster
):
    told = await stood_still(url, cluster, 2.4)
    assert told == ["a", "held 1", "lost", "a b", "held 2"]


async def test_a_node_whose_row_is_gone_joins_again_with_a_new_term(url, cluster):
    async with started(url) as a:
        cluster.sql(FORGOTTEN)
        await a.diary.says("held 2")
        assert a.diary.turns == ["held 1", "lost", "held 2"]
        assert cluster.sql("SELECT number FROM conduit.nodes") == "1"


async def test_a_watcher_with_a_bug_keeps_nothing_from_the_others(url, caplog):
    class Broken(Diary):
        def lease_held(self, term: int) -> None:
            raise ValueError("a bug")

    async with unstarted(url) as a:
        second = Diary()
        a.watch(Broken())
        a.watch(second)
        await a.start()
        assert second.turns == ["held 1"]
        assert "a callback failed" in caplog.text


async def test_rows_of_nodes_that_are_gone_for_long_are_forgotten(url, cluster):
    async with started(url, "b"):
        pass
    cluster.sql("UPDATE conduit.nodes SET lease_until = now() - interval '2 hours'")
    async with started(url, "a") as a:
        a._forget_at = 0.0
        await answers(a, "forget")
        assert cluster.sql("SELECT name FROM conduit.nodes") == "a"


async def test_a_node_whose_start_is_given_up_leaves_all_the_same(url, cluster):
    async with unstarted(url) as a:
        start = asyncio.get_running_loop().create_task(a.start())
        a.store.tell = lambda _: start.cancel()
        await asyncio.gather(start, return_exceptions=True)
        assert start.cancelled()
    # The call that was under way came to its end before.
    assert cluster.sql("SELECT left_at IS NOT NULL FROM conduit.nodes") == "t"


async def test_to_end_twice_or_without_a_start_is_nothing(url):
    async with unstarted(url) as a:
        await a.close()
    async with started(url, "b") as b:
        await b.close()
        await b.close()
        assert b.diary.turns == ["held 1", "lost"]
        assert b.lost_count == 0
