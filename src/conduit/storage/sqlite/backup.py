"""A backup of a database that may be in use. Blocks."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import apsw

from conduit.errors import Conflict, StoreUnavailable
from conduit.storage.sqlite.errors import translated_of
from conduit.storage.sqlite.ours import opened

# Steps of SQLite's machine between two looks at whether a signal has come: some milliseconds.
STEPS_COUNT = 10_000
# What SQLite makes beside a file that it writes.
_BESIDE = ("", "-journal")
# Of the name of a backup as much is in that of the file while it is written: with the rest of it no more than
# a file system takes.
NAME_KEPT_BYTES = 200
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A file system without hard links, as that of a USB stick.
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})


def back_up(path: Path, to: Path) -> None:
    """Write the database as it is at one moment, all that was acknowledged by then, to the new file `to`.

    The server goes on; it cannot shorten its WAL meanwhile. The file is on disk and whole when it has its
    name. Nothing stays of a backup that fails or is interrupted. Raises StoreUnavailable, Conflict if `to`
    exists, also if another backup has taken the name meanwhile, OSError.
    """
    if to.exists():
        raise Conflict(f"{to} exists already")
    if not to.parent.is_dir():
        raise FileNotFoundError(f"there is no directory {to.parent} for the backup")
    # A name of its own: another backup to the same name may be running. It is known before there is a file:
    # from then on a signal may come.
    name = to.name.encode()[:NAME_KEPT_BYTES].decode(errors="ignore")
    unfinished = to.with_name(f"{name}.{secrets.token_hex(8)}.unfinished")
    try:
        try:
            unfinished.touch(0o600, exist_ok=False)
        except OSError as error:
            raise _unwritten(to, error) from error
        _copy(path, unfinished, to)
        try:
            _sync(unfinished)
            # It is done with that: who interrupts it now is too late.
            with _uninterrupted():
                _give_name(unfinished, to)
                _remove(unfinished)
                _sync(to.parent)
        except OSError as error:
            raise _unwritten(to, error) from error
    finally:
        with _uninterrupted():
            _remove(unfinished)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Signals that end a command do nothing meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    try:
        yield
    finally:
        while late := signal.sigpending().intersection(_ENDS):
            signal.sigwait(late)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _remove(unfinished: Path) -> None:
    for ending in _BESIDE:
        unfinished.with_name(f"{unfinished.name}{ending}").unlink(missing_ok=True)


def _copy(path: Path, unfinished: Path, to: Path) -> None:
    try:
        with opened(path) as connection:
            # Python handles a signal where Python runs: here.
            connection.set_progress_handler(lambda: False, STEPS_COUNT)
            try:
                # The system's own tools may be older than what the schema needs, so this does not rest on
                # them.
                connection.execute("VACUUM INTO ?", (str(unfinished),))
            except (apsw.CantOpenError, apsw.FullError, apsw.ReadOnlyError) as error:
                # The errors' own words would be taken to be about the database.
                raise _unwritten(to, error) from error
            except apsw.IOError as error:
                raise StoreUnavailable(
                    f"reading {path} or writing the backup to {to} failed; check both disks ({error})"
                ) from error
    except apsw.Error as error:
        raise translated_of(error, path) from error


def _give_name(unfinished: Path, to: Path) -> None:
    """Unless somebody has it: a rename would take another backup's place."""
    try:
        os.link(unfinished, to)
    except FileExistsError:
        raise Conflict(f"{to} exists already: another backup was faster") from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if to.exists():
            raise Conflict(f"{to} exists already: another backup was faster") from None
        unfinished.rename(to)


def _unwritten(to: Path, error: Exception) -> StoreUnavailable:
    return StoreUnavailable(f"the backup cannot be written to {to}: {error}")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
