"""No turn of the loop does all of something large, and nobody waits for it. Counted, not timed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from conduit.broker.attach.connection import Connection
from conduit.broker.deliver.router import TIDY_ROUND_COUNT
from conduit.broker.turn import STEPS_MAX_COUNT
from conduit.broker.waiting import Deadline
from conduit.core.message import NewMessage
from conduit.core.sorted_names import SEARCH_STEP_COUNT
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import PublishRequest
from tests.broker.kit import TURNS_MAX_COUNT, Bench, running_broker

# So many cursors that they are looked at in several turns.
TOPICS_COUNT = 2 * STEPS_MAX_COUNT + 100


async def fill(bench: Bench) -> None:
    for number in range(TOPICS_COUNT):
        await bench.broker.topics.create(DEFAULT_TENANT, f"o.t{number}")


async def publish_to_all(bench: Bench) -> None:
    for number in range(TOPICS_COUNT):
        request = PublishRequest(f"o.t{number}", b"1")
        bench.broker.publish(DEFAULT_TENANT, request, lambda _: None)
        if number % 500 == 0:
            await bench.rest()
    await bench.rest()


async def test_a_subscription_that_goes_on_in_many_topics_keeps_no_message_of_others_waiting():
    async with running_broker() as bench:
        await fill(bench)
        _, other = await bench.subscribe("mine", ack="auto")
        _, peer = await bench.subscribe("o.>", subscription="s", max_in_flight=10_000)
        await publish_to_all(bench)
        await bench.broker.subscriptions.pause(DEFAULT_TENANT, "s")
        await publish_to_all(bench)
        (running,) = bench.broker._owned.running()
        running.configure(running.group.settings, paused=False)
        mine = bench.broker.topics.get(DEFAULT_TENANT, "mine")
        bench.broker.router.committed(mine, [NewMessage(mine.topic_id, "id", b"1")], 1)
        await asyncio.sleep(0)
        assert other.seqs == [1]
        assert len(peer.seqs) < 2 * TOPICS_COUNT
        await bench.until(lambda: len(peer.seqs) == 2 * TOPICS_COUNT)


async def test_changes_that_come_faster_than_all_topics_can_look_at_them_are_looked_at_once_more():
    async with running_broker() as bench:
        await fill(bench)
        _, peer = await bench.subscribe("o.>", subscription="s", max_in_flight=10_000)
        await publish_to_all(bench)
        subscriptions = bench.broker.subscriptions
        for _ in range(5):
            await subscriptions.pause(DEFAULT_TENANT, "s")
            await subscriptions.resume(DEFAULT_TENANT, "s")
        assert len(bench.broker._engine.turn._spread) <= 1
        await publish_to_all(bench)
        await bench.until(lambda: len(peer.seqs) == 2 * TOPICS_COUNT)


def cursors_count(connections: list[Connection]) -> int:
    return sum(
        len(share.running.cursors)
        for connection in connections
        for share in connection._shares.values()
    )


async def most_in_a_turn(bench: Bench, count: Callable[[], int], until: int) -> int:
    """By how much the count changed in one turn of the loop, until it was that."""
    most, before = 0, count()
    for _ in range(TURNS_MAX_COUNT):
        if before == until:
            return most
        await asyncio.sleep(0)
        now = count()
        most, before = max(most, abs(now - before)), now
    raise AssertionError(f"it is {before}, and never was {until}")


async def test_a_batch_to_many_topics_that_many_follow_opens_and_tidies_a_few_cursors_in_a_turn():
    async with running_broker() as bench:
        for number in range(100):
            await bench.broker.topics.create(DEFAULT_TENANT, f"o.t{number}")
        subscribed = [await bench.subscribe("o.>", ack="auto") for _ in range(20)]
        connections, peers = zip(*subscribed, strict=True)
        receipts = []
        requests = [PublishRequest(f"o.t{number}", b"1") for number in range(100)] * 2
        bench.broker.publish_batch(DEFAULT_TENANT, requests, receipts.extend)
        most = await most_in_a_turn(bench, lambda: cursors_count(connections), 20 * 100)
        assert most <= STEPS_MAX_COUNT
        await bench.until(lambda: all(len(peer.seqs) == 200 for peer in peers))
        assert {receipt.subscribers for receipt in receipts} == {20}
        for peer in peers:
            assert peer.seqs == [1, 2] * 100
        most = 0
        for _ in range(3 * TIDY_ROUND_COUNT):
            bench.broker.router.tidy()
            for _ in range(20):
                before = cursors_count(connections)
                await asyncio.sleep(0)
                most = max(most, before - cursors_count(connections))
        assert cursors_count(connections) == 0
        assert 0 < most <= STEPS_MAX_COUNT
        assert not bench.broker.router._routes


async def test_who_leaves_while_cursors_are_opened_gets_no_more_of_them():
    async with running_broker() as bench:
        for number in range(100):
            await bench.broker.topics.create(DEFAULT_TENANT, f"o.t{number}")
        subscribed = [await bench.subscribe("o.>", ack="auto") for _ in range(20)]
        connections = [connection for connection, _ in subscribed]
        shares = [share for one in connections for share in one._shares.values()]
        requests = [PublishRequest(f"o.t{number}", b"1") for number in range(100)]
        bench.broker.publish_batch(DEFAULT_TENANT, requests, lambda _: None)
        await bench.until(lambda: cursors_count(connections) > 0)
        for connection in connections:
            connection.close()
        await bench.broker._engine.turn.finished()
        await bench.rest()
        assert [len(share.running.cursors) for share in shares] == [0] * 20
        assert bench.broker._engine.feeds.all() == []


async def test_a_message_wakes_a_few_of_those_who_wait_for_it_in_a_turn_and_all_of_them_soon():
    async with running_broker() as bench:
        subscribed = [await bench.subscribe("a", subscription=f"s{n}") for n in range(700)]
        peers = [peer for _, peer in subscribed]
        topic = bench.broker.topics.get(DEFAULT_TENANT, "a")
        messages = [NewMessage(topic.topic_id, f"id{number}", b"1") for number in range(3)]
        for seq, message in enumerate(messages, 1):
            bench.broker.router.committed(topic, [message], seq)
            before = sum(len(peer.seqs) for peer in peers)
            await asyncio.sleep(0)
            assert sum(len(peer.seqs) for peer in peers) - before <= STEPS_MAX_COUNT * seq
        assert any(len(peer.seqs) < 3 for peer in peers)
        await bench.until(lambda: all(peer.seqs == [1, 2, 3] for peer in peers))


async def test_what_expires_at_one_time_in_many_topics_is_judged_over_several_turns():
    async with running_broker() as bench:
        await fill(bench)
        connection, peer = await bench.subscribe("o.>", max_in_flight=10_000, ack_wait_ms=1_000)
        await publish_to_all(bench)
        assert len(peer.seqs) == TOPICS_COUNT
        (share,) = connection._shares.values()

        def failed_count() -> int:
            return sum(one.delivery.waiting_count for one in share.running.cursors.values())

        bench.clock.seconds += 10
        for _ in range(2):
            bench.broker._engine.deadlines.sweep(bench.clock.seconds)
        assert failed_count() == 0
        most = await most_in_a_turn(bench, failed_count, TOPICS_COUNT)
        assert most <= STEPS_MAX_COUNT


async def test_a_search_through_very_many_names_takes_many_turns_and_a_page_of_all_takes_one():
    async with running_broker() as bench:
        topics, count = bench.broker.topics, 5 * SEARCH_STEP_COUNT
        names = {f"o.t{number}" for number in range(count)}
        await topics.ensure_all(DEFAULT_TENANT, names, Deadline(60.0))

        async def turns(q: str | None) -> int:
            page = topics.page(DEFAULT_TENANT, q=q, limit=500, after=None)
            task = asyncio.get_running_loop().create_task(page)
            turned = 0
            while not task.done():
                await asyncio.sleep(0)
                turned += 1
            assert len(task.result()) == (0 if q else 500)
            return turned

        assert await turns("nothing-has-this") >= 5
        assert await turns(None) <= 2


async def test_who_looks_at_topics_leaves_nothing_behind():
    async with running_broker() as bench:
        await bench.subscribe("o.>")
        await fill(bench)
        router, topics = bench.broker.router, bench.broker.topics
        for topic in await topics.page(DEFAULT_TENANT, q=None, limit=500, after=None):
            assert router.subscribers_of(topic) == 1
        assert not router._routes
