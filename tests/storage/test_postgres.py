"""What is PostgreSQL's own: its settings, its errors, other writers, connections that end."""

import asyncio

import asyncpg
import pytest
import uuid_utils

from conduit.core.message import NewMessage
from conduit.errors import StoreDataError, StoreUnavailable
from conduit.storage.base import Start
from conduit.storage.dead_letters import DeadBounds
from conduit.storage.postgres import PostgresStore, migrations, scope
from conduit.storage.postgres.batch import Batch
from conduit.storage.slices import SLICE_COUNT
from tests.storage import given
from tests.storage.given import TENANT
from tests.storage.postgres_kit import WINDOW_S, Lost, maintained, opened
from tests.support.postgres import DATABASE, Cluster

SECRET = "s3cr3t-value"


@pytest.fixture
async def store(database_url):
    async with opened(database_url) as store:
        yield store


# Settings -----------------------------------------------------------------------------------------


async def test_what_durability_rests_on_is_told(store):
    described = store.describe()
    assert described["kind"] == "postgresql"
    assert described["durable"] is True
    assert described["pooler"] is False
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        assert described[name] == "on"


async def test_a_schema_before_one_that_older_servers_cannot_work_with_waits_for_who_has_stopped_them(
    database_url,
):
    known = migrations.all_migrations()
    (place,) = [at for at, each in enumerate(known) if each.version == 6]
    connection = await asyncpg.connect(database_url)
    await migrations.migrate(connection, contract=False, known=known[:place])
    with pytest.raises(StoreUnavailable, match="conduit migrate up"):
        await PostgresStore(database_url).open()
    assert (await migrations.version(connection)).version == known[place - 1].version
    await migrations.migrate(connection, contract=True)
    await connection.close()
    async with opened(database_url):
        pass
    with pytest.raises(StoreUnavailable, match="run the newer Conduit"):
        migrations.check(migrations.Version(known[-1].version, 6), known[:place])


async def test_a_new_database_has_no_schema_until_it_has_all_of_it(database_url):
    known = migrations.all_migrations()
    broken = known[-1]._replace(version=known[-1].version + 1, sql="SELECT 1 / 0;")
    connection = await asyncpg.connect(database_url)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrations.migrate(connection, contract=False, known=[*known, broken])
    assert await migrations.version(connection) == (0, 0)
    await connection.close()
    async with opened(database_url):
        pass


async def test_half_a_restored_schema_is_told_and_left_as_it_is(database_url):
    async with opened(database_url):
        pass
    connection = await asyncpg.connect(database_url)
    # As pg_restore makes it: tables first, and what is in them later.
    await connection.execute("TRUNCATE conduit.migrations")
    with pytest.raises(StoreUnavailable, match="a restore of it did not end"):
        await PostgresStore(database_url).open()
    assert await migrations.version(connection) == (0, 0)
    await connection.close()


async def test_several_make_the_schema_of_a_new_database_at_once(database_url):
    connections = [await asyncpg.connect(database_url) for _ in range(3)]
    calls = [migrations.migrate(each, contract=False) for each in connections]
    applied = await asyncio.gather(*calls)
    assert sorted(map(len, applied)) == [0, 0, len(migrations.all_migrations())]
    for each in connections:
        await each.close()


async def test_a_pooler_is_noticed(database_url, pgbouncer):
    async with opened(pgbouncer.url(DATABASE)) as store:
        assert store.describe()["pooler"] is True


@pytest.mark.process
@pytest.mark.parametrize("option", ["fsync=off", "full_page_writes=off"])
async def test_a_database_that_loses_commits_is_refused_unless_that_is_allowed(option):
    unsafe = Cluster(options=[option])
    try:
        unsafe.start()
        url = unsafe.create_database()
        with pytest.raises(StoreUnavailable, match=option):
            await PostgresStore(url).open()
        async with opened(url, allow_unsafe=True) as store:
            assert store.durable is False
    finally:
        unsafe.remove()


async def test_a_role_may_not_switch_waiting_for_the_disk_off(database_url, cluster):
    cluster.sql(f"ALTER DATABASE {DATABASE} SET synchronous_commit = off")
    try:
        with pytest.raises(StoreUnavailable, match="synchronous_commit=off"):
            await PostgresStore(database_url).open()
    finally:
        cluster.sql(f"ALTER DATABASE {DATABASE} RESET synchronous_commit")


async def test_settings_that_change_later_are_noticed(store, cluster, caplog):
    cluster.sql(f"ALTER DATABASE {DATABASE} SET synchronous_commit = off")
    try:
        # The connections of the pool keep what they began with.
        await store._home.database.close()
        await store._home.database.open_pools()
        await maintained(store)
        assert store.durable is False
        assert "settings changed" in caplog.text
    finally:
        cluster.sql(f"ALTER DATABASE {DATABASE} RESET synchronous_commit")


# Errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"database": "missing"}, "the database does not exist"),
        ({"port": 1}, "the connection to PostgreSQL failed"),
        ({"scheme": "postgresql://a:b:c@["}, "DATABASE_URL"),
    ],
)
async def test_a_database_that_cannot_be_reached_is_named_without_secrets(
    cluster, changed, sentence
):
    port, database = changed.get("port", cluster.port), changed.get("database", DATABASE)
    url = f"postgresql://conduit:{SECRET}@127.0.0.1:{port}/{database}"
    with pytest.raises(StoreUnavailable, match=sentence) as caught:
        await PostgresStore(changed.get("scheme", url)).open()
    assert SECRET not in str(caught.value)
    if "scheme" not in changed:
        # For the log, and not for peers.
        assert str(caught.value).startswith(f"127.0.0.1:{port}/{database}: ")
        assert caught.value.told.startswith(sentence)


async def test_a_read_only_database_is_said_to_be_one(store, cluster):
    record = await given.topic(store)
    cluster.sql(f"ALTER DATABASE {DATABASE} SET default_transaction_read_only = on")
    try:
        with pytest.raises(StoreUnavailable, match="read-only"):
            await store.append([given.message(record.topic_id)])
    finally:
        cluster.sql(f"ALTER DATABASE {DATABASE} RESET default_transaction_read_only", "postgres")


async def test_a_value_that_is_not_unicode_is_refused_and_nothing_of_its_batch_is_stored(store):
    record = await given.topic(store)
    poison = given.message(record.topic_id, key="\ud800")
    with pytest.raises(StoreDataError):
        await store.append([given.message(record.topic_id), poison])
    assert await store.append([given.message(record.topic_id)]) == [1]


async def test_a_store_that_is_not_open_says_so():
    with pytest.raises(StoreUnavailable, match="not open"):
        await PostgresStore("postgresql://127.0.0.1/x").topics()


# Other writers, and connections that end ----------------------------------------------------------


async def test_writers_that_share_topics_in_any_order_never_block_each_other(store, database_url):
    topics = [await given.topic(store, f"t{n}") for n in range(5)]

    async def write(writer: PostgresStore, step: int) -> list[tuple[int, int]]:
        acked = []
        for turn in range(30):
            batch = [given.message(topics[(turn + n * step) % 5].topic_id) for n in range(7)]
            seqs = await writer.append(batch)
            acked += [(new.topic_id, seq) for new, seq in zip(batch, seqs, strict=True)]
        return acked

    async with opened(database_url) as second, opened(database_url) as third:
        acked = await asyncio.gather(write(store, 1), write(second, 4), write(third, 3))
    for record in topics:
        seqs = sorted(
            seq for mine in acked for topic_id, seq in mine if topic_id == record.topic_id
        )
        assert seqs == list(range(1, len(seqs) + 1))
        read = await store.read(record.topic_id, 1, limit=1000)
        assert [message.seq for message in read] == seqs


async def locked_topic(store: PostgresStore, topic_id: int):
    """A connection that keeps everybody from appending to the topic, until it is terminated."""
    blocker = await store._home.database.connect()
    await blocker.execute(f"BEGIN; {scope.said(scope.ALL)}")
    await blocker.execute("SELECT FROM conduit.topics WHERE topic_id = $1 FOR UPDATE", topic_id)
    return blocker


async def until_blocked(cluster: Cluster, count: int = 1) -> None:
    """Wait until so many appends wait for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    for _ in range(1_000):
        if int(await asyncio.to_thread(cluster.sql, waiting)) >= count:
            return
    raise AssertionError("nobody waits for a lock")


async def blocked_append(
    store: PostgresStore, cluster: Cluster, new: NewMessage
) -> asyncio.Task[list[int]]:
    """An append that waits for a lock; to be awaited."""
    append = asyncio.create_task(store.append([new]))  # noqa: TID251 - whoever calls awaits it
    await until_blocked(cluster)
    return append


async def test_an_append_whose_connection_ends_is_stored_once(store, cluster):
    record = await given.topic(store)
    await store.append([given.message(record.topic_id)])
    blocker = await locked_topic(store, record.topic_id)
    new = given.message(record.topic_id, idempotency_key="k")
    append = await blocked_append(store, cluster, new)
    pid = store._home._writer._connection.get_server_pid()
    await asyncio.to_thread(cluster.sql, f"SELECT pg_terminate_backend({pid}, 10000)")
    await until_blocked(cluster)
    assert store._home._writer._connection.get_server_pid() != pid
    blocker.terminate()
    assert await append == [2]
    assert [m.message_id for m in await store.read(record.topic_id, 2, limit=9)] == [new.message_id]


async def test_a_batch_that_was_committed_before_its_answer_was_lost_is_found(store):
    a, b = await given.topic(store, "a"), await given.topic(store, "b")
    await store.append([given.message(a.topic_id)])
    writer = store._home._writer
    batch = Batch(
        [given.message(topic_id) for topic_id in (b.topic_id, a.topic_id, 9, b.topic_id)], WINDOW_S
    )
    fetch = writer._connection.fetch

    async def lost(*args):
        await fetch(*args)
        writer._connection.terminate()
        raise ConnectionResetError

    original = writer._connection
    writer._connection = Lost(original, lost)
    assert await writer._stored(batch) == [1, 2, 0, 2]
    assert len(await store.read(b.topic_id, 1, limit=9)) == 2


async def test_a_statement_of_an_old_connection_that_comes_late_does_nothing(store):
    record = await given.topic(store)
    await store.append([given.message(record.topic_id)])
    writer = store._home._writer
    late = (writer._id, writer._token, writer._number + 1)
    writer._connection.terminate()
    assert await store.append([given.message(record.topic_id)]) == [2]
    batch = Batch([given.message(record.topic_id)], WINDOW_S)
    connection = await store._home.database.connect()
    try:
        await connection.fetch(batch.statement(1), *late, *batch.values)
    finally:
        connection.terminate()
    assert (await given.topic_now(store, record.topic_id)).last_seq == 2
    assert await store.append([given.message(record.topic_id)]) == [3]


async def test_a_caller_that_is_cancelled_leaves_the_append_alone(store, cluster):
    record = await given.topic(store)
    blocker = await locked_topic(store, record.topic_id)
    append = await blocked_append(store, cluster, given.message(record.topic_id))
    append.cancel()
    with pytest.raises(asyncio.CancelledError):
        await append
    blocker.terminate()
    assert await store.append([given.message(record.topic_id)]) == [2]


async def test_a_database_that_comes_back_is_used_again(database_url, cluster):
    async with opened(database_url) as store:
        record = await given.topic(store)
        await store.append([given.message(record.topic_id)])
        cluster.stop()
        try:
            with pytest.raises(StoreUnavailable):
                await store.topics()
        finally:
            cluster.start()
        assert await store.append([given.message(record.topic_id)]) == [2]
        assert len(await store.read(record.topic_id, 1, limit=9)) == 2


async def test_a_commit_that_is_not_answered_loses_its_connection_and_not_its_batch(
    store, cluster, monkeypatch
):
    monkeypatch.setattr("conduit.storage.postgres.writer.ANSWER_TIMEOUT_S", 0.2)
    record = await given.topic(store)
    blocker = await locked_topic(store, record.topic_id)
    append = await blocked_append(store, cluster, given.message(record.topic_id))
    # The first one waits in the server, and the fence for its end.
    await until_blocked(cluster, 2)
    blocker.terminate()
    assert await append == [1]
    assert (await given.topic_now(store, record.topic_id)).last_seq == 1


async def test_writers_that_are_gone_are_forgotten(store, cluster):
    record = await given.topic(store)
    await store.append([given.message(record.topic_id)])
    cluster.sql("UPDATE conduit.writers SET appended_at = now() - interval '31 days'")
    cluster.sql(
        f"INSERT INTO conduit.writers (writer_id, token) VALUES ('{uuid_utils.uuid7()}', 1)"
    )
    await maintained(store)
    assert cluster.sql("SELECT count(*) FROM conduit.writers") == "1"
    # Ours is gone too: it begins anew.
    assert await store.append([given.message(record.topic_id)]) == [2]


async def test_one_of_several_cleans_up(store, database_url, cluster):
    async with opened(database_url) as other:
        assert await store.cleans_up()
        assert not await other.cleans_up()
        assert await store.cleans_up()
        cluster.sql("UPDATE conduit.leases SET until = now() - interval '1 second'")
        assert await other.cleans_up()
        assert not await store.cleans_up()


async def test_dead_letters_beyond_the_count_go_in_every_tenant(store):
    for tenant in ("a", "b", "c"):
        record = await given.topic(store, "t", tenant)
        await given.messages(store, record.topic_id, 5)
        await store.settle(
            [],
            [
                given.death(record.topic_id, seq, f"{tenant}{seq}", tenant=tenant)
                for seq in range(1, 6)
            ],
        )
    assert await store.dead_trim(0, DeadBounds(ephemeral_max_count=2), 100) == 9
    assert await store.find(TENANT, "no") is None


async def test_where_very_many_topics_are_at_a_time_is_asked_a_slice_at_a_time(store):
    count = 2 * SLICE_COUNT + 500
    names = [f"o.t{number}" for number in range(count)]
    topics = await store.topics_create(TENANT, names, given.KEEP_ALL, given.NOW_MS)
    await store.append([given.message(topic.topic_id) for topic in topics])
    home, asked = store._home, []
    seqs_at = home.seqs_at

    async def counted(topic_ids, time_ms):
        asked.append(len(topic_ids))
        return await seqs_at(topic_ids, time_ms)

    home.seqs_at = counted
    for time_ms, floor in ((given.NOW_MS, 0), (given.NOW_MS + 1, 1)):
        found = await store.positions(TENANT, "o.*", Start(time_ms=time_ms))
        assert dict(found) == {topic.topic_id: floor for topic in topics}
    assert max(asked) <= SLICE_COUNT


async def test_a_proof_that_hangs_keeps_no_further_ones_waiting(store, cluster):
    count = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{DATABASE}'"
    other = await store._home.database.connect()
    try:
        await store.prove(16)
        # As a commit that waits for a standby does.
        transaction = other.transaction()
        await transaction.start()
        await other.execute("SELECT FROM conduit.facts WHERE name = 'proof' FOR UPDATE")
        before = await other.fetchval(count)
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="a lock in PostgreSQL was not free in time"):
                await store.prove(16)
        assert await other.fetchval(count) <= before
        await transaction.rollback()
        await store.prove(16)
    finally:
        other.terminate()
