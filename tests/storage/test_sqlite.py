import asyncio
import resource
import threading
from importlib import resources
from pathlib import Path

import apsw
import pytest

from conduit.core.message import Message, Progress, Retention
from conduit.errors import StoreDataError, StoreUnavailable
from conduit.storage.base import Rule
from conduit.storage.dead_letters import DeadFilter
from conduit.storage.sqlite import SqliteStore, former, reads, subscriptions
from conduit.storage.sqlite.database import APPLICATION_ID
from tests.storage import given
from tests.storage.given import NOW_MS, TENANT


@pytest.fixture
async def store(tmp_path: Path):
    opened = SqliteStore(tmp_path / "log.db")
    await opened.open()
    yield opened
    await opened.close()


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


async def read_all(store: SqliteStore, topic_id: int) -> list[Message]:
    return await store.read(topic_id, 1, limit=10_000)


# Opening ------------------------------------------------------------------------------------------


async def test_opening_again_gives_everything_back(tmp_path):
    store = SqliteStore(tmp_path / "log.db")
    await store.open()
    record = await store.topic_create(TENANT, "orders", Retention(60, 70, 80), NOW_MS)
    gone = await given.topic(store, "gone")
    batch = [given.message(t.topic_id, idempotency_key=f"k{n}") for n, t in enumerate([record] * 9)]
    await store.append([*batch, given.message(gone.topic_id)])
    await store.trim(record.topic_id, Rule(Retention(max_messages=7), NOW_MS), 100)
    await store.topic_delete(gone.topic_id)
    billing = await given.subscription(store)
    await store.subscription_update(billing.subscription_id, billing.settings, True)
    progress = Progress(billing.subscription_id, record.topic_id, 4, 9, b"\x00open")
    await store.settle([progress], [given.death(record.topic_id, 5, "d1", subscription="billing")])
    before = await everything(store)
    await store.close()

    again = SqliteStore(tmp_path / "log.db")
    await again.open()
    assert await everything(again) == before
    assert await again.append([given.message(record.topic_id)]) == [10]
    assert await again.append([given.message(gone.topic_id)]) == [0]
    assert await again.purge(100) == 1
    assert (await given.topic(again, "new")).topic_id > gone.topic_id
    await again.close()


async def test_a_file_of_the_first_schema_is_brought_to_ours_and_keeps_what_it_has(tmp_path):
    schema = resources.files("conduit.storage.sqlite").joinpath("schema", "0001_initial.sql")
    with apsw.Connection(str(tmp_path / "log.db")) as connection:
        connection.execute(schema.read_text("utf-8"))
        connection.pragma("application_id", APPLICATION_ID)
        connection.execute("INSERT INTO meta VALUES ('schema_version', 1)")
        connection.execute("INSERT INTO topics VALUES (1, ?, 't', 'e', 0, 1, 1, 2, 0, 0, 0)", "x")
        connection.execute("INSERT INTO idempotency_keys VALUES (1, 'k', zeroblob(16), 1, 5)")
        connection.execute("INSERT INTO subscriptions VALUES (1, 'x', 's', 't', 0, FALSE, '{}')")
        connection.execute("INSERT INTO progress VALUES (1, 1, 1, 2, x'6f')")
    connection.close()
    store = SqliteStore(tmp_path / "log.db")
    await store.open()
    (known,) = await store.known_keys(0, 10)
    assert (known.key, known.payload_hash) == ("k", None)
    assert await store.progress(1) == [Progress(1, 1, 1, 2, b"o")]
    await store.seek(1, [(1, 0)])
    assert await store.progress(1) == [Progress(1, 1, 0, 0)]
    await store.close()
    with apsw.Connection(str(tmp_path / "log.db")) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {reads._NEWEST_KEYS}", (0, 10)).fetchall()
    connection.close()
    steps = [step for *_, step in plan]
    # Neither a look into the table for each key nor a sort of them all.
    assert "COVERING INDEX idempotency_keys_by_time" in steps[0]
    assert not [step for step in steps if "TEMP B-TREE" in step]


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        (subscriptions._progress_in._sql, {"topic_id": 1, "subscription_ids": "[1]"}),
        (former._REMEMBER, {"topic_id": 1, "followers": "[1]", "now_ms": 1}),
    ],
)
async def test_subscriptions_of_a_topic_are_looked_up_and_not_searched_for(
    statement, values, tmp_path
):
    store = SqliteStore(tmp_path / "log.db")
    await store.open()
    await store.close()
    with apsw.Connection(str(tmp_path / "log.db")) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    connection.close()
    steps = [step for *_, step in plan]
    assert "SEARCH s USING INTEGER PRIMARY KEY (rowid=?)" in steps


async def test_where_subscriptions_began_is_kept_when_it_is_put_into_parts(tmp_path):
    folder = resources.files("conduit.storage.sqlite").joinpath("schema")
    files = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    with apsw.Connection(str(tmp_path / "log.db")) as connection:
        for name in files[: files.index("0010_begins_parts.sql")]:
            connection.execute(folder.joinpath(name).read_text("utf-8"))
        connection.pragma("application_id", APPLICATION_ID)
        connection.execute("INSERT INTO meta VALUES ('schema_version', 9)")
        connection.execute("""
            INSERT INTO topics (topic_id, tenant, name, epoch, created_at_ms, last_seq, stored_bytes)
            SELECT value, 'x', 't' || value, 'e', 0, 9, 0 FROM json_each('[1, 2, 1023, 1024, 5000]');
            INSERT INTO subscriptions
            VALUES (1, 'x', 's', '>', 0, FALSE, '{}', jsonb('{"1":4,"1023":5,"1024":6,"5000":7}'));
            INSERT INTO subscriptions VALUES (2, 'x', 'none', '>', 0, FALSE, '{}', jsonb('{}'));
        """)
    connection.close()
    store = SqliteStore(tmp_path / "log.db")
    await store.open()
    assert {row.topic_id: row.floor for row in await store.progress(1)} == {
        1: 4,
        1023: 5,
        1024: 6,
        5000: 7,
    }
    assert [row.floor for row in await store.progress(1, [2, 1024])] == [6]
    assert [row.floor for row in await store.progress_at([(1, 5000), (2, 5000)])] == [7]
    assert await store.progress(2) == []
    await store.close()


async def test_a_directory_that_does_not_exist_is_refused_and_not_made(tmp_path):
    path = tmp_path / "unmounted" / "conduit.db"
    with pytest.raises(StoreUnavailable, match=r"no directory .*unmounted for the database file"):
        await SqliteStore(path).open()
    assert not path.parent.exists()


async def test_it_says_what_durability_rests_on(store):
    described = store.describe()
    assert described["durable"] is True
    assert described["journal_mode"] == "wal"
    assert described["synchronous"] == "full"
    assert described["sqlite_version"] == apsw.sqlite_lib_version()


async def test_a_newer_schema_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "log.db"
    store = SqliteStore(path)
    await store.open()
    await store.close()
    with apsw.Connection(str(path)) as connection:
        connection.execute("UPDATE meta SET value = 99 WHERE name = 'schema_version'")
    connection.close()
    with pytest.raises(StoreUnavailable, match="schema version 99"):
        await store.open()


async def test_the_database_of_another_program_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "log.db"
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE meta (name, value)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable, match="not one of Conduit"):
        await SqliteStore(path).open()
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "log.db"
    path.write_text("dear diary, " * 100)
    with pytest.raises(StoreUnavailable, match="not a SQLite database"):
        await SqliteStore(path).open()


async def test_a_path_that_cannot_be_opened_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="no directory"):
        await SqliteStore(tmp_path / "file" / "log.db").open()
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        await SqliteStore(tmp_path / "folder.db").open()


async def test_a_refused_file_is_free_for_others(tmp_path):
    path = tmp_path / "log.db"
    path.write_text("dear diary, " * 100)
    store = SqliteStore(path)
    with pytest.raises(StoreUnavailable):
        await store.open()
    path.unlink()
    await store.open()
    await store.close()


# Closing ------------------------------------------------------------------------------------------


async def test_a_closed_store_is_unavailable(store):
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.topics()
    with pytest.raises(StoreUnavailable):
        await store.append([given.message(1)])


async def test_closing_finishes_what_was_begun_and_ends_the_threads(tmp_path):
    store = SqliteStore(tmp_path / "log.db")
    await store.open()
    record = await given.topic(store)
    batches = [[given.message(record.topic_id)] for _ in range(20)]
    appends = asyncio.gather(*map(store.append, batches))
    await asyncio.sleep(0)
    await store.close()
    assert await appends == [[n] for n in range(1, 21)]
    assert not [t for t in threading.enumerate() if t.name.startswith("conduit-sqlite")]


async def test_a_cancelled_append_is_still_stored(store):
    record = await given.topic(store)
    append = asyncio.gather(store.append([given.message(record.topic_id)]))
    await asyncio.sleep(0)
    append.cancel()
    with pytest.raises(asyncio.CancelledError):
        await append
    assert await store.append([given.message(record.topic_id)]) == [2]


# Failures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "poison",
    [
        {"key": "\ud800"},
        {"at_ms": 1 << 70},
        {"payload": "text"},
        {"idempotency_key": "\udfff"},
        {"message_id": "no id"},
        {"message_id": "01A20507-5299-71B8-868D-C0CB81A31C7C"},
    ],
)
async def test_a_poison_row_fails_its_whole_batch_and_nothing_else(store, poison):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 2)
    bad = given.message(record.topic_id)
    poison = dict(poison)
    bad.message_id = poison.pop("message_id", bad.message_id)
    bad.published_at_ms = poison.pop("at_ms", bad.published_at_ms)
    for name, value in poison.items():
        setattr(bad, name, value)
    before = await everything(store)
    good = given.message(record.topic_id, idempotency_key="k")
    with pytest.raises(StoreDataError):
        await store.append([good, bad, good])
    assert await everything(store) == before
    assert await store.append([good]) == [3]


async def fill_until_refused(store: SqliteStore, topic_id: int) -> tuple[int, StoreUnavailable]:
    """Append until it fails; the last number acked, and the failure."""
    acked = 0
    for _ in range(200):
        batch = [given.message(topic_id, b"x" * 5000, idempotency_key=f"k{acked}")] * 20
        try:
            acked = (await store.append(batch))[-1]
        except StoreUnavailable as error:
            return acked, error
    raise AssertionError("the disk did not become full")


async def check_it_stored(store: SqliteStore, topic_id: int, acked: int) -> None:
    record = await given.topic_now(store, topic_id)
    assert (record.last_seq, record.stored_bytes) == (acked, acked * 5000)
    last = await store.read(topic_id, 1 << 53, limit=1, descending=True)
    assert [message.seq for message in last] == [acked]
    assert len(await store.known_keys(0, 1_000)) == acked // 20


async def test_a_full_disk_is_unavailable_stores_no_half_and_recovers(store, tmp_path):
    record = await given.topic(store)
    limit = store._db.writer.call
    await limit(lambda connection: connection.pragma("max_page_count", 500))
    acked, error = await fill_until_refused(store, record.topic_id)
    assert "full" in error.detail
    await check_it_stored(store, record.topic_id, acked)
    with pytest.raises(StoreUnavailable):
        await store.append([given.message(record.topic_id, b"x" * 5_000_000)])
    await limit(lambda connection: connection.pragma("max_page_count", 1_000_000))
    assert await store.append([given.message(record.topic_id)]) == [acked + 1]


async def test_a_failing_write_is_unavailable_stores_no_half_and_recovers(store, tmp_path):
    record = await given.topic(store)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
    try:
        acked, error = await fill_until_refused(store, record.topic_id)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "disk" in error.detail
    assert "File too large" in error.detail
    await check_it_stored(store, record.topic_id, acked)
    assert await store.append([given.message(record.topic_id)]) == [acked + 1]
    await store.close()
    await store.open()
    assert await store.append([given.message(record.topic_id)]) == [acked + 2]


async def test_a_failure_within_a_transaction_leaves_none_open(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 3)
    created = await given.subscription(store, seq=1)
    progress = Progress(created.subscription_id, record.topic_id, 2, 2)
    poison = given.death(record.topic_id, 1, "d1", reason="\ud800")
    with pytest.raises(StoreDataError):
        await store.settle([progress], [poison])
    assert await store._db.writer.call(lambda connection: connection.in_transaction) is False
    assert await store.progress(created.subscription_id) == []


async def test_a_reader_does_not_wait_for_a_commit_nor_a_commit_for_a_reader(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 3)
    hold, held = threading.Event(), threading.Event()

    def wait(connection: apsw.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        held.set()
        hold.wait(10)
        connection.execute("ROLLBACK")

    writing = asyncio.gather(store._db.writer.call(wait))
    await asyncio.to_thread(held.wait, 10)
    assert len(await read_all(store, record.topic_id)) == 3
    hold.set()
    await writing
