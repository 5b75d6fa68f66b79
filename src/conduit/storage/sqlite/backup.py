"""A backup of a database that may be in use. Blocks."""

from __future__ import annotations

import os
from pathlib import Path

import apsw

from conduit.errors import Conflict, StoreUnavailable
from conduit.storage.sqlite.database import APPLICATION_ID, BUSY_TIMEOUT_MS
from conduit.storage.sqlite.errors import translated


def back_up(path: Path, to: Path) -> None:
    """Write the database as it is at one moment, all that was acknowledged by then, to the new file `to`.

    The server goes on; it cannot shorten its WAL meanwhile. The file is on disk and whole when it has its
    name. Raises StoreUnavailable, Conflict if `to` exists, OSError.
    """
    if to.exists():
        raise Conflict(f"{to} exists already")
    # The system's own tools may be older than what the schema needs, so this does not rest on them.
    unfinished = to.with_name(f"{to.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            if connection.pragma("application_id") != APPLICATION_ID:
                raise StoreUnavailable(f"{path} is not a database of Conduit")
            connection.execute("VACUUM INTO ?", (str(unfinished),))
        finally:
            connection.close()
    except apsw.Error as error:
        unfinished.unlink(missing_ok=True)
        raise translated(error) from error
    _sync(unfinished)
    unfinished.rename(to)
    _sync(to.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
