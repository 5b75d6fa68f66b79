"""Which servers use the log of a database: each renews a row of its own with every proof that it can write.

A row outlives a server that is killed. So what a server finds when it looks for the first time counts as soon
as it is renewed, and a server whose row is not renewed any more is gone. Time is counted in looks: while the
database answers nobody, nobody seems to be gone. The clocks of the servers have no part in it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import uuid_utils

from conduit.storage.postgres.facts import PROOF
from conduit.storage.postgres.housekeeping import LEASE_S

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

# After so many looks, one in a second, at a row that was not renewed its server is gone.
GONE_AFTER_LOOKS = 10
# Others that are counted: more would be as wrong.
OTHERS_MAX_COUNT = 100

# A commit that hangs because a standby does not answer keeps the rows, also when its connection is given up.
# The next ones must not wait for that: each of them would keep a connection of PostgreSQL's as well.
# The value is no part of the text: PostgreSQL logs the text of each statement that it refuses.
_PROVE = """
WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', '1s', true)),
proof AS (
  INSERT INTO conduit.facts (name, value) SELECT $1::text, $2::bytea FROM patience
  ON CONFLICT (name) DO UPDATE SET value = excluded.value
),
here AS (
  INSERT INTO conduit.leases (name, holder, until)
  SELECT 'server ' || $3::uuid, $3::uuid, now() + make_interval(secs => $4) FROM patience
  ON CONFLICT (name) DO UPDATE SET until = excluded.until
)
SELECT holder::text, until::text FROM conduit.leases
WHERE starts_with(name, 'server ') AND holder <> $3::uuid ORDER BY until DESC LIMIT $5
"""
_LEAVE = "DELETE FROM conduit.leases WHERE name = 'server ' || $1::uuid"


class Others:
    """The other servers, as their rows say."""

    def __init__(self) -> None:
        # Server → what its row said, and how many looks ago that was new.
        self._rows: dict[str, tuple[str, int]] = {}
        self._has_looked = False

    def look(self, found: Mapping[str, str]) -> None:
        """These rows are there now: server → what changes whenever it renews it."""
        before, self._rows = self._rows, {}
        # Whose row was there before this server may have been killed.
        first_age = 0 if self._has_looked else GONE_AFTER_LOOKS
        for server, said in found.items():
            known, age = before.get(server, (said, first_age - 1))
            self._rows[server] = said, age + 1 if said == known else 0
        self._has_looked = True

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(age < GONE_AFTER_LOOKS for _, age in self._rows.values())


class Presence:
    """This server among those that use the database."""

    def __init__(self) -> None:
        self._id = str(uuid_utils.uuid7())
        self._others = Others()
        self._is_told = False

    @property
    def server_count(self) -> int:
        """How many servers use it, this one included, as far as the last proof has seen."""
        return 1 + self._others.count

    @property
    def is_told(self) -> bool:
        """Whether the others may think that this server is here, and the database answered last time."""
        return self._is_told

    async def prove(self, connection: Connection, size_bytes: int) -> None:
        """See `Store.prove`; in the same commit this server says that it is here, and sees who else is."""
        self._is_told = False
        # Random: else it would be compressed.
        value = os.urandom(size_bytes)
        rows = await connection.fetch(_PROVE, PROOF, value, self._id, LEASE_S, OTHERS_MAX_COUNT)
        self._is_told = True
        self._others.look({row[0]: row[1] for row in rows})

    async def leave(self, connection: Connection) -> None:
        """Others need not wait until this server seems to be gone."""
        self._is_told = False
        await connection.execute(_LEAVE, self._id)
