"""One subscription that is behind in many topics: what it reads, keeps and gets, in which order."""

from collections import Counter

from conduit.broker.deliver.reader import PAGE_MAX_BYTES
from conduit.broker.deliver.reads import BUSY_MAX_COUNT, KEPT_MAX_BYTES
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import Ack
from tests.broker.kit import Bench, Peer, running_broker
from tests.broker.stores import SlowStore

TOPICS_COUNT = 60


async def fill(bench: Bench, count: int, payload: object = 1) -> None:
    for number in range(TOPICS_COUNT):
        await bench.broker.topics.create(DEFAULT_TENANT, f"o.t{number}")
        for _ in range(count):
            await bench.publish(f"o.t{number}", payload)


def held_bytes(bench: Bench) -> int:
    """What all cursors have of the log."""
    size = 0
    for running in bench.broker._owned.running():
        for cursor in running.cursors.values():
            page = cursor._source.page
            size += page.size_bytes if page is not None else 0
            size += sum(len(entry.frame) for entry in cursor._source._again.values())
    return size


async def drained(bench: Bench, connection, peer: Peer, count: int) -> list[str]:
    """Ack each as it comes, until that many came; the topics of all in their order."""
    while (came := len(peer.seqs)) < count:
        connection.verbs.ack(Ack(peer.of("message")[-1]["message_id"]))
        await bench.until(lambda: len(peer.seqs) > came)
    return [frame["topic"] for frame in peer.of("message")]


async def test_a_window_of_one_goes_round_all_topics_and_keeps_little_of_the_log():
    async with running_broker() as bench:
        await fill(bench, 4, "x" * 20_000)
        connection, peer = await bench.subscribe(
            "o.*", subscription="s", start="earliest", max_in_flight=1
        )
        assert len(peer.seqs) == 1
        most = 0
        for count in range(TOPICS_COUNT, 4 * TOPICS_COUNT, 7):
            await drained(bench, connection, peer, count)
            most = max(most, held_bytes(bench))
        assert 0 < most <= KEPT_MAX_BYTES + BUSY_MAX_COUNT * PAGE_MAX_BYTES


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
        assert held_bytes(bench) == 0


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


async def test_a_paused_subscription_keeps_nothing_of_the_log():
    async with running_broker() as bench:
        await fill(bench, 3)
        await bench.subscribe("o.*", subscription="s", start="earliest", max_in_flight=1)
        assert held_bytes(bench) > 0
        await bench.broker.subscriptions.pause(DEFAULT_TENANT, "s")
        await bench.rest()
        assert held_bytes(bench) == 0
