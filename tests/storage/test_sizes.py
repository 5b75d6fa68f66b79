"""How much room a store takes, and that SQLite gives back what it does not need."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import asyncpg
import pytest

from conduit.core.message import Retention
from conduit.errors import StoreUnavailable
from conduit.storage.base import Rule
from conduit.storage.postgres.database import CALL_TIMEOUT_S
from conduit.storage.sqlite import SqliteStore, database, space
from conduit.storage.sqlite.check import check
from conduit.storage.sqlite.space import compact
from tests.storage import given
from tests.storage.given import NOW_MS, TENANT
from tests.storage.postgres_kit import opened

COUNT = 400
SIZE = 10_000
# Below this nothing is given back.
KEPT_PAGES = 50


async def test_what_a_store_takes_grows_with_what_is_in_it(store):
    record = await given.topic(store)
    before = await store.measure()
    await store.append([given.message(record.topic_id, b"x" * SIZE) for _ in range(COUNT)])
    after = await store.measure()
    # PostgreSQL compresses what is out of line.
    least = COUNT * 20 if store.kind == "postgresql" else COUNT * SIZE
    assert after.size_bytes - before.size_bytes >= least
    assert not await store.give_back()


@pytest.mark.process
async def test_a_table_that_somebody_has_locked_holds_up_no_measuring(database_url):
    async with opened(database_url) as store, locked(database_url, "conduit.dead_letters"):
        record = await given.topic(store)
        await store.append([given.message(record.topic_id, b"x" * SIZE) for _ in range(COUNT)])
        async with asyncio.timeout(CALL_TIMEOUT_S / 2):
            assert (await store.measure()).size_bytes > 0
        (waiting_count,) = await locks_waited_for(database_url)
        assert waiting_count == 0


@asynccontextmanager
async def locked(url: str, table: str) -> AsyncIterator[None]:
    """As `VACUUM FULL` does."""
    connection = await asyncpg.connect(url)
    async with connection.transaction():
        await connection.execute(f"LOCK TABLE {table}")
        yield
    await connection.close()


async def locks_waited_for(url: str) -> asyncpg.Record:
    connection = await asyncpg.connect(url)
    found = await connection.fetchrow("SELECT count(*) FROM pg_locks WHERE NOT granted")
    await connection.close()
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


async def mostly_deleted(path: Path) -> tuple[SqliteStore, int]:
    """A store of which nearly all is deleted, and the topic whose two messages are not."""
    store = SqliteStore(path)
    await store.open()
    record = await given.topic(store)
    await store.append([given.message(record.topic_id, b"x" * SIZE) for _ in range(COUNT)])
    # At the end of the file.
    await store.append([given.message(record.topic_id, b'"kept"') for _ in range(2)])
    trimmed = await store.trim(record.topic_id, Rule(Retention(max_messages=2), NOW_MS), COUNT)
    assert trimmed.removed_count == COUNT
    return store, record.topic_id


async def test_free_room_is_given_back_a_few_pages_at_a_time_while_others_write(path, monkeypatch):
    monkeypatch.setattr(space, "KEPT_PAGES", KEPT_PAGES)
    store, topic_id = await mostly_deleted(path)
    assert (await store.measure()).free_bytes > COUNT * SIZE
    slices = 1
    while await store.give_back():
        slices += 1
        await store.append([given.message(topic_id, b'"meanwhile"')])
    # What is moved with the pages is little.
    assert slices > COUNT * SIZE / 4_096 / space.SLICE_PAGES / 2
    sizes = await store.measure()
    assert sizes.free_bytes <= (KEPT_PAGES + 5) * 4_096
    assert path.stat().st_size == sizes.size_bytes < 120 * 4_096
    messages = await store.read(topic_id, 1, limit=1_000)
    assert [message.payload for message in messages] == [b'"kept"'] * 2 + [b'"meanwhile"'] * (
        slices - 1
    )
    assert check(path) == []
    await store.close()


async def test_room_that_is_soon_needed_again_is_kept(path):
    store, _ = await mostly_deleted(path)
    before = await store.measure()
    assert not await store.give_back()
    after = await store.measure()
    assert (after.size_bytes, after.free_bytes) == (before.size_bytes, before.free_bytes)
    await store.close()


async def test_a_database_of_an_earlier_version_gives_back_once_it_is_compacted(
    path, monkeypatch, caplog
):
    caplog.set_level("INFO", logger="conduit.storage.sqlite.database")
    monkeypatch.setattr(space, "KEPT_PAGES", KEPT_PAGES)
    monkeypatch.setattr(database.space, "make_reducible", lambda connection: None)
    store, topic_id = await mostly_deleted(path)
    assert "conduit store compact" in caplog.text
    assert not await store.give_back()
    with pytest.raises(StoreUnavailable, match="another Conduit server"):
        compact(path)
    await store.close()
    before, after = compact(path)
    assert before > COUNT * SIZE
    assert after == path.stat().st_size < 100 * 4_096
    caplog.clear()
    await store.open()
    assert caplog.text == ""
    assert len(await store.read(topic_id, 1, limit=10_000)) == 2
    assert store.copied is None
    await store.append([given.message(topic_id, b"x" * SIZE) for _ in range(COUNT)])
    await store.trim(topic_id, Rule(Retention(max_messages=0), NOW_MS), 2 * COUNT)
    assert await store.give_back()
    await store.close()
    assert check(path) == []


FAULTS = {
    "UPDATE topics SET last_seq = 9 WHERE topic_id = 1": (
        "topic orders has 3 messages, and its numbers say 9"
    ),
    "UPDATE topics SET stored_bytes = 7 WHERE topic_id = 1": (
        "topic orders has 3 bytes, and its row says 7"
    ),
    "DELETE FROM messages WHERE seq = 2": "topic orders has 2 messages, and its numbers say 3",
    "UPDATE messages SET topic_id = 99 WHERE topic_id = 2": (
        "1 messages are of a topic that there never was: 99"
    ),
    "UPDATE dead_tallies SET open_count = 4": (
        "subscription billing has 1 dead letters, and its tally says 4"
    ),
}


@pytest.mark.parametrize("statement", FAULTS)
async def test_a_check_says_what_does_not_agree(path, statement):
    store = SqliteStore(path)
    await store.open()
    record, other = await given.topic(store), await given.topic(store, "other")
    await given.messages(store, record.topic_id, 3)
    await given.messages(store, other.topic_id, 1)
    await given.subscription(store)
    await store.settle([], [given.death(record.topic_id, 1, "d1", subscription="billing")])
    assert check(path) == [], "also while a server has it open"
    await store.close()
    with apsw.Connection(str(path)) as connection:
        connection.execute(statement)
    connection.close()
    assert FAULTS[statement] in check(path)


async def test_a_check_finds_damage(path):
    store, _ = await mostly_deleted(path)
    await store.close()
    with path.open("r+b") as file:
        file.seek(8 * 4_096)
        file.write(b"\xff" * 40_960)
    assert check(path)[0].startswith("the file is damaged: ")


async def test_a_check_refuses_what_is_no_database_of_conduit(tmp_path):
    (tmp_path / "file").write_bytes(b"no database" * 1_000)
    with pytest.raises(StoreUnavailable):
        check(tmp_path / "file")
    apsw.Connection(str(tmp_path / "empty")).close()
    (tmp_path / "empty").touch()
    with pytest.raises(StoreUnavailable, match="not a database of Conduit"):
        check(tmp_path / "empty")


async def test_purged_topics_are_no_fault(path):
    store = SqliteStore(path)
    await store.open()
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 3)
    await store.topic_delete(record.topic_id)
    assert check(path) == []
    assert await store.purge(10) == 3
    assert check(path) == []
    assert await store.dead_tally(TENANT, "billing") == (0, 0, 0)
    await store.close()
