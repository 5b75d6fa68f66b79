"""Nodes that leave and come back, over real links; the table of states is in tests/core/test_leaving.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from conduit.cluster import handing_over, leaving, membership
from conduit.cluster.neighbours import Kind
from conduit.errors import ConduitError, Conflict, InvalidRequest, StoreUnavailable, Unavailable
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack
from tests.cluster.company import Client
from tests.cluster.leases import Leavers, leavers
from tests.cluster.links.kit import until

pytestmark = pytest.mark.slow


@pytest.fixture
async def nodes() -> AsyncIterator[Leavers]:
    async with leavers("a", "b", "c") as made:
        for name in "abc":
            await made.company[name].bench.broker.topics.ensure(T, "t")
        yield made


def begun(work: object) -> asyncio.Task[object]:
    return asyncio.get_running_loop().create_task(work)


def running(nodes: Leavers, at: str) -> int:
    return nodes.company[at].bench.broker.running_count


async def subscribed(nodes: Leavers, at: str, owner: str, **fields: object) -> Client:
    return await nodes.company[at].client().subscribe(nodes.company.name_for(owner), **fields)


# Leaving ------------------------------------------------------------------------------------------


async def test_when_a_drain_is_answered_the_others_know_it_and_may_run_what_it_ran(nodes: Leavers):
    clients = [await subscribed(nodes, at, "a") for at in "abc"]
    assert running(nodes, "a") == 1
    found = await nodes["a"].leaving.drain()
    assert (found.id, found.state, found.owned_subscriptions) == ("a", "draining", 0)
    assert [nodes.states(at)["a"] for at in "abc"] == ["draining"] * 3
    assert nodes.store.live
    await until(lambda: running(nodes, "b") + running(nodes, "c") == 1)
    await nodes["a"].gets_to("drained")
    assert nodes["a"].sockets.closed_count == 1
    await nodes.company["b"].bench.publish_many("t", 3)
    await until(lambda: sorted(seq for each in clients for seq in each.seqs) == [1, 2, 3])
    assert [each.peer.closed for each in clients] == [None, None, None]


async def test_what_one_gives_back_is_not_handed_to_the_next_who_is_sent_on_as_well(
    nodes: Leavers,
):
    clients = [await subscribed(nodes, at, "a", max_in_flight=1) for at in "bbcc"]
    await nodes.company["a"].bench.publish_many("t", 4)
    await until(lambda: sorted(seq for each in clients for seq in each.seqs) == [1, 2, 3, 4])
    await nodes["a"].leaving.drain()
    await until(lambda: sum(len(each.seqs) for each in clients) == 8)
    await nodes.company.flush()
    # Each once before, and once from the next owner.
    assert sorted(seq for each in clients for seq in each.seqs) == sorted([1, 2, 3, 4] * 2)
    assert {failures for each in clients for failures in each.failures} == {0}


async def test_what_was_settled_until_it_goes_is_not_handed_out_again(nodes: Leavers):
    client = await subscribed(nodes, "b", "a", max_in_flight=4)
    await nodes.company["a"].bench.publish_many("t", 4)
    await until(lambda: client.seqs == [1, 2, 3, 4])
    for id_ in client.ids[:3]:
        client.verbs.ack(Ack(message_id=id_))
    owned = nodes.company.name_for("a")
    await until(lambda: nodes.company["a"].settled(owned) == 3)
    await nodes["a"].leaving.drain()
    await until(lambda: len(client.seqs) == 5)
    assert client.seqs == [1, 2, 3, 4, 4]


async def test_sockets_are_closed_when_others_run_it_and_load_balancers_have_had_their_time():
    async with leavers("a", "b", lingers_s=0.2) as nodes:
        found = await nodes["a"].leaving.drain()
        assert (found.phase, nodes["a"].sockets.closed_count) == ("lingering", 0)
        await nodes["a"].gets_to("drained")
        assert nodes["a"].sockets.closed_count == 1


async def test_one_that_comes_back_gets_its_own_again(nodes: Leavers):
    client = await subscribed(nodes, "b", "a")
    await nodes["a"].leaving.drain()
    await until(lambda: running(nodes, "b") + running(nodes, "c") == 1)
    found = await nodes["a"].leaving.undrain()
    assert (found.state, found.phase) == ("up", "serving")
    assert [nodes.states(at)["a"] for at in "abc"] == ["up"] * 3
    await until(lambda: running(nodes, "a") == 1)
    await nodes.company["c"].bench.publish_many("t", 2)
    await until(lambda: client.seqs == [1, 2])


async def test_an_order_for_another_node_is_passed_on(nodes: Leavers):
    order = nodes["b"].member.exchange.neighbours.order
    assert (await order("a", is_draining=True)).id == "a"
    assert nodes["b"].leaving.is_serving
    assert not nodes["a"].leaving.is_serving
    assert (await order("a", is_draining=False)).phase == "serving"


# Several orders -----------------------------------------------------------------------------------


async def test_two_who_want_the_same_are_both_answered(nodes: Leavers):
    found = await asyncio.gather(*(nodes["a"].leaving.drain() for _ in range(3)))
    assert {each.state for each in found} == {"draining"}
    await nodes["a"].gets_to("drained")
    assert nodes["a"].sockets.closed_count == 1


async def test_who_is_overruled_is_told_so(nodes: Leavers):
    nodes.nodes.is_away = True
    drained = begun(nodes["a"].leaving.drain())
    await nodes["a"].gets_to("telling")
    undrained = begun(nodes["a"].leaving.undrain())
    with pytest.raises(Conflict):
        await drained
    again = begun(nodes["a"].leaving.drain())
    with pytest.raises(Conflict):
        await undrained
    nodes.nodes.is_away = False
    await again
    assert nodes.states("b")["a"] == "draining"


async def test_what_is_about_to_be_handed_over_goes_on_here_if_that_is_undone(
    nodes: Leavers, monkeypatch: pytest.MonkeyPatch
):
    client = await subscribed(nodes, "b", "a")
    nodes.store.held.add("settle")
    await nodes.company["a"].bench.publish_many("t", 1)
    await until(lambda: client.seqs == [1])
    drained = begun(nodes["a"].leaving.drain())
    await nodes["a"].gets_to("handing_over")
    await nodes.company["a"].bench.publish_many("t", 1)
    await nodes["a"].leaving.undrain()
    with pytest.raises(Conflict):
        await drained
    nodes.store.release()
    await until(lambda: client.seqs == [1, 2])
    assert running(nodes, "a") == 1


async def test_sockets_that_were_not_told_yet_stay_if_it_is_undone(nodes: Leavers):
    sockets = nodes["a"].sockets
    sockets.may_close.clear()
    await nodes["a"].leaving.drain()
    await nodes["a"].gets_to("closing")
    await nodes["a"].leaving.undrain()
    sockets.may_close.set()
    await nodes.company.flush()
    assert sockets.closed_count == 0


# What may be missing ------------------------------------------------------------------------------


async def test_a_store_that_does_not_answer_keeps_it_where_it_is_until_it_does(
    nodes: Leavers, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(leaving, "WAIT_MAX_S", 0.3)
    monkeypatch.setattr(membership, "TWO_CALLS_S", 0.1)
    nodes.nodes.is_away = True
    with pytest.raises(StoreUnavailable) as caught:
        await nodes["a"].leaving.drain()
    assert "the store is away" in caught.value.detail
    assert caught.value.detail.endswith("goes on trying; `conduit node undrain a` takes it back")
    assert caught.value.detail.startswith(f"{nodes['a'].leaving.view().problem}; ")
    assert nodes["a"].phase == "telling"
    nodes.nodes.is_away = False
    await nodes["a"].gets_to("drained")
    assert nodes["a"].leaving.view().problem is None


async def test_why_it_is_not_ready_says_what_is_true_of_this_moment(nodes: Leavers):
    leaving_a = nodes["a"].leaving
    nodes["a"].sockets.may_close.clear()
    await leaving_a.drain()
    await nodes["a"].gets_to("closing")
    assert leaving_a.told == "the node is draining (closing): other nodes serve"
    nodes["a"].sockets.may_close.set()
    await nodes["a"].gets_to("drained")
    assert leaving_a.told == "the node was drained: other nodes serve"
    await nodes["b"].leaving.drain()
    await nodes["c"].leaving.drain()
    await nodes["c"].gets_to("alone")
    assert "no other node is up: who is connected is served" in nodes["c"].leaving.told
    await until(lambda: leaving_a.told == "the node was drained: no other node is up")


async def test_progress_that_cannot_be_stored_holds_it_up_for_so_long_only(
    nodes: Leavers, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(handing_over, "STORE_TIMEOUT_S", 0.1)
    client = await subscribed(nodes, "b", "a")
    nodes.store.held.add("settle")
    await nodes.company["a"].bench.publish_many("t", 1)
    await until(lambda: client.seqs == [1])
    client.verbs.ack(Ack(message_id=client.ids[0]))
    assert (await nodes["a"].leaving.drain()).owned_subscriptions == 0
    # It was not stored.
    await until(lambda: client.seqs == [1, 1])
    nodes.store.release()


async def test_the_last_that_is_up_goes_on_until_another_one_is():
    async with leavers("a", "b") as nodes:
        for name in "ab":
            await nodes.company[name].bench.broker.topics.ensure(T, "t")
        await nodes["b"].leaving.drain()
        await nodes["b"].gets_to("drained")
        client = await nodes.company["a"].client().subscribe("s")
        found = await nodes["a"].leaving.drain()
        assert (found.phase, found.problem) == ("alone", leaving.ALONE)
        # Both have a part again, for nobody is up to take it.
        await until(lambda: running(nodes, "a") + running(nodes, "b") == 1)
        await nodes.company["a"].bench.publish_many("t", 1)
        await until(lambda: client.seqs == [1])
        assert nodes["a"].sockets.closed_count == 0
        await nodes["b"].leaving.undrain()
        await nodes["a"].gets_to("drained")
        await until(lambda: running(nodes, "b") == 1)


async def test_who_cannot_be_told_learns_it_with_its_next_renewal(nodes: Leavers):
    nodes["b"].member.exchange.neighbours.conduct = None
    await nodes["a"].leaving.drain()
    await nodes.all_know({"a": "draining", "b": "up", "c": "up"})


# The end of the process ---------------------------------------------------------------------------


async def test_a_signal_hands_over_and_leaves_the_sockets_to_the_server(nodes: Leavers):
    await subscribed(nodes, "b", "a")
    nodes["a"].leaving.stop()
    await nodes["a"].gets_to("lingering")
    assert running(nodes, "a") == 0
    with pytest.raises(Unavailable) as caught:
        await nodes["a"].leaving.undrain()
    assert caught.value.code == "shutting_down"
    assert (await nodes["a"].leaving.drain()).phase == "lingering"
    await nodes["a"].leaving.end(5.0)
    assert (nodes["a"].phase, nodes["a"].sockets.closed_count) == ("ending", 0)


async def test_a_store_that_does_not_answer_does_not_keep_the_process(nodes: Leavers):
    nodes.nodes.is_away = True
    async with asyncio.timeout(5.0):
        await nodes["a"].leaving.end(0.1)
    assert nodes["a"].phase == "ending"


async def test_a_node_without_a_lease_has_nobody_to_tell():
    async with leavers("a", "b") as nodes:
        nodes["a"].membership._tenure.give_up()
        nodes.nodes.is_away = True
        async with asyncio.timeout(5.0):
            await nodes["a"].leaving.end(5.0)


# What nodes ask each other ------------------------------------------------------------------------


async def test_what_is_asked_of_another_run_or_cannot_be_read_is_refused(nodes: Leavers):
    link = nodes["b"].member.exchange.links.to("a")
    assert link is not None
    for body, kind in ((b"\xa1x", Conflict), (b"\x01", InvalidRequest)):
        with pytest.raises(kind):
            await link.ask(Kind.LOOK, body, 5.0)


async def test_without_a_link_no_order_gets_there(nodes: Leavers):
    with pytest.raises(ConduitError) as caught:
        await nodes["b"].member.exchange.neighbours.order("z", is_draining=True)
    assert caught.value.code == "node_unreachable"
