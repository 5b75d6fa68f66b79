"""How a PostgreSQL database notices that it is a copy."""

import os
import shutil
import subprocess

import msgspec
import pytest

from conduit.errors import StoreUnavailable
from conduit.storage.postgres.copies import Place, _why
from conduit.storage.postgres.housekeeping import FORGET_WRITERS_AFTER_S
from tests.storage import given
from tests.storage.given import NOW_MS
from tests.storage.postgres_kit import opened
from tests.support.postgres import DATABASE, OTHER_USER, Cluster, binary, of_all_tenants
from tests.support.wait import until

HERE = Place("7001", 16_384, 16_400, 1, is_synchronous=False)


def changed(**fields: object) -> Place:
    return msgspec.structs.replace(HERE, **fields)


@pytest.mark.parametrize(
    ("stored", "found", "has_target", "why"),
    [
        (HERE, HERE, False, None),
        (HERE, HERE, True, None),
        (HERE, changed(is_synchronous=True), False, None),
        (HERE, changed(system="7002"), False, "another cluster"),
        (HERE, changed(system="7002", timeline=2), False, "another cluster"),
        (HERE, changed(database_oid=1), False, "tables"),
        (HERE, changed(table_oid=1), False, "tables"),
        # A role that may not ask for the cluster still knows the rest.
        (HERE, changed(system=""), False, None),
        (changed(system=""), HERE, False, None),
        (HERE, changed(system="", table_oid=1), False, "tables"),
        # A standby was promoted: what it had not got is gone, unless commits had waited for it.
        (HERE, changed(timeline=2), False, "had not waited"),
        (HERE, changed(timeline=2, is_synchronous=True), False, "had not waited"),
        (changed(is_synchronous=True), changed(timeline=2), False, None),
        (changed(is_synchronous=True), changed(timeline=2), True, "point in time"),
        (changed(timeline=5), changed(timeline=2), False, "had not waited"),
        (changed(is_forgetful=True), HERE, False, "lacked"),
    ],
)
def test_what_has_changed_says_whether_something_may_be_lost(stored, found, has_target, why):
    said = _why(stored, found, has_target=has_target)
    assert said is None if why is None else why in said


def dump_and_restore(cluster: Cluster, url: str, name: str) -> str:
    """The database as another one of the same cluster; its URL."""
    copy = cluster.create_database(name)
    command = [binary("pg_dump"), "--enable-row-security", "-d", of_all_tenants(url)]
    dump = subprocess.run(command, check=True, capture_output=True)
    psql = [binary("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", copy]
    subprocess.run(psql, input=dump.stdout, check=True, capture_output=True)
    return copy


async def test_a_dump_that_is_restored_is_noticed_until_somebody_has_decided(database_url, cluster):
    async with opened(database_url) as store:
        topic = await given.topic(store)
        await given.messages(store, topic.topic_id, 3)
        assert store.copied is None
    copy = dump_and_restore(cluster, database_url, "restored")
    for _ in range(2):
        async with opened(copy) as store:
            assert store.copied == "its tables are others than before"
    async with opened(copy) as store:
        await store.renew({topic.topic_id: "new"})
        assert store.copied is None
        (record,) = await store.topics()
        assert (record.epoch, record.last_seq) == ("new", 3)
    async with opened(copy) as store:
        assert store.copied is None
    again = dump_and_restore(cluster, copy, "restored_again")
    async with opened(again) as store:
        await store.trust()
    async with opened(again) as store, opened(database_url) as original:
        assert (store.copied, original.copied) == (None, None)
        assert (await store.topics())[0].epoch == "new"


async def test_what_is_restored_under_a_server_gets_nothing_more_from_it(database_url, cluster):
    async with opened(database_url) as store:
        record = await given.topic(store)
        await store.append([given.message(record.topic_id)])
        await store.prove(16)
        cluster.empty_database()
        async with opened(database_url) as other:
            # The same id, and all numbers are free again.
            assert (await given.topic(other)).topic_id == record.topic_id
            with pytest.raises(StoreUnavailable, match="restored under it"):
                await store.prove(16)
            for call in (
                store.append([given.message(record.topic_id)]),
                store.prove(16),
                store.read(record.topic_id, 1, limit=9),
                store.topics(),
            ):
                with pytest.raises(StoreUnavailable, match="started again"):
                    await call
            assert await other.read(record.topic_id, 1, limit=9) == []


async def test_of_a_divided_log_each_database_is_looked_at(
    database_url, second_database_url, cluster
):
    async with opened(database_url, second_database_url) as store:
        topics = [await given.topic(store, f"t{n}") for n in range(8)]
        assert {topic.topic_id % 64 for topic in topics} == {0, 1}
    copy = dump_and_restore(cluster, second_database_url, "second_restored")
    async with opened(database_url, copy) as store:
        assert store.copied == "its tables are others than before"
        await store.renew({topic.topic_id: f"e{topic.topic_id}" for topic in topics})
        found = {record.topic_id: record.epoch for record in await store.topics()}
        assert found == {topic.topic_id: f"e{topic.topic_id}" for topic in topics}
        assert store.copied is None
    async with opened(database_url, copy) as store:
        assert store.copied is None


@pytest.fixture
def own_cluster():
    cluster = Cluster()
    cluster.start()
    yield cluster
    cluster.remove()


def goes_on_in_a_new_timeline(cluster: Cluster) -> None:
    """As a restored base backup does, or a promoted standby."""
    cluster.stop()
    signal = cluster.data / "recovery.signal"
    signal.touch()
    if os.geteuid() == 0:
        shutil.chown(signal, OTHER_USER)
    cluster.start_again("restore_command=false")
    # It answers before it is through.
    until(lambda: cluster.sql("SELECT pg_is_in_recovery()", "postgres") == "f")


@pytest.mark.process
async def test_a_cluster_that_goes_on_in_a_new_timeline_is_noticed(own_cluster):
    url = own_cluster.create_database()
    async with opened(url) as store:
        await given.topic(store)
    goes_on_in_a_new_timeline(own_cluster)
    async with opened(url) as store:
        assert "a new timeline" in store.copied


@pytest.mark.process
async def test_whoever_runs_meanwhile_and_misses_nothing_knows_that_nothing_is_lost(own_cluster):
    url = own_cluster.create_database()
    async with opened(url) as store:
        topic = await given.topic(store)
        await given.messages(store, topic.topic_id, 3)
        goes_on_in_a_new_timeline(own_cluster)
        assert await store.append([given.message(topic.topic_id)]) == [4]
    async with opened(url) as store:
        assert store.copied is None


async def test_a_role_with_no_rights_but_its_own_database_is_enough(database_url, cluster):
    cluster.sql(f"CREATE ROLE humble LOGIN; GRANT CREATE ON DATABASE {DATABASE} TO humble")
    try:
        async with opened(database_url.replace("conduit@", "humble@")) as store:
            assert store.copied is None
        async with opened(database_url.replace("conduit@", "humble@")) as store:
            assert store.copied is None
    finally:
        cluster.sql("DROP OWNED BY humble CASCADE; DROP ROLE humble")


async def disconnected(store, cluster) -> None:
    """As in a failover: the writer has to connect again."""
    cluster.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    )


@pytest.mark.parametrize(
    "forget",
    [
        "UPDATE conduit.topics SET last_seq = 2",
        "DELETE FROM conduit.topics; UPDATE conduit.writers SET last_batch = 0",
    ],
)
async def test_a_database_that_lacks_what_it_has_answered_gets_nothing_more(
    database_url, cluster, forget
):
    async with opened(database_url) as store:
        topic = await given.topic(store)
        await given.messages(store, topic.topic_id, 3)
        cluster.sql(forget)
        await disconnected(store, cluster)
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="restarted"):
                await given.messages(store, topic.topic_id, 1)
    async with opened(database_url) as store:
        assert store.copied == "after a failover it lacked what it had committed"
        await store.renew({})
    async with opened(database_url) as store:
        assert store.copied is None


@pytest.mark.parametrize(
    "happens",
    [
        "SELECT",
        "DELETE FROM conduit.writers",
        "DELETE FROM conduit.topics WHERE name = 'gone'",
        "UPDATE conduit.topics SET first_seq = 4, stored_bytes = 0",
    ],
)
async def test_a_writer_that_connects_again_and_misses_nothing_goes_on(
    database_url, cluster, happens
):
    async with opened(database_url) as store:
        topic, gone = await given.topic(store), await given.topic(store, "gone")
        await given.messages(store, topic.topic_id, 3)
        if "gone" in happens:
            await given.messages(store, gone.topic_id, 3)
        cluster.sql(happens)
        await disconnected(store, cluster)
        assert await store.append([given.message(topic.topic_id)]) == [4]


async def test_a_writer_that_appended_nothing_for_so_long_that_it_is_forgotten_goes_on(
    database_url, cluster
):
    async with opened(database_url) as store:
        topic, gone = await given.topic(store), await given.topic(store, "gone")
        await given.messages(store, gone.topic_id, 3)
        store._home._writer._answered_at -= FORGET_WRITERS_AFTER_S
        cluster.sql("DELETE FROM conduit.writers")
        await store.topic_delete(gone.topic_id, [], NOW_MS)
        await disconnected(store, cluster)
        assert await store.append([given.message(topic.topic_id)]) == [1]
