"""A database whose files are taken away while it is open."""

import shutil
from pathlib import Path

import pytest

from conduit.errors import StoreUnavailable
from conduit.storage.sqlite import SqliteStore
from conduit.storage.sqlite.backup import back_up
from conduit.storage.sqlite.check import check
from tests.storage import given
from tests.storage.given import NOW_MS, TENANT

ROW_BYTES = 16


@pytest.fixture
async def store(tmp_path: Path):
    opened = SqliteStore(tmp_path / "log.db")
    await opened.open()
    await given.messages(opened, (await given.topic(opened)).topic_id, 3)
    yield opened
    await opened.close()


async def refused(store: SqliteStore, match: str) -> StoreUnavailable:
    """Proofs and all that would be written are refused with one error, which names the file to the operator
    alone."""
    with pytest.raises(StoreUnavailable, match=match) as first:
        await store.prove(ROW_BYTES)
    for write in (
        store.append([given.message(1)]),
        given.topic(store, "another"),
        store.topic_delete(1, [1], NOW_MS),
        store.purge(10),
    ):
        with pytest.raises(StoreUnavailable) as error:
            await write
        assert error.value.detail == first.value.detail
    assert len(await store.read(1, 1, limit=10)) == 3
    return first.value


async def found(path: Path) -> int:
    """How many messages a server finds that is started now."""
    again = SqliteStore(path)
    await again.open()
    try:
        (topic,) = await again.topics()
        return topic.last_seq
    finally:
        await again.close()


async def test_a_database_that_was_removed_is_unavailable(store, tmp_path):
    (tmp_path / "log.db").unlink()
    error = await refused(store, "the database file was removed or moved")
    assert error.place == str(tmp_path / "log.db")
    assert str(tmp_path) not in error.told


async def test_one_that_was_moved_is_available_again_when_it_is_back(store, tmp_path):
    (tmp_path / "log.db").rename(tmp_path / "old.db")
    await refused(store, "removed or moved")
    (tmp_path / "old.db").rename(tmp_path / "log.db")
    await store.prove(ROW_BYTES)
    assert await store.append([given.message(1)]) == [4]
    await store.close()
    assert await found(tmp_path / "log.db") == 4


async def test_one_that_was_moved_when_its_server_ends_can_be_put_back_with_its_wal(
    store, tmp_path
):
    (tmp_path / "log.db").rename(tmp_path / "old.db")
    await refused(store, "removed or moved")
    await store.close()
    assert (tmp_path / "log.db-wal").exists()
    (tmp_path / "old.db").rename(tmp_path / "log.db")
    assert await found(tmp_path / "log.db") == 3


async def test_one_that_another_was_put_in_the_place_of_is_unavailable(store, tmp_path):
    shutil.copy(tmp_path / "log.db", tmp_path / "backup.db")
    (tmp_path / "backup.db").replace(tmp_path / "log.db")
    await refused(store, "the database file was replaced by another one")


async def test_the_wal_of_another_database_is_not_left_beside_a_backup_that_was_put_there(
    store, tmp_path, caplog
):
    path, aside = tmp_path / "log.db", tmp_path / "log.db-wal.old-2"
    (tmp_path / "log.db-wal.old-1").touch()
    back_up(path, tmp_path / "backup.db")
    await store.append([given.message(1, b"x" * 20_000) for _ in range(50)])
    backup = (tmp_path / "backup.db").read_bytes()
    path.rename(tmp_path / "old.db")
    (tmp_path / "backup.db").rename(path)
    await store.close()
    assert path.read_bytes() == backup
    names = {file.name for file in tmp_path.iterdir()}
    assert not names & {"log.db-wal", "log.db-shm"}
    assert f"it is now {aside}" in caplog.text
    assert await found(path) == 3
    assert check(path) == []
    # Nothing of it is lost.
    aside.rename(tmp_path / "old.db-wal")
    assert await found(tmp_path / "old.db") == 53


async def test_a_wal_that_came_with_the_other_database_stays(store, tmp_path):
    path, wal = tmp_path / "log.db", tmp_path / "log.db-wal"
    for file in (path, wal):
        shutil.copy(file, tmp_path / "copy")
        (tmp_path / "copy").replace(file)
    before = wal.read_bytes()
    await store.close()
    assert wal.read_bytes() == before
    assert not [*tmp_path.glob("*.old-*")]


@pytest.mark.parametrize("ending", ["-wal", "-shm"])
async def test_without_a_file_beside_it_nothing_is_stored_and_an_orderly_end_saves_all(
    store, tmp_path, ending
):
    (tmp_path / f"log.db{ending}").unlink()
    await refused(store, f"the database's {ending} file was removed or moved")
    await store.close()
    assert await found(tmp_path / "log.db") == 3


async def test_a_directory_that_is_not_there_any_more_is_as_a_file_that_is_not(tmp_path):
    (tmp_path / "data").mkdir()
    store = SqliteStore(tmp_path / "data" / "log.db")
    await store.open()
    await given.messages(store, (await given.topic(store)).topic_id, 3)
    (tmp_path / "data").rename(tmp_path / "old")
    await refused(store, "removed or moved")
    (tmp_path / "data").touch()
    await refused(store, "removed or moved")
    await store.close()


async def test_the_name_by_which_it_was_opened_is_what_counts(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    link = tmp_path / "log.db"
    link.symlink_to(tmp_path / "a" / "log.db")
    store = SqliteStore(link)
    await store.open()
    await given.messages(store, (await given.topic(store)).topic_id, 3)
    await store.prove(ROW_BYTES)
    link.unlink()
    link.symlink_to(tmp_path / "b" / "log.db")
    await refused(store, "removed or moved")
    await store.close()


async def test_a_writer_that_had_to_be_closed_is_not_opened_on_another_file(store, tmp_path):
    shutil.copy(tmp_path / "log.db", tmp_path / "backup.db")
    backup = (tmp_path / "backup.db").read_bytes()
    (tmp_path / "backup.db").replace(tmp_path / "log.db")
    await store._db.writer.call(lambda connection: connection.close(force=True))
    with pytest.raises(StoreUnavailable):
        await store.append([given.message(1)])
    await refused(store, "replaced by another one")
    assert (tmp_path / "log.db").read_bytes() == backup
    assert [topic.tenant for topic in await store.topics()] == [TENANT]
