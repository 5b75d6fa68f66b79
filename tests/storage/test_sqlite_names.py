"""A database in use is not read by another name of its file."""

import os
import sys

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
