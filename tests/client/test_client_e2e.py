from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from conduit.client import (
    ApiError,
    AsyncConduit,
    DeadLetterFilter,
    DeadLetterJob,
    Delivery,
    GapEvent,
    Retention,
    Stream,
    attachment,
)
from tests.support.http import Api
from tests.support.server import RunningServer, running_server
from tests.support.wait import until

pytestmark = pytest.mark.e2e

COUNT = 200
# Attempts take 0.3 s: three of them would fit into the time of one handler.
SLOW_COUNT = 12
SLOW_S = 0.9


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """A server of its own for each test, because most of these kill it."""
    with running_server(DATABASE_URL="sqlite:///conduit.db") as server:
        yield server


async def restart(server: RunningServer) -> None:
    """SIGKILL and start again, while the loop goes on."""
    await asyncio.to_thread(server.restart)


async def test_publishing_through_a_crash_stores_everything_once_and_in_order(
    server: RunningServer,
) -> None:
    async with AsyncConduit(server.url) as client:
        await client.topics.create("t")
        crash = None
        for number in range(COUNT):
            if number == COUNT // 2:
                crash = asyncio.gather(restart(server))
            await client.publish("t", number)
        assert crash is not None
        await crash
    stored = Api(server.url).browse("t")
    assert [message["payload"] for message in stored] == list(range(COUNT))


@pytest.mark.parametrize("subscription", [None, "billing"])
@pytest.mark.parametrize("pattern", ["t", "*"])
async def test_a_stream_goes_on_after_a_crash_without_a_hole(
    server: RunningServer, pattern: str, subscription: str | None
) -> None:
    async with AsyncConduit(server.url) as client:
        await client.topics.create("t")
        async with client.subscribe(pattern, subscription, max_in_flight=10) as stream:
            seen: list[int] = []
            crash = None
            for number in range(COUNT):
                await client.publish("t", number)
            async for delivery in stream:
                if delivery.message.attempt == 1 and delivery.payload not in seen:
                    seen.append(delivery.payload)
                await delivery.ack()
                if len(seen) == COUNT // 2 and crash is None:
                    crash = asyncio.gather(restart(server))
                if len(set(seen)) == COUNT:
                    break
            assert seen == list(range(COUNT))
            assert crash is not None
            await crash


async def test_an_unsettled_delivery_comes_again_after_a_crash(server: RunningServer) -> None:
    async with AsyncConduit(server.url) as client:
        await client.topics.create("t")
        async with client.subscribe("t") as stream:
            for number in range(3):
                await client.publish("t", number)
            first, second, third = [await anext(stream) for _ in range(3)]
            await first.ack()
            await third.ack()
            await second.nack(delay_ms=60_000)
            await restart(server)
            again = await anext(stream)
            assert again.payload == 1
            await again.ack()
            await client.publish("t", "after")
            assert (await anext(stream)).payload == "after"


@pytest.mark.parametrize("at_once_count", [1, 4])
async def test_a_handler_slower_than_an_attempt_runs_once_for_each_message(
    server: RunningServer, at_once_count: int
) -> None:
    """One after the other, or several at once: nothing runs twice, and nothing that succeeds dies."""
    runs: Counter[int] = Counter()

    async def work(delivery: Delivery) -> None:
        runs[delivery.payload] += 1
        await asyncio.sleep(SLOW_S)
        await delivery.ack()

    async def worker(stream: Stream) -> None:
        for _ in range(SLOW_COUNT // at_once_count):
            await work(await anext(stream))

    async with AsyncConduit(server.url) as client:
        await client.topics.create("t")
        stream = client.subscribe("t", "slow", ack_wait_ms=300, max_in_flight=10)
        async with stream:
            for number in range(SLOW_COUNT):
                await client.publish("t", number)
            await asyncio.gather(*(worker(stream) for _ in range(at_once_count)))
            # Had one of them run twice, its copy would be here by now, or soon.
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(SLOW_S):
                    await anext(stream)
        assert runs == dict.fromkeys(range(SLOW_COUNT), 1)
        subscription = await client.subscriptions.get("slow")
        assert (subscription.lag, subscription.dead_count) == (0, 0)


async def test_a_topic_that_is_deleted_and_created_anew_is_followed(server: RunningServer) -> None:
    gap: asyncio.Future[GapEvent] = asyncio.get_running_loop().create_future()
    async with AsyncConduit(server.url) as client:
        await client.topics.create("t")
        async with client.subscribe("t", on_gap=gap.set_result) as stream:
            for number in range(3):
                await client.publish("t", number)
            for _ in range(3):
                await (await anext(stream)).ack()
            await client.topics.delete("t")
            await client.topics.create("t")
            async with asyncio.timeout(10):
                assert (await gap).reason == "epoch_changed"
            await client.publish("t", "anew")
            delivery = await anext(stream)
            assert (delivery.payload, delivery.message.seq) == ("anew", 1)


async def test_what_is_deleted_under_a_stream_ends_it(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachment, "TOPIC_PATIENCE_S", 0.2)
    async with AsyncConduit(server.url) as client:
        for name, code in ((None, "topic_not_found"), ("s", "subscription_not_found")):
            async with client.subscribe("t", name) as stream:
                await client.publish("t", 1)
                await anext(stream)
                if name is None:
                    await client.topics.delete("t")
                else:
                    await client.subscriptions.delete(name)
                for _ in range(2):
                    with pytest.raises(ApiError) as raised:
                        await anext(stream)
                    assert (raised.value.code, raised.value.status) == (code, 404)
            with pytest.raises(ApiError):
                async with client.subscribe("t", name, create=False):
                    pass
            if name is None:
                await client.topics.create("t")
        assert [found.name async for found in client.subscriptions.find()] == []


async def _finished(client: AsyncConduit, job: DeadLetterJob) -> DeadLetterJob:
    """The job once it no longer runs."""
    async with asyncio.timeout(30):
        while job.state == "running":
            await asyncio.sleep(0.05)
            assert job.id is not None
            job = await client.dead_letters.job(job.id)
    return job


async def _is_listed(client: AsyncConduit, job: DeadLetterJob) -> None:
    """As the last one, of the one node."""
    found = await client.dead_letters.jobs()
    assert (found.jobs[0], found.unanswered_count) == (job, 0)
    assert (job.which.redriven, [job.node]) == (True, found.nodes)


async def test_the_control_endpoints_answer_as_the_records_say(server: RunningServer) -> None:
    async with AsyncConduit(server.url) as client:
        made = await client.topics.create("t", Retention(max_messages=10))
        assert made.retention.max_messages == 10
        async with client.subscribe("t", "work") as stream:
            for number in range(2):
                await client.publish("t", number, key="k", headers={"a": "b"})
            await (await anext(stream)).reject("no good")
            await (await anext(stream)).ack()
        api = Api(server.url)
        await asyncio.to_thread(until, api.dead_letters)
        assert [topic.name async for topic in client.topics.find(q="t")] == ["t"]
        subscription = await client.subscriptions.get("work")
        assert (subscription.lag, subscription.dead_count) == (0, 1)
        assert [found.name async for found in client.subscriptions.find()] == ["work"]
        (letter,) = [letter async for letter in client.dead_letters.find(DeadLetterFilter())]
        assert (letter.reason, letter.key, letter.headers) == ("no good", "k", {"a": "b"})
        assert (await client.dead_letters.get(letter.id)).message_id == letter.message_id
        assert (await client.subscriptions.pause("work")).paused
        assert not (await client.subscriptions.resume("work")).paused
        moved = await client.subscriptions.seek("work", "earliest", dry_run=True)
        (place,) = moved.topics
        assert (place.floor, place.lag) == (0, 2)
        assert (await client.topics.change("t", max_bytes=None)).retention.max_messages == 10
        since = datetime.now(UTC) - timedelta(hours=1)
        early = await client.subscriptions.create("early", "*", start=since, max_lost=None)
        assert (early.lag, early.max_lost, early.gaps) == (2, None, [])
        assert (await client.subscriptions.change("early", max_attempts=9)).max_attempts == 9
        await client.subscriptions.delete("early")
        plan = await client.dead_letters.redrive_many(
            DeadLetterFilter(topic="t"), rate_per_s=1000, max_count=None, dry_run=True
        )
        assert (plan.id, plan.matched_count) == (None, 1)
        await client.dead_letters.redrive(letter.id)
        async with client.subscribe("t", "work") as stream:
            again = await anext(stream)
            assert (again.payload, again.message.attempt) == (0, 1)
            await again.ack()
        find = client.dead_letters.find
        assert [letter.id async for letter in find(DeadLetterFilter(redriven=False))] == []
        discard_many, redriven = client.dead_letters.discard_many, DeadLetterFilter(redriven=True)
        assert (await discard_many(redriven, dry_run=True)).matched_count == 1
        assert (await discard_many([letter.id], dry_run=True)).matched_count == 1
        job = await _finished(client, await discard_many(redriven))
        assert (job.action, job.state, job.discarded_count) == ("discard", "done", 1)
        await _is_listed(client, job)
        with pytest.raises(ApiError) as raised:
            await client.dead_letters.get(letter.id)
        assert raised.value.status == 404
        await client.subscriptions.delete("work")
        await client.topics.delete("t")
        assert (await client.health())["store"]["durable"] is True
        await client.check_ready()
        assert (await client.stats())["total_messages"] == 2
