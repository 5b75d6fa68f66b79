"""What the store knows about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

# The fact that `Store.prove` writes (presence.py).
PROOF = "proof"

_FIRST = """
INSERT INTO conduit.facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING
"""
_KEEP = """
INSERT INTO conduit.facts (name, value) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""


async def get(connection: Connection, name: str) -> bytes | None:
    """See `Store.fact`."""
    value: bytes | None = await connection.fetchval(
        "SELECT value FROM conduit.facts WHERE name = $1", name
    )
    return value


async def beginning(connection: Connection, prefix: str) -> dict[str, bytes]:
    """See `Store.facts`."""
    like = "SELECT name, value FROM conduit.facts WHERE starts_with(name, $1)"
    return {row["name"]: row["value"] for row in await connection.fetch(like, prefix)}


async def keep(connection: Connection, name: str, value: bytes | None) -> None:
    """See `Store.keep_fact`."""
    if value is None:
        await connection.execute("DELETE FROM conduit.facts WHERE name = $1", name)
    else:
        await connection.execute(_KEEP, name, value)


async def first(connection: Connection, name: str, value: bytes) -> bytes:
    """See `AccessStore.first_fact`."""
    await connection.execute(_FIRST, name, value)
    # Another statement: it sees what others have kept meanwhile.
    kept = await get(connection, name)
    assert kept is not None
    return kept
