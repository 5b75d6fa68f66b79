"""Connections that are lost, and messages that kill their consumers."""

import asyncio

import pytest

from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack
from conduit.storage.dead_letters import DeadFilter
from tests.broker.kit import Bench, running_broker
from tests.broker.stores import SlowStore


async def letters(bench: Bench):
    await bench.flush()
    return await bench.broker.store.dead_list(T, DeadFilter(), limit=100)


async def test_what_a_lost_connection_had_comes_at_once_and_then_later_and_later(bench: Bench):
    await bench.broker.topics.create(T, "a")
    seen = []
    connection, peer = await bench.subscribe("a", subscription="s")
    await bench.publish("a")
    for wait_s in (0, 1, 2, 4, 8, 16, 32, 60, 60):
        connection.close(lost=True)
        await bench.rest()
        connection, peer = await bench.subscribe("a", subscription="s")
        if wait_s:
            await bench.advance(wait_s - 0.2)
            assert peer.attempts == []
        await bench.advance(0.3)
        seen += peer.attempts
    assert seen == [(1, attempt) for attempt in range(2, 11)]
    assert all("failures" not in frame for frame in peer.of("message"))


async def test_a_message_that_kills_its_consumers_is_dead_in_the_end(bench: Bench):
    await bench.broker.topics.create(T, "a")
    await bench.publish("a")
    handed = 0
    for _ in range(30):
        connection, peer = await bench.subscribe(
            "a", subscription="s", start="earliest", max_lost=4, ack_wait_ms=3_600_000
        )
        await bench.advance(61)
        handed += len(peer.seqs)
        connection.close(lost=True)
    (letter,) = await letters(bench)
    assert (letter.reason, letter.attempts, handed) == ("connection_lost", 4, 4)


@pytest.mark.parametrize("poison", [1, 7, 20])
async def test_the_innocent_get_through_beside_a_poisonous_message(bench: Bench, poison):
    await bench.broker.topics.create(T, "a")
    acked: set[int] = set()
    connection, peer = await bench.subscribe("a", subscription="s", ack_wait_ms=3_600_000)
    await bench.publish_many("a", 20)
    for _ in range(40):
        # A consumer that handles one after the other, until one kills it.
        handled = 0
        while handled < len(peer.of("message")):
            frame = peer.of("message")[handled]
            handled += 1
            if frame["seq"] == poison:
                break
            acked.add(frame["seq"])
            connection.verbs.ack(Ack(message_id=frame["message_id"]))
            await bench.rest()
        else:
            await bench.advance(61)
            continue
        connection.close(lost=True)
        connection, peer = await bench.subscribe("a", subscription="s")
        await bench.advance(0.1)
    assert acked == set(range(1, 21)) - {poison}
    (letter,) = await letters(bench)
    assert (letter.seq, letter.reason) == (poison, "connection_lost")


async def test_what_was_not_lost_goes_before_a_suspect_which_has_its_turn(bench: Bench):
    connection, peer = await bench.subscribe("a", subscription="s", max_in_flight=1)
    await bench.publish("a", "poison")
    for _ in range(2):
        connection.close(lost=True)
        connection, peer = await bench.subscribe("a", subscription="s")
        await bench.rest()
    await bench.publish_many("a", 4)
    await bench.advance(1.1)
    order = []
    for _ in range(5):
        frame = peer.of("message")[-1]
        order.append(frame["seq"])
        connection.verbs.ack(Ack(message_id=frame["message_id"]))
        await bench.rest()
    assert sorted(order) == [1, 2, 3, 4, 5]
    assert order.index(1) in (1, 2)


async def test_a_clean_close_costs_nothing_however_often(bench: Bench):
    await bench.broker.topics.create(T, "a")
    connection, peer = await bench.subscribe("a", subscription="s", max_lost=2)
    await bench.publish("a")
    for attempt in range(2, 30):
        connection.close()
        connection, peer = await bench.subscribe("a", subscription="s")
        assert peer.attempts == [(1, attempt)]
    assert await letters(bench) == []


async def test_without_a_limit_it_is_never_dead(bench: Bench):
    await bench.broker.topics.create(T, "a")
    connection, peer = await bench.subscribe("a", subscription="s", max_lost=None)
    await bench.publish("a")
    for _ in range(50):
        connection.close(lost=True)
        connection, peer = await bench.subscribe("a", subscription="s")
        await bench.advance(61)
    assert peer.attempts == [(1, 51)]
    assert await letters(bench) == []


async def test_losses_are_remembered_over_a_reload(bench: Bench):
    await bench.broker.topics.create(T, "a")
    connection, peer = await bench.subscribe("a", subscription="s", max_lost=3)
    await bench.publish("a")
    for _ in range(3):
        connection.close(lost=True)
        await bench.flush()
        await bench.flush()
        assert bench.broker._owned.running() == []
        connection, peer = await bench.subscribe("a", subscription="s")
        await bench.advance(2)
    assert peer.attempts == []
    (letter,) = await letters(bench)
    assert letter.reason == "connection_lost"


async def test_what_died_after_another_node_had_claimed_the_subscription_is_no_dead_letter():
    store = SlowStore()
    async with running_broker(store) as bench:
        _, peer = await bench.subscribe("a", subscription="s", max_attempts=1)
        await bench.flush()
        store.held.add("settle")
        await bench.publish("a")
        flushing = asyncio.get_running_loop().create_task(bench.flush())
        await bench.until(lambda: store.waiting == ["settle"])
        await bench.advance(31)
        await store.subscription_claim(bench.broker._owned.get(T, "s").subscription_id)
        store.release()
        await flushing
        assert peer.closed is not None
        assert await letters(bench) == []
        _, again = await bench.subscribe("a", subscription="s")
        assert again.seqs == [1]
