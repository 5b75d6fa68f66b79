"""The PostgreSQL store."""

from conduit.storage.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
