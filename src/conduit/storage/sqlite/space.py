"""The room that a database takes, and giving back what it does not need.

SQLite keeps the pages of what is deleted, for what comes. A new database has the pointers that let pages at
the end of the file be moved to free places (`auto_vacuum=INCREMENTAL`), and so its end be cut off, some pages
at a time while others work. One that was made before that has none until it is compacted.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import apsw

from conduit.errors import StoreUnavailable
from conduit.storage.base import Sizes
from conduit.storage.sqlite.bulk import rows
from conduit.storage.sqlite.ours import check_file
from conduit.storage.sqlite.ownership import Ownership

INCREMENTAL = 2
# Pages of one commit. Each is a step of the statement, for which the thread may wait for Python's lock.
SLICE_PAGES = 100
# Free pages that stay, for what comes next: what a retention removes in one round is published in the next.
KEPT_PAGES = 4_096
KEPT_PART = 4

# Only before the first table is made, or by VACUUM.
_INCREMENTAL = f"PRAGMA auto_vacuum = {INCREMENTAL}"


def make_reducible(connection: apsw.Connection) -> None:
    """Of a database that has no tables yet: let its pages be moved."""
    connection.execute(_INCREMENTAL)


def is_reducible(connection: apsw.Connection) -> bool:
    """Whether `give_back` has an effect."""
    return bool(connection.pragma("auto_vacuum") == INCREMENTAL)


def measure(connection: apsw.Connection, path: Path) -> Sizes:
    """See `Store.measure`."""
    page_bytes = connection.pragma("page_size")
    return Sizes(
        size_bytes=connection.pragma("page_count") * page_bytes,
        free_bytes=connection.pragma("freelist_count") * page_bytes,
        wal_bytes=_wal_bytes(path),
        disk_free_bytes=shutil.disk_usage(path.parent).free,
    )


def give_back(connection: apsw.Connection) -> bool:
    """See `Store.give_back`; for the writer's thread."""
    surplus = _surplus_pages(connection)
    if surplus <= 0 or not is_reducible(connection):
        return False
    rows(connection, f"PRAGMA incremental_vacuum({min(surplus, SLICE_PAGES)})")
    if surplus > SLICE_PAGES:
        return True
    # The file gets shorter when its WAL is written into it.
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    return False


def _surplus_pages(connection: apsw.Connection) -> int:
    page_count, free_count = connection.pragma("page_count"), connection.pragma("freelist_count")
    surplus: int = free_count - max(KEPT_PAGES, page_count // KEPT_PART)
    return surplus


def compact(path: Path) -> tuple[int, int]:
    """Write the database anew without free pages, and let it give back by itself from now on; returns the
    bytes of the file before and after. Nobody else may use it. Raises StoreUnavailable, apsw.Error, OSError;
    the database is then as it was. What is no database of Conduit is not touched."""
    check_file(path)
    path = path.resolve()
    ownership = Ownership(path)
    try:
        before = path.stat().st_size
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            before += _wal_bytes(path)
            connection.execute(_INCREMENTAL)
            connection.execute("VACUUM")
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            if not is_reducible(connection):
                raise StoreUnavailable("SQLite did not change the database")
        finally:
            connection.close()
        return before, path.stat().st_size
    finally:
        ownership.close()


def _wal_bytes(path: Path) -> int:
    wal = path.with_name(f"{path.name}-wal")
    return wal.stat().st_size if wal.exists() else 0
