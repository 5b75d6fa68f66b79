"""`conduit store`: back a database up, check and compact it, say what it is after it was restored or moved,
and let an operator in again."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from conduit.cli.exits import Exit
from conduit.cli.groups import Group
from conduit.cli.output import F, counted, note
from conduit.cli.questions import confirm, with_yes

if TYPE_CHECKING:
    from conduit.settings import Settings
    from conduit.storage.base import Store


@click.group(cls=Group)
def store() -> None:
    """Back up a database, check and compact it, and say what it is after it was restored or moved."""


def _with_database(command: F) -> F:
    return click.option(
        "--database-url",
        metavar="URL",
        help="sqlite:///PATH or postgresql://… without a password.  "
        "[env: DATABASE_URL, or DATABASE_URL_FILE]",
    )(command)


@store.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_with_database
def backup(database_url: str | None, file: Path) -> None:
    """Write a backup of a SQLite database to FILE, which must be new. The server may run.

    Of PostgreSQL, pg_dump and pg_basebackup make backups.
    """
    from conduit.cli.output import size_text
    from conduit.storage.sqlite.backup import back_up

    # These end it as Ctrl-C does: what was written is removed. nohup has SIGHUP ignored.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    back_up(_sqlite_file(database_url, "PostgreSQL has pg_dump for that."), file)
    note(f"{size_text(file.stat().st_size)} in {file}")


@store.command()
@_with_database
def check(database_url: str | None) -> None:
    """Read all of a SQLite database, and say what is wrong with it. The server may run.

    The exit code is 0 if it is whole, and 9 if not.
    """
    from conduit.storage.sqlite.check import check as faults_of

    path = _sqlite_file(database_url, "PostgreSQL has pg_amcheck for that.")
    faults = faults_of(path)
    for fault in faults:
        click.echo(fault)
    if faults:
        note(f"{path} is not whole; docs/backup.md says how to restore a backup")
        raise click.exceptions.Exit(Exit.CHECK_FAILED)
    note(f"{path} is whole")


@store.command()
@with_yes
@_with_database
def compact(database_url: str | None, yes: bool) -> None:
    """Write a SQLite database anew without the room that it does not need. The server is stopped.

    Once for a database of an earlier version: it then gives room back by itself while the server runs. It
    needs twice as much free disk as the database has messages.
    """
    import apsw

    from conduit.cli.output import size_text
    from conduit.storage.sqlite.errors import translated_of
    from conduit.storage.sqlite.space import compact as compacted

    path = _sqlite_file(database_url, "PostgreSQL gives room back by itself.")
    confirm("Is the server stopped?", yes)
    try:
        before, after = compacted(path)
    except (apsw.Error, OSError) as error:
        raise translated_of(error, path) from error
    note(f"{path} had {size_text(before)} and has {size_text(after)}")


@store.command()
@with_yes
@_with_database
def restore(database_url: str | None, yes: bool) -> None:
    """The database was restored from a backup, or set back: give all topics new epochs.

    What was stored after the backup is not in it, and its numbers will be given again. With a new epoch
    clients that resume are told so, and each durable subscription has a gap in each of its topics.
    """
    confirm("Is the server stopped, and are all topics to have new epochs?", yes)

    async def work(opened: Store) -> None:
        from conduit.broker.administer.renewal import renew
        from conduit.broker.clock import SystemClock

        renewed = await renew(opened, SystemClock().wall_ms())
        note(
            f"{counted(renewed.topic_count, 'topic')} got new epochs; "
            f"{counted(renewed.subscription_count, 'durable subscription')} will be told"
        )

    _on_store(database_url, work)


@store.command()
@with_yes
@_with_database
def trust(database_url: str | None, yes: bool) -> None:
    """The database was moved and lacks nothing: epochs stay as they are.

    For one that was moved while the server was stopped, or upgraded with pg_upgrade. The server would
    take it for a restored copy when it starts.
    """
    confirm("Is everything in the database that was ever acknowledged?", yes)

    async def work(opened: Store) -> None:
        why = opened.copied
        await opened.trust()
        if why is None:
            note(
                "there was nothing to do: it was not taken for a copy, and epochs stay as they are"
            )
        else:
            note(f"it is trusted, although {why}: epochs stay as they are")

    _on_store(database_url, work)


@store.command("admin-key")
@with_yes
@_with_database
def admin_key(database_url: str | None, yes: bool) -> None:
    """Make a key with the scope admin, for an operator who has lost his. The server is stopped.

    The key is printed, once. It is in the audit log, and `conduit key ls` lists it beside the lost one.
    """
    confirm("Is the server stopped, and is there to be a new key that may do everything?", yes)

    async def work(opened: Store) -> None:
        from conduit.broker.clock import SystemClock
        from conduit.tenancy.opening import make_admin_key

        made = await make_admin_key(opened, SystemClock(), _settings(database_url).pepper)
        click.echo(made.text)
        note(
            f"the key {made.record.key_id} of the tenant {made.record.tenant!r}; it is not shown again"
        )

    _on_store(database_url, work)


def _on_store(url: str | None, work: Callable[[Store], Awaitable[None]]) -> None:
    """Open the store, which must be one of Conduit and nobody else's, and do the work on it."""
    # Not on top: `conduit --help` does without.
    import asyncio

    from conduit.server.app import make_store

    settings = _settings(url)
    path = _existing(settings)
    if path is not None:
        from conduit.storage.sqlite.ours import check_file

        # Opening it would make one of an empty file.
        check_file(path)

    async def run() -> None:
        await _check_unused(settings)
        opened = make_store(settings)
        await opened.open()
        try:
            await work(opened)
        finally:
            await opened.close()

    asyncio.run(run())


def _settings(url: str | None) -> Settings:
    from conduit.environment import load_settings
    from conduit.errors import ConfigError

    settings = load_settings(database_url=url)
    if settings.database_path is None and not settings.postgres_urls:
        raise ConfigError(
            [
                "DATABASE_URL, or --database-url, must say which database is meant; "
                "of a store in memory there is none."
            ]
        )
    return settings


def _sqlite_file(url: str | None, instead: str) -> Path:
    from conduit.errors import ConfigError

    path = _existing(_settings(url))
    if path is None:
        raise ConfigError([f"DATABASE_URL must be sqlite:///…; {instead}"])
    return path


def _existing(settings: Settings) -> Path | None:
    """The SQLite file, if that is the store; it must be there already."""
    from conduit.errors import InvalidRequest

    path = settings.database_path
    if path is not None and not path.exists():
        raise InvalidRequest(f"{path} does not exist", code="cannot_read")
    return path


async def _check_unused(settings: Settings) -> None:
    """Raise StoreUnavailable unless all databases of PostgreSQL are Conduit's, and no server uses them. Of a
    SQLite file the lock says that, when it is opened."""
    from conduit.errors import StoreUnavailable
    from conduit.storage.postgres import migrations
    from conduit.storage.postgres.database import Database
    from conduit.storage.postgres.housekeeping import is_claimed

    for url in settings.postgres_urls:
        database = Database(url)
        connection = await database.connect()
        try:
            if not (await migrations.version(connection)).version:
                raise StoreUnavailable.at(database.where, "it is not a database of Conduit")
            if await is_claimed(connection):
                raise StoreUnavailable(
                    "a Conduit server is using the database, or was half a minute ago"
                )
        finally:
            connection.terminate()
