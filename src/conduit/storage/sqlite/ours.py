"""Whether a file is a database of Conduit: its header says so. Blocks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from conduit.errors import StoreUnavailable
from conduit.storage.sqlite.errors import translated_of
from conduit.storage.sqlite.ownership import check_name

# In the header of the file, so that no other program's database is taken for ours: "Cond".
APPLICATION_ID = 0x436F6E64
# A backup or a person with a shell may hold a lock for a moment.
BUSY_TIMEOUT_MS = 5_000


def check_ours(connection: apsw.Connection, path: Path) -> None:
    """Raise StoreUnavailable unless it is; an empty file is none."""
    if connection.pragma("application_id") != APPLICATION_ID:
        raise StoreUnavailable(f"{path} is not a database of Conduit")


@contextmanager
def opened(path: Path) -> Iterator[apsw.Connection]:
    """A connection to the file. Raises StoreUnavailable unless it is one, and apsw.Error; what is none is not
    changed."""
    check_name(path)
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        check_ours(connection, path)
        yield connection
    finally:
        connection.close()


def check_file(path: Path) -> None:
    """Raise StoreUnavailable unless the file is one. What is none is not changed."""
    try:
        with opened(path):
            pass
    except apsw.Error as error:
        raise translated_of(error, path) from error
