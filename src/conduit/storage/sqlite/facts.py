"""What the store knows about itself."""

from __future__ import annotations

import apsw

from conduit.storage.sqlite.bulk import rows

KEEP = "INSERT OR REPLACE INTO facts VALUES (?, ?)"


def get(connection: apsw.Connection, name: str) -> bytes | None:
    """See `Store.fact`."""
    found = rows(connection, "SELECT value FROM facts WHERE name = ?", (name,))
    return found[0][0] if found else None


def keep(connection: apsw.Connection, name: str, value: bytes) -> None:
    """See `Store.keep_fact`."""
    connection.execute(KEEP, (name, value))
