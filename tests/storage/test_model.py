"""Random calls on a store and on the plainest possible model of it."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conduit.core.message import Message, Progress, Retention
from conduit.storage.base import TOPIC_GONE, Former, Heard, Rule, Store
from conduit.storage.memory import MemoryStore
from conduit.storage.postgres import PostgresStore
from conduit.storage.sqlite import SqliteStore
from tests.storage import given as put
from tests.storage.given import NOW_MS, TENANT

NAMES = ["a", "b", "c"]
names = st.sampled_from(NAMES)
small = st.integers(0, 12)
calls = st.one_of(
    st.tuples(st.just("create"), names),
    st.tuples(st.just("delete"), names),
    st.tuples(st.just("append"), st.lists(st.tuples(names, st.binary(max_size=9)), max_size=9)),
    st.tuples(st.just("trim"), names, st.none() | small, st.none() | st.integers(0, 40), small),
    st.tuples(st.just("read"), names, small, small, st.integers(0, 30), st.booleans()),
    st.tuples(st.just("settle"), st.lists(st.tuples(names, small), max_size=3)),
    st.tuples(st.just("subscribe"), st.none() | small),
    st.tuples(st.just("seek"), st.lists(st.tuples(names, small), max_size=3)),
    st.tuples(st.just("hear"), names, st.booleans()),
    st.tuples(st.just("purge"), st.integers(0, 5)),
)


class Model:
    """Lists of messages by topic id; the store's answers are compared with it after each call."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ids: dict[str, int] = {}
        self.logs: dict[int, list[Message]] = {}
        self.last: dict[int, int] = {}
        # Of the subscription: what was recorded, where it begins otherwise, and what it has to be told of
        # topics that are gone.
        self.subscription_id = 0
        self.recorded: dict[int, int] = {}
        self.begins: dict[int, int] = {}
        self.gone: dict[str, Former] = {}
        self.epochs: dict[str, str] = {}
        self.gone_count = 0
        self.now_ms = NOW_MS

    @property
    def floors(self) -> dict[int, int]:
        """Of the topics that are there."""
        floors = self.begins | self.recorded
        return {id_: floor for id_, floor in floors.items() if id_ in self.logs}

    def id_of(self, name: str) -> int:
        return self.ids.get(name, 999)

    async def create(self, name: str) -> None:
        if name not in self.ids:
            record = await self.store.topic_create(TENANT, name, Retention(), NOW_MS)
            assert record.topic_id not in self.last
            self.ids[name], self.epochs[name] = record.topic_id, record.epoch
            self.logs[record.topic_id] = []
            self.last[record.topic_id] = 0

    async def delete(self, name: str) -> None:
        topic_id = self.ids.pop(name, 999)
        self.now_ms += 1
        await self.store.topic_delete(topic_id, [self.subscription_id], self.now_ms)
        if topic_id in self.logs:
            last_seq = None if self.gone.pop(name, None) else self.last[topic_id]
            floor = self.floors.get(topic_id, 0)
            self.gone[name] = Former(name, self.epochs[name], floor, last_seq)
        self.gone_count += len(self.logs.pop(topic_id, []))

    async def append(self, rows: list[tuple[str, bytes]]) -> None:
        batch = [put.message(self.id_of(name), payload) for name, payload in rows]
        expected = []
        for new in batch:
            if new.topic_id not in self.logs:
                expected.append(TOPIC_GONE)
                continue
            self.last[new.topic_id] += 1
            expected.append(self.last[new.topic_id])
            self.logs[new.topic_id].append(put.stored(new, self.last[new.topic_id]))
        assert await self.store.append(batch) == expected

    async def trim(self, name: str, count: int | None, size: int | None, limit: int) -> None:
        topic_id = self.id_of(name)
        keep = Retention(max_messages=count, max_bytes=size)
        trimmed = await self.store.trim(topic_id, Rule(keep, NOW_MS), limit)
        log = self.logs.get(topic_id, [])
        removed = 0
        while removed < limit and log and self.is_due(log, keep):
            del log[0]
            removed += 1
        assert trimmed.removed_count == removed
        assert trimmed.stored_bytes == sum(len(message.payload) for message in log)
        assert trimmed.more == (bool(log) and self.is_due(log, keep))

    def is_due(self, log: list[Message], keep: Retention) -> bool:
        size = sum(len(message.payload) for message in log)
        return (keep.max_messages is not None and len(log) > keep.max_messages) or (
            keep.max_bytes is not None and size > keep.max_bytes
        )

    async def read(
        self, name: str, from_seq: int, limit: int, max_bytes: int, descending: bool
    ) -> None:
        topic_id = self.id_of(name)
        log = self.logs.get(topic_id, [])
        asked = (
            [message for message in reversed(log) if message.seq <= from_seq]
            if descending
            else [message for message in log if message.seq >= from_seq]
        )
        expected: list[Message] = []
        while len(expected) < min(limit, len(asked)):
            if sum(len(message.payload) for message in expected) > max_bytes:
                break
            expected.append(asked[len(expected)])
        how = {"limit": limit, "max_bytes": max_bytes, "descending": descending}
        assert await self.store.read(topic_id, from_seq, **how) == expected

    async def settle(self, rows: list[tuple[str, int]]) -> None:
        progress = [Progress(self.subscription_id, self.id_of(name), at, at) for name, at in rows]
        await self.store.settle(progress, [])
        self.recorded |= {row.topic_id: row.floor for row in progress if row.topic_id in self.logs}
        assert await put.floors(self.store, self.subscription_id) == self.floors

    async def subscribe(self, seq: int | None) -> None:
        """Another subscription takes the place of the one before."""
        await self.store.subscription_delete(self.subscription_id)
        created = await put.subscription(self.store, pattern=">", seq=seq)
        assert created.subscription_id != self.subscription_id
        self.subscription_id = created.subscription_id
        floors = {
            id_: self.last[id_] if seq is None else min(max(seq - 1, 0), self.last[id_])
            for id_ in self.logs
        }
        self.begins = {id_: floor for id_, floor in floors.items() if floor}
        self.recorded, self.gone = {}, {}
        assert await put.floors(self.store, self.subscription_id) == self.floors

    async def seek(self, positions: list[tuple[str, int]]) -> None:
        moved = [(self.id_of(name), floor) for name, floor in positions]
        await self.store.seek(self.subscription_id, moved)
        self.begins = dict(moved)
        self.recorded = {id_: at for id_, at in self.recorded.items() if id_ not in self.begins}
        assert await put.floors(self.store, self.subscription_id) == self.floors

    async def hear(self, name: str, is_over: bool) -> None:
        gone = self.gone.get(name)
        if gone is not None:
            heard = Heard(self.subscription_id, name, gone.epoch, is_over)
            await self.store.former_heard([heard])
            self.gone[name] = gone._replace(last_seq=gone.floor)
            if is_over:
                del self.gone[name]
        await self.former()

    async def former(self) -> None:
        assert await self.store.former(self.subscription_id) == list(self.gone.values())

    async def purge(self, limit: int) -> None:
        removed = await self.store.purge(limit)
        if self.store.kind == "postgresql":
            # What was trimmed is gone for readers, and removed when its topic is, if not before.
            assert removed <= limit
        else:
            gone_count = min(limit, self.gone_count)
            # Messages first, and then what deleted subscriptions have left, which SQLite removes later.
            assert gone_count <= removed <= (gone_count if self.store.kind == "memory" else limit)
            self.gone_count -= gone_count

    async def check(self) -> None:
        records = {record.topic_id: record for record in await self.store.topics()}
        assert {record.name: id_ for id_, record in records.items()} == self.ids
        for topic_id, log in self.logs.items():
            record = records[topic_id]
            assert record.last_seq == self.last[topic_id]
            assert record.first_seq == record.last_seq - len(log) + 1
            assert await self.store.read(topic_id, 1, limit=1000) == log


@pytest.mark.parametrize(
    "kind", ["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.process)]
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(script=st.lists(calls, max_size=25))
def test_a_store_does_what_its_model_does(kind, script, request):
    async def run(store: Store) -> None:
        await store.open()
        model = Model(store)
        await model.subscribe(None)
        await model.create("a")
        for name, *values in script:
            await getattr(model, name)(*values)
        await model.former()
        await model.check()
        await store.close()

    if kind == "postgresql":
        url = request.getfixturevalue("cluster").empty_database("model")
        asyncio.run(run(PostgresStore(url)))
        return
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(MemoryStore() if kind == "memory" else SqliteStore(Path(folder, "x.db"))))
