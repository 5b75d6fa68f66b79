"""Seek, pause, delete and settle of one subscription: what a crash finds is what was answered last, on every
store, slow or failing."""

from __future__ import annotations

import asyncio

import pytest

from conduit.broker.deliver import progress
from conduit.errors import OutcomeUnknown, StoreUnavailable
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, StartAt
from conduit.storage.memory import MemoryStore
from conduit.storage.postgres import PostgresStore
from conduit.storage.sqlite import SqliteStore
from tests.broker.kit import Bench, running_broker

_SERVED = pytest.param("postgres", marks=pytest.mark.process)
FAILED, UNKNOWN = StoreUnavailable("it failed"), OutcomeUnknown("the answer was lost")
DEADLINE_S = 30.0


class Gated:
    """A store whose next call of one method waits, before and after it happens, for the test."""

    def __init__(self, inner) -> None:
        self.inner = inner
        self._gated: str | None = None
        self.came = asyncio.Event()
        self.happened = asyncio.Event()
        self._go: dict[str, asyncio.Event] = {}
        self._error: Exception | None = None

    def gate(self, method: str) -> None:
        """Hold the next call of it."""
        self._gated = method
        self._go = {"in": asyncio.Event(), "out": asyncio.Event()}

    def let(self, error: Exception | None = None) -> None:
        """Let it happen and be answered; with an error: StoreUnavailable without it having happened."""
        self._error = error
        for event in self._go.values():
            event.set()

    def let_in(self) -> None:
        """Let it happen, but not be answered yet."""
        self._go["in"].set()

    def __getattr__(self, name: str):
        found = getattr(self.inner, name)
        return self._held(found) if name == self._gated else found

    def _held(self, method):
        self._gated = None

        async def call(*args, **more):
            self.came.set()
            await self._go["in"].wait()
            if isinstance(self._error, StoreUnavailable):
                raise self._error
            result = await method(*args, **more)
            self.happened.set()
            await self._go["out"].wait()
            if self._error is not None:
                raise self._error
            return result

        return call


@pytest.fixture(params=["memory", "sqlite", _SERVED])
async def bench(request, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "RETRY_INTERVAL_S", 0.05)
    if request.param == "memory":
        inner = MemoryStore()
    elif request.param == "sqlite":
        inner = SqliteStore(tmp_path / "log.db")
    else:
        inner = PostgresStore(request.getfixturevalue("cluster").empty_database())
    async with running_broker(Gated(inner)) as bench:
        yield bench
        bench.broker.store.let()


async def prepared(bench: Bench):
    """Five messages are with the only subscriber of `s`, and that is stored."""
    connection, peer = await bench.subscribe("t", subscription="s")
    await bench.publish_many("t", 5)
    await bench.broker._engine.progress.stored()
    assert peer.seqs == [1, 2, 3, 4, 5]
    return connection


def begun(bench: Bench, change: str) -> asyncio.Task:
    subscriptions = bench.broker.subscriptions
    work = {
        "seek": lambda: subscriptions.seek(T, "s", StartAt(seq=3), dry_run=False),
        "pause": lambda: subscriptions.pause(T, "s"),
        "delete": lambda: subscriptions.delete(T, "s"),
    }[change]()
    return asyncio.get_running_loop().create_task(work)


async def found(bench: Bench):
    """What a crash would find: the record and the floors."""
    store = bench.broker.store.inner
    records = await store.subscriptions()
    rows = await store.progress(records[0].subscription_id if records else 1)
    return [record.paused for record in records], [row.floor for row in rows]


FOUND = {"seek": ([False], [2]), "pause": ([True], [5]), "delete": ([], [])}


@pytest.mark.parametrize("change", ["seek", "pause", "delete"])
@pytest.mark.parametrize("outcome", [None, FAILED, UNKNOWN], ids=["slow", "failed", "unknown"])
async def test_a_change_that_is_answered_is_not_undone_by_a_settle_before_it(
    bench, change, outcome
):
    connection = await prepared(bench)
    store = bench.broker.store
    store.gate("settle")
    connection.verbs.ack(Ack(topic="t", seq=5))
    async with asyncio.timeout(DEADLINE_S):
        await store.came.wait()
        changing = begun(bench, change)
        await bench.rest()
        if outcome is not FAILED:
            store.let_in()
            await store.happened.wait()
            if changing.done():
                assert await found(bench) == FOUND[change]
        store.let(outcome)
        if change == "delete" and outcome is not None:
            # It begins with a flush of its own, for which the one that failed is made again.
            await asyncio.wait({changing})
            changing = begun(bench, change) if changing.exception() else changing
        await changing
        now = await found(bench)
        if change == "pause":
            await bench.broker._engine.progress.stored()
            now = await found(bench)
        assert now == FOUND[change]
        if change == "seek":
            await bench.broker._engine.progress.stored()
            assert await found(bench) == FOUND[change]


@pytest.mark.parametrize("change", ["seek", "delete"])
async def test_what_is_settled_while_a_change_is_under_way_does_not_undo_it(bench, change):
    connection = await prepared(bench)
    store = bench.broker.store
    store.gate({"seek": "seek", "delete": "subscription_delete"}[change])
    async with asyncio.timeout(DEADLINE_S):
        changing = begun(bench, change)
        await store.came.wait()
        connection.verbs.ack(Ack(topic="t", seq=5))
        store.let_in()
        await bench.rest()
        assert not changing.done()
        store.let()
        await changing
        await bench.broker._engine.progress.stored()
        assert await found(bench) == FOUND[change]


@pytest.mark.parametrize("change", ["seek", "pause", "delete"])
@pytest.mark.parametrize("outcome", [FAILED, UNKNOWN], ids=["failed", "unknown"])
async def test_after_a_change_that_failed_or_whose_answer_was_lost_memory_and_store_agree(
    bench, change, outcome
):
    connection = await prepared(bench)
    store = bench.broker.store
    methods = {"pause": "subscription_update", "delete": "subscription_delete"}
    store.gate(methods.get(change, change))
    async with asyncio.timeout(DEADLINE_S):
        changing = begun(bench, change)
        await store.came.wait()
        store.let(outcome)
        await asyncio.wait({changing})
        is_told = changing.exception() is None
        connection.close()
        while bench.broker._owned.running():
            await bench.broker._engine.progress.stored()
            await asyncio.sleep(0)
        paused, floors = await found(bench)
        if outcome is FAILED:
            assert not is_told
            assert (paused, floors) == ([False], [0])
        elif change == "seek":
            assert (paused, floors) == ([False], [2])
        else:
            assert is_told
            assert paused == FOUND[change][0]
        records = bench.broker._owned.everything()
        assert [record.paused for record in records] == paused
