"""A file system of SQLite's whose syncs fail on demand; the files are real."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

NAME = "failing-disk"
BASE = "unix"


class FailingDisk(apsw.VFS):
    """Databases are opened on it while it exists; `failing_syncs` syncs of the WAL of `database`
    fail from now on.

    `on_failure` is called in the first of them.
    """

    def __init__(self, database: Path) -> None:
        self.database = database
        self.failing_syncs = 0
        self.failed = threading.Event()
        self.on_failure: Callable[[], None] = lambda: None
        super().__init__(NAME, base=BASE, makedefault=True)

    def xOpen(self, name, flags):
        return _File(self, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: FailingDisk, name, flags) -> None:
        self._disk = disk
        path = name if isinstance(name, str) else name.filename()
        self._may_fail = path == f"{disk.database}-wal"
        super().__init__(BASE, name, flags)

    def xSync(self, flags):
        if self._may_fail and self._disk.failing_syncs:
            self._disk.failing_syncs -= 1
            on_failure, self._disk.on_failure = self._disk.on_failure, lambda: None
            on_failure()
            self._disk.failed.set()
            error = apsw.IOError("the sync failed")
            error.extendedresult = apsw.SQLITE_IOERR_FSYNC
            raise error
        super().xSync(flags)


@contextmanager
def failing_disk(database: Path) -> Iterator[FailingDisk]:
    before = apsw.vfs_names()[0]
    disk = FailingDisk(database)
    try:
        yield disk
    finally:
        disk.unregister()
        assert apsw.vfs_names()[0] == before
