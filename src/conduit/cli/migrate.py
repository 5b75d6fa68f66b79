"""`conduit migrate`: the schema of a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

from conduit.cli.groups import Group
from conduit.cli.output import Columns, F, note, show_all, with_output
from conduit.cli.questions import confirm, with_yes
from conduit.cli.values import Whole

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection
    from conduit.storage.postgres.migrations import Migration

T = TypeVar("T")


@click.group(cls=Group)
def migrate() -> None:
    """See and change the schema of a PostgreSQL database.

    `conduit serve` applies by itself what servers of the version before can work with. What they
    cannot is left to `conduit migrate up`.
    """


def _with_database(command: F) -> F:
    return click.option(
        "--database-url",
        metavar="URL",
        help="postgresql://… without a password.  [env: DATABASE_URL, or DATABASE_URL_FILE]",
    )(command)


@migrate.command()
@with_output()
@_with_database
def status(database_url: str | None, output: str | None) -> None:
    """Show which migrations the database has, or each of several."""
    from conduit.storage.postgres import migrations

    known = migrations.all_migrations()
    versions = _on_each(database_url, migrations.version)
    records: list[dict[str, object]] = [
        {
            "database": place,
            "version": each.version,
            "name": each.name,
            "phase": _phase(each),
            "state": "applied" if each.version <= found.version else "pending",
        }
        for place, found in enumerate(versions, 1)
        for each in known
    ]
    show_all(records, _COLUMNS, output)
    for found in versions:
        if found.version > known[-1].version:
            note(f"the database has schema version {found.version}")
        migrations.check(found, known)


@migrate.command()
@with_yes
@_with_database
def up(database_url: str | None, yes: bool) -> None:
    """Apply the migrations that the database lacks.

    Asks before one that servers of an older version cannot work with.
    """
    from conduit.storage.postgres import migrations

    known = migrations.all_migrations()
    for found in _on_each(database_url, migrations.version):
        missing = [each for each in known if each.version > found.version]
        if found.version and any(each.is_contracting for each in missing):
            confirm("Have all servers of the version before been stopped?", yes)
            yes = True
    applied = _on_each(database_url, lambda c: migrations.migrate(c, contract=True))
    for place, names in enumerate(applied, 1):
        where = f" in database {place}" if len(applied) > 1 else ""
        for each in names:
            note(f"applied {each.version} {each.name}{where}")
    if not any(applied):
        note("nothing to apply")


@migrate.command()
@click.option(
    "--from",
    "from_version",
    type=Whole(0),
    default=0,
    help="The version that the database has.",
)
def sql(from_version: int) -> None:
    """Print the SQL of the migrations, for somebody else to run."""
    from conduit.storage.postgres import migrations

    known = migrations.all_migrations()
    newest = known[-1].version
    if from_version > newest:
        raise click.BadParameter(f"there is no version {from_version}; the newest is {newest}")
    if from_version == newest:
        note("nothing to apply")
    for each in known:
        if each.version > from_version:
            click.echo(f"-- {each.version} {each.name}: {_phase(each)}")
            click.echo(f"BEGIN;\n{migrations.script(each)}COMMIT;\n")


_COLUMNS: Columns[dict[str, object]] = {
    "DATABASE": lambda row: row["database"],
    "VERSION": lambda row: row["version"],
    "NAME": lambda row: row["name"],
    "PHASE": lambda row: row["phase"],
    "STATE": lambda row: row["state"],
}


def _phase(migration: Migration) -> str:
    return "contract" if migration.is_contracting else "expand"


def _on_each(url: str | None, job: Callable[[Connection], Awaitable[T]]) -> list[T]:
    """What the job returns on each database, in the order in which they are listed."""
    # Not on top: `conduit --help` does without.
    import asyncio

    from conduit.environment import load_settings
    from conduit.errors import ConfigError
    from conduit.storage.postgres.database import Database

    urls = load_settings(database_url=url).postgres_urls
    if not urls:
        raise ConfigError(["DATABASE_URL must be postgresql://…: other stores migrate themselves."])

    async def run() -> list[T]:
        results = []
        for each in urls:
            connection = await Database(each).connect()
            try:
                results.append(await job(connection))
            finally:
                connection.terminate()
        return results

    return asyncio.run(run())
