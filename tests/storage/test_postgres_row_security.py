"""The second wall: what PostgreSQL shows to a transaction that is for a tenant, for all, or says nothing."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from conduit.core.access import AuditEntry, KeyRecord, TenantRecord
from conduit.errors import StateError, StoreUnavailable
from conduit.grants import Grant
from conduit.storage.postgres import PostgresStore, migrations, scope, segments
from tests.storage import given
from tests.storage.given import NOW_MS
from tests.storage.postgres_kit import opened
from tests.storage.statements import tenant_tables
from tests.support.postgres import ADMIN, DATABASE

# Of the schema.
WALLS_VERSION = 14

TABLES = sorted(tenant_tables("postgres"))
WALLED = """
SELECT c.relname FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant' AND NOT a.attisdropped
JOIN pg_policy AS p ON p.polrelid = c.oid AND p.polcmd = '*' AND p.polroles = '{0}'
WHERE c.relnamespace = 'conduit'::regnamespace AND c.relkind = 'r'
  AND c.relrowsecurity AND c.relforcerowsecurity ORDER BY 1
"""

pytestmark = pytest.mark.process


async def fill(store: PostgresStore, tenant: str) -> int:
    """Something of the tenant in each table; the id of its topic."""
    await store.tenant_create(TenantRecord(name=tenant, created_at_ms=NOW_MS))
    key = KeyRecord(
        key_id=f"key-{tenant}",
        tenant=tenant,
        name="k",
        grants=(Grant(scope="admin"),),
        secret_hash=b"h",
        created_at_ms=NOW_MS,
        created_by="server",
    )
    await store.key_put(key, 0)
    topic = await given.topic(store, "orders", tenant)
    await given.messages(store, topic.topic_id, 2)
    await given.subscription(store, tenant=tenant)
    await store.settle([], [given.death(topic.topic_id, 1, f"d-{tenant}", tenant=tenant)])
    await store.audit_add([entry(tenant), entry(tenant, of="")])
    return topic.topic_id


def entry(name: str, of: str | None = None) -> AuditEntry:
    return AuditEntry(
        entry_id=f"{name}-{of}",
        at_ms=NOW_MS,
        tenant=name if of is None else of,
        actor="server",
        action="topic.delete",
        target="orders",
        address="",
        request_id="",
    )


@pytest.fixture
async def store(database_url):
    async with opened(database_url) as made:
        yield made


@pytest.fixture(params=["direct", "pgbouncer"])
async def connection(request, store, database_url):
    """Another one of the same role, to a database with two tenants beside `default`."""
    for tenant in ("acme", "other"):
        await fill(store, tenant)
    url = database_url
    if request.param == "pgbouncer":
        url = request.getfixturevalue("pgbouncer").url(DATABASE)
    made = await asyncpg.connect(url, statement_cache_size=0)
    yield made
    made.terminate()


async def seen(connection: asyncpg.Connection) -> dict[str, set[str]]:
    """Table → the tenants whose rows a query without any condition returns."""
    return {
        table: {row[0] for row in await connection.fetch(f"SELECT tenant FROM conduit.{table}")}
        for table in TABLES
    }


def all_of(tenants: set[str]) -> dict[str, set[str]]:
    return dict.fromkeys(TABLES, tenants)


async def test_every_table_with_a_tenant_is_walled_for_its_owner_too(store):
    found = await store._home.database.ask(lambda c: c.fetch(WALLED))
    assert [row[0] for row in found] == TABLES


async def test_a_transaction_sees_the_rows_of_the_tenant_that_it_is_for(connection):
    async with scope.of(connection, "acme"):
        assert await seen(connection) == all_of({"acme"})
        found = await connection.fetch("SELECT * FROM conduit.topics WHERE tenant = 'other'")
        assert found == []
        for table in TABLES:
            changed = f"UPDATE conduit.{table} SET tenant = tenant WHERE tenant = 'other'"
            assert await connection.execute(changed) == "UPDATE 0"
            assert (await connection.execute(f"DELETE FROM conduit.{table}")) != "DELETE 0"
    async with scope.across(connection):
        assert await seen(connection) == {
            table: {
                "other",
                *({"default"} if table == "tenants" else {}),
                *({""} if table == "audit" else {}),
            }
            for table in TABLES
        }


async def test_it_may_not_write_what_is_another_tenants(connection):
    for statement in (
        "UPDATE conduit.topics SET tenant = 'other'",
        "INSERT INTO conduit.topics (tenant, name, epoch, created_at_ms) VALUES ('other', 'x', 'e', 0)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            async with scope.of(connection, "acme"):
                await connection.execute(statement)


async def test_who_does_not_say_for_whom_sees_nothing_whatever_was_said_before(connection):
    # Behind the pooler every session of it.
    for _ in range(6):
        assert await seen(connection) == all_of(set())
        async with scope.of(connection, "acme"):
            await connection.fetch("SELECT 1")
        assert await seen(connection) == all_of(set())
        with pytest.raises(ZeroDivisionError):
            async with scope.across(connection):
                raise ZeroDivisionError
        assert not connection.is_in_transaction()
    # The setting is empty then, and not missing: that is not the tenant '' of the audit log.
    async with scope.of(connection, ""):
        assert await seen(connection) == all_of(set())


@pytest.mark.parametrize("name", ["a'b", "a\\'b", "\\", "x'; SELECT 1; --"])
async def test_a_name_is_a_name_whatever_is_in_it(store, database_url, name):
    await given.topic(store, "orders", name)
    connection = await asyncpg.connect(database_url)
    async with scope.of(connection, name):
        assert (await seen(connection))["topics"] == {name}
    await connection.close()


async def test_no_tenant_has_the_name_of_all(store, database_url):
    connection = await asyncpg.connect(database_url)
    with pytest.raises(StateError):
        async with scope.of(connection, scope.ALL):
            pass
    await connection.close()


async def test_an_append_a_page_and_a_settle_are_one_round_trip_each(store):
    topic_id = await fill(store, "acme")
    [record] = await store.subscriptions()
    await store.read(topic_id, 1, limit=2)
    queries: list[str] = []
    pools = store._home.database._readers, store._home.database._control
    connections = [holder._con for pool in pools for holder in pool._holders if holder._con]
    for connection in (store._home._writer._connection, *connections):
        connection.add_query_logger(lambda query: queries.append(query.query))
    row = given.paged((record.subscription_id, topic_id), {1: b"page"})
    for call in (
        store.append([given.message(topic_id)]),
        store.read(topic_id, 1, limit=2),
        store.settle([row], []),
    ):
        await call
        # Loggers are told in the loop's next turn.
        await asyncio.sleep(0)
        assert len(queries) == 1, queries
        queries.clear()


async def test_a_segment_whose_topics_are_not_seen_is_needed(store, database_url):
    await fill(store, "acme")
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval(segments._IS_NEEDED, 1)
    async with scope.across(connection):
        assert await connection.fetchval(segments._IS_NEEDED, 1)
    [record] = await store.topics()
    await store.topic_delete(record.topic_id)
    assert not await connection.fetchval(segments._IS_NEEDED, 1)
    await connection.close()


# Whether it is so ----------------------------------------------------------------------------------


async def test_a_role_that_owns_the_tables_is_walled(store, caplog):
    assert store.describe()["row_level_security"] == "on"
    assert "row-level security" not in caplog.text


async def test_a_role_that_sees_all_is_told(database_url, cluster, caplog):
    async with opened(cluster.url(DATABASE, ADMIN)) as store:
        assert store.describe()["row_level_security"] == "bypassed"
        assert "superuser or has BYPASSRLS" in caplog.text
        # It works all the same.
        await fill(store, "acme")


async def test_a_schema_before_the_walls_is_refused_until_it_is_migrated(database_url):
    known = migrations.all_migrations()
    connection = await asyncpg.connect(database_url)
    before = [each for each in known if each.version < WALLS_VERSION]
    await migrations.migrate(connection, contract=True, known=before)
    with pytest.raises(StoreUnavailable, match="conduit migrate up"):
        await PostgresStore(database_url).open()
    applied = await migrations.migrate(connection, contract=True)
    assert applied[0].name == "row security"
    async with opened(database_url) as store:
        assert store.describe()["row_level_security"] == "on"
    await connection.close()
