"""What the store knows about itself."""

from __future__ import annotations

import os

import apsw

from conduit.storage.sqlite.bulk import rows, transaction

# The fact that `Store.prove` writes.
PROOF = "proof"
# The fact that says which database it is: 16 random bytes, other ones in each that goes its own way.
COPY = "copy"

KEEP = "INSERT OR REPLACE INTO facts VALUES (?, ?)"


def get(connection: apsw.Connection, name: str) -> bytes | None:
    """See `Store.fact`."""
    found = rows(connection, "SELECT value FROM facts WHERE name = ?", (name,))
    return found[0][0] if found else None


def beginning(connection: apsw.Connection, prefix: str) -> dict[str, bytes]:
    """See `Store.facts`."""
    like = "SELECT name, value FROM facts WHERE substr(name, 1, length(?1)) = ?1"
    return dict(rows(connection, like, (prefix,)))


def keep(connection: apsw.Connection, name: str, value: bytes | None) -> None:
    """See `Store.keep_fact`."""
    if value is None:
        connection.execute("DELETE FROM facts WHERE name = ?", (name,))
    else:
        connection.execute(KEEP, (name, value))


def first(connection: apsw.Connection, name: str, value: bytes) -> bytes:
    """See `AccessStore.first_fact`."""
    with transaction(connection):
        connection.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, value))
        kept = get(connection, name)
    assert kept is not None
    return kept


def prove(connection: apsw.Connection, size_bytes: int) -> None:
    """See `Store.prove`."""
    keep(connection, PROOF, os.urandom(size_bytes))
