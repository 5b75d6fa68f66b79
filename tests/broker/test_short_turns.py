"""No turn of the loop does all of something large, and nobody waits for it. Counted, not timed."""

from __future__ import annotations

import asyncio

from conduit.broker.turn import STEPS_MAX_COUNT
from conduit.core.message import NewMessage
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import PublishRequest
from tests.broker.kit import Bench, running_broker

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
