"""One subscription that is behind in many topics: what it reads, keeps and gets, in which order."""

import asyncio
from collections import Counter

import pytest

from conduit.broker.deliver.reads import BUSY_MAX_COUNT, IN_USE_MAX_BYTES
from conduit.broker.publish.admission import PublishLimits
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import Ack, Nack, Subscribe
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, Peer, running_broker
from tests.broker.stores import SlowStore

TOPICS_COUNT = 60


class CountingStore(MemoryStore):
    """Counts the messages that are read."""

    rows_count = 0

    async def read(self, *args, **kwargs):
        found = await super().read(*args, **kwargs)
        self.rows_count += len(found)
        return found


async def fill(bench: Bench, count: int, payload: object = 1) -> None:
    for number in range(TOPICS_COUNT):
        await bench.broker.topics.create(DEFAULT_TENANT, f"o.t{number}")
        for _ in range(count):
            await bench.publish(f"o.t{number}", payload)


async def drained(bench: Bench, connection, peer: Peer, count: int) -> list[str]:
    """Ack each as it comes, until that many came; the topics of all in their order."""
    while (came := len(peer.seqs)) < count:
        connection.verbs.ack(Ack(peer.of("message")[-1]["message_id"]))
        await bench.until(lambda: len(peer.seqs) > came)
    return [frame["topic"] for frame in peer.of("message")]


@pytest.mark.parametrize("memory_bytes", [1, 256_000, 128 << 20], ids=["none", "some", "enough"])
async def test_a_window_of_one_goes_round_all_topics_and_reads_nothing_twice(memory_bytes):
    store = CountingStore()
    async with running_broker(store, delivery_memory_max_bytes=memory_bytes) as bench:
        await fill(bench, 4, "x" * 20_000)
        connection, peer = await bench.subscribe(
            "o.*", subscription="s", start="earliest", max_in_flight=1
        )
        assert len(peer.seqs) == 1
        budget = bench.broker._engine.budget
        for count in range(TOPICS_COUNT, 4 * TOPICS_COUNT + 1, 6):
            await drained(bench, connection, peer, count)
            assert budget.held_bytes <= max(memory_bytes, budget._in_use_bytes)
        # Those that had read in their turn, and found the credit gone, may have to read again.
        assert 4 * TOPICS_COUNT <= store.rows_count <= 4.1 * TOPICS_COUNT


async def test_many_subscriptions_of_one_connection_use_little_of_the_log_together():
    store = CountingStore()
    async with running_broker(store, max_subscriptions_per_connection=TOPICS_COUNT) as bench:
        await fill(bench, 12, "x" * 20_000)
        connection, peer = bench.connect()
        for number in range(TOPICS_COUNT):
            await connection.subscribe(
                Subscribe(f"o.t{number}", start="earliest", ack="auto" if number % 2 else None)
            )
        most = 0
        while len(peer.seqs) < 12 * TOPICS_COUNT:
            await asyncio.sleep(0)
            most = max(most, connection._reads._in_use_bytes)
        assert 0 < most <= IN_USE_MAX_BYTES
        await bench.rest()
        assert connection._reads._in_use_bytes == bench.broker._engine.budget._in_use_bytes == 0
        assert store.rows_count == 12 * TOPICS_COUNT


async def test_what_many_subscribers_are_behind_in_is_read_once():
    store = CountingStore()
    async with running_broker(store) as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "o.t")
        for _ in range(40):
            await bench.publish_many("o.t", 50)
        peers = []
        for _ in range(20):
            connection, peer = bench.connect()
            await connection.subscribe(Subscribe("o.t", start="earliest", ack="auto"))
            peers.append(peer)
            # They do not come at the same time.
            await bench.rest()
        await bench.until(lambda: all(len(peer.seqs) == 2_000 for peer in peers))
        assert store.rows_count <= 2 * 2_000


async def test_every_topic_has_had_one_before_another_has_many():
    async with running_broker() as bench:
        await fill(bench, 6, "x" * 20_000)
        connection, peer = await bench.subscribe("o.*", start="earliest", max_in_flight=1)
        topics = await drained(bench, connection, peer, 6 * TOPICS_COUNT)
        for end in range(TOPICS_COUNT, len(topics), TOPICS_COUNT):
            counts = Counter(topics[:end])
            # Who reads has its turn when its page comes, perhaps after one that came later.
            assert max(counts.values()) - min(counts[f"o.t{n}"] for n in range(TOPICS_COUNT)) <= 3
        assert Counter(topics) == {f"o.t{n}": 6 for n in range(TOPICS_COUNT)}


async def test_after_a_restart_what_was_out_is_read_for_a_few_topics_at_a_time():
    store = SlowStore()
    async with running_broker(store) as bench:
        await fill(bench, 2)
        connection, _ = await bench.subscribe("o.*", subscription="s", start="earliest")
        connection.close()
        await bench.flush()
    async with running_broker(store) as bench:
        store.held.add("read")
        _, peer = await bench.subscribe("o.*", subscription="s")
        for _ in range(10):
            await bench.rest()
        assert len(store.waiting) == BUSY_MAX_COUNT
        store.release()
        await bench.until(lambda: len(peer.seqs) == 2 * TOPICS_COUNT)
        assert bench.broker._engine.budget._in_use_bytes == 0


class PartlySlowStore(SlowStore):
    """Reads of the topics in `slow_ids` hang until `release`."""

    def __init__(self):
        super().__init__()
        self.slow_ids: set[int] = set()
        self.held.add("read")

    async def read(self, topic_id, *args, **kwargs):
        if topic_id in self.slow_ids:
            return await super().read(topic_id, *args, **kwargs)
        return await super(SlowStore, self).read(topic_id, *args, **kwargs)


async def test_reads_that_hang_hold_up_no_topic_that_needs_none():
    store = PartlySlowStore()
    async with running_broker(store) as bench:
        for number in range(2 * BUSY_MAX_COUNT):
            topic = await bench.broker.topics.create(DEFAULT_TENANT, f"o.slow{number}")
            store.slow_ids.add(topic.topic_id)
            await bench.publish_many(topic.name, 2)
        await bench.broker.topics.create(DEFAULT_TENANT, "o.live")
        _, peer = await bench.subscribe("o.*", start="earliest", ack="auto")
        await bench.publish_many("o.live", 5)
        given = peer.seqs
        # Before anything is asserted: a broker does not stop with reads that hang.
        store.release()
        assert given == [1, 2, 3, 4, 5]
        await bench.until(lambda: len(peer.seqs) == 5 + 4 * BUSY_MAX_COUNT)


async def test_who_reads_and_finds_no_room_for_another_read_waits_for_its_own():
    store = PartlySlowStore()
    async with running_broker(store) as bench:
        for name in ("slow0", "slow1", "o.t"):
            topic = await bench.broker.topics.create(DEFAULT_TENANT, name)
            store.slow_ids.add(topic.topic_id)
        await bench.publish_many("slow0", 1)
        await bench.publish_many("slow1", 1)
        fields = {"subscription": "s", "max_in_flight": 2}
        connection, peer = await bench.subscribe("o.t", **fields)
        await bench.publish_many("o.t", 3)
        bench.forget_tail("o.t", 3)
        for number in range(BUSY_MAX_COUNT - 1):
            await connection.subscribe(Subscribe(f"slow{number}", start="earliest"))
        first, second = (frame["message_id"] for frame in peer.of("message"))
        connection.verbs.ack(Ack(second))
        await bench.rest()
        assert len(store.waiting) == BUSY_MAX_COUNT
        connection.verbs.nack(Nack(first, delay_ms=0))
        await bench.rest()
        # Its connection may read, but not the first one's.
        _, other = await bench.subscribe("o.t", **fields)
        is_at_rest = not bench.broker._engine.turn._work
        store.release()
        assert is_at_rest
        await bench.until(lambda: len(peer.seqs) + len(other.seqs) == 6)
        assert sorted(peer.seqs + other.seqs) == [1, 1, 1, 1, 2, 3]


async def test_a_message_larger_than_all_that_a_connection_may_use_is_given_beside_a_read_that_hangs():
    store = PartlySlowStore()
    async with running_broker(store, publish=PublishLimits(max_payload_bytes=1 << 20)) as bench:
        slow = await bench.broker.topics.create(DEFAULT_TENANT, "o.slow")
        store.slow_ids.add(slow.topic_id)
        await bench.publish("o.slow")
        await bench.broker.topics.create(DEFAULT_TENANT, "o.large")
        await bench.publish("o.large", "x" * (IN_USE_MAX_BYTES + 1))
        _, peer = await bench.subscribe("o.*", start="earliest")
        given = [frame["topic"] for frame in peer.of("message")]
        store.release()
        assert given == ["o.large"]
        await bench.until(lambda: len(peer.seqs) == 2)


async def test_what_was_read_to_be_handed_out_again_is_not_in_use_when_it_is_settled():
    async with running_broker() as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "o.t")
        for _ in range(8):
            await bench.publish("o.t", "x" * 20_000)
        connection, peer = await bench.subscribe("o.t", start="earliest", order="strict")
        connection.verbs.nack(Nack(peer.of("message")[0]["message_id"], delay_ms=0))
        await bench.until(lambda: peer.attempts == [(1, 1), (1, 2)])
        await bench.rest()
        assert bench.broker._engine.budget._in_use_bytes == 0
        assert bench.broker._engine.budget.held_bytes > 0
        bench.broker._engine.budget.use(128 << 20)
        assert bench.broker._engine.budget.held_bytes == 128 << 20
        bench.broker._engine.budget.use(-(128 << 20))
        await drained(bench, connection, peer, 9)
        assert peer.seqs == [1, 1, *range(2, 9)]


async def test_tails_of_all_topics_together_are_bounded_and_what_was_dropped_is_in_the_log():
    async with running_broker(delivery_memory_max_bytes=300_000) as bench:
        connection, peer = await bench.subscribe("o.*")
        await fill(bench, 4, "x" * 2_000)
        budget, stats = bench.broker._engine.budget, bench.broker.stats
        assert len(peer.seqs) == 4 * TOPICS_COUNT
        assert stats.dropped_tail_count > 0
        assert 150_000 < budget.held_bytes <= 300_000
        connection.verbs.nack(Nack(peer.of("message")[0]["message_id"], delay_ms=0))
        await bench.until(lambda: peer.attempts[-1] == (1, 2))
        assert stats.log_read_count == 1
        connection.close()
        await bench.rest()
        assert budget._tails.size_bytes == 0
