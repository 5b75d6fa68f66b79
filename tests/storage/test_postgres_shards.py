"""A log in several databases: where topics are, and lists of databases that make no sense."""

import asyncio

import pytest

from conduit.core.message import Retention
from conduit.errors import ConfigError, Conflict
from conduit.storage.postgres import PostgresStore
from tests.storage import given
from tests.storage.given import NOW_MS, TENANT
from tests.storage.postgres_kit import opened


@pytest.fixture
def urls(database_url, second_database_url):
    return database_url, second_database_url


async def spread(store, count: int = 12) -> dict[str, int]:
    """name → topic id, of new topics with one message each."""
    names = [f"t{n}" for n in range(count)]
    ids = {name: (await given.topic(store, name)).topic_id for name in names}
    assert await store.append([given.message(id_) for id_ in ids.values()]) == [1] * count
    return ids


async def listed(store) -> dict[str, int]:
    return {record.name: record.topic_id for record in await store.topics()}


async def test_topics_are_spread_over_the_databases_and_found_again(urls):
    async with opened(*urls) as store:
        ids = await spread(store)
        assert {id_ % 64 for id_ in ids.values()} == {0, 1}
    async with opened(*reversed(urls)) as store:
        assert await listed(store) == ids
        assert await store.append([given.message(id_) for id_ in ids.values()]) == [2] * len(ids)


async def test_another_database_moves_no_topic(urls):
    async with opened(urls[0]) as store:
        before = await spread(store, 5)
    async with opened(*urls) as store:
        assert await listed(store) == before
        after = await store.topic_create(TENANT, "new", Retention(), NOW_MS)
        assert await store.append([given.message(id_) for id_ in before.values()]) == [2] * 5
        assert (await listed(store))["new"] == after.topic_id
        with pytest.raises(Conflict):
            await given.topic(store, "t0")


async def test_shards_are_appended_to_independently(urls):
    async with opened(*urls) as store:
        assert sorted(store.shards) == [0, 1]
        ids = await spread(store)
        for number, shard in store.shards.items():
            batch = [given.message(id_) for id_ in ids.values() if id_ % 64 == number]
            assert await shard.append(batch) == [2] * len(batch)
    async with opened(*urls) as store:
        assert store.describe()["shards"][1]["fsync"] == "on"


async def test_one_name_is_one_topic_whoever_creates_it_first(urls):
    async with opened(*urls) as store, opened(*urls) as other:
        calls = [given.topic(each, f"t{n}") for n in range(8) for each in (store, other)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(result, Conflict) for result in results) == 8
        assert len(await store.topics()) == 8


@pytest.mark.parametrize("which", ["its shard", "the home"])
async def test_a_topic_that_a_killed_server_left_behind_in_one_database_is_none(
    urls, cluster, which
):
    async with opened(*urls) as store:
        ids = await spread(store)
        name, old_id = next((name, id_) for name, id_ in ids.items() if id_ % 64 == 1)
        database = (urls[1] if which == "its shard" else urls[0]).rpartition("/")[2]
        cluster.sql(f"DELETE FROM conduit.topics WHERE topic_id = {old_id}", database)
        assert name not in await listed(store)
        again = await given.topic(store, name)
        assert again.topic_id != old_id
        assert (await listed(store))[name] == again.topic_id
        assert await store.append([given.message(again.topic_id)]) == [1]


async def test_a_list_that_makes_no_sense_is_refused(urls, cluster):
    async with opened(*urls) as store:
        await spread(store)
    foreign = cluster.empty_database("foreign")
    async with opened(foreign) as store:
        await spread(store, 1)
    for wrong, sentence in [
        ([urls[1]], "lacks the first database"),
        ([urls[0]], "lacks databases of this log"),
        ([*urls, urls[1]], "names a database twice"),
        ([*urls, foreign], "different logs"),
    ]:
        with pytest.raises(ConfigError, match=sentence):
            await PostgresStore(*wrong).open()
    cluster.sql("DELETE FROM conduit.shard", "foreign")
    with pytest.raises(ConfigError, match="topics of its own"):
        await PostgresStore(*urls, foreign).open()


async def test_a_home_that_lacks_a_shard_is_refused_as_long_as_that_has_topics(urls):
    async with opened(*urls) as store:
        ids = await spread(store)
        for id_ in ids.values():
            if id_ % 64 == 1:
                await store.topic_delete(id_)
    async with opened(urls[0]) as store:
        assert set(await listed(store)) == {name for name, id_ in ids.items() if id_ % 64 == 0}


async def test_an_empty_database_takes_the_place_of_none_and_may_be_added_beside_all(urls, cluster):
    empty = cluster.empty_database("third")
    async with opened(*urls) as store:
        ids = await spread(store)
    for wrong in ([urls[0], empty], [empty, urls[0]], [empty, urls[1]]):
        with pytest.raises(ConfigError, match=r"lacks .*, and has new ones: .*/third") as caught:
            await PostgresStore(*wrong).open()
        assert "first database" in str(caught.value) or "/second, and has" in str(caught.value)
    assert cluster.sql("SELECT FROM conduit.shard", "third") == ""
    async with opened(*urls, empty) as store:
        assert sorted(store.shards) == [0, 1, 2]
        assert await listed(store) == ids


async def test_the_number_of_a_database_is_never_given_again(urls, cluster):
    third = cluster.empty_database("third")
    async with opened(*urls) as store:
        assert sorted(store.shards) == [0, 1]
    async with opened(urls[0], third) as store:
        assert sorted(store.shards) == [0, 2]
        ids = await spread(store)
    async with opened(*urls, third) as store:
        assert await listed(store) == ids
    with pytest.raises(ConfigError, match="/third"):
        await PostgresStore(*urls).open()


async def test_a_database_that_is_named_twice_is_refused_before_anything_is_written(urls, cluster):
    same = urls[0].replace("127.0.0.1", "localhost")
    for other in (urls[0], same):
        with pytest.raises(ConfigError, match=r"names a database twice: .* are the same"):
            await PostgresStore(urls[0], other).open()
    assert cluster.sql("SELECT to_regnamespace('conduit')") == ""
    async with opened(*urls) as store:
        await spread(store)


async def test_an_older_log_whose_home_knows_no_other_database_yet_is_known_by_its_topics(
    urls, cluster
):
    async with opened(*urls) as store:
        await spread(store)
    cluster.sql("DELETE FROM conduit.facts WHERE name LIKE 'shard.%'")
    with pytest.raises(
        ConfigError, match="that have topics: one of which it is not known where it was"
    ):
        await PostgresStore(urls[0], cluster.empty_database("third")).open()
