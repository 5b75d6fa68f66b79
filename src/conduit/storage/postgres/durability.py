"""The settings of PostgreSQL that decide whether a commit survives a crash, and whether tenants are apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conduit.errors import StoreUnavailable

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

OLDEST_VERSION = 13

# Not one of PostgreSQL's: whether it shows this role only the rows of the tenant that a transaction is for.
ROW_SECURITY, OFF, BYPASSED = "row_level_security", "off", "bypassed"

_READ = f"""
SELECT name, setting FROM pg_settings WHERE name = ANY (
  '{{fsync,full_page_writes,synchronous_commit,synchronous_standby_names,server_version}}')
UNION ALL
SELECT '{ROW_SECURITY}', CASE
  WHEN r.rolsuper OR r.rolbypassrls THEN '{BYPASSED}'
  WHEN (SELECT c.relrowsecurity AND c.relforcerowsecurity FROM pg_class AS c
        WHERE c.oid = to_regclass('conduit.topics')) THEN 'on'
  ELSE '{OFF}' END
FROM pg_roles AS r WHERE r.rolname = current_user
"""
_OPEN = {
    BYPASSED: "the role in DATABASE_URL is a superuser or has BYPASSRLS, and sees the rows of all"
    " tenants, whatever it asks for; use one that is neither",
    OFF: "it is off for conduit.topics; if a restore broke off, restore again, else ALTER TABLE"
    " conduit.topics ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
}
# What loses acked messages in a crash of the machine, or damages the database.
_UNSAFE = ("fsync", "full_page_writes", "synchronous_commit")


async def read(connection: Connection) -> dict[str, str]:
    """Name → value, as they hold for this user in this database."""
    rows = await connection.fetch(_READ)
    return {row["name"]: row["setting"] for row in rows}


def unsafe(settings: dict[str, str]) -> list[str]:
    """Those under which a commit that was answered may be lost."""
    return [name for name in _UNSAFE if settings[name] == "off"]


def check_version(connection: Connection) -> None:
    """Raise StoreUnavailable for a PostgreSQL that is too old."""
    major = connection.get_server_version().major
    if major < OLDEST_VERSION:
        raise StoreUnavailable(
            f"PostgreSQL {major} is too old: Conduit needs {OLDEST_VERSION} or later"
        )


def check(settings: dict[str, str], *, allow_unsafe: bool) -> None:
    """Raise StoreUnavailable for settings that are not allowed."""
    if (found := unsafe(settings)) and not allow_unsafe:
        raise StoreUnavailable(
            f"PostgreSQL runs with {' and '.join(f'{name}=off' for name in found)}: a crash would lose"
            " messages that were acked. Switch it on, or set CONDUIT_ALLOW_UNSAFE_DATABASE=true"
        )


def why_open(settings: dict[str, str]) -> str | None:
    """Why PostgreSQL does not keep tenants apart, and what to do; None if it does."""
    return _OPEN.get(settings[ROW_SECURITY])
