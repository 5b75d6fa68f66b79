"""The schema of a database: which version it has, and the numbered SQL files that bring it to ours.

A file is one transaction; a new database gets all of them in one, so that it is new until it is whole. The
first lines of a file say what it does to servers that are still running:

    -- expand            older versions of Conduit go on working with the new schema
    -- contract 3        they do not; version 3 of the schema is the oldest whose code still works

Expanding files are applied by whoever starts first. Contracting ones wait for `conduit migrate up`, when
no old server runs any more; so do those after them, and a server that needs these does not start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

from conduit.errors import StateError, StoreUnavailable
from conduit.storage.postgres.scope import ALL, said

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

# One migrator at a time in a database; the number stands for "conduit schema".
LOCK_KEY = 0x436F6E64_73636865

_PHASE = re.compile(r"-- (?:(expand)|contract (\d+))\n")

_BEGIN = """
CREATE SCHEMA IF NOT EXISTS conduit;
CREATE TABLE IF NOT EXISTS conduit.migrations (
  version    integer PRIMARY KEY,
  works_from integer NOT NULL, -- the oldest code that works with this schema
  applied_at timestamptz NOT NULL DEFAULT now()
);
"""


# Read from the tables themselves: `to_regclass` goes by what a session remembers, and within a transaction
# that is not what others have committed meanwhile.
_IS_THERE = """
SELECT EXISTS (
  SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE n.nspname = 'conduit' AND c.relname = 'migrations')
"""


_HAS_OTHERS = """
SELECT EXISTS (
  SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE n.nspname = 'conduit' AND c.relkind IN ('r', 'p') AND c.relname <> 'migrations')
"""


class Migration(NamedTuple):
    """One file of `schema/`."""

    version: int
    name: str
    works_from: int
    """The oldest schema version whose code still works after it."""
    sql: str
    """What it does, without the row that records it."""
    is_contracting: bool
    """Whether servers of the version before it would break."""


class Version(NamedTuple):
    """The state of a database's schema. 0, 0 for one without."""

    version: int
    works_from: int


@cache
def all_migrations() -> tuple[Migration, ...]:
    """Every migration that this code knows, in order."""
    folder = resources.files("conduit.storage.postgres").joinpath("schema")
    texts = {file.name: file.read_text("utf-8") for file in folder.iterdir()}
    return parse({name: text for name, text in texts.items() if name.endswith(".sql")})


def parse(files: Mapping[str, str]) -> tuple[Migration, ...]:
    """Migrations from names such as `0001_initial.sql` and their texts, in order."""
    found = []
    works_from = 1
    for name, text in sorted(files.items()):
        phase = _PHASE.match(text)
        if phase is None:
            raise StateError(f"{name} does not begin with its phase")
        works_from = int(phase[2] or works_from)
        number, _, title = name.removesuffix(".sql").partition("_")
        name = title.replace("_", " ")
        found.append(Migration(int(number), name, works_from, text, phase[1] is None))
    return tuple(found)


async def version(connection: Connection) -> Version:
    """What the database has."""
    if not await connection.fetchval(_IS_THERE):
        return Version(0, 0)
    row = await connection.fetchrow(
        "SELECT version, works_from FROM conduit.migrations ORDER BY version DESC LIMIT 1"
    )
    return Version(0, 0) if row is None else Version(*row)


def check(found: Version, known: Sequence[Migration]) -> None:
    """Raise StoreUnavailable if the code that knows these cannot work with that schema."""
    newest = known[-1].version
    if found.works_from > newest:
        raise StoreUnavailable(
            f"the database has schema version {found.version}, which code before version"
            f" {found.works_from} cannot use, and this Conduit knows {newest}: run the newer Conduit"
            " that migrated it"
        )


async def migrate(
    connection: Connection, *, contract: bool, known: Sequence[Migration] = ()
) -> list[Migration]:
    """Apply what is missing, each in a transaction of its own; returns what was applied.

    Stops before the first contracting one unless `contract`; an empty database gets all in one transaction.
    Several may try at once. `known` is all that this code knows, if not given. Raises StoreUnavailable, also
    where it stops and expanding ones follow: this code cannot do without those.
    """
    known = known or all_migrations()
    if not (await version(connection)).version and await _apply(connection, *known):
        return list(known)
    found = await version(connection)
    check(found, known)
    applied: list[Migration] = []
    for migration in known:
        if migration.version > found.version:
            if migration.is_contracting and not contract:
                _check_later(migration, known)
                break
            if await _apply(connection, migration):
                applied.append(migration)
    return applied


def _check_later(first: Migration, known: Sequence[Migration]) -> None:
    newest = max((each.version for each in known if not each.is_contracting), default=0)
    if newest > first.version:
        raise StoreUnavailable(
            f"this Conduit needs version {newest} of the schema, and older servers cannot work with version"
            f" {first.version} any more: stop all servers, then run `conduit migrate up`"
        )


async def _apply(connection: Connection, *following: Migration) -> bool:
    """Apply what follows the version that was found, unless somebody else has applied anything of it."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
        if (await version(connection)).version >= following[0].version:
            return False
        if following[0].version == 1 and await connection.fetchval(_HAS_OTHERS):
            raise StoreUnavailable(
                "the schema conduit has tables, and no version: a restore of it did not end, or another"
                " program made them; remove the schema, and restore again"
            )
        for migration in following:
            await connection.execute(script(migration))
    return True


def script(migration: Migration) -> str:
    """All that applies it, to be run in one transaction."""
    values = f"({migration.version}, {migration.works_from})"
    recorded = f"INSERT INTO conduit.migrations (version, works_from) VALUES {values};"
    # It is for all tenants, if it looks at rows.
    begin = _BEGIN if migration.version == 1 else ""
    return f"{begin}{said(ALL)};\n{migration.sql}\n{recorded}\n"
