"""What the store knows about itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

# The fact that `Store.prove` writes.
PROOF = "proof"

_KEEP = """
INSERT INTO conduit.facts (name, value) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""

# A commit that hangs because a standby does not answer keeps the row, also when its connection is given up.
# The next ones must not wait for that: each of them would keep a connection of PostgreSQL's as well.
# The value is no part of the text: PostgreSQL logs the text of each statement that it refuses.
_PROVE = """
WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', '1s', true))
INSERT INTO conduit.facts (name, value) SELECT $1::text, $2::bytea FROM patience
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


async def prove(connection: Connection, size_bytes: int) -> None:
    """See `Store.prove`. Random: else it would be compressed."""
    await connection.execute(_PROVE, PROOF, os.urandom(size_bytes))
