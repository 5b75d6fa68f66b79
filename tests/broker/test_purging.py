import asyncio

import pytest

from conduit.broker.administer import looking, purging
from conduit.broker.administer.purging import Extent
from conduit.core.message import Retention
from conduit.errors import Conflict, NotFound, OutcomeUnknown, StoreUnavailable
from conduit.names import DEFAULT_TENANT as T
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, running_broker


class Turning(MemoryStore):
    """Does something between the slices of a purge."""

    # As a store on disk, which removes nothing by itself.
    kind = "sqlite"
    durable = True

    def __init__(self):
        super().__init__()
        self.between = []
        self.slices = []

    async def trim(self, topic_id, rule, limit):
        trimmed = await super().trim(topic_id, rule, limit)
        if rule.is_awaited:
            self.slices.append(trimmed.removed_count)
            if self.between:
                await self.between.pop(0)()
        return trimmed


@pytest.fixture
def store():
    return Turning()


@pytest.fixture
async def bench(store, monkeypatch):
    monkeypatch.setattr(purging, "SLICE_COUNT", 4)
    async with running_broker(store) as bench:
        yield bench


async def topic_of(bench: Bench, count: int, **bounds):
    topic = await bench.broker.topics.create(T, "t", Retention(**bounds))
    if count:
        await bench.publish_many("t", count)
    return topic


async def purge(bench: Bench, extent=None):
    return await bench.broker.purger.purge(T, "t", extent)


async def test_all_messages_go_in_slices_and_the_topic_goes_on_with_its_numbers(store, bench):
    topic = await topic_of(bench, 10)
    done = await purge(bench)
    assert (done.matched_count, done.purged_count, done.is_done) == (10, 10, True)
    assert store.slices == [4, 4, 2]
    assert (topic.first_seq, topic.last_seq, topic.stored_bytes) == (11, 10, 0)
    assert topic.allowance.stored_bytes == 0
    assert (await bench.publish("t")).seq == 11


async def test_counting_removes_nothing_and_an_empty_topic_has_nothing_to_remove(store, bench):
    await topic_of(bench, 3)
    assert (await bench.broker.purger.count(T, "t")).matched_count == 3
    assert store.slices == []
    await purge(bench)
    done = await purge(bench)
    assert (done.matched_count, done.purged_count, done.is_done) == (0, 0, True)


async def test_what_is_published_meanwhile_stays(store, bench):
    topic = await topic_of(bench, 6)

    async def publish():
        await bench.publish_many("t", 3)

    store.between = [publish, publish]
    done = await purge(bench)
    assert done.purged_count == 6
    assert (topic.first_seq, topic.last_seq) == (7, 12)


async def test_whoever_has_not_got_them_is_told_of_a_gap_and_whoever_has_is_not(bench):
    await topic_of(bench, 0)
    _, current = await bench.subscribe("t")
    connection, behind = await bench.subscribe("t", subscription="s", max_in_flight=1)
    await bench.publish_many("t", 5)
    bench.forget_tail("t", 5)
    await purge(bench)
    connection.close()
    connection, behind = await bench.subscribe("t", subscription="s", max_in_flight=1)
    await bench.publish("t", "new")
    await bench.until(lambda: 6 in behind.seqs)
    assert current.seqs == [1, 2, 3, 4, 5, 6]
    assert current.of("gap") == []
    gaps = behind.of("gap")
    told = {seq for gap in gaps for seq in range(gap["from_seq"], gap["to_seq"] + 1)}
    assert (told, {gap["reason"] for gap in gaps}) == ({1, 2, 3, 4, 5}, {"retention"})


async def test_the_lag_of_who_is_away_does_not_count_what_was_purged(bench):
    await topic_of(bench, 0)
    connection, _ = await bench.subscribe("t", subscription="s", max_in_flight=1)
    connection.close()
    await bench.publish_many("t", 5)
    assert (await bench.broker.subscriptions.get(T, "s")).lag == 5
    await purge(bench)
    assert (await bench.broker.subscriptions.get(T, "s")).lag == 0


async def test_a_purge_that_takes_long_says_where_the_next_one_goes_on(store, bench, monkeypatch):
    topic = await topic_of(bench, 10)
    monkeypatch.setattr(looking, "SEARCH_MAX_S", 0.05)

    async def takes_long():
        await asyncio.sleep(0.06)

    store.between = [takes_long]
    done = await purge(bench)
    assert (done.matched_count, done.purged_count, done.is_done) == (10, 4, False)
    assert done.extent == Extent(10, topic.epoch)
    await bench.publish("t")
    done = await purge(bench, done.extent)
    assert (done.matched_count, done.purged_count, done.is_done) == (6, 6, True)
    assert (topic.first_seq, topic.last_seq) == (11, 11)


@pytest.mark.parametrize("last_seq", [0, 6])
async def test_one_that_claims_to_go_on_beyond_the_end_takes_nothing_that_comes(
    store, bench, last_seq
):
    topic = await topic_of(bench, last_seq)

    async def publish():
        await bench.publish_many("t", 6)

    store.between = [publish]
    done = await purge(bench, Extent(10**15, topic.epoch))
    assert (done.matched_count, done.purged_count, done.is_done) == (last_seq, last_seq, True)
    assert done.extent == Extent(last_seq, topic.epoch)
    assert topic.first_seq == last_seq + 1
    assert (await bench.publish("t")).seq == topic.last_seq


async def test_one_that_goes_on_does_not_touch_a_topic_that_was_made_anew(bench):
    topic = await topic_of(bench, 4)
    extent = Extent(4, topic.epoch)
    await bench.broker.topics.delete(T, "t")
    again = await topic_of(bench, 4)
    with pytest.raises(Conflict):
        await purge(bench, extent)
    assert again.first_seq == 1


async def test_a_topic_that_is_deleted_meanwhile_is_not_found(store, bench):
    await topic_of(bench, 10)

    async def delete():
        await bench.broker.topics.delete(T, "t")

    store.between = [delete]
    with pytest.raises(NotFound):
        await purge(bench)
    assert store.slices == [4]


async def test_retention_that_removes_at_the_same_time_does_no_harm(store, bench):
    topic = await topic_of(bench, 10, max_messages=5)

    async def retention():
        await bench.broker._housekeeper.round()

    store.between = [retention]
    done = await purge(bench)
    assert done.is_done
    assert (topic.first_seq, topic.stored_bytes) == (11, 0)


async def test_a_store_that_fails_after_some_are_gone_leaves_it_unknown(store, bench):
    topic = await topic_of(bench, 10)

    async def fails():
        async def again():
            raise StoreUnavailable("the disk is gone")

        store.between = [again]

    store.between = [fails]
    with pytest.raises(OutcomeUnknown):
        await purge(bench)
    assert topic.first_seq == 5
    store.between = []
    assert (await purge(bench)).is_done


async def test_a_slice_that_is_told_of_late_moves_nothing_back(bench):
    topic = await topic_of(bench, 10)
    await purge(bench)
    bench.broker.sequencer.trimmed(topic, 5)
    assert topic.first_seq == 11
