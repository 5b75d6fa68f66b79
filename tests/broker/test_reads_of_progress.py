"""What is read of progress to show something: what is shown, and not all there is."""

import asyncio
from collections.abc import Sequence

import pytest

from conduit.broker import topics as known
from conduit.broker.administer.viewing import NO_LETTERS
from conduit.broker.deliver.settings import DURABLE
from conduit.core.message import Progress
from conduit.errors import NotFound
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack
from conduit.storage.base import Settled
from conduit.storage.dead_letters import Fate
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, running_broker

TOPICS = [f"t{number:02}" for number in range(30)]


class CountingStore(MemoryStore):
    """Counts the rows of progress that it was asked for, and the questions for fates."""

    def __init__(self) -> None:
        super().__init__()
        self.rows_count = self.fates_count = self.questions_count = 0

    async def dead_fates(self, *args) -> dict[str, Fate]:
        self.fates_count += 1
        return await super().dead_fates(*args)

    async def progress(self, *args) -> list[Progress]:
        self.questions_count += 1
        return self._counted(await super().progress(*args))

    async def progress_at(self, *args) -> list[Progress]:
        self.questions_count += 1
        return self._counted(await super().progress_at(*args))

    async def settled(self, subscription_ids: Sequence[int]) -> dict[int, Settled]:
        await asyncio.sleep(0)
        return await super().settled(subscription_ids)

    def _counted(self, rows: list[Progress]) -> list[Progress]:
        self.rows_count += len(rows)
        return rows


async def filled(bench: Bench) -> str:
    """Ten patterns that have progress in every topic; the id of a message of one."""
    for name in TOPICS:
        await bench.broker.topics.create(T, name)
        receipt = await bench.publish(name)
    for number in range(10):
        await bench.broker.subscriptions.create(
            T, f"s{number}", ">", bench.durable_settings(), "new"
        )
    await bench.broker.subscriptions._counting.round()
    bench.broker.store.rows_count = 0
    return receipt.message_id


async def test_for_one_message_its_own_topic_is_read_for_each_subscription():
    async with running_broker(CountingStore()) as bench:
        message_id = await filled(bench)
        _, _, states = await bench.broker.messages.get(T, message_id)
        assert [state.state for state in states] == ["acked"] * 10
        assert bench.broker.store.rows_count == 10


async def test_what_became_of_a_message_is_told_in_pages_by_name_with_few_questions():
    store = CountingStore()
    async with running_broker(store) as bench:
        message_id = await filled(bench)
        store.fates_count = 0
        _, _, states = await bench.broker.messages.get(T, message_id, limit=4)
        assert [state.subscription for state in states] == ["s0", "s1", "s2", "s3"]
        _, _, rest = await bench.broker.messages.get(T, message_id, limit=500, after="s3")
        assert [state.subscription for state in rest] == [f"s{number}" for number in range(4, 10)]
        assert (store.rows_count, store.fates_count) == (10, 2)


async def test_a_list_of_subscriptions_is_one_question_for_all_that_do_not_run():
    async with running_broker(CountingStore()) as bench:
        settings = bench.durable_settings()
        for number, name in enumerate(TOPICS[:9]):
            await bench.broker.topics.create(T, name)
            await bench.broker.subscriptions.create(T, f"s{number}", name, settings, None)
            await bench.publish_many(name, number + 1)
        connection, peer = await bench.subscribe(TOPICS[3], subscription="s3")
        await bench.broker.subscriptions._counting.round()
        bench.broker.store.questions_count = 0
        views = (await bench.broker.subscriptions.list(T, q=None, limit=500, after=None)).views
        assert [view.lag for view in views] == list(range(1, 10))
        assert [view.in_flight_count for view in views] == [0, 0, 0, len(peer.seqs), *[0] * 5]
        assert bench.broker.store.questions_count == 1
        connection.close()


async def test_one_that_stops_while_a_page_is_read_is_read_for_itself():
    async with running_broker(CountingStore()) as bench:
        await bench.broker.topics.create(T, "t")
        connection, peer = await bench.subscribe("t", subscription="s")
        await bench.publish_many("t", 3)
        for frame in peer.of("message")[:2]:
            connection.verbs.ack(Ack(message_id=frame["message_id"]))
        await bench.flush()
        viewing = bench.broker.subscriptions._viewing
        record = bench.broker._owned.get(T, "s")
        # It ran when the page was read.
        assert await viewing._stored([record]) == {}
        connection.close()
        await bench.flush()
        await bench.flush()
        assert bench.broker._owned.find_running(record) is None
        assert (await viewing._view(record, NO_LETTERS, None)).lag == 1
        assert [*(await viewing._stored([record]))] == [record.subscription_id]


async def test_a_list_of_subscriptions_on_many_topics_reads_none_of_them():
    async with running_broker(CountingStore()) as bench:
        await filled(bench)
        views = (await bench.broker.subscriptions.list(T, q=None, limit=500, after="s0")).views
        assert [view.record.name for view in views] == [f"s{number}" for number in range(1, 10)]
        assert {(view.lag, view.more_topics) for view in views} == {(0, True)}
        assert bench.broker.store.rows_count == 0


async def test_who_waits_for_what_is_being_counted_does_not_count_it_again():
    async with running_broker(CountingStore()) as bench:
        await filled(bench)
        for lag in bench.broker._engine.lags.by_id.values():
            lag.unknown()
        pages = [
            bench.broker.subscriptions.list(T, q=None, limit=500, after=None) for _ in range(5)
        ]
        for views, _ in await asyncio.gather(*pages):
            assert {view.lag for view in views} == {0}
        assert bench.broker.store.rows_count == 10 * len(TOPICS)


async def test_a_page_of_topics_reads_that_page():
    async with running_broker(CountingStore()) as bench:
        await filled(bench)
        page = await bench.broker.subscriptions.topics(T, "s3", limit=7, after="t04")
        assert [place.topic for place in page] == TOPICS[5:12]
        assert bench.broker.store.rows_count == 7


async def test_what_is_deleted_while_a_page_is_looked_at_does_not_end_the_list():
    async with running_broker(CountingStore()) as bench:
        await bench.broker.topics.create(T, "t")
        subscriptions = bench.broker.subscriptions
        for name in "abcd":
            await subscriptions.create(T, name, "t", DURABLE, None)
        tallies = bench.broker.store.dead_tallies

        async def gone_meanwhile(*asked):
            bench.broker.store.dead_tallies = tallies
            await subscriptions.delete(T, "a")
            return await tallies(*asked)

        for topic in (None, "t"):
            bench.broker.store.dead_tallies = gone_meanwhile
            if subscriptions.has(T, "a") is False:
                await subscriptions.create(T, "a", "t", DURABLE, None)
            page = await subscriptions.list(T, q=None, topic=topic, limit=2, after=None)
            assert ([view.record.name for view in page.views], page.next_after) == (["b"], "b")
            rest = await subscriptions.list(T, q=None, topic=topic, limit=2, after="b")
            assert ([view.record.name for view in rest.views], rest.next_after) == (
                ["c", "d"],
                None,
            )


async def test_one_that_is_deleted_while_it_is_looked_at_is_not_there():
    async with running_broker(CountingStore()) as bench:
        await bench.broker.topics.create(T, "t")
        subscriptions = bench.broker.subscriptions
        await subscriptions.create(T, "a", "t", DURABLE, None)
        tally = bench.broker.store.dead_tally

        async def gone_meanwhile(*asked):
            bench.broker.store.dead_tally = tally
            await subscriptions.delete(T, "a")
            return await tally(*asked)

        bench.broker.store.dead_tally = gone_meanwhile
        with pytest.raises(NotFound, match="deleted meanwhile"):
            await subscriptions.get(T, "a")


async def test_a_page_of_topics_looks_at_no_others(monkeypatch):
    monkeypatch.setattr(known, "WALK_STEP_COUNT", 5)
    async with running_broker(CountingStore()) as bench:
        await filled(bench)
        page = bench.broker.subscriptions.topics(T, "s3", limit=7, after="t04")
        asked = asyncio.get_running_loop().create_task(page)
        turns = 0
        while not asked.done():
            await asyncio.sleep(0)
            turns += 1
        assert len(asked.result()) == 7
        # Two steps of the walk, and not five.
        assert turns <= 3
