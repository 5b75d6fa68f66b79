"""A database in use is not read by another name of its file."""

import errno
import fcntl
import os
import shutil
import sys
import time

import pytest

from conduit.errors import StoreUnavailable
from conduit.storage.sqlite import SqliteStore
from conduit.storage.sqlite.backup import back_up
from conduit.storage.sqlite.check import check
from conduit.storage.sqlite.ownership import Ownership

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the file itself is locked there only"
)


async def test_a_backup_and_a_check_go_by_the_name_that_the_server_uses(tmp_path):
    path, other = tmp_path / "a.db", tmp_path / "b.db"
    store = SqliteStore(path)
    await store.open()
    await store.close()
    os.link(path, other)
    ownership = Ownership(path)
    try:
        with pytest.raises(StoreUnavailable, match="by another name"):
            back_up(other, tmp_path / "backup")
        with pytest.raises(StoreUnavailable, match="by another name"):
            check(other)
        assert check(path) == []
    finally:
        ownership.close()
    assert check(other) == []


@pytest.mark.parametrize("has_lock_file", [True, False])
async def test_a_database_that_was_moved_from_its_server_and_one_in_its_place_are_refused(
    tmp_path, has_lock_file
):
    path, moved = tmp_path / "a.db", tmp_path / "b.db"
    store = SqliteStore(path)
    await store.open()
    await store.close()
    ownership = Ownership(path)
    try:
        path.rename(moved)
        if has_lock_file:
            # Of a server that ended.
            (tmp_path / "b.db.lock").touch()
        shutil.copy(moved, path)
        for file, why in ((moved, "move it back"), (path, "Stop the server first")):
            with pytest.raises(StoreUnavailable, match=why):
                back_up(file, tmp_path / "backup")
            with pytest.raises(StoreUnavailable, match=why):
                check(file)
    finally:
        ownership.close()
    assert check(path) == check(moved) == []


@pytest.mark.parametrize("suffix", ["", ".lock"])
async def test_a_server_that_has_one_of_its_locks_for_a_moment_is_no_reason(
    tmp_path, monkeypatch, suffix
):
    path = tmp_path / "a.db"
    store = SqliteStore(path)
    await store.open()
    await store.close()
    held = (tmp_path / f"a.db{suffix}").open("rb")
    fcntl.flock(held, fcntl.LOCK_EX)
    monkeypatch.setattr(time, "sleep", lambda _: held.close())
    assert check(path) == []


@pytest.mark.parametrize("suffix", ["", ".lock"])
def test_who_looks_at_a_lock_keeps_no_server_from_its_start(tmp_path, monkeypatch, suffix):
    path = tmp_path / "a.db"
    Ownership(path).close()
    looks = (tmp_path / f"a.db{suffix}").open("rb")
    fcntl.flock(looks, fcntl.LOCK_SH)
    monkeypatch.setattr(time, "sleep", lambda _: looks.close())
    Ownership(path).close()


async def test_where_files_cannot_be_locked_a_backup_can_be_checked(tmp_path, monkeypatch):
    store = SqliteStore(tmp_path / "a.db")
    await store.open()
    await store.close()

    def has_none(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(fcntl, "flock", has_none)
    assert check(tmp_path / "a.db") == []
