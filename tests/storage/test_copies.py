"""A log that is a copy: what tells it, and new epochs."""

import os
import shutil
import signal
import stat
import threading
from pathlib import Path

import apsw
import pytest

from conduit.core.message import Retention
from conduit.errors import Conflict, StoreUnavailable
from conduit.storage.base import Former, Rule
from conduit.storage.sqlite import SqliteStore, backup
from conduit.storage.sqlite.backup import back_up
from conduit.storage.sqlite.check import check
from conduit.storage.sqlite.mark import Marked, path_of, prepare, read
from tests.storage import given
from tests.storage.given import NOW_MS

# Every store -----------------------------------------------------------------------------------------


async def test_a_new_log_is_no_copy(store):
    assert store.copied is None
    await store.trust()
    assert store.copied is None


async def test_topics_get_the_epochs_that_they_are_given_and_keep_all_else(store):
    orders, bills = await given.topic(store, "orders"), await given.topic(store, "bills")
    await given.messages(store, orders.topic_id, 3)
    await store.renew({orders.topic_id: "new", 999_999: "nobody's"})
    found = {record.name: record for record in await store.topics()}
    assert (found["orders"].epoch, found["orders"].last_seq) == ("new", 3)
    assert found["bills"].epoch == bills.epoch
    assert await store.append([given.message(orders.topic_id)]) == [4]
    assert store.copied is None


async def test_a_subscription_is_told_what_is_added_in_place_of_what_it_had_to_be_told(store):
    created = await given.subscription(store, pattern=">")
    one, other = Former("orders", "e1", 3, None), Former("bills", "e2", 0, None)
    await store.former_add(created.subscription_id, [one, other], NOW_MS)
    newer = Former("orders", "e3", 5, None)
    await store.former_add(created.subscription_id, [newer], NOW_MS + 1)
    await store.former_add(created.subscription_id, [], NOW_MS + 1)
    assert set(await store.former(created.subscription_id)) == {newer, other}
    await store.former_add(999_999, [one], NOW_MS)
    assert await store.former(999_999) == []


# SQLite -----------------------------------------------------------------------------------------------


async def opened(path: Path) -> SqliteStore:
    store = SqliteStore(path)
    await store.open()
    return store


async def why_copied(path: Path) -> str | None:
    store = await opened(path)
    why = store.copied
    await store.close()
    return why


def put_back(backup: Path, path: Path) -> None:
    """In place of the database, as docs/backup.md says."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.copy(backup, path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.db"


@pytest.mark.parametrize("closes", [True, False])
async def test_a_backup_that_is_put_back_is_noticed_if_anything_was_stored_since(
    path, tmp_path, closes
):
    store = await opened(path)
    topic = await given.topic(store)
    await given.messages(store, topic.topic_id, 5)
    back_up(path, tmp_path / "backup.db")
    await given.messages(store, topic.topic_id, 1)
    mark = path_of(path).read_bytes()
    await store.close()
    if not closes:
        # What the file had when the process was killed.
        path_of(path).write_bytes(mark)
    assert await why_copied(path) is None
    put_back(tmp_path / "backup.db", path)
    assert await why_copied(path) == "its mark file knows of a message that is not in it"
    # As long as nobody has done anything about it.
    assert await why_copied(path) is not None


@pytest.mark.parametrize("is_older", [True, False])
async def test_a_copy_that_no_server_has_opened_yet_can_be_checked_and_backed_up(
    path, tmp_path, is_older
):
    store = await opened(path)
    topic = await given.topic(store)
    back_up(path, tmp_path / "backup.db")
    await given.messages(store, topic.topic_id, 1)
    await store.close()
    put_back(tmp_path / "backup.db", path)
    if is_older:
        # Before schema version 7.
        older = apsw.Connection(str(path))
        older.execute("DROP TABLE facts")
        older.close()
    assert check(path) == []
    back_up(path, tmp_path / "another.db")
    assert check(tmp_path / "another.db") == []


@pytest.mark.parametrize("is_new", [True, False])
async def test_a_process_that_ends_while_the_database_gets_its_id_leaves_no_copy(
    path, monkeypatch, is_new
):
    store = None if is_new else await opened(path)
    with monkeypatch.context() as patched:

        def end(*_):
            raise OSError("the process is killed")

        patched.setattr(Path, "replace", end)
        with pytest.raises(StoreUnavailable, match="killed"):
            await (opened(path) if store is None else store.trust())
    if store is not None:
        await store.close()
    assert await why_copied(path) is None


def test_before_the_database_gets_its_id_the_name_of_the_new_mark_is_on_the_disk(path, monkeypatch):
    synced = []

    def sync(file: int) -> None:
        names = [entry.name for entry in path.parent.iterdir()]
        synced.append((stat.S_ISDIR(os.fstat(file).st_mode), names))

    monkeypatch.setattr(os, "fsync", sync)
    prepare(path_of(path), b"1" * 16)
    assert [is_folder for is_folder, _ in synced] == [False, True]
    assert synced[-1][1] == [f"{path_of(path).name}.new"]


async def test_a_topic_that_the_backup_does_not_have_is_noticed(path, tmp_path):
    store = await opened(path)
    back_up(path, tmp_path / "backup.db")
    topic = await given.topic(store)
    await given.messages(store, topic.topic_id, 1)
    await store.close()
    put_back(tmp_path / "backup.db", path)
    assert await why_copied(path) is not None


async def test_nothing_is_noticed_where_nothing_is_lost(path, tmp_path):
    store = await opened(path)
    gone, topic = await given.topic(store, "gone"), await given.topic(store)
    await given.messages(store, topic.topic_id, 5)
    await given.messages(store, gone.topic_id, 5)
    await store.topic_delete(gone.topic_id)
    await store.trim(topic.topic_id, Rule(Retention(max_messages=0), NOW_MS), 10)
    await store.purge(100)
    back_up(path, tmp_path / "backup.db")
    await store.close()
    assert await why_copied(path) is None
    put_back(tmp_path / "backup.db", path)
    assert await why_copied(path) is None


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        (None, "its mark file is missing"),
        (b"rubbish", "its mark file is missing"),
        ("another's", "its mark file belongs to another database"),
    ],
)
async def test_a_database_without_its_mark_is_noticed(path, tmp_path, mark, why):
    store = await opened(path)
    await store.close()
    place = path_of(path)
    if mark is None:
        place.unlink()
    elif mark == "another's":
        await (await opened(tmp_path / "other.db")).close()
        shutil.copy(path_of(tmp_path / "other.db"), place)
    else:
        place.write_bytes(mark)
    assert await why_copied(path) == why


@pytest.mark.parametrize("is_empty", [True, False])
async def test_where_a_log_with_messages_was_no_empty_one_begins_without_a_word(path, is_empty):
    store = await opened(path)
    topic = await given.topic(store)
    await given.messages(store, topic.topic_id, 5)
    await store.close()
    path.unlink()
    if is_empty:
        path.touch()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"remove log\.db\.mark to begin"):
            await opened(path)
    path_of(path).unlink()
    assert await why_copied(path) is None


async def test_where_a_log_without_messages_was_another_one_begins(path):
    await (await opened(path)).close()
    path.unlink()
    assert await why_copied(path) is None


async def test_a_directory_that_is_moved_as_a_whole_is_no_copy(path, tmp_path):
    store = await opened(path)
    topic = await given.topic(store)
    await given.messages(store, topic.topic_id, 5)
    await store.close()
    (tmp_path / "moved").mkdir()
    for file in tmp_path.glob("log.db*"):
        file.rename(tmp_path / "moved" / file.name)
    assert await why_copied(tmp_path / "moved" / "log.db") is None


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_what_is_renewed_or_trusted_is_no_copy_any_more_and_older_backups_are(
    path, tmp_path, is_trusted
):
    store = await opened(path)
    topic = await given.topic(store)
    back_up(path, tmp_path / "backup.db")
    await given.messages(store, topic.topic_id, 1)
    await store.close()
    put_back(tmp_path / "backup.db", path)
    store = await opened(path)
    assert store.copied
    # Nothing is noted before somebody has decided.
    assert await store.append([given.message(topic.topic_id)]) == [1]
    await (store.trust() if is_trusted else store.renew({topic.topic_id: "new"}))
    assert store.copied is None
    await given.messages(store, topic.topic_id, 1)
    await store.close()
    assert await why_copied(path) is None
    put_back(tmp_path / "backup.db", path)
    assert await why_copied(path) == "its mark file belongs to another database"


async def test_the_mark_names_the_last_message_of_the_last_commit(path):
    store = await opened(path)
    orders, bills = await given.topic(store, "orders"), await given.topic(store, "bills")
    await store.append([given.message(orders.topic_id)] * 2 + [given.message(bills.topic_id)])
    marked = read(path_of(path))
    assert marked == Marked(marked.store_id, bills.topic_id, 1)
    await store.append([given.message(orders.topic_id)])
    await store.append([given.message(999_999)])
    assert read(path_of(path)) == Marked(marked.store_id, orders.topic_id, 3)
    await store.close()
    assert read(path_of(path)) == Marked(marked.store_id, orders.topic_id, 3)


async def test_a_backup_is_whole_and_never_in_place_of_another_file(path, tmp_path):
    store = await opened(path)
    topic = await given.topic(store)
    await given.messages(store, topic.topic_id, 5)
    back_up(path, tmp_path / "backup.db")
    await given.messages(store, topic.topic_id, 5)
    with pytest.raises(Conflict):
        back_up(path, tmp_path / "backup.db")
    await store.close()
    copy = await opened(tmp_path / "backup.db")
    assert [message.seq for message in await copy.read(topic.topic_id, 1, limit=99)] == [
        1,
        2,
        3,
        4,
        5,
    ]
    await copy.close()
    assert not list(tmp_path.glob("*.unfinished"))


def test_what_is_no_database_of_conduit_is_not_backed_up(tmp_path):
    for content in (b"", b"rubbish" * 1000):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(StoreUnavailable):
            back_up(tmp_path / "file", tmp_path / "backup.db")
        assert not (tmp_path / "backup.db").exists()


async def test_a_backup_that_is_done_is_not_interrupted_any_more(path, tmp_path, monkeypatch):
    await (await opened(path)).close()

    def give_name(unfinished, to):
        os.link(unfinished, to)
        # To this thread: of a process's signals any thread may be told.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.pthread_kill(threading.get_ident(), number)

    monkeypatch.setattr(backup, "_give_name", give_name)
    folder = tmp_path / "backups"
    folder.mkdir()
    back_up(path, folder / "b.db")
    assert [each.name for each in folder.iterdir()] == ["b.db"]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


async def test_a_backup_may_have_as_long_a_name_as_a_database_may(path, tmp_path):
    await (await opened(path)).close()
    for name in ("b" * 240, "ä" * 120):
        back_up(path, tmp_path / name)
        assert check(tmp_path / name) == []


async def test_a_backup_that_cannot_be_written_is_not_taken_for_a_fault_of_the_database(
    path, tmp_path
):
    await (await opened(path)).close()
    with pytest.raises(OSError, match=r"no directory .*nowhere for the backup"):
        back_up(path, tmp_path / "nowhere" / "backup.db")
    with pytest.raises(StoreUnavailable, match=r"backup cannot be written to /proc/backup\.db"):
        back_up(path, Path("/proc/backup.db"))


async def test_commits_that_a_killed_server_left_are_told_when_they_are_applied(
    path, tmp_path, caplog
):
    caplog.set_level("INFO", logger="conduit.storage.sqlite.database")
    store = await opened(path)
    topic = await given.topic(store)
    await given.messages(store, topic.topic_id, 1)
    killed = tmp_path / "killed"
    killed.mkdir()
    for name in (path.name, f"{path.name}-wal"):
        shutil.copy(path.with_name(name), killed / name)
    await store.close()
    await (await opened(path)).close()
    assert not caplog.records
    await (await opened(killed / path.name)).close()
    (record,) = caplog.records
    assert "had not ended in good order" in record.getMessage()
    assert record.levelname == "WARNING"
