"""SQLite's errors, told once in Conduit's words."""

from __future__ import annotations

import os
from pathlib import Path

import apsw

from conduit.errors import StateError, StoreDataError, StoreUnavailable

# What an operator should know and do. First match wins.
_UNAVAILABLE: tuple[tuple[type[apsw.Error], str], ...] = (
    (apsw.FullError, "the disk that holds the database is full; free some space"),
    (apsw.ReadOnlyError, "the database file or its directory is read-only for this process"),
    (apsw.CantOpenError, "the database file cannot be opened; check the path and its permissions"),
    (apsw.PermissionsError, "the database file may not be opened; check its permissions"),
    (apsw.IOError, "reading or writing the database file failed; check the disk"),
    (apsw.BusyError, "another process holds a lock on the database file"),
    (apsw.LockedError, "another process holds a lock on the database file"),
    (apsw.NotADBError, "the database file is not a SQLite database"),
    (apsw.CorruptError, "the database file is damaged; restore it from a backup"),
    (apsw.NoMemError, "SQLite ran out of memory"),
    (
        apsw.ConnectionClosedError,
        "the database was closed after a failure, and is being opened again",
    ),
)
_UNACCEPTABLE = (apsw.ConstraintError, apsw.TooBigError, apsw.MismatchError)


# A commit that fails with these may have its last frame in the WAL. If the process then ends, the next one
# finds the commit there; if it goes on, the next commit is written over it.
_IN_DOUBT = (apsw.IOError, apsw.NoMemError)


def is_in_doubt(error: Exception) -> bool:
    """Whether what a call meant to commit may be stored all the same: the sync of the WAL failed, or what
    comes after it. A full disk, or a write that failed, is not among them: the frame that commits is the last
    one, and is not whole then."""
    if getattr(error, "extendedresult", None) == apsw.SQLITE_IOERR_WRITE:
        return False
    return isinstance(error, _IN_DOUBT)


def _of_the_system(error: Exception, connection: apsw.Connection | None) -> str:
    """What the system had said to SQLite, which keeps the number of its last error."""
    if connection is None or not isinstance(error, apsw.IOError | apsw.CantOpenError):
        return ""
    try:
        number = connection.system_errno
    except apsw.ConnectionClosedError:
        return ""
    return f": {os.strerror(number)}" if number else ""


def translated_of(error: Exception, path: Path) -> Exception:
    """As `translated`, with the file that it is about: for whoever names one, and may have named another."""
    found = translated(error)
    if isinstance(found, StoreUnavailable) and not found.place:
        return StoreUnavailable.at(str(path), found.detail)
    return found


def translated(error: Exception, connection: apsw.Connection | None = None) -> Exception:
    """The error that a caller of the store gets for one that a call met, on that connection.

    StoreUnavailable: the disk, the file or its lock. StoreDataError: a value that SQLite does not take,
    among them text with lone surrogates and integers beyond 64 bits. StateError: a statement of ours
    that SQLite refuses. Errors that are not about SQLite stay as they are.
    """
    for kind, sentence in _UNAVAILABLE:
        if isinstance(error, kind):
            return StoreUnavailable(f"{sentence} ({error}{_of_the_system(error, connection)})")
    if isinstance(error, (*_UNACCEPTABLE, UnicodeEncodeError, OverflowError)):
        return StoreDataError(f"a value cannot be stored: {error}")
    if isinstance(error, OSError):
        return StoreUnavailable(f"the database file cannot be used: {error}")
    if isinstance(error, apsw.Error):
        return StateError(f"SQLite refused a statement: {error}")
    return error
