"""Who owns a database file, who may read it, and what happens when somebody else writes to it."""

import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from conduit.errors import StoreUnavailable
from conduit.storage.sqlite import SqliteStore
from conduit.storage.sqlite.backup import back_up
from tests.storage import given
from tests.storage.given import NOW_MS


@pytest.fixture
async def store(tmp_path: Path):
    opened = SqliteStore(tmp_path / "log.db")
    await opened.open()
    yield opened
    await opened.close()


async def test_a_file_belongs_to_one_server(store, tmp_path):
    second = SqliteStore(tmp_path / "log.db")
    with pytest.raises(StoreUnavailable, match="another Conduit server"):
        await second.open()
    await second.close()
    await given.topic(store)
    await store.close()
    await second.open()
    assert len(await second.topics()) == 1
    await second.close()


@pytest.mark.process
@pytest.mark.parametrize("by", ["its name", "symlink_to", "hardlink_to"])
def test_a_file_belongs_to_one_process_by_whatever_name(tmp_path, by):
    (tmp_path / "elsewhere").mkdir()
    path = other = tmp_path / "log.db"
    path.touch()
    if by != "its name":
        other = tmp_path / "elsewhere" / "other.db"
        getattr(other, by)(path)
    appender = [sys.executable, str(Path(__file__).with_name("appender.py"))]
    with subprocess.Popen([*appender, path], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline()
        second = subprocess.run(
            [*appender, other], capture_output=True, text=True, timeout=60, check=False
        )
        assert first.stdout.readline(), "it goes on"
        first.kill()
    assert second.returncode == 1
    assert "another Conduit server" in second.stderr
    # Nothing is left beside what it may not have.
    beside = [] if by == "its name" else ["other.db"]
    assert [file.name for file in (tmp_path / "elsewhere").iterdir()] == beside


async def test_a_database_that_is_opened_by_a_link_has_its_mark_beside_it(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    path, link = tmp_path / "log.db", tmp_path / "elsewhere" / "link.db"
    store = SqliteStore(path)
    await store.open()
    await given.messages(store, (await given.topic(store)).topic_id, 1)
    await store.close()
    link.symlink_to(path)
    # As versions did that did not follow it.
    (tmp_path / "log.db.mark").rename(tmp_path / "elsewhere" / "link.db.mark")
    for name in (link, path):
        store = SqliteStore(name)
        await store.open()
        assert store.copied is None
        await store.close()
    assert {file.name for file in (tmp_path / "elsewhere").iterdir()} == {"link.db"}


async def test_what_the_store_makes_nobody_else_can_read(tmp_path):
    before = os.umask(0)
    try:
        store = SqliteStore(tmp_path / "log.db")
        await store.open()
        await given.messages(store, (await given.topic(store)).topic_id, 1)
        back_up(tmp_path / "log.db", tmp_path / "backup.db")
        files = {file.name: oct(file.stat().st_mode & 0o777) for file in tmp_path.iterdir()}
        await store.close()
    finally:
        os.umask(before)
    suffixes = ("", "-wal", "-shm", ".lock", ".mark")
    assert files == dict.fromkeys((*(f"log.db{s}" for s in suffixes), "backup.db"), "0o600")


async def test_rows_that_another_program_stored_are_nobodys_fault_and_end(store, tmp_path):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 1)
    other = apsw.Connection(str(tmp_path / "log.db"))
    values = (record.topic_id, 2, os.urandom(16), NOW_MS, 1, None, None, b"1")
    other.execute("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
    other.execute("UPDATE topics SET last_seq = 2")
    other.close()
    with pytest.raises(StoreUnavailable, match="another program writes to it"):
        await store.append([given.message(record.topic_id)])
    assert await store.append([given.message(record.topic_id)]) == [3]
