"""Which checks there are of this machine: one line each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from conduit.cli.checks import machine, own, postgres, redis, sqlite
from conduit.cli.checks.finding import Check, Finding
from conduit.environment import Usable
from conduit.settings import Settings

DATABASE = ("DATABASE_URL", "DATABASE_URL_FILE")


class _Row(NamedTuple):
    name: str
    look: Callable[[Settings], Awaitable[Sequence[Finding]]]
    needs: tuple[str, ...] = ()


def _pure(
    judge: Callable[[Settings], Sequence[Finding]],
) -> Callable[[Settings], Awaitable[Sequence[Finding]]]:
    async def look(of: Settings) -> Sequence[Finding]:
        return judge(of)

    return look


async def _redis(of: Settings) -> Sequence[Finding]:
    return [] if of.redis_url is None else await redis.check(of.redis_url.get_secret_value())


_TABLE = (
    _Row(
        "authentication",
        _pure(own.access),
        ("ENABLE_AUTH", "CONDUIT_HOST", "CORS_ORIGIN", "CONDUIT_ADMIN_HOST"),
    ),
    _Row("INTERNAL_SECRET", _pure(own.secret), ("INTERNAL_SECRET", *DATABASE)),
    _Row("store", _pure(own.store), DATABASE),
    _Row("Redis", _redis, ("REDIS_URL",)),
    _Row(
        "port", machine.port, ("PORT", "CONDUIT_HOST", "CONDUIT_ADMIN_PORT", "CONDUIT_ADMIN_HOST")
    ),
    _Row("NODE_ADDR", machine.address, ("NODE_ADDR", "PORT", "INTERNAL_SECRET", *DATABASE)),
    _Row("open files", machine.files, ("CONDUIT_MAX_CONNECTIONS", *DATABASE)),
    _Row("key files", machine.key_files, ("CONDUIT_ADMIN_KEY_FILE", *DATABASE)),
    _Row("extras", machine.extras, ("CONDUIT_TRACES",)),
)


def checks(found: Usable) -> list[Check]:
    """All of them, for these settings."""

    async def settings() -> Sequence[Finding]:
        warnings = () if found.settings is None else found.settings.warnings
        return own.settings(found.problems, warnings)

    of = found.settings
    if of is None:
        return [Check("settings", settings)]
    rows = [_check(row, of) for row in _TABLE]
    return [Check("settings", settings), *rows[:3], *_of_store(of), *rows[3:]]


def _check(row: _Row, of: Settings) -> Check:
    return Check(row.name, lambda: row.look(of), row.needs)


def _of_store(of: Settings) -> list[Check]:
    path = of.database_path
    if path is not None:
        return [
            Check("database file", lambda: sqlite.place(path), DATABASE),
            Check("database", lambda: sqlite.content(path), DATABASE),
            Check("disk", lambda: sqlite.disk(path), DATABASE),
        ]

    def one(url: str) -> Check:
        allow = of.allow_unsafe_database
        return Check(
            "PostgreSQL",
            lambda: postgres.check(url, allow_unsafe=allow, server_count=of.workers),
            DATABASE,
        )

    return [one(url) for url in of.postgres_urls]
