"""PostgreSQL: asked in one transaction that may only read."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from conduit.cli.checks.finding import Finding, failure, ok, warning

# Leases are in the database's time; `published_at`, and what tokens say, are in the machine's.
CLOCK_WARNING_S = 1.0
CLOCK_FAILURE_S = 30.0
SLOW_S = 0.1

_ASK = """
SELECT current_setting('server_version') AS version,
  extract(epoch FROM clock_timestamp())::float8 AS now_s,
  pg_is_in_recovery() AS is_standby,
  current_setting('transaction_read_only') = 'on'
    AND current_setting('default_transaction_read_only') = 'on' AS is_read_only,
  current_setting('max_connections')::int AS connection_max_count,
  -- Of other roles' connections a role without rights sees no more than that they are there.
  (SELECT count(*)::int FROM pg_stat_activity WHERE datid IS NOT NULL
     AND coalesce(backend_type, 'client backend') = 'client backend') AS connection_count,
  current_setting('synchronous_standby_names') <> '' AS has_standby,
  current_setting('synchronous_commit') AS synchronous_commit,
  pg_database_size(current_database()) AS size_bytes,
  has_database_privilege(current_database(), 'CREATE')
    OR coalesce((SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace
                 WHERE nspname = 'conduit'), false) AS may_create
"""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What one database has said."""

    where: str
    major: int
    version: str
    skew_s: float
    """By so much the database's clock is ahead."""
    took_s: float
    is_standby: bool
    is_read_only: bool
    connection_count: int
    connection_max_count: int
    may_create: bool
    synchronous_commit: str
    has_standby: bool
    unsafe: tuple[str, ...]
    open_why: str | None
    """Why it does not keep tenants apart."""
    schema: int
    works_from: int


async def look(url: str) -> Asked:
    """Ask it. Raises StoreUnavailable."""
    from conduit.storage.postgres import durability, migrations
    from conduit.storage.postgres.database import Database, within

    database = Database(url)
    connection = await database.connect()
    try:

        async def ask() -> Asked:
            async with connection.transaction(readonly=True):
                before = datetime.now(UTC).timestamp()
                row = await connection.fetchrow(_ASK)
                after = datetime.now(UTC).timestamp()
                assert row is not None
                set_to = await durability.read(connection)
                found = await migrations.version(connection)
            return Asked(
                where=database.where,
                major=connection.get_server_version().major,
                version=row["version"].split()[0],
                skew_s=row["now_s"] - (before + after) / 2,
                took_s=after - before,
                is_standby=row["is_standby"],
                is_read_only=row["is_read_only"],
                connection_count=row["connection_count"],
                connection_max_count=row["connection_max_count"],
                may_create=row["may_create"],
                synchronous_commit=row["synchronous_commit"],
                has_standby=row["has_standby"],
                unsafe=tuple(durability.unsafe(set_to)),
                open_why=_why_open(set_to, has_schema=bool(found.version)),
                schema=found.version,
                works_from=found.works_from,
            )

        return await within(5.0, connection, ask())
    finally:
        connection.terminate()


def _why_open(set_to: dict[str, str], *, has_schema: bool) -> str | None:
    """Of a database without a schema only what the role is can be said."""
    from conduit.storage.postgres import durability

    is_bypassed = set_to[durability.ROW_SECURITY] == durability.BYPASSED
    return durability.why_open(set_to) if has_schema or is_bypassed else None


async def check(url: str, *, allow_unsafe: bool, server_count: int) -> list[Finding]:
    """One database. `server_count`: nodes that this machine would run on it."""
    from conduit.errors import StoreUnavailable
    from conduit.storage.postgres import migrations

    try:
        asked = await look(url)
    except StoreUnavailable as error:
        return [failure("PostgreSQL", error.detail, _mend(error.detail))]
    known = migrations.all_migrations()
    contracting = [each.version for each in known if each.is_contracting]
    return [
        *_reached(asked, server_count),
        judge_schema(asked, known[-1].version, contracting),
        *judge_durability(asked, allow_unsafe=allow_unsafe),
        judge_clock(asked.skew_s, asked.took_s, "PostgreSQL"),
    ]


def _mend(detail: str) -> str:
    by_part = {
        "refused the user": "correct the user or the password in DATABASE_URL, and look into pg_hba.conf",
        "does not exist": "create it (`createdb`), or correct DATABASE_URL",
        "listens": "start PostgreSQL, or correct host and port in DATABASE_URL",
        "resolved": "correct the host in DATABASE_URL, or look at the name server",
        "no connection left": "raise max_connections, or end what holds them (pg_stat_activity)",
        "starting": "wait until it is up; its log says what it does",
        "in time": "look whether PostgreSQL stands still, its machine is up, and no firewall drops packets",
    }
    return next(
        (do for part, do in by_part.items() if part in detail),
        "see docs/postgresql.md, and PostgreSQL's own log",
    )


def _reached(asked: Asked, server_count: int) -> list[Finding]:
    from conduit.server.files import DATABASE_COUNT
    from conduit.storage.postgres.durability import OLDEST_VERSION

    name, where = "PostgreSQL", f"PostgreSQL {asked.version} at {asked.where}"
    found = []
    if asked.major < OLDEST_VERSION:
        found.append(
            failure(
                name, f"{where} is too old", f"upgrade it: Conduit needs {OLDEST_VERSION} or later"
            )
        )
    if asked.is_standby or asked.is_read_only:
        why = "a standby" if asked.is_standby else "set to read only"
        found.append(
            failure(
                name, f"{where} is {why}, and takes no writes", "let DATABASE_URL name the primary"
            )
        )
    if not asked.may_create:
        found.append(
            failure(
                name,
                f"the user may not make tables at {asked.where}",
                "GRANT CREATE on the database or on the schema conduit to it",
            )
        )
    left = asked.connection_max_count - asked.connection_count
    wanted = DATABASE_COUNT * server_count
    if left < wanted:
        found.append(
            warning(
                name,
                f"{asked.connection_count} of {asked.connection_max_count} connections are in use, and a "
                f"start needs up to {wanted} more",
                "raise max_connections, or put PgBouncer in between",
            )
        )
    if asked.took_s > SLOW_S:
        found.append(
            warning(
                name,
                f"{where} took {asked.took_s * 1000:.0f} ms for a small question",
                "look at its load, and at the network on the way",
            )
        )
    return found or [ok(name, f"{where} answers in {asked.took_s * 1000:.1f} ms")]


def judge_schema(asked: Asked, newest: int, contracting: list[int]) -> Finding:
    """Whether this Conduit can use the schema. `contracting` are the migrations that wait for a person."""
    name = "migrations"
    if not asked.schema:
        return ok(name, "no schema yet; the first start makes it")
    if asked.works_from > newest:
        return failure(
            name,
            f"the database has schema version {asked.schema}, and this Conduit knows {newest}",
            "run the newer Conduit that migrated it",
        )
    missing = [each for each in contracting if each > asked.schema]
    if missing:
        return warning(
            name,
            f"version {asked.schema} of {newest}: number {missing[0]} waits for you",
            "when all servers of the version before are stopped, run `conduit migrate up`",
        )
    if asked.schema < newest:
        return ok(name, f"version {asked.schema} of {newest}; the next start applies the rest")
    return ok(name, f"version {asked.schema}; none is missing")


def judge_durability(asked: Asked, *, allow_unsafe: bool) -> list[Finding]:
    """Whether what was acknowledged survives a crash, and whether tenants are apart."""
    name = "durability"
    if asked.unsafe:
        off = " and ".join(f"{each}=off" for each in asked.unsafe)
        seen = f"PostgreSQL runs with {off}: a crash would lose messages that were acknowledged"
        if allow_unsafe:
            seen += "; CONDUIT_ALLOW_UNSAFE_DATABASE allows that, and receipts say durable: false"
            found = [warning(name, seen, "switch it on, unless this is for tests")]
        else:
            found = [
                failure(
                    name, f"{seen}, so the server does not start", "switch it on in postgresql.conf"
                )
            ]
    elif asked.synchronous_commit == "local" and asked.has_standby:
        found = [
            warning(
                name,
                "synchronous_commit=local, so commits do not wait for the standby",
                "set synchronous_commit=on if a failover must lose nothing",
            )
        ]
    else:
        found = [ok(name, f"fsync on, synchronous_commit={asked.synchronous_commit}")]
    if asked.open_why is not None:
        what, _, do = asked.open_why.partition("; ")
        found.append(warning("tenants", what, do))
    return found


def judge_clock(skew_s: float, took_s: float, whose: str) -> Finding:
    """This machine's clock against another one, which is ahead by `skew_s`. What the question took is how
    exactly that is known."""
    off_s = max(0.0, abs(skew_s) - took_s / 2)
    how = "ahead of" if skew_s < 0 else "behind"
    seen = f"this machine's clock is {off_s:.1f} s {how} that of {whose}"
    do = "let both machines follow a time server (chrony, systemd-timesyncd)"
    if off_s >= CLOCK_FAILURE_S:
        return failure("clock", seen, do)
    if off_s >= CLOCK_WARNING_S:
        return warning("clock", seen, do)
    return ok("clock", f"within {max(abs(skew_s) + took_s / 2, 0.1):.1f} s of that of {whose}")
