"""Who owns a database file: one server, by whatever name it opens it. The files that it makes are for its own
user alone."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from io import FileIO
from pathlib import Path

from conduit.errors import StoreUnavailable

# No password, but the messages of all tenants.
PRIVATE = 0o600
# Elsewhere the locks of flock and those that SQLite takes on the same file may be in each other's way.
CAN_LOCK_DATABASE = sys.platform == "linux"
# For so long others may have a lock to look at it, and a server that starts or ends one of its two.
MOMENT_S = 0.05
_IN_USE = "another Conduit server is using {}"


def private(path: str | Path, flags: int) -> int:
    """An opener for `open`: what it makes nobody else can read."""
    return os.open(path, flags, PRIVATE)


class Ownership:
    """Of the file at `path`, which has no links in it, until `close`. The file is made if there is none.
    Raises StoreUnavailable if another server has it, or if it cannot be written; OSError.

    The lock file says it to every server that comes by this path. One that comes by another name of the
    same file (a hard link) meets the lock on the database itself. That one is closed after SQLite has closed
    the file: with it go all locks that this process has on it.
    """

    def __init__(self, path: Path) -> None:
        self._files: list[FileIO] = []
        try:
            # Makes none beside a database that it may not have.
            self._check_free(path)
            self._lock(_lock_of(path), path)
            self._check_writable(path)
            if CAN_LOCK_DATABASE:
                self._lock(path, path)
        except BaseException:
            self.close()
            raise

    def _check_free(self, path: Path) -> None:
        """Of a file that nobody has opened by this name: whether somebody has it by another one."""
        if not path.is_file() or path.stat().st_nlink == 1:
            return
        if not CAN_LOCK_DATABASE:
            raise StoreUnavailable(
                f"{path} has another name too (a hard link), by which another server could open it; "
                "remove that"
            )
        is_new_here = not _lock_of(path).exists()
        if is_new_here and os.access(path, os.R_OK) and _is_locked(path):
            raise StoreUnavailable(_IN_USE.format(path))

    def _check_writable(self, path: Path) -> None:
        """SQLite opens a file that is not, and then no publish is stored."""
        if path.exists() and not os.access(path, os.W_OK):
            raise StoreUnavailable(
                f"{path} is read-only for this process; check the permissions of the file"
            )

    def _lock(self, file: Path, database: Path) -> None:
        try:
            opened = FileIO(private(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC), "r+")
        except OSError as error:
            raise StoreUnavailable(
                f"{file} cannot be opened ({error.strerror}); check the path and its permissions"
            ) from error
        self._files.append(opened)
        try:
            _take(opened)
        except BlockingIOError:
            raise StoreUnavailable(_IN_USE.format(database)) from None

    def close(self) -> None:
        """Give the file up, when SQLite has closed it. Idempotent."""
        for file in reversed(self._files):
            file.close()


def check_name(path: Path) -> None:
    """Raises StoreUnavailable if a server has the file by another name (a hard link, or the one that it had
    before it was moved), or has another file by this name (the one that was here before): what it has stored
    last does not belong to the file, or is not beside it. For a process that has not opened the file."""
    path = path.resolve()
    if not (CAN_LOCK_DATABASE and path.is_file() and os.access(path, os.R_OK)):
        return
    lock = _lock_of(path)
    if lock.exists() and not os.access(lock, os.R_OK):
        # Of another user, who has let others read the database.
        return
    has_name, has_file = is_used(path), _is_locked(path)
    if has_name is not has_file:
        time.sleep(MOMENT_S)
        has_name, has_file = is_used(path), _is_locked(path)
    if has_file and not has_name:
        raise StoreUnavailable(
            f"a Conduit server is using {path} by another name: use that one; or if the file was moved, move "
            "it back with its -wal"
        )
    if has_name and not has_file:
        raise StoreUnavailable(
            f"{path} is not the file that the Conduit server of this name is using: it was put there while "
            "the server runs, and the -wal beside it is of the other one. Stop the server first"
        )


def is_used(path: Path) -> bool:
    """Whether a server has this name, which has no links in it, for its database."""
    lock = _lock_of(path)
    return lock.exists() and os.access(lock, os.R_OK) and _is_locked(lock)


def _take(file: FileIO) -> None:
    """The lock, which the system drops with the process, also after kill -9. Raises BlockingIOError."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(MOMENT_S)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            # The file system has no such locks, and so no server on it.
            return False
    return False
