"""Commits that hang, and those of a log in several shards."""

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest

from conduit.broker.publish import committers
from conduit.broker.publish.admission import PublishLimits
from conduit.core.message import NewMessage
from conduit.errors import ConduitError, OutcomeUnknown, StoreUnavailable
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import Ack, PublishRequest, Subscribe
from conduit.protocol.records import Receipt
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, running_broker


class HangingStore(MemoryStore):
    """Appends are done, and answered when `goes_on` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = asyncio.Event()

    async def append(self, batch: Sequence[NewMessage]) -> list[int]:
        seqs = await super().append(batch)
        await self.goes_on.wait()
        return seqs


def later() -> float:
    """After every time-out."""
    return asyncio.get_running_loop().time() + 60


@asynccontextmanager
async def hanging_store():
    store = HangingStore()
    async with running_broker(store=store) as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "a")
        try:
            yield store, bench
        finally:
            store.goes_on.set()


def published(bench: Bench, **fields) -> list[Receipt | ConduitError]:
    """Publish, and go on; what comes is in the list."""
    answers: list[Receipt | ConduitError] = []
    request = PublishRequest("a", msgspec.Raw(b"1"), **fields)
    bench.broker.publish(DEFAULT_TENANT, request, answers.append)
    return answers


async def test_a_commit_that_hangs_is_told_as_unknown_once_and_its_messages_are_delivered_later():
    async with hanging_store() as (store, bench):
        connection, peer = bench.connect()
        await connection.subscribe(Subscribe("a"))
        running = published(bench)
        await bench.rest()
        queued = published(bench)
        committer = bench.broker._committers
        committer.check(asyncio.get_running_loop().time())
        assert (running, queued) == ([], [])
        committer.check(later())
        committer.check(later())
        refused = published(bench)
        assert [type(answer) for answer in running] == [OutcomeUnknown]
        assert [type(answer) for answer in queued] == [StoreUnavailable]
        assert [type(answer) for answer in refused] == [StoreUnavailable]
        store.goes_on.set()
        await bench.until(lambda: peer.seqs == [1])
        assert (len(running), len(queued)) == (1, 1)
        assert (await bench.publish("a")).seq == 2


async def test_a_key_whose_outcome_is_unknown_stands_for_the_result_once_there_is_one():
    async with hanging_store() as (store, bench):
        first = published(bench, idempotency_key="k")
        await bench.rest()
        committer = bench.broker._committers
        committer.check(later())
        again = published(bench, idempotency_key="k")
        assert again == []
        committer.check(later())
        assert [answer.code for answer in first + again] == ["outcome_unknown"] * 2
        last = published(bench, idempotency_key="k")
        store.goes_on.set()
        await bench.until(lambda: bool(last))
        assert [(answer.seq, answer.duplicate) for answer in last] == [(1, True)]
        assert (len(first), len(again)) == (1, 1)


async def test_a_batch_whose_outcome_is_unknown_is_answered_once():
    async with hanging_store() as (store, bench):
        answers: list[list[Receipt] | ConduitError] = []
        requests = [
            PublishRequest("a", msgspec.Raw(b"1"), idempotency_key=key) for key in (None, "k", "k")
        ]
        bench.broker.publish_batch(DEFAULT_TENANT, requests, answers.append)
        await bench.rest()
        bench.broker._committers.check(later())
        assert [type(answer) for answer in answers] == [OutcomeUnknown]
        store.goes_on.set()
        await bench.rest()
        assert len(answers) == 1
        assert (await bench.publish("a", idempotency_key="k")).seq == 2


class ClosableStore(HangingStore):
    """Appends end when it is closed."""

    async def close(self) -> None:
        self.goes_on.set()
        await super().close()


async def test_a_commit_that_hangs_does_not_keep_the_server_from_storing_progress_and_stopping(
    monkeypatch,
):
    monkeypatch.setattr(committers, "CHECK_INTERVAL_S", 0.01)
    store = ClosableStore()
    store.goes_on.set()
    async with running_broker(store, publish=PublishLimits(timeout_s=0.01)) as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "a")
        connection, peer = await bench.subscribe("a", subscription="s")
        await bench.publish("a")
        await bench.until(lambda: peer.seqs == [1])
        store.goes_on.clear()
        answers = published(bench)
        await bench.rest()
        connection.verbs.ack(Ack(peer.of("message")[0]["message_id"]))
        connection.close()
        await bench.broker.stop()
        assert [type(answer) for answer in answers] == [OutcomeUnknown]
        (record,) = await store.subscriptions()
        (row,) = await store.progress(record.subscription_id)
        assert row.floor == 1
        assert all(task.done() for task in bench.broker._committers._tasks)


class DividedStore(MemoryStore):
    """A log in two shards, of which one fails when told so. The ids of the first two topics are 1 and 2."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = False
        self.commits: list[list[int]] = []
        self.shards = {1: Part(self, 1), 2: Part(self, 2)}


class Part:
    kind = "memory"

    def __init__(self, store: DividedStore, number: int) -> None:
        self.store = store
        self.number = number
        self.gate = asyncio.Event()
        self.gate.set()

    async def append(self, batch: Sequence[NewMessage]) -> list[int]:
        await self.gate.wait()
        if self.store.fails and self.number == 2:
            raise StoreUnavailable("the disk is full")
        self.store.commits.append([new.topic_id for new in batch])
        return await self.store.append(batch)

    async def prove(self, size_bytes: int) -> None:
        if self.store.fails and self.number == 2:
            raise StoreUnavailable("the disk is full")


@asynccontextmanager
async def divided_store():
    store = DividedStore()
    async with running_broker(store=store) as bench:
        for name in "ab":
            await bench.broker.topics.create(DEFAULT_TENANT, name)
        yield store, bench


def batch_of(*keys: str | None) -> list[PublishRequest]:
    """One message for each key, to the two topics in turn."""
    return [
        PublishRequest("ab"[n % 2], msgspec.Raw(b"1"), idempotency_key=key)
        for n, key in enumerate(keys)
    ]


async def answer_of(bench: Bench, requests: list[PublishRequest]) -> list[Receipt] | ConduitError:
    answers: list[list[Receipt] | ConduitError] = []
    bench.broker.publish_batch(DEFAULT_TENANT, requests, answers.append)
    await bench.until(lambda: bool(answers))
    await bench.rest()
    assert len(answers) == 1
    return answers[0]


async def test_each_shard_of_the_log_has_its_own_commits():
    async with divided_store() as (store, bench):
        receipts = await answer_of(bench, batch_of(None, None, None))
        assert [(receipt.topic, receipt.seq) for receipt in receipts] == [
            ("a", 1),
            ("b", 1),
            ("a", 2),
        ]
        assert sorted(store.commits) == [[1, 1], [2]]
        assert (await bench.publish("b")).seq == 2
        store.fails = True
        assert (await bench.publish("a")).seq == 3
        with pytest.raises(StoreUnavailable):
            await bench.publish("b")


async def test_a_batch_of_which_one_shard_stores_its_part_can_be_repeated_with_its_keys():
    async with divided_store() as (store, bench):
        store.fails = True
        error = await answer_of(bench, batch_of("k1", "k2"))
        assert sum(bench.broker.stats.publish_errors.values()) == 1
        assert isinstance(error, OutcomeUnknown)
        assert "the disk is full" in error.detail
        assert isinstance(await answer_of(bench, batch_of(None, None)[1:]), StoreUnavailable)
        store.fails = False
        receipts = await answer_of(bench, batch_of("k1", "k2"))
        assert [(receipt.seq, receipt.duplicate) for receipt in receipts] == [(1, True), (1, False)]
