"""Messages that come from the log: a store that is away or slow, and logs that others write to."""

import math

import pytest
import uuid_utils

from conduit.core.message import NewMessage
from conduit.errors import StoreUnavailable
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import Ack, Nack
from conduit.storage.dead_letters import DeadFilter
from tests.broker.kit import Bench, running_broker
from tests.broker.stores import AwayStore, SlowStore
from tests.storage.given import letters_count


def id_of(peer, seq):
    return next(frame["message_id"] for frame in peer.of("message") if frame["seq"] == seq)


async def dead_count(bench: Bench) -> int:
    await bench.flush()
    return await letters_count(bench.broker.store, DEFAULT_TENANT, DeadFilter())


async def append_behind(bench: Bench, topic: str, count: int) -> None:
    """What another server on the same log does."""
    topic_id = bench.broker.topics.get(DEFAULT_TENANT, topic).topic_id
    await bench.broker.store.append(
        [NewMessage(topic_id, str(uuid_utils.uuid7()), b"0") for _ in range(count)]
    )


async def test_a_store_that_is_away_burns_no_attempts():
    store = AwayStore()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("a", subscription="s", ack_wait_ms=1000)
        await bench.publish_many("a", 3)
        bench.forget_tail("a", 3)
        store.leave()
        for seq in (1, 2, 3):
            connection.verbs.nack(Nack(id_of(peer, seq), delay_ms=0))
        for _ in range(200):
            await bench.advance(1.0)
        assert peer.attempts == [(1, 1), (2, 1), (3, 1)]
        assert await dead_count(bench) == 0
        # At least once in a while, and not in every sweep.
        assert 2 <= store.read_count <= 1_000
        store.come_back()
        await bench.advance(1.0)
        assert peer.attempts[3:] == [(1, 2), (2, 2), (3, 2)]


async def publish_to_new(bench: Bench, topic: str) -> None:
    await bench.broker.topics.create(DEFAULT_TENANT, topic)
    await bench.publish(topic)


async def test_while_the_store_is_away_one_reads_for_all_who_are_behind():
    store = AwayStore()
    async with running_broker(store) as bench:
        for number in range(500):
            await publish_to_new(bench, f"a.{number}")
        store.leave()
        peers = [
            (await bench.subscribe("a.*", subscription=name, start="earliest", max_in_flight=1000))[
                1
            ]
            for name in "st"
        ]
        for _ in range(100):
            await bench.advance(0.1)
        assert 10 <= store.read_count <= 40
        store.come_back()
        # First one tries, then all read.
        for _ in range(2):
            await bench.advance(1.0)
        await bench.until(lambda: all(len(peer.seqs) == 500 for peer in peers))


async def test_a_topic_that_cannot_be_read_holds_up_no_other():
    class Damaged(AwayStore):
        async def read(self, topic_id, *args, **kwargs):
            if topic_id == damaged_id:
                raise StoreUnavailable("the file is damaged")
            return await super().read(topic_id, *args, **kwargs)

    async with running_broker(Damaged()) as bench:
        for name in ("a.bad", "a.1", "a.2"):
            await publish_to_new(bench, name)
        damaged_id = bench.broker.topics.get(DEFAULT_TENANT, "a.bad").topic_id
        _, bad = await bench.subscribe("a.bad", subscription="bad", start="earliest")
        for number in range(10):
            _, peer = await bench.subscribe(f"a.{1 + number % 2}", start="earliest")
            assert peer.seqs == [1]
            await bench.advance(0.3)
        assert bad.seqs == []


async def test_a_nack_does_not_fail_an_attempt_that_was_not_written():
    store = AwayStore()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("a", subscription="s", max_attempts=2)
        await bench.publish("a")
        bench.forget_tail("a", 1)
        store.leave()
        connection.verbs.nack(Nack(id_of(peer, 1), delay_ms=0))
        await bench.rest()
        connection.verbs.nack(Nack(id_of(peer, 1), ref="late"))
        await bench.rest()
        assert [frame["code"] for frame in peer.of("error")] == ["unknown_delivery"]
        assert await dead_count(bench) == 0


@pytest.mark.parametrize("again", [True, False], ids=["redelivery", "backlog"])
async def test_after_an_error_that_nobody_expected_it_is_tried_again(caplog, again):
    store = AwayStore()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("a", subscription="s")
        await bench.publish("a")
        if again:
            bench.forget_tail("a", 1)
            store.error = RuntimeError("a bug")
            connection.verbs.nack(Nack(id_of(peer, 1), delay_ms=0))
            expected = (1, 2)
        else:
            store.error = RuntimeError("a bug")
            await append_behind(bench, "a", 1)
            bench.broker.router.learned(bench.broker.topics.get(DEFAULT_TENANT, "a"), 2)
            expected = (2, 1)
        await bench.rest()
        assert "a bug" in caplog.text
        store.come_back()
        await bench.advance(1.0)
        assert peer.attempts == [(1, 1), expected]


async def test_while_a_message_cannot_be_read_new_ones_go_on():
    store = AwayStore()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("a")
        await bench.publish("a")
        bench.forget_tail("a", 1)
        store.leave()
        connection.verbs.nack(Nack(id_of(peer, 1), delay_ms=0))
        await bench.rest()
        await bench.publish("a")
        assert peer.seqs == [1, 2]


async def test_everybody_gets_what_others_wrote_to_the_log(bench: Bench):
    peers = [
        (await bench.subscribe("a", **fields))[1]
        for fields in (
            {"ack": "auto"},
            {},
            {"subscription": "s"},
            {"order": "strict", "ack": "auto"},
        )
    ]
    await bench.publish_many("a", 3)
    for _ in range(3):
        await append_behind(bench, "a", 2)
        await bench.publish("a")
        await append_behind(bench, "a", 1)
        await bench.publish_many("a", 2)
        await bench.fill_holes()
    await bench.until(lambda: all(len(peer.seqs) == 21 for peer in peers))
    for peer in peers:
        assert peer.seqs == list(range(1, 22))
        assert peer.of("gap") == []


async def test_a_pattern_that_had_nothing_to_do_gets_what_others_wrote(bench: Bench):
    await bench.broker.topics.create(DEFAULT_TENANT, "a.b")
    _, peer = await bench.subscribe("a.*")
    await append_behind(bench, "a.b", 3)
    await bench.publish("a.b")
    await bench.fill_holes()
    await bench.until(lambda: len(peer.seqs) == 4)
    assert peer.seqs == [1, 2, 3, 4]


async def test_nothing_is_passed_over_by_who_is_paused_while_a_page_comes():
    store = SlowStore()
    async with running_broker(store) as bench:
        _, peer = await bench.subscribe("a", subscription="s")
        await bench.publish("a")
        store.held.add("read")
        await append_behind(bench, "a", 2)
        bench.broker.router.learned(bench.broker.topics.get(DEFAULT_TENANT, "a"), 3)
        await bench.until(lambda: store.waiting == ["read"])
        await bench.broker.subscriptions.pause(DEFAULT_TENANT, "s")
        store.release()
        await bench.rest()
        assert peer.seqs == [1]
        await bench.broker.subscriptions.resume(DEFAULT_TENANT, "s")
        await bench.until(lambda: peer.seqs == [1, 2, 3])


async def test_acks_that_came_while_the_process_was_stopped_are_in_time(bench: Bench):
    connection, _ = await bench.subscribe("a", ack_wait_ms=1000, max_attempts=1)
    await bench.publish_many("a", 200)
    # The process stands still for 3 s. What is due first is the sweep; then the sockets are read.
    bench.clock.seconds += 3
    bench.broker._engine.deadlines.sweep(bench.clock.seconds)
    connection.verbs.ack(Ack(topic="a", seq=200))
    await bench.advance(0.1)
    assert await dead_count(bench) == 0
    assert bench.broker.stats.late_ack_count == 0


async def test_acks_that_the_server_leaves_unread_for_a_while_are_in_time(bench: Bench):
    connection, peer = await bench.subscribe("a", ack_wait_ms=1000, max_attempts=1)
    await bench.publish_many("a", 200)
    peer.heard_until = -math.inf
    for _ in range(10):
        await bench.advance(1.0)
    peer.heard_until = math.inf
    connection.verbs.ack(Ack(topic="a", seq=199))
    assert bench.broker.stats.late_ack_count == 0
    # The last one is overdue, and fails soon.
    for _ in range(3):
        await bench.advance(1.0)
    assert await dead_count(bench) == 1


@pytest.mark.parametrize("is_in_tail", [True, False], ids=["from the tail", "from kept pages"])
async def test_acks_of_what_was_read_long_ago_and_is_handed_out_now_ask_the_store_for_nothing(
    is_in_tail,
):
    store = SlowStore()
    async with running_broker(store) as bench:
        await bench.subscribe("a", subscription="first", max_in_flight=600)
        await bench.publish_many("a", 600)
        if not is_in_tail:
            bench.forget_tail("a", 600)
            _, reading = await bench.subscribe(
                "a", subscription="reads", start="earliest", max_in_flight=600
            )
            await bench.until(lambda: len(reading.seqs) == 600)
            await bench.rest()
        # As after 131,072 deliveries of others.
        bench.broker._engine.index._young.clear()
        read_count = bench.broker.stats.log_read_count
        connection, peer = await bench.subscribe("a", subscription="s", start="earliest")
        await bench.until(lambda: len(peer.seqs) == 256)
        assert bench.broker.stats.log_read_count == read_count
        store.held.add("find")
        for frame in peer.of("message"):
            connection.verbs.ack(Ack(frame["message_id"]))
        await bench.rest()
        store.release()
        assert not store.waiting
