"""A durable subscription has one owner, which hands out only while it has a lease."""

from __future__ import annotations

import asyncio

import pytest

from conduit.broker.administer import redriving
from conduit.broker.attach import connection
from conduit.broker.deliver import claiming, ownership
from conduit.broker.deliver.title import NO_TERM, Title
from conduit.errors import NotFound, OwnedElsewhere
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.codes import CLOSE_MOVED
from conduit.protocol.frames import StartAt, Subscribe
from conduit.storage.dead_letters import DeadFilter
from tests.broker.kit import Bench
from tests.broker.nodes import ack, asked, begun, nack, nodes_on
from tests.support.wait import DEADLINE_S


async def test_without_a_lease_nothing_is_handed_out_and_with_one_all_that_is_owed(owners):
    a, _ = owners
    _, peer = await a.subscribe()
    await a.bench.publish_many("t", 3)
    assert (peer.seqs, peer.closed) == ([], None)
    await a.hold()
    assert peer.seqs == [1, 2, 3]


async def test_a_lease_that_nobody_has_told_of_is_none():
    title = Title()
    title.begin("node", lambda: True, takes_over=False)
    assert not title.holds(NO_TERM)
    assert not title.holds(1)
    title.term = 1
    assert (title.holds(1), title.holds(NO_TERM), title.holds(2)) == (True, False, False)
    title.end()
    title.term = 2
    assert not title.holds(2)


async def test_without_a_lease_nothing_is_begun_in_topics_and_with_one_all_that_wait_are_served(
    owners,
):
    a, _ = owners
    names = [f"p.{n}" for n in range(30)]
    for name in names:
        await a.bench.broker.topics.create(T, name)
        await a.bench.publish(name)
    _, peer = await a.subscribe(topic="p.*", start="earliest")
    await a.bench.rest()
    assert a.running().cursors == {}
    await a.hold()
    await a.bench.until(lambda: len(peer.seqs) == len(names))


async def test_who_has_given_up_all_hands_out_nothing_though_its_lease_holds(owners, leased):
    a, b = owners
    await a.hold()
    await b.hold()
    _, peer = await a.subscribe()
    await a.bench.broker.ownership.end()
    _, other = await b.subscribe()
    await a.bench.publish("t")
    await b.hear()
    assert (peer.seqs, other.seqs) == ([], [1])


async def test_without_a_lease_that_is_needed_no_owner_is_recorded_and_nothing_asked(bench: Bench):
    store = bench.broker.store
    connection, peer = await bench.subscribe("t", subscription="s")
    await bench.publish_many("t", 3)
    assert peer.seqs == [1, 2, 3]
    group = bench.broker._owned.running()[0].group
    assert (group.title, store._fences._owners) == (None, {})
    connection.close()
    await bench.flush()
    assert bench.broker.ownership._leaving == {}


async def test_ephemeral_subscribers_need_no_lease(owners):
    a, _ = owners
    _, peer = await a.bench.subscribe("t")
    await a.bench.publish_many("t", 3)
    assert peer.seqs == [1, 2, 3]


@pytest.mark.parametrize("is_told", [True, False])
@pytest.mark.parametrize("more", [{}, {"ack": "auto"}, {"order": "strict"}], ids=str)
async def test_from_the_moment_in_which_the_lease_is_over_nothing_is_handed_out(
    owners, is_told, more
):
    a, _ = owners
    await a.hold()
    connection, peer = await a.subscribe(**more)
    await a.bench.publish("t")
    assert peer.seqs == [1]
    a.lapse(is_told=is_told)
    await a.bench.publish_many("t", 3)
    if not more:
        nack(connection, peer, 1)
    await a.bench.advance(0.1)
    assert (peer.seqs, peer.closed) == ([1], None)
    await a.regain()
    await a.bench.advance(0.0)
    if more.get("order") == "strict":
        ack(connection, 1)
        await a.bench.rest()
        assert peer.seqs == [1, 2]
    else:
        assert sorted(peer.seqs) == ([1, 2, 3, 4] if more else [1, 1, 2, 3, 4])


async def test_what_is_read_from_the_log_when_the_lease_is_over_is_handed_out_when_it_is_back(
    owners,
):
    a, _ = owners
    await a.hold()
    await a.bench.publish_many("t", 20)
    a.bench.forget_tail("t", 20)
    connection, peer = a.bench.connect()
    subscribing = Subscribe("t", subscription="s", start="earliest", max_in_flight=5)
    await connection.subscribe(subscribing)
    # The read is under way.
    a.lapse()
    await a.bench.rest()
    assert peer.seqs == []
    await a.hold()
    await a.bench.until(lambda: peer.seqs == [1, 2, 3, 4, 5])


async def test_while_the_lease_is_over_acks_count_and_no_attempt_fails(owners):
    a, _ = owners
    await a.hold()
    connection, peer = await a.subscribe(ack_wait_ms=1_000)
    await a.bench.publish_many("t", 2)
    await a.lose()
    ack(connection, 1)
    for _ in range(10):
        await a.bench.advance(10.0)
    assert peer.attempts == [(1, 1), (2, 1)]
    await a.bench.flush()
    cursor = next(iter(a.running().cursors.values()))
    assert (cursor.delivery.floor, cursor.delivery.out_count) == (1, 1)
    await a.hold()
    # The client had a hundred seconds, and has not acked it.
    await a.bench.advance(2.0)
    await a.bench.advance(2.0)
    assert peer.attempts == [(1, 1), (2, 1), (2, 2)]


async def test_a_lease_that_is_held_anew_costs_one_question_however_many_run(owners, leased):
    a, _ = owners
    await a.hold()
    peers = [(await a.subscribe(f"s{n}"))[1] for n in range(250)]
    assert asked(leased, "owned") == 0
    a.lapse()
    await a.bench.publish("t")
    assert [peer.seqs for peer in peers] == [[]] * 250
    await a.regain()
    await a.bench.until(lambda: all(peer.seqs == [1] for peer in peers))
    assert asked(leased, "owned") == 1


async def test_no_turn_of_the_loop_judges_more_than_some(owners, leased):
    a, b = owners
    await a.hold()
    closed = []
    for n in range(250):
        _, peer = await a.subscribe(f"s{n}")
        peer.close = lambda code, reason: closed.append(code)
    await a.lose()
    await b.hold()
    for n in range(250):
        await b.subscribe(f"s{n}")
    leased.held.add("owned")
    await a.hold()
    leased.release()
    most, before = 0, 0
    while len(closed) < 250:
        await asyncio.sleep(0)
        most, before = max(most, len(closed) - before), len(closed)
    assert most == ownership.JUDGED_MAX_COUNT


# Another owner --------------------------------------------------------------------------------------


async def test_what_another_node_has_claimed_meanwhile_is_its_own(owners, leased):
    a, b = owners
    await a.hold()
    connection, peer = await a.subscribe()
    await a.bench.publish_many("t", 2)
    await a.bench.flush()
    await a.lose()
    await b.hold()
    _, other = await b.subscribe()
    await b.hear()
    assert other.seqs == [1, 2]
    ack(connection, 1)
    await b.bench.publish("t")
    await a.hear()
    await a.hold()
    assert peer.closed == (CLOSE_MOVED, "subscription moved")
    assert peer.seqs == [1, 2]
    assert other.seqs == [1, 2, 3]
    assert (a.running(), a.owned_count, b.owned_count) == (None, 0, 1)


async def test_what_a_stale_owner_stores_is_refused_before_it_has_a_lease_again(owners, leased):
    a, b = owners
    await a.hold()
    connection, peer = await a.subscribe()
    await a.bench.publish_many("t", 2)
    await a.bench.flush()
    await a.lose()
    await b.hold()
    await b.subscribe()
    ack(connection, 1)
    await a.bench.flush()
    assert peer.closed == (CLOSE_MOVED, "subscription moved")
    (row,) = await leased.progress(b.running().group.subscription_id)
    assert row.floor == 0


async def test_the_lease_of_another_owner_is_waited_for_and_not_longer(owners, leased, monkeypatch):
    monkeypatch.setattr(claiming, "CLAIM_AGAIN_S", 0.0)
    a, b = owners
    await a.hold()
    await b.hold()
    await a.subscribe()
    await a.bench.publish("t")
    attached, other = b.bench.connect()
    waiting = begun(attached.subscribe(Subscribe("t", subscription="s")))
    await b.bench.rest()
    assert not waiting.done()
    # Its name is free for others meanwhile.
    await b.bench.broker.subscriptions.pause(T, "s")
    await b.bench.broker.subscriptions.resume(T, "s")
    await a.lose()
    await waiting
    await b.hear()
    assert other.seqs == [1]


async def test_what_is_given_up_is_had_at_once(owners, leased, monkeypatch):
    monkeypatch.setattr(claiming, "CLAIM_AGAIN_S", 0.0)
    a, b = owners
    await a.hold()
    await b.hold()
    first, _ = await a.subscribe()
    await a.bench.publish_many("t", 2)
    attached, other = b.bench.connect()
    waiting = begun(attached.subscribe(Subscribe("t", subscription="s", ref="r")))
    await b.bench.rest()
    ack(first, 1)
    first.close()
    await a.bench.flush()
    await asyncio.wait_for(waiting, DEADLINE_S)
    await b.bench.until(lambda: other.seqs == [2])
    assert (a.owned_count, b.owned_count) == (0, 1)


async def test_who_waits_for_longer_than_there_is_time_is_told_why(owners, monkeypatch):
    monkeypatch.setattr(claiming, "CLAIM_AGAIN_S", 0.0)
    monkeypatch.setattr(connection, "ELSEWHERE_MAX_S", 0.01)
    a, b = owners
    await a.hold()
    await a.subscribe()
    with pytest.raises(OwnedElsewhere, match="'s' runs on another node") as caught:
        await b.subscribe()
    assert caught.value.owner == a.incarnation
    assert (b.running(), a.owned_count) == (None, 1)


async def test_who_closes_the_connection_waits_no_more(owners, monkeypatch):
    monkeypatch.setattr(claiming, "CLAIM_AGAIN_S", 0.0)
    a, b = owners
    await a.hold()
    await a.subscribe()
    attached, _ = b.bench.connect()
    waiting = begun(attached.subscribe(Subscribe("t", subscription="s")))
    await b.bench.rest()
    attached.close()
    await asyncio.wait_for(waiting, DEADLINE_S)
    assert b.running() is None


async def test_who_made_it_is_told_where_it_begins_however_long_that_takes(
    owners, leased, monkeypatch
):
    monkeypatch.setattr(claiming, "CLAIM_AGAIN_S", 0.0)
    a, b = owners
    await a.hold()
    await b.hold()
    # Somebody else attaches to it at the other node as soon as it is there.
    leased.held.add("claim")
    attached, peer = a.bench.connect()
    waiting = begun(attached.subscribe(Subscribe("t", subscription="s", start=StartAt(seq=1))))
    await a.bench.until(lambda: leased.waiting == ["claim"])
    (record,) = await leased.subscriptions()
    leased.held.clear()
    fence = await leased.subscription_claim(record.subscription_id, b.incarnation)
    leased.release()
    await a.bench.rest()
    assert not waiting.done()
    await leased.subscription_release(b.incarnation, [(record.subscription_id, fence)])
    await waiting
    assert peer.of("subscribed")[0]["recovered"] is True


async def test_a_server_that_cannot_reach_others_takes_over(leased):
    async with nodes_on(leased, takes_over=True) as (a, b):
        await a.hold()
        await b.hold()
        _, peer = await a.subscribe()
        await a.bench.publish("t")
        _, other = await b.subscribe()
        await b.hear()
        assert other.seqs == [1]
        await b.bench.publish("t")
        await a.hear()
        await a.bench.flush()
        assert peer.closed == (CLOSE_MOVED, "subscription moved")
        assert (a.owned_count, b.owned_count) == (0, 1)
        # It is its own, after a lease that was lost, too.
        await b.lose()
        await b.hold()
        assert other.closed is None


async def test_what_is_redriven_at_a_node_that_has_it_not_is_refused_after_a_while(
    owners, monkeypatch
):
    monkeypatch.setattr(claiming, "CLAIM_AGAIN_S", 0.0)
    monkeypatch.setattr(redriving, "CLAIM_WAIT_MAX_S", 0.01)
    a, b = owners
    await a.hold()
    attached, peer = await a.subscribe(max_attempts=1)
    await a.bench.publish("t")
    nack(attached, peer, 1)
    await a.bench.flush()
    await b.hear()
    (letter, *_), *_ = await b.bench.broker.dead_letters.list(T, DeadFilter(), limit=1)
    with pytest.raises(OwnedElsewhere, match="runs on another node"):
        await b.bench.broker.dead_letters.redrive(T, letter.dead_id)
    await b.hold()
    assert b.running() is None


async def test_what_the_owner_before_has_changed_holds_at_the_next_one_from_the_first_message(
    owners,
):
    a, b = owners
    await a.hold()
    await b.hold()
    connection, _ = await a.subscribe()
    await b.hear()
    await a.bench.broker.subscriptions.pause(T, "s")
    await a.bench.broker.subscriptions.update(T, "s", {"max_in_flight": 1})
    connection.close()
    await a.bench.flush()
    await a.bench.until(lambda: a.owned_count == 0)
    _, peer = await b.subscribe()
    await b.bench.publish_many("t", 3)
    assert peer.seqs == []
    await b.bench.broker.subscriptions.resume(T, "s")
    await b.bench.rest()
    assert peer.seqs == [1]


async def test_one_that_others_have_deleted_just_before_it_was_claimed_does_not_run(owners):
    a, b = owners
    await a.hold()
    await b.hold()
    connection, _ = await a.subscribe()
    await b.hear()
    connection.close()
    await a.bench.flush()
    await a.bench.until(lambda: a.owned_count == 0)
    await a.bench.broker.subscriptions.delete(T, "s")
    with pytest.raises(NotFound, match="subscription"):
        await b.subscribe(create=False)
    assert b.running() is None
