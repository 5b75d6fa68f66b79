"""A disk that does not sync. What the store says then is true of what the next process finds."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from conduit.broker.broker import Broker
from conduit.core.message import Progress, Retention
from conduit.errors import OutcomeUnknown, StoreUnavailable
from conduit.names import DEFAULT_TENANT
from conduit.storage.base import Rule
from conduit.storage.dead_letters import DeadFilter
from conduit.storage.sqlite import SqliteStore
from tests.broker.kit import running_broker
from tests.broker.test_commits import later, published
from tests.storage import given
from tests.storage.failing_disk import FailingDisk, failing_disk
from tests.storage.given import NOW_MS, TENANT

FOR_EVER = 1 << 30


class Killed:
    """A store on a disk that fails when told, and what a process would find that came after a SIGKILL."""

    def __init__(self, store: SqliteStore, path: Path, disk: FailingDisk) -> None:
        self.store = store
        self.disk = disk
        self._path = path
        self._copy = path.parent / "copy"

    def kill(self) -> None:
        """What is in the files now is what is found."""
        self._copy.mkdir(exist_ok=True)
        for suffix in ("", "-wal"):
            name = self._path.name + suffix
            shutil.copy(self._path.parent / name, self._copy / name)

    async def found(self) -> list[object]:
        after = SqliteStore(self._copy / self._path.name)
        await after.open()
        try:
            return await everything(after)
        finally:
            await after.close()
            shutil.rmtree(self._copy)


async def everything(store: SqliteStore) -> list[object]:
    topics = await store.topics()
    subscriptions = await store.subscriptions()
    return [
        topics,
        subscriptions,
        await store.known_keys(0, 1_000),
        await store.dead_list(TENANT, DeadFilter(), limit=100),
        [await store.read(record.topic_id, 1, limit=100) for record in topics],
        [await store.progress(record.subscription_id) for record in subscriptions],
    ]


@pytest.fixture
async def killed(tmp_path: Path) -> AsyncIterator[Killed]:
    path = tmp_path / "log.db"
    with failing_disk(path) as disk:
        store = SqliteStore(path)
        await store.open()
        record = await given.topic(store)
        await given.messages(store, record.topic_id, 3)
        await given.subscription(store)
        await store.settle([], [given.death(record.topic_id, 1, "d1")])
        yield Killed(store, path, disk)
        disk.failing_syncs = 0
        await store.close()


WRITES = {
    "append": lambda store: store.append([given.message(1, idempotency_key="k")]),
    "append of more than a statement": lambda store: store.append([given.message(1)] * 600),
    "topic_create": lambda store: given.topic(store, "another"),
    "topic_update": lambda store: store.topic_update(1, Retention(max_messages=7)),
    "topic_delete": lambda store: store.topic_delete(1, [1], NOW_MS),
    "subscription_create": lambda store: given.subscription(store, "another"),
    "subscription_delete": lambda store: store.subscription_delete(1),
    "seek": lambda store: store.seek(1, [(1, 2)]),
    "settle": lambda store: store.settle(
        [Progress(1, 1, 2, 2)], [given.death(1, 2, "d2", subscription="billing")]
    ),
    "dead_delete": lambda store: store.dead_delete(TENANT, ["d1"]),
    "trim": lambda store: store.trim(1, Rule(Retention(max_messages=1), NOW_MS), 100),
}


@pytest.mark.parametrize("name", WRITES)
async def test_what_is_unavailable_is_not_stored_even_if_the_process_is_killed_right_after(
    killed, name
):
    before = await everything(killed.store)
    killed.disk.failing_syncs = 1
    with pytest.raises(StoreUnavailable):
        await WRITES[name](killed.store)
    killed.kill()
    assert killed.disk.failed.is_set()
    assert await killed.found() == before
    assert await everything(killed.store) == before
    await WRITES[name](killed.store)
    killed.kill()
    assert await everything(killed.store) != before
    assert await killed.found() == await everything(killed.store)


async def test_as_long_as_it_may_be_stored_there_is_no_answer(killed):
    before = await everything(killed.store)
    killed.disk.on_failure = killed.kill
    killed.disk.failing_syncs = FOR_EVER
    append = asyncio.get_running_loop().create_task(killed.store.append([given.message(1)]))
    await asyncio.to_thread(killed.disk.failed.wait, 10)
    assert await killed.found() != before
    assert not append.done()
    assert await everything(killed.store) == before
    killed.disk.failing_syncs = 0
    with pytest.raises(StoreUnavailable):
        await append
    killed.kill()
    assert await killed.found() == before
    assert await killed.store.append([given.message(1)]) == [4]


async def test_a_store_that_is_closed_before_it_is_known_says_so(killed):
    killed.disk.failing_syncs = FOR_EVER
    append = asyncio.get_running_loop().create_task(killed.store.append([given.message(1)]))
    await asyncio.to_thread(killed.disk.failed.wait, 10)
    await asyncio.to_thread(killed.store._db.writer.close)
    with pytest.raises(OutcomeUnknown):
        await append


async def last_seq(broker: Broker) -> int:
    (record,) = await broker.store.topics()
    return record.last_seq


async def test_a_publish_that_is_repeated_with_its_key_until_it_is_answered_is_stored_once(
    tmp_path,
):
    path = tmp_path / "log.db"
    with failing_disk(path) as disk:
        async with running_broker(SqliteStore(path)) as bench:
            await bench.broker.topics.create(DEFAULT_TENANT, "a")
            disk.failing_syncs = FOR_EVER
            first = published(bench, idempotency_key="k")
            await asyncio.to_thread(disk.failed.wait, 10)
            again = published(bench, idempotency_key="k")
            bench.broker._committers.check(later())
            assert [answer.code for answer in first + again] == ["outcome_unknown"] * 2
            disk.failing_syncs = 0
            (committer,) = bench.broker._committers._committers.values()
            await asyncio.wait_for(committer.drain(), 10)
            receipt = await bench.publish("a", idempotency_key="k")
            assert (receipt.seq, receipt.duplicate) == (1, False)
            assert (await bench.publish("a", idempotency_key="k")).duplicate
            assert await last_seq(bench.broker) == 1


async def test_what_the_system_said_is_not_asked_of_a_connection_that_was_closed_over_it(killed):
    def fails(connection):
        connection.close(force=True)
        raise apsw.IOError("disk I/O error")

    with pytest.raises(StoreUnavailable, match=r"failed; check the disk \(disk I/O error\)$"):
        await killed.store._db.searcher.call(fails)


async def test_a_database_that_had_to_be_closed_over_a_failure_is_opened_again(killed):
    def fails(connection):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM topics")
        connection.close(force=True)
        raise apsw.IOError("disk I/O error")

    before = await everything(killed.store)
    # It is opened before the answer, which so is not OutcomeUnknown.
    with pytest.raises(StoreUnavailable, match="disk I/O error"):
        await killed.store._db.writer.call(fails)
    assert await killed.store.append([given.message(1)]) == [4]
    assert (await everything(killed.store))[1:4] == before[1:4]
    killed.kill()
    assert await killed.found() == await everything(killed.store)


async def test_as_long_as_it_cannot_be_opened_again_nothing_is_stored(killed):
    reopened = killed.store._db.writer._reopen

    def fails():
        raise apsw.CantOpenError("unable to open database file")

    killed.store._db.writer._reopen = fails
    await killed.store._db.writer.call(lambda connection: connection.close(force=True))
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="is being opened again"):
            await killed.store.append([given.message(1)])
    killed.store._db.writer._reopen = reopened
    with pytest.raises(StoreUnavailable):
        await killed.store.prove(16)
    assert await killed.store.append([given.message(1)]) == [4]


async def test_a_key_is_free_again_after_the_database_was_closed_over_its_commit(tmp_path):
    def fails(connection, _batch):
        log.append = append
        connection.execute("BEGIN IMMEDIATE")
        connection.close(force=True)
        raise apsw.IOError("disk I/O error")

    store = SqliteStore(tmp_path / "conduit.db")
    async with running_broker(store) as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "t")
        log = store._db.log
        append, log.append = log.append, fails
        with pytest.raises(StoreUnavailable):
            await bench.publish("t", idempotency_key="k")
        async with asyncio.timeout(5):
            receipt = await bench.publish("t", idempotency_key="k")
        assert (receipt.seq, receipt.duplicate) == (1, False)
