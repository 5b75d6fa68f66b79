"""What a change is answered with whose connection ends, by where it was then."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import pytest

from conduit.core.message import Progress, Retention
from conduit.errors import OutcomeUnknown, StoreUnavailable
from conduit.storage.postgres.database import Database
from conduit.storage.postgres.errors import is_lost, translated
from tests.storage import given
from tests.storage.given import TENANT
from tests.storage.postgres_kit import opened
from tests.support.postgres import Cluster

WITHIN_S = 20.0
LETTER = "01a20504-8136-7409-921c-922a64369347"


@pytest.fixture
async def store(database_url):
    async with opened(database_url) as store:
        yield store


@asynccontextmanager
async def commits_that_wait(cluster: Cluster) -> AsyncIterator[None]:
    """Every commit is done, and not answered: it waits for a standby that does not exist."""
    cluster.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    cluster.sql("SELECT pg_reload_conf()")
    try:
        probe = asyncio.get_running_loop().create_task(commit_until_one_waits(cluster))
        await end_who_waits(cluster)
        await probe
        yield
    finally:
        cluster.sql("ALTER SYSTEM RESET synchronous_standby_names")
        cluster.sql("SELECT pg_reload_conf()")


async def commit_until_one_waits(cluster: Cluster) -> None:
    """Until then the new setting is not in effect."""
    connection = await asyncpg.connect(cluster.url())
    with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        while True:
            await connection.execute("SELECT pg_logical_emit_message(true, 'probe', '')")


async def end_who_waits(cluster: Cluster) -> None:
    """End the session whose commit waits. Raises TimeoutError."""
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    async with asyncio.timeout(WITHIN_S):
        while not await asyncio.to_thread(cluster.sql, query):
            pass


CHANGES = {
    "topic_create": lambda store: given.topic(store, "another"),
    "topic_update": lambda store: store.topic_update(64, Retention(max_messages=7)),
    "topic_delete": lambda store: store.topic_delete(64),
    "subscription_create": lambda store: given.subscription(store, "another"),
    "subscription_delete": lambda store: store.subscription_delete(1),
    "seek": lambda store: store.seek(1, [(64, 2)]),
    "settle": lambda store: store.settle([Progress(1, 64, 2, 2)], []),
    "dead_delete": lambda store: store.dead_delete(TENANT, [LETTER]),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_a_change_that_is_committed_before_its_connection_ends_has_no_known_outcome(
    store, cluster, name
):
    record = await given.topic(store)
    assert record.topic_id == 64
    subscription = await given.subscription(store)
    assert subscription.subscription_id == 1
    await given.messages(store, record.topic_id, 3)
    await store.settle([], [given.death(record.topic_id, 1, LETTER)])
    async with commits_that_wait(cluster):
        change = asyncio.get_running_loop().create_task(CHANGES[name](store))
        await end_who_waits(cluster)
        with pytest.raises(OutcomeUnknown):
            await change
    # Whoever asks again finds what became of it.
    names = {topic.name for topic in await store.topics()}
    if name == "topic_create":
        assert names == {"orders", "another"}
    if name == "topic_delete":
        assert names == set()


async def test_an_append_in_the_same_place_is_found_and_answered(store, cluster):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 1)
    async with commits_that_wait(cluster):
        append = asyncio.get_running_loop().create_task(
            store.append([given.message(record.topic_id)])
        )
        await end_who_waits(cluster)
    assert await append == [2]
    assert len(await store.read(record.topic_id, 1, limit=9)) == 2


async def test_an_append_is_never_called_unavailable_while_it_may_be_stored(store, cluster):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 1)
    async with commits_that_wait(cluster):
        append = asyncio.get_running_loop().create_task(
            store.append([given.message(record.topic_id)])
        )
        await end_who_waits(cluster)
        # The next one takes the token, and its commit waits too.
        writer = store._home._writer
        writer._is_closed = True
        await end_who_waits(cluster)
        with pytest.raises(OutcomeUnknown):
            await append


async def test_what_may_be_stored_is_asked_for_however_long_the_database_is_away(
    store, cluster, monkeypatch
):
    # So long an append is tried that is known not to be stored.
    monkeypatch.setattr("conduit.storage.postgres.writer.TRY_FOR_S", 0.0)
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 1)
    async with commits_that_wait(cluster):
        append = asyncio.get_running_loop().create_task(
            store.append([given.message(record.topic_id)])
        )
        await end_who_waits(cluster)
        await asyncio.to_thread(cluster.stop)
        # It finds the connection refused meanwhile.
        await asyncio.to_thread(cluster.start)
    assert await append == [2]


async def end_own_session(connection: asyncpg.Connection) -> None:
    await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


async def sleeps(connection: asyncpg.Connection) -> None:
    await connection.execute("SELECT pg_sleep(30)")


async def test_a_change_is_of_unknown_outcome_where_a_read_is_unavailable(
    database_url, monkeypatch
):
    monkeypatch.setattr("conduit.storage.postgres.database.CALL_TIMEOUT_S", 0.2)
    database = Database(database_url)
    await database.probe()
    await database.open_pools()
    try:
        for job in (end_own_session, sleeps):
            with pytest.raises(StoreUnavailable):
                await database.ask(job)
            with pytest.raises(OutcomeUnknown):
                await database.write(job)
    finally:
        await database.close()


async def test_a_change_that_never_got_a_connection_did_not_happen(store, cluster):
    # A connection of the pool would only notice later that it has ended.
    await store._home.database.close()
    await store._home.database.open_pools()
    cluster.stop()
    try:
        with pytest.raises(StoreUnavailable):
            await given.topic(store, "another")
    finally:
        cluster.start()
    assert await store.topics() == []


@pytest.mark.parametrize("severity", ["FATAL", "PANIC"])
def test_an_error_that_ends_the_session_says_nothing_of_what_was_committed(severity):
    # A failed fsync of the WAL: its commit is replayed when PostgreSQL starts again.
    error = asyncpg.PostgresIOError("could not fsync file")
    error.severity_en = severity
    assert is_lost(error)
    assert isinstance(translated(error, changes=True), OutcomeUnknown)


def test_an_error_that_the_session_survives_has_undone_the_change():
    error = asyncpg.DiskFullError("could not extend file")
    error.severity_en = "ERROR"
    assert not is_lost(error)
    assert isinstance(translated(error, changes=True), StoreUnavailable)
