"""The store in one SQLite file: durable, one process, no service to run."""

from conduit.storage.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
