"""Whether a file is a database of Conduit: its header says so; and whether all is there that a server which
uses it has stored. Blocks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw

from conduit.errors import StoreUnavailable
from conduit.storage.sqlite import facts, mark
from conduit.storage.sqlite.bulk import rows
from conduit.storage.sqlite.errors import translated_of
from conduit.storage.sqlite.mark import Marked
from conduit.storage.sqlite.moved import ENDINGS
from conduit.storage.sqlite.ownership import check_name, is_used

# In the header of the file, so that no other program's database is taken for ours: "Cond".
APPLICATION_ID = 0x436F6E64
# A backup or a person with a shell may hold a lock for a moment.
BUSY_TIMEOUT_MS = 5_000
_NO_WAL = (
    "a Conduit server is using the database, and its -wal or -shm file was removed, moved or replaced: what "
    "can be read lacks what was acknowledged last. Stop the server with SIGTERM, which saves that, and try "
    "again"
)


def check_ours(connection: apsw.Connection, path: Path) -> None:
    """Raise StoreUnavailable unless it is; an empty file is none."""
    if connection.pragma("application_id") != APPLICATION_ID:
        raise StoreUnavailable(f"{path} is not a database of Conduit")


@contextmanager
def opened(path: Path) -> Iterator[apsw.Connection]:
    """A connection to the file. Raises StoreUnavailable unless it is one, or if it lacks what the server that
    uses it has stored; and apsw.Error. What is none is not changed."""
    check_name(path)
    real, marked = path.resolve(), None
    # Before the database is opened: what is stored from now on need not be in it.
    with suppress(PermissionError):
        marked = mark.read(mark.path_of(real))
    _check_wal(real)
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        # A copy that no server has opened yet lacks it, too.
        if marked is not None and _lacks(connection, marked) and is_used(real):
            raise StoreUnavailable.at(str(path), _NO_WAL)
        check_ours(connection, path)
        yield connection
    finally:
        connection.close()


def _check_wal(path: Path) -> None:
    """An index is never without a `-wal`, which is made before it and removed after it. With a new one SQLite
    would tell of an error of the disk."""
    wal, shm = (path.with_name(f"{path.name}{ending}") for ending in ENDINGS)
    if not wal.exists() and shm.exists() and not wal.exists() and is_used(path):
        raise StoreUnavailable.at(str(path), _NO_WAL)


def _lacks(connection: apsw.Connection, marked: Marked) -> bool:
    """Whether it is not the database that the mark names, with the last message."""
    if connection.pragma("application_id") != APPLICATION_ID:
        return True
    has_facts = rows(connection, "SELECT 1 FROM sqlite_schema WHERE name = 'facts'")
    store_id = facts.get(connection, facts.COPY) if has_facts else None
    return store_id is None or mark.why_copied(connection, store_id, marked) is not None


def check_file(path: Path) -> None:
    """Raise StoreUnavailable unless the file is one. What is none is not changed."""
    try:
        with opened(path):
            pass
    except apsw.Error as error:
        raise translated_of(error, path) from error
