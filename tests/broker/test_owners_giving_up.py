"""What a node has and does not run is given up; what another node has moved is not its own."""

from __future__ import annotations

import pytest

from conduit.broker.deliver import ownership
from conduit.errors import OutcomeUnknown, StateError, StoreUnavailable
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.codes import CLOSE_MOVED
from conduit.protocol.frames import Subscribe
from tests.broker.kit import Bench
from tests.broker.nodes import Node, ack, asked, begun, comes, nodes_on


async def test_many_that_are_left_are_given_up_in_few_calls(owners, leased):
    a, _ = owners
    await a.hold()
    attached = [(await a.subscribe(f"s{n}"))[0] for n in range(50)]
    assert a.owned_count == 50
    for each in attached:
        each.close()
    await a.bench.flush()
    await a.bench.rest()
    assert (a.owned_count, a.bench.broker._owned.running()) == (0, [])
    assert asked(leased, "give_up") <= 2


async def test_a_broker_that_stops_gives_up_all_that_it_has(leased, caplog):
    async with nodes_on(leased, 1) as (a,):
        await a.hold()
        for n in range(5):
            await a.subscribe(f"s{n}")
        await a.bench.broker.stop()
        assert a.owned_count == 0
        assert asked(leased, "give_up") == 1
    assert caplog.messages == [] or not any("given up" in line for line in caplog.messages)


@pytest.mark.parametrize("how", ["fails", "hangs"])
async def test_a_broker_stops_also_if_it_can_give_nothing_up(leased, monkeypatch, caplog, how):
    monkeypatch.setattr(ownership, "LAST_TIMEOUT_S", 0.01)
    async with nodes_on(leased, 1) as (a,):
        await a.hold()
        await a.subscribe()
        (leased.failing if how == "fails" else leased.held).add("give_up")
        await a.bench.broker.stop()
        assert a.owned_count == 1
    assert any("1 durable subscriptions were not given up" in line for line in caplog.messages)


async def test_what_could_not_be_given_up_is_given_up_later(owners, leased, monkeypatch):
    monkeypatch.setattr(ownership, "RETRY_S", 0.001)
    a, _ = owners
    await a.hold()
    attached, _ = await a.subscribe()
    leased.failing.add("give_up")
    attached.close()
    await a.bench.flush()
    await comes(lambda: a.bench.broker.ownership._has_failed)
    assert (a.running(), a.owned_count) == (None, 1)
    leased.failing.clear()
    await comes(lambda: not a.owned_count)


async def test_what_is_loaded_again_before_it_was_given_up_stays(owners, leased):
    a, _ = owners
    await a.hold()
    attached, _ = await a.subscribe()
    leased.held.add("give_up")
    attached.close()
    await a.bench.flush()
    await a.bench.until(lambda: leased.waiting == ["give_up"])
    _, peer = await a.subscribe()
    leased.release()
    await a.bench.publish("t")
    assert (peer.seqs, a.owned_count) == ([1], 1)


async def test_what_could_not_be_loaded_is_given_up(owners, leased):
    a, _ = owners
    await a.hold()
    attached, _ = await a.subscribe()
    attached.close()
    await a.bench.flush()
    leased.failing.add("progress")
    with pytest.raises(StoreUnavailable):
        await a.subscribe()
    await a.bench.rest()
    assert a.owned_count == 0


@pytest.mark.parametrize("how", ["lost", "not waited for"])
async def test_a_claim_whose_answer_nobody_hears_is_given_up(owners, leased, monkeypatch, how):
    a, _ = owners
    await a.hold()
    attached, _ = await a.subscribe()
    attached.close()
    await a.bench.flush()
    if how == "lost":
        claim = leased.subscription_claim

        async def lost(*args, **more):
            await claim(*args, **more)
            raise OutcomeUnknown("the connection broke")

        monkeypatch.setattr(leased, "subscription_claim", lost)
        with pytest.raises(OutcomeUnknown):
            await a.subscribe()
    else:
        leased.held.add("claimed")
        attached, _ = a.bench.connect()
        waiting = begun(attached.subscribe(Subscribe("t", subscription="s")))
        await a.bench.until(lambda: leased.waiting == ["claimed"])
        assert a.owned_count == 1
        waiting.cancel()
    await a.bench.rest()
    assert a.owned_count == 0


# Seeks ----------------------------------------------------------------------------------------------


async def moved_elsewhere(a: Node, b: Node) -> None:
    """By a node that cannot reach the owner."""
    b.bench.broker.ownership.title.takes_over = True
    await b.bench.broker.news.catch_up()
    await b.bench.broker.subscriptions.seek(T, "s", "earliest", dry_run=False)


async def test_an_owner_that_was_moved_by_another_node_stores_nothing_more(owners, leased):
    a, b = owners
    await a.hold()
    attached, peer = await a.subscribe()
    await a.bench.publish_many("t", 3)
    await a.bench.flush()
    await moved_elsewhere(a, b)
    ack(attached, 3)
    await a.bench.flush()
    assert peer.closed == (CLOSE_MOVED, "subscription moved")
    # Nobody has it, so that whoever comes next need not wait.
    assert (a.running(), a.owned_count) == (None, 0)
    _, again = await a.subscribe()
    await a.bench.until(lambda: again.seqs == [1, 2, 3])


async def test_an_owner_with_nothing_to_store_hears_that_it_was_moved(owners, leased):
    a, b = owners
    await a.hold()
    attached, peer = await a.subscribe()
    await a.bench.publish_many("t", 3)
    ack(attached, 3)
    await a.bench.flush()
    await moved_elsewhere(a, b)
    await a.bench.broker.news.catch_up()
    await a.bench.rest()
    assert (peer.closed[0], a.owned_count) == (CLOSE_MOVED, 0)
    _, again = await a.subscribe()
    await a.bench.until(lambda: again.seqs == [1, 2, 3])


@pytest.mark.parametrize("is_stopping", [False, True])
async def test_what_another_node_moves_before_it_is_given_up_is_given_up_all_the_same(
    owners, leased, is_stopping
):
    a, b = owners
    await a.hold()
    attached, _ = await a.subscribe()
    leased.held.add("give_up")
    if is_stopping:
        leaving = begun(a.bench.broker.ownership.end())
    else:
        attached.close()
        await a.bench.flush()
    await a.bench.until(lambda: leased.waiting == ["give_up"])
    await moved_elsewhere(a, b)
    leased.release()
    await a.bench.rest()
    assert a.owned_count == 0
    if is_stopping:
        await leaving


@pytest.mark.parametrize("is_forgetful", [False, True], ids=["told", "forgotten"])
async def test_an_owner_with_nothing_to_store_finds_what_was_moved(
    owners, leased, monkeypatch, is_forgetful
):
    monkeypatch.setattr(ownership, "JUDGED_MAX_COUNT", 2)
    a, b = owners
    await a.hold()
    peers = {name: (await a.subscribe(name))[1] for name in ("p", "q", "r", "s")}
    await a.bench.flush()
    await moved_elsewhere(a, b)
    await b.bench.broker.subscriptions.seek(T, "q", "earliest", dry_run=False)
    # Of so much that the change log tells no names any more.
    leased.is_forgetful = is_forgetful
    await a.hear()
    moved = {name for name, peer in peers.items() if peer.closed is not None}
    assert moved == {"q", "s"}
    assert a.owned_count == 2


async def test_an_owner_that_moves_it_itself_goes_on(owners, leased):
    a, _ = owners
    await a.hold()
    attached, peer = await a.subscribe()
    await a.bench.publish_many("t", 3)
    ack(attached, 3)
    await a.bench.broker.subscriptions.seek(T, "s", "earliest", dry_run=False)
    await a.bench.broker.news.catch_up()
    ack(attached, 1)
    await a.bench.flush()
    assert (peer.seqs, peer.closed) == ([1, 2, 3, 1, 2, 3], None)


async def test_a_broker_that_runs_something_already_cannot_begin_to_need_a_lease(bench: Bench):
    await bench.subscribe("t", subscription="s")
    with pytest.raises(StateError):
        bench.broker.ownership.begin("x", lambda: True, takes_over=False)
