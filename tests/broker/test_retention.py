import asyncio
import logging

import pytest

from conduit.broker.administer import retention
from conduit.broker.administer.retention import RetentionRules
from conduit.core.message import Retention
from conduit.errors import StoreUnavailable
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import Reject
from conduit.storage.base import Sizes
from conduit.storage.dead_letters import DeadBounds, DeadFilter
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, running_broker

T = DEFAULT_TENANT


class WatchedStore(MemoryStore):
    """Counts what housekeeping asks for, and fails when told to."""

    # As a store on disk, which removes nothing by itself.
    kind = "sqlite"
    durable = True

    def __init__(self):
        super().__init__()
        self.trims = []
        self.fails = False
        self.asked = asyncio.Event()

    async def trim(self, topic_id, *args):
        self.trims.append(topic_id)
        return await super().trim(topic_id, *args)

    async def rounds(self, count):
        """Wait until so many rounds have come to the purge."""
        for _ in range(count):
            self.asked.clear()
            async with asyncio.timeout(5):
                await self.asked.wait()

    async def purge(self, limit):
        self.asked.set()
        if self.fails:
            raise StoreUnavailable("the disk is gone")
        return await super().purge(limit)


@pytest.fixture
def store():
    return WatchedStore()


@pytest.fixture
async def bench(store):
    rules = RetentionRules(interval_s=3600, dead_max_age_s=100, dead_bounds=DeadBounds(max_count=3))
    async with running_broker(store, housekeeping=rules) as bench:
        yield bench


async def topic_with(bench: Bench, count: int, **bounds):
    topic = await bench.broker.topics.create(DEFAULT_TENANT, "t", Retention(**bounds))
    await bench.publish_many("t", count)
    return topic


async def round_of(bench: Bench):
    await bench.broker._housekeeper.round()


async def test_the_newest_messages_stay_and_the_topic_knows(bench: Bench):
    topic = await topic_with(bench, 10, max_messages=4)
    before = topic.stored_bytes
    await round_of(bench)
    assert (topic.first_seq, topic.last_seq) == (7, 10)
    assert 0 < topic.stored_bytes < before


async def test_what_came_while_a_round_worked_on_other_topics_counts_as_no_older(store, bench):
    clock, topics = bench.clock, bench.broker.topics
    await topics.create(DEFAULT_TENANT, "large", Retention(max_age_s=60))
    await bench.publish("large")
    await topics.create(DEFAULT_TENANT, "t", Retention(max_age_s=60))
    trim = store.trim

    async def takes_50_s(*args):
        store.trim = trim
        clock.seconds += 50
        await bench.publish("t")
        return await trim(*args)

    store.trim = takes_50_s
    await round_of(bench)
    clock.seconds += 11
    await round_of(bench)
    assert topics.get(DEFAULT_TENANT, "t").first_seq == 1


async def test_what_is_published_after_the_clock_was_set_back_while_its_topic_is_trimmed_stays(
    monkeypatch, store, bench
):
    monkeypatch.setattr(retention, "SLICE_COUNT", 10)
    await topic_with(bench, 20, max_age_s=3600)
    bench.clock.seconds += 2 * 3600
    bench.broker._ticked()
    trim = store.trim

    async def sets_the_clock_back(*args):
        store.trim = trim
        trimmed = await trim(*args)
        bench.clock.ahead_s -= 2 * 3600
        await bench.publish("t")
        return trimmed

    store.trim = sets_the_clock_back
    await round_of(bench)
    topic = bench.broker.topics.get(DEFAULT_TENANT, "t")
    assert (topic.first_seq, topic.last_seq) == (21, 21)


async def test_messages_leave_by_size_and_by_age(bench: Bench):
    topic = await topic_with(bench, 10, max_bytes=5, max_age_s=60)
    await round_of(bench)
    assert topic.stored_bytes <= 5
    assert topic.first_seq > 1
    bench.clock.seconds += 61
    await round_of(bench)
    assert (topic.first_seq, topic.last_seq, topic.stored_bytes) == (11, 10, 0)


async def test_a_topic_is_trimmed_in_slices(bench: Bench, store, monkeypatch):
    monkeypatch.setattr(retention, "SLICE_COUNT", 10)
    topic = await topic_with(bench, 95, max_messages=5)
    await round_of(bench)
    assert topic.first_seq == 91
    assert len(store.trims) >= 9


async def test_publishing_goes_on_between_slices(bench: Bench, monkeypatch):
    monkeypatch.setattr(retention, "SLICE_COUNT", 1)
    topic = await topic_with(bench, 200, max_messages=1)
    trimming = asyncio.get_running_loop().create_task(round_of(bench))
    await bench.publish("t")
    assert not trimming.done()
    await trimming
    assert (topic.first_seq, topic.last_seq) == (201, 201)


async def test_a_topic_that_keeps_everything_is_never_asked_about(bench: Bench, store):
    await topic_with(bench, 10)
    await round_of(bench)
    assert store.trims == []


async def test_age_is_looked_at_a_hundred_times_in_a_lifetime_not_in_every_round(
    bench: Bench, store
):
    await topic_with(bench, 10, max_age_s=1000)
    for _ in range(10):
        await round_of(bench)
        bench.clock.seconds += 2
    assert len(store.trims) == 2


async def test_a_topic_learns_what_a_store_in_memory_removed_to_make_room():
    async with running_broker(MemoryStore(max_messages=10)) as bench:
        topic = await topic_with(bench, 10)
        await bench.broker.topics.create(DEFAULT_TENANT, "other")
        await bench.publish_many("other", 4)
        await round_of(bench)
        assert (topic.first_seq, topic.last_seq) == (5, 10)


async def test_a_deleted_topic_is_forgotten_and_purged(bench: Bench, store):
    topic = await topic_with(bench, 10, max_messages=1)
    await bench.broker.topics.delete(T, "t")
    await round_of(bench)
    assert store.trims == []
    assert await store.read(topic.topic_id, 1, limit=10) == []
    assert await store.purge(10) == 0


async def test_old_and_surplus_dead_letters_are_removed(bench: Bench):
    await bench.broker.topics.create(DEFAULT_TENANT, "t")
    connection, peer = await bench.subscribe("t", subscription="s")
    for _ in range(5):
        await bench.publish("t")
        connection.verbs.reject(Reject(peer.of("message")[-1]["message_id"]))
        await bench.flush()
        bench.clock.seconds += 30
    connection.close()
    await round_of(bench)
    letters, *_ = await bench.broker.dead_letters.list(T, DeadFilter(), limit=10)
    assert [letter.seq for letter in letters] == [5, 4, 3]
    bench.clock.seconds += 50
    await round_of(bench)
    letters, *_ = await bench.broker.dead_letters.list(T, DeadFilter(), limit=10)
    assert [letter.seq for letter in letters] == [5]


async def test_idempotency_keys_are_forgotten_after_their_window(bench: Bench, store):
    await bench.broker.topics.create(DEFAULT_TENANT, "t")
    await bench.publish("t", idempotency_key="k")
    await round_of(bench)
    assert len(await store.known_keys(0, 10)) == 1
    bench.clock.seconds += 601
    await round_of(bench)
    assert await store.known_keys(0, 10) == []


async def test_after_a_failure_the_next_round_tries_again(store, caplog):
    rules = RetentionRules(interval_s=0.001)
    async with running_broker(store, housekeeping=rules) as bench:
        store.fails = True
        with caplog.at_level(logging.WARNING):
            await store.rounds(5)
        assert caplog.text.count("a round of retention failed") == 1
        store.fails = False
        topic = await topic_with(bench, 10, max_messages=4)
        await store.rounds(2)
        assert topic.first_seq == 7
        store.fails = True
        await store.rounds(2)
        assert caplog.text.count("a round of retention failed") == 2


async def test_how_much_room_there_is_is_known_although_nothing_can_be_removed(bench, store):
    async def full(limit: int) -> int:
        raise StoreUnavailable("the disk is full")

    async def measure() -> Sizes:
        return Sizes(size_bytes=7)

    store.purge, store.measure = full, measure
    bench.clock.seconds += retention.MEASURE_INTERVAL_S
    with pytest.raises(StoreUnavailable, match="full"):
        await round_of(bench)
    assert bench.broker.sizes == Sizes(size_bytes=7)
