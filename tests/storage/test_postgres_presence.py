"""Servers that use one database know of each other."""

from conduit.storage.postgres.presence import GONE_AFTER_LOOKS, Others
from tests.storage.postgres_kit import maintained, opened


def test_what_was_there_at_the_first_look_counts_when_it_is_renewed():
    others = Others()
    others.look({"killed": "1", "lives": "1"})
    assert others.count == 0
    others.look({"killed": "1", "lives": "2"})
    assert others.count == 1


def test_what_comes_later_counts_at_once_and_until_it_is_not_renewed_any_more():
    others = Others()
    others.look({})
    others.look({"b": "1"})
    assert others.count == 1
    for _ in range(GONE_AFTER_LOOKS - 1):
        others.look({"b": "1"})
    assert others.count == 1
    others.look({"b": "1"})
    assert others.count == 0
    others.look({"b": "2"})
    assert others.count == 1
    others.look({})
    assert others.count == 0


async def test_two_stores_on_one_database_see_each_other_and_that_one_is_closed(database_url):
    async with opened(database_url) as one:
        await one.prove(16)
        assert one.server_count == 1
        async with opened(database_url) as two:
            await two.prove(16)
            await one.prove(16)
            await two.prove(16)
            assert (one.server_count, two.server_count) == (2, 2)
            assert one.describe()["servers"] == 2
        await one.prove(16)
        assert one.server_count == 1


async def test_a_server_that_was_killed_is_none_for_the_next_one(database_url, cluster):
    async with opened(database_url) as killed:
        await killed.prove(16)
        async with opened(database_url) as following:
            for _ in range(3):
                await following.prove(16)
            assert following.server_count == 1
    assert cluster.sql("SELECT count(*) FROM conduit.leases WHERE name LIKE 'server %'") == "0"


async def test_of_several_databases_the_home_tells(database_url, second_database_url):
    urls = database_url, second_database_url
    async with opened(*urls) as one, opened(*urls) as two:
        for store in (one, two, one, two):
            for shard in store.shards.values():
                await shard.prove(16)
        assert (one.server_count, two.server_count) == (2, 2)


async def test_rows_of_servers_that_were_killed_do_not_pile_up(database_url, cluster):
    async with opened(database_url) as store:
        cluster.sql(
            "INSERT INTO conduit.leases SELECT 'server ' || n, gen_random_uuid(), now() - interval '1 day'"
            " FROM generate_series(1, 50) AS n"
        )
        await maintained(store)
        assert cluster.sql("SELECT count(*) FROM conduit.leases WHERE until < now()") == "0"
