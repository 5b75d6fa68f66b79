"""For whom a transaction is: row-level security shows it the rows of that tenant, or of all, and none if it
does not say (schema/0014_row_security.sql).

The setting ends with the transaction, so that a pooler in transaction mode hands it to nobody. It comes with
the statement that begins the transaction, or within the only one there is: that costs no round trip.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from conduit.errors import StateError

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

# No tenant has this name.
ALL = "*"

# For a statement that is a transaction by itself, and across tenants: a query of its WITH, and a condition of
# each of its queries that read a table with tenants. PostgreSQL asks a condition that names no table of the
# query once, before it reads them.
SAID = f"said AS MATERIALIZED (SELECT set_config('conduit.tenant', '{ALL}', true))"
IS_SAID = "EXISTS (SELECT FROM said)"

_SET = "SET LOCAL conduit.tenant = "


@asynccontextmanager
async def of(connection: Connection, tenant: str) -> AsyncIterator[None]:
    """A transaction that sees the rows of this tenant. Within another one it is a part of that, and sees what
    that sees."""
    if tenant == ALL:
        raise StateError("a tenant has the name that stands for all of them")
    async with _transaction(connection, tenant):
        yield


@asynccontextmanager
async def across(connection: Connection) -> AsyncIterator[None]:
    """As `of`, for the rows of all tenants."""
    async with _transaction(connection, ALL):
        yield


@asynccontextmanager
async def _transaction(connection: Connection, tenant: str) -> AsyncIterator[None]:
    if connection.is_in_transaction():
        yield
        return
    # One round trip. asyncpg's own transactions begin with a statement that nothing can be added to.
    await connection.execute(f"BEGIN; {said(tenant)}")
    try:
        yield
    except BaseException:
        if not connection.is_closed():
            await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")


def said(tenant: str) -> str:
    """What says it in a transaction that has begun."""
    escaped = tenant.replace("\\", "\\\\").replace("'", "''")
    return f"{_SET}E'{escaped}'"
