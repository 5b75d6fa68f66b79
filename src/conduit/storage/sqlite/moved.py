"""Whether the files that SQLite has open are still those that their names lead to.

One that was removed or renamed takes writes as before, and a restart does not find them. SQLite looks for
that only where it has no WAL. So the row that proves that writes are taken looks first: three calls of `stat`
each second, in the thread that writes, and none for a publish.
"""

from __future__ import annotations

import logging
import os
from itertools import count
from pathlib import Path

from conduit.errors import StoreUnavailable

_DATABASE = (
    "the database file {}, so nothing more is stored: put the same file back; or stop the server, and "
    "restore a backup as in docs/backup.md"
)
# SQLite has it open, and writes what is in it into the database when the server ends in good order.
_BESIDE = (
    "the database's {} file {}, so nothing more is stored: stop the server with SIGTERM, which saves "
    "what was acknowledged, and start it again"
)
_GONE = "was removed or moved while the server uses it"
_ANOTHER = "was replaced by another one while the server uses it"
_UNREACHABLE = "cannot be reached by its name any more ({})"
_LEFT = (
    "%s is another file than the database that this server had open. The %s of that one has its last "
    "commits, and would be applied to the other at the next start: it is now %s. See docs/backup.md"
)
ENDINGS = ("-wal", "-shm")

logger = logging.getLogger(__name__)


class Files:
    """The database that is opened by the name `named` and is at `path`, and what SQLite has beside it. Make
    it when all are open. For the thread that writes. Raises OSError."""

    def __init__(self, named: Path, path: Path) -> None:
        self._path = path
        self._names = {"": named} | {end: path.with_name(f"{path.name}{end}") for end in ENDINGS}
        self._identities = {end: _identity(name) for end, name in self._names.items()}
        # The file and what is wrong with it, since the last look.
        self._problem: tuple[Path, str] | None = None

    def look(self) -> None:
        """Find out, and raise what `check` raises from now on."""
        self._problem = None
        for end, name in self._names.items():
            if (what := self._changed(end)) is not None:
                text = _BESIDE.format(end, what) if end else _DATABASE.format(what)
                self._problem = (name, text)
                break
        self.check()

    def check(self) -> None:
        """Raises StoreUnavailable if a file was gone, or another one, at the last look."""
        if self._problem is not None:
            place, text = self._problem
            raise StoreUnavailable.at(str(place), text)

    def leave(self) -> None:
        """When SQLite has closed them: move the `-wal` away from a database that was put in the place of its
        own. At the next start it would be applied to that, and damage it. Where no database is, it stays for
        one that is put back."""
        wal, shm = (self._names[end] for end in ENDINGS)
        try:
            if _identity(self._path) == self._identities[""]:
                return
            if _identity(wal) != self._identities["-wal"]:
                return
            names = (wal.with_name(f"{wal.name}.old-{number}") for number in count(1))
            aside = next(name for name in names if not name.exists())
            wal.rename(aside)
            # No more than an index of it.
            shm.unlink(missing_ok=True)
        except FileNotFoundError:
            return
        except OSError as error:
            logger.warning("%s may be of another database than %s: %s", wal, self._path, error)
        else:
            logger.warning(_LEFT, self._path, wal.name, aside)

    def _changed(self, end: str) -> str | None:
        try:
            return None if _identity(self._names[end]) == self._identities[end] else _ANOTHER
        except (FileNotFoundError, NotADirectoryError):
            return _GONE
        except OSError as error:
            return _UNREACHABLE.format(error.strerror)


def _identity(path: Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino
