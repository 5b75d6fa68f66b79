"""The store's file while it is open, and who works on it: one thread that writes, two that read, and for dead
letters one that lists them and one that searches what they hold."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import apsw

from conduit.errors import StoreUnavailable
from conduit.storage.base import Appender
from conduit.storage.dead import Losses
from conduit.storage.fences import Fences
from conduit.storage.sqlite.database import Database, undo_failed
from conduit.storage.sqlite.errors import translated_of
from conduit.storage.sqlite.worker import Worker


class _Open:
    """What exists while the store is open."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.log = database.log
        self.writer = Worker(
            "conduit-sqlite-writer",
            [database.writer],
            undo_failed,
            database.reopen_writer,
            database.files.check,
        )
        self.readers = Worker("conduit-sqlite-reader", database.readers)
        self.searcher = Worker("conduit-sqlite-search", [database.searcher])
        self.lister = Worker("conduit-sqlite-list", [database.lister])

    def close(self) -> None:
        """Finish every call, then give up the file. Blocks."""
        self.searcher.close()
        self.lister.close()
        self.readers.close()
        self.writer.close()
        self.database.close()


class StoreFile:
    """Opens and closes the file, and says what it is; the parts of the store go on from here."""

    kind = "sqlite"
    durable = True
    server_count = 1
    nodes = None
    shards: Mapping[int, Appender] = {}

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state: _Open | None = None
        self._settings: dict[str, object] = {}
        self._fences = Fences()
        # Dead letters that had to be dropped.
        self._losses = Losses()

    async def open(self) -> None:
        """Raises StoreUnavailable when the file cannot be used, is not durable, belongs to another
        server, or was written by a newer Conduit."""
        database = await asyncio.to_thread(_open, self._path)
        self._settings = database.settings
        self._state = _Open(database)

    async def close(self) -> None:
        state, self._state = self._state, None
        if state is not None:
            await asyncio.to_thread(state.close)

    def describe(self) -> dict[str, object]:
        """`kind`, `durable` and, once open, the SQLite settings that durability rests on."""
        return {"kind": self.kind, "durable": self.durable, **self._settings}

    @property
    def needs_lock(self) -> bool:
        """See `Store.needs_lock`. Who lists or searches dead letters waits longer, and costs others less."""
        state = self._state
        return state is not None and (state.writer.is_busy or state.readers.is_busy)

    @property
    def _db(self) -> _Open:
        if self._state is None:
            raise StoreUnavailable("the store is not open")
        return self._state


def _open(path: Path) -> Database:
    try:
        return Database(path)
    except (OSError, apsw.Error) as error:
        raise translated_of(error, path) from error
