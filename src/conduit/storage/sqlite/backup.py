"""A backup of a database that may be in use. Blocks."""

from __future__ import annotations

import os
from pathlib import Path

import apsw

from conduit.errors import Conflict, StoreUnavailable
from conduit.storage.sqlite.database import APPLICATION_ID, BUSY_TIMEOUT_MS
from conduit.storage.sqlite.errors import translated
from conduit.storage.sqlite.ownership import check_name, private


def back_up(path: Path, to: Path) -> None:
    """Write the database as it is at one moment, all that was acknowledged by then, to the new file `to`.

    The server goes on; it cannot shorten its WAL meanwhile. The file is on disk and whole when it has its
    name. Raises StoreUnavailable, Conflict if `to` exists, OSError.
    """
    if to.exists():
        raise Conflict(f"{to} exists already")
    if not to.parent.is_dir():
        raise FileNotFoundError(f"there is no directory {to.parent} for the backup")
    check_name(path)
    # The system's own tools may be older than what the schema needs, so this does not rest on them.
    unfinished = to.with_name(f"{to.name}.unfinished")
    try:
        unfinished.unlink(missing_ok=True)
        os.close(private(unfinished, os.O_WRONLY | os.O_CREAT))
    except OSError as error:
        raise StoreUnavailable(f"the backup cannot be written to {to}: {error}") from error
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            if connection.pragma("application_id") != APPLICATION_ID:
                raise StoreUnavailable(f"{path} is not a database of Conduit")
            try:
                connection.execute("VACUUM INTO ?", (str(unfinished),))
            except (apsw.CantOpenError, apsw.FullError, apsw.ReadOnlyError) as error:
                # The errors' own words would be taken to be about the database.
                raise StoreUnavailable(f"the backup cannot be written to {to}: {error}") from error
        finally:
            connection.close()
    except (apsw.Error, StoreUnavailable) as error:
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
