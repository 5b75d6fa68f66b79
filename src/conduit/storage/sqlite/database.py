"""The database file: who owns it, its settings, its schema."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from uuid import uuid4

import apsw
import msgspec

from conduit.errors import StoreUnavailable
from conduit.storage.sqlite import facts, mark, space
from conduit.storage.sqlite.bulk import execute_all, rows, transaction
from conduit.storage.sqlite.log import Log
from conduit.storage.sqlite.mark import Mark
from conduit.storage.sqlite.moved import Files
from conduit.storage.sqlite.ours import APPLICATION_ID, BUSY_TIMEOUT_MS
from conduit.storage.sqlite.ownership import Ownership

logger = logging.getLogger(__name__)

READER_COUNT = 2
WRITER_CACHE_BYTES = 32 << 20
READER_CACHE_BYTES = 8 << 20
# 4 MiB. A commit has to make the checkpoint: with 4,000 pages 1 % of a neighbour's publishes waited 60 ms
# beside a flood of 4 KB ones, and with these 25. Single publishes take less CPU so, batches 5 % more.
CHECKPOINT_PAGES = 1_000
WAL_MAX_BYTES = 64 << 20
SYNCHRONOUS_FULL = 2
_UNDO = """
INSERT INTO meta VALUES ('undone_count', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1
"""

_RENEW = """
UPDATE topics SET epoch = e.value ->> 1 FROM json_each(?) AS e WHERE topic_id = e.value ->> 0
"""


class Database:
    """An open file with one connection that writes and some that read. Blocks: use from threads.

    Raises StoreUnavailable, or apsw.Error, when the file cannot be used; nothing stays open then.
    """

    def __init__(self, path: Path) -> None:
        named, path = path, path.resolve()
        if not path.parent.is_dir():
            # Not made: with a volume that is not mounted, it would be an empty log on the wrong disk.
            raise StoreUnavailable(
                f"there is no directory {path.parent} for the database file; "
                "create it, or correct DATABASE_URL"
            )
        self._ownership = Ownership(path)
        self._path = path
        self._mark_path = mark.path_of(path)
        self._connections: list[apsw.Connection] = []
        self._mark: Mark | None = None
        self._files: Files | None = None
        try:
            mark.move(mark.path_of(named), self._mark_path)
            _tell_of_wal(path)
            self.writer = self._connect(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
            version = _schema_version(self.writer)
            if not version:
                self._check_new()
                space.make_reducible(self.writer)
            self.settings = _make_durable(self.writer)
            _migrate(self.writer, version)
            self.copied: str | None = None
            self.log = Log(self.writer)
            self._recognise()
            _tell_of_room(self.writer, path)
            self.searcher, self.lister, *self.readers = [
                self._connect(path, apsw.SQLITE_OPEN_READONLY) for _ in range(2 + READER_COUNT)
            ]
            self.files = self._files = Files(named, path)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connections, the writer last so that it can empty the WAL, then give up the file."""
        try:
            for connection in reversed(self._connections):
                connection.close()
            if self._files is not None:
                self._files.leave()
            if self._mark is not None:
                self._mark.close()
        finally:
            self._ownership.close()

    def reopen_writer(self) -> apsw.Connection:
        """The writer was closed over a failure, in the middle of a transaction: another one, when what that
        had begun is certain not to be stored. For the writer's thread."""
        # Opening another one by this name would write what is in the WAL into that.
        self.files.look()
        connection = self._connect(self._path, apsw.SQLITE_OPEN_READWRITE)
        # The writer is the first, and so the last to be closed.
        self._connections.remove(connection)
        try:
            _make_durable(connection)
            undo_failed(connection)
            self.log.learn(connection)
        except BaseException:
            connection.close()
            raise
        self._connections[0] = self.writer = connection
        return connection

    def prove(self, connection: apsw.Connection, size_bytes: int) -> None:
        """See `Appender.prove`."""
        self.files.look()
        facts.prove(connection, size_bytes)

    def renew(self, epochs: Mapping[int, str]) -> None:
        """See `Store.renew` and, without epochs, `Store.trust`."""
        # Backups from before are not of this database any more. The mark comes first: a process that ends in
        # between must not leave a database that is taken for a copy.
        store_id = uuid4().bytes
        mark.prepare(self._mark_path, store_id)
        given = msgspec.json.encode([*epochs.items()]).decode()
        execute_all(self.writer, [(_RENEW, [given]), (facts.KEEP, [facts.COPY, store_id])])
        mark.find(self._mark_path, store_id)
        self._keep_mark(store_id)

    def _check_new(self) -> None:
        marked = mark.read(self._mark_path)
        if marked is not None and marked.topic_id:
            raise StoreUnavailable(
                f"{self._path} is new or empty, and {self._mark_path} says that a log with messages was "
                f"there; put it back, or remove {self._mark_path.name} to begin with an empty one"
            )

    def _recognise(self) -> None:
        """Find out whether the file is a copy."""
        store_id = facts.get(self.writer, facts.COPY)
        if store_id is None:
            self.renew({})
            return
        marked = mark.find(self._mark_path, store_id)
        self.copied = mark.why_copied(self.writer, store_id, marked)
        if self.copied is None:
            self._keep_mark(store_id)

    def _keep_mark(self, store_id: bytes) -> None:
        if self._mark is not None:
            self._mark.close()
        self._mark = self.log.mark = Mark(self._mark_path, store_id)
        self.copied = None

    def _connect(self, path: Path, flags: int) -> apsw.Connection:
        connection = apsw.Connection(str(path), flags=flags)
        self._connections.append(connection)
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        is_writer = not flags & apsw.SQLITE_OPEN_READONLY
        cache_bytes = WRITER_CACHE_BYTES if is_writer else READER_CACHE_BYTES
        connection.pragma("cache_size", -(cache_bytes >> 10))
        connection.pragma("temp_store", "memory")
        # Without this SQLite plans a statement anew for every value that is bound to it: a page of 32
        # messages took 104 µs, of which 50 were that.
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        return connection


def undo_failed(connection: apsw.Connection) -> None:
    """When this returns, a commit that failed before is not in the file, and will not be.

    SQLite has forgotten that commit, but its frames may be whole in the WAL, and count after a crash. The
    next commit is written over them, and then their checksums are not right any more.
    """
    connection.execute(_UNDO)


def _make_durable(connection: apsw.Connection) -> dict[str, object]:
    """Set what durability rests on; return it as read back. Raises StoreUnavailable if it is not so."""
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    # On macOS a plain fsync ends in the disk's own cache; elsewhere these have no effect.
    connection.pragma("fullfsync", 1)
    connection.pragma("checkpoint_fullfsync", 1)
    connection.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
    connection.pragma("journal_size_limit", WAL_MAX_BYTES)
    mode, synchronous = connection.pragma("journal_mode"), connection.pragma("synchronous")
    if mode != "wal":
        raise StoreUnavailable(f"the file system of the database gives no WAL, but {mode!r}")
    if synchronous != SYNCHRONOUS_FULL:
        raise StoreUnavailable(f"SQLite runs with synchronous={synchronous}, not FULL")
    return {
        "journal_mode": mode,
        "synchronous": "full",
        "fullfsync": sys.platform == "darwin" and bool(connection.pragma("fullfsync")),
        "sqlite_version": apsw.sqlite_lib_version(),
    }


def _migrate(connection: apsw.Connection, version: int) -> None:
    """Bring the schema from `version` to ours. Raises StoreUnavailable for one newer than that."""
    migrations = known_migrations()
    if version > max(migrations):
        raise StoreUnavailable(
            f"the database has schema version {version}, this Conduit knows {max(migrations)}: "
            "it was written by a newer version; use that one"
        )
    for number in sorted(migrations):
        if number > version:
            with transaction(connection):
                connection.execute(migrations[number])
                connection.pragma("application_id", APPLICATION_ID)
                connection.execute(
                    "INSERT OR REPLACE INTO meta VALUES ('schema_version', ?)", (number,)
                )


def known_migrations() -> dict[int, str]:
    """The SQL files of `schema/` by the number that their names begin with."""
    folder = resources.files("conduit.storage.sqlite").joinpath("schema")
    return {
        int(file.name.partition("_")[0]): file.read_text("utf-8")
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    }


def _tell_of_wal(path: Path) -> None:
    """A server that ended in good order leaves none. What it has is applied to whatever the file is by now,
    also to a backup that was put there, which is then what it was before."""
    wal = path.with_name(f"{path.name}-wal")
    if wal.exists() and (size := wal.stat().st_size):
        # Perhaps nothing is wrong; if something is, nothing else says so.
        logger.warning(
            "%s has %d bytes of commits, which are now part of the database: the server had not ended in "
            "good order. If it was restored from a backup since, that is undone: see docs/backup.md",
            wal,
            size,
        )


def _tell_of_room(connection: apsw.Connection, path: Path) -> None:
    """One that was made by an earlier version gives nothing back."""
    if not space.is_reducible(connection):
        sizes = space.measure(connection, path)
        logger.info(
            "%s has %d bytes, %d of them free, and keeps them; to have free room given back from now on, run "
            "`conduit store compact` once, with the server stopped",
            path,
            sizes.size_bytes,
            sizes.free_bytes,
        )


def _schema_version(connection: apsw.Connection) -> int:
    """0 for an empty file. Raises StoreUnavailable for a database that is not ours."""
    if connection.pragma("application_id") == APPLICATION_ID:
        ((version,),) = rows(connection, "SELECT value FROM meta WHERE name = 'schema_version'")
        return int(version)
    if rows(connection, "SELECT 1 FROM sqlite_schema LIMIT 1"):
        raise StoreUnavailable("the file is a SQLite database, but not one of Conduit")
    return 0
