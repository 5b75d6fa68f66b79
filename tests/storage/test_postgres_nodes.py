"""Leases of nodes as PostgreSQL keeps them, directly and through a pooler in transaction mode."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import asyncpg
import pytest
import uuid_utils

from conduit.core.lease import LEASE_S
from conduit.errors import OutcomeUnknown, StateError, StoreUnavailable
from conduit.storage.memory import MemoryStore
from conduit.storage.nodes import Joined, Node, NodeStore, Superseded, Taken
from conduit.storage.postgres import PostgresStore, database
from conduit.storage.postgres.nodes import PostgresNodes
from conduit.storage.sqlite import SqliteStore
from tests.storage.postgres_kit import opened
from tests.support.postgres import DATABASE

pytestmark = pytest.mark.process

HOUR_AGO = "UPDATE conduit.nodes SET lease_until = now() - interval '61 min' WHERE name = '{}'"
OVER = "UPDATE conduit.nodes SET lease_until = now() WHERE name = '{}'"
# As after PostgreSQL's clock was set back by an hour.
SET_BACK = "UPDATE conduit.nodes SET lease_until = lease_until + interval '1 hour'"


def node(name: str = "a", **more) -> Node:
    """A start of a node of this name."""
    values = {
        "incarnation": str(uuid_utils.uuid7()),
        "address": f"{name}.example:8080",
        "version": "1.2.3",
        "protocol": 1,
    }
    return Node(name=name, **(values | more))


@pytest.fixture(params=["direct", "pooler"])
async def store(request, database_url):
    url = database_url
    if request.param == "pooler":
        url = request.getfixturevalue("pgbouncer").url(DATABASE)
    async with opened(url) as made:
        yield made


@pytest.fixture
def nodes(store) -> NodeStore:
    return store.nodes


async def joined(nodes: NodeStore, name: str = "a") -> Node:
    made = node(name)
    assert isinstance(await nodes.join(made, "up"), Joined)
    return made


async def renewed(nodes: NodeStore, of: Node, state="up"):
    return await nodes.renew(of.name, of.incarnation, state)


async def test_a_node_that_joins_is_told_of_all_itself_among_them(nodes):
    await joined(nodes)
    second = node("b")
    answer = await nodes.join(second, "draining")
    assert isinstance(answer, Joined)
    assert {each.name for each in answer.nodes} == {"a", "b"}
    record = next(each for each in answer.nodes if each.name == "b")
    assert Node(**{name: getattr(record, name) for name in Node.__struct_fields__}) == second
    assert (record.state, record.number, record.has_left) == ("draining", 1, False)
    assert record.is_live
    assert LEASE_S - 1 < record.left_s <= LEASE_S
    assert record.lease_until_ms - record.started_at_ms == pytest.approx(LEASE_S * 1000, abs=5)


async def test_a_renewal_prolongs_the_lease_notes_the_state_and_returns_all(nodes):
    first, second = await joined(nodes, "a"), await joined(nodes, "b")
    before = {each.name: each for each in await renewed(nodes, first)}
    found = {each.name: each for each in await renewed(nodes, second, "draining")}
    assert set(found) == {"a", "b"}
    assert found["b"].lease_until_ms > before["b"].lease_until_ms
    assert found["a"].lease_until_ms == before["a"].lease_until_ms
    assert found["a"].left_s < before["a"].left_s
    assert (found["a"].state, found["b"].state) == ("up", "draining")
    # As the others see it, too.
    found = {each.name: each for each in await renewed(nodes, first)}
    assert found["b"].state == "draining"


async def test_a_name_whose_lease_holds_is_taken_and_the_row_stays_as_it_is(nodes):
    first = await joined(nodes)
    [before] = await renewed(nodes, first)
    answer = await nodes.join(node(address="elsewhere:1"), "up")
    assert isinstance(answer, Taken)
    assert (answer.by.incarnation, answer.by.address) == (first.incarnation, first.address)
    assert answer.by.lease_until_ms == before.lease_until_ms
    assert 0 < answer.by.left_s <= LEASE_S
    [after] = await renewed(nodes, first)
    assert after.number == 1


async def test_a_lease_that_is_over_is_replaced_and_who_had_it_is_told(nodes, cluster):
    first = await joined(nodes)
    cluster.sql(OVER.format("a"))
    second = await joined(nodes)
    answer = await renewed(nodes, first)
    assert isinstance(answer, Superseded)
    assert answer.by.incarnation == second.incarnation
    [record] = await renewed(nodes, second)
    assert (record.incarnation, record.number) == (second.incarnation, 2)


async def test_of_two_that_join_under_one_name_at_once_one_has_it(store):
    async with other(store) as second:
        answers = await asyncio.gather(*(each.join(node(), "up") for each in (store.nodes, second)))
    assert sorted(type(answer).__name__ for answer in answers) == ["Joined", "Taken"]


async def test_who_joins_again_because_the_answer_was_lost_is_the_same_start(nodes):
    first = await joined(nodes)
    answer = await nodes.join(first, "up")
    assert isinstance(answer, Joined)
    assert [each.number for each in answer.nodes] == [1]


async def test_who_renews_late_has_its_lease_again_if_nobody_has_the_name(nodes, cluster):
    first, second = await joined(nodes, "a"), await joined(nodes, "b")
    cluster.sql(OVER.format("a"))
    assert [each.name for each in await renewed(nodes, second) if not each.is_live] == ["a"]
    assert all(each.is_live for each in await renewed(nodes, first))


async def test_who_leaves_has_no_lease_any_more_whatever_it_has_sent_before(nodes):
    first, second = await joined(nodes, "a"), await joined(nodes, "b")
    await nodes.leave("a", first.incarnation)
    found = {each.name: each for each in await renewed(nodes, second)}
    assert (found["a"].is_live, found["a"].has_left, found["b"].is_live) == (False, True, True)
    # What comes late.
    assert await renewed(nodes, first) == Superseded(None)
    with pytest.raises(StateError):
        await nodes.join(first, "up")
    await nodes.leave("a", first.incarnation)
    found = {each.name: each for each in await renewed(nodes, second)}
    assert not found["a"].is_live
    # The name is free.
    third = await joined(nodes, "a")
    found = {each.name: each for each in await renewed(nodes, third)}
    assert (found["a"].is_live, found["a"].has_left) == (True, False)


async def test_only_the_incarnation_itself_can_leave(nodes):
    first = await joined(nodes)
    await nodes.leave("a", node().incarnation)
    assert not isinstance(await renewed(nodes, first), Superseded)


async def test_an_incarnation_that_the_store_does_not_know_has_to_join(nodes):
    assert await renewed(nodes, node()) == Superseded(None)


async def test_what_is_gone_for_an_hour_is_forgotten(nodes, cluster):
    first = await joined(nodes, "a")
    await joined(nodes, "b")
    gone = await joined(nodes, "c")
    cluster.sql(HOUR_AGO.format("c"))
    assert await nodes.forget() == 1
    assert await nodes.forget() == 0
    assert {each.name for each in await renewed(nodes, first)} == {"a", "b"}
    assert await renewed(nodes, gone) == Superseded(None)
    await joined(nodes, "c")


async def test_leases_of_before_the_clock_of_the_database_was_set_back_end_in_time(nodes, cluster):
    first, killed = await joined(nodes, "a"), await joined(nodes, "b")
    cluster.sql(SET_BACK)
    found = {each.name: each for each in await renewed(nodes, first)}
    assert found["b"].left_s == LEASE_S
    left_s = cluster.sql(
        "SELECT max(extract(epoch FROM lease_until - clock_timestamp())) FROM conduit.nodes"
    )
    assert float(left_s) <= LEASE_S
    # Also where nobody renews.
    cluster.sql(SET_BACK)
    answers = [await nodes.join(node("b"), "up") for _ in range(2)]
    assert [answer.by.incarnation for answer in answers] == [killed.incarnation] * 2
    assert len({answer.by.lease_until_ms for answer in answers}) == 1
    assert answers[1].by.left_s < LEASE_S


# What else the database does ------------------------------------------------------------------------


@asynccontextmanager
async def other(store: PostgresStore):
    """The same on another connection."""
    made = PostgresNodes(store._home.database)
    try:
        yield made
    finally:
        await made.close()


async def test_neither_a_full_pool_nor_a_slow_search_costs_a_lease(store, nodes):
    first = await joined(nodes)

    async def hang(connection: asyncpg.Connection) -> None:
        await connection.execute("SELECT pg_sleep(1.5)")

    home = store._home.database
    # So many as the pooler of these tests has sessions, but one.
    slow = [home.search(hang), home.list(hang)]
    if not home.has_pooler:
        slow += [home.ask(hang) for _ in range(database.CONTROL_COUNT + 1)]
        slow += [home.read(hang) for _ in range(database.READERS_COUNT + 1)]
    hanging = asyncio.gather(*slow)
    for _ in range(10):
        assert len(await renewed(nodes, first)) == 1
    assert not hanging.done()
    await hanging


async def test_a_row_that_somebody_holds_is_waited_for_within_the_deadline(store, nodes, cluster):
    first = await joined(nodes)
    await joined(nodes, "gone")
    cluster.sql(HOUR_AGO.format("gone"))
    connection = await asyncpg.connect(cluster.url())
    loop = asyncio.get_running_loop()
    async with connection.transaction():
        await connection.execute("SELECT FROM conduit.nodes FOR UPDATE")
        began_at = loop.time()
        with pytest.raises(StoreUnavailable, match="lock"):
            await renewed(nodes, first)
        with pytest.raises(StoreUnavailable, match="lock"):
            await nodes.join(node(), "up")
        assert loop.time() - began_at < 2.5
        # What is removed is what nobody holds.
        assert await nodes.forget() == 0
    assert await nodes.forget() == 1
    assert len(await renewed(nodes, first)) == 1
    await connection.close()


async def test_without_an_answer_a_call_ends_in_time_and_the_next_one_works(store, nodes, cluster):
    first = await joined(nodes)

    async def hang(connection: asyncpg.Connection) -> None:
        await connection.execute("SELECT pg_sleep(60)")

    with pytest.raises(OutcomeUnknown, match="in 1 s"):
        await nodes._call(hang)
    assert len(await renewed(nodes, first)) == 1


async def test_a_call_whose_caller_is_gone_has_its_end_before_the_next_one(nodes):
    first = await joined(nodes)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(renewed(nodes, first), 0)
    assert len(await renewed(nodes, first)) == 1


async def test_after_a_restart_of_the_database_a_call_works_again(database_url, cluster):
    async with opened(database_url) as store:
        first = await joined(store.nodes)
        cluster.stop()
        try:
            with pytest.raises((StoreUnavailable, OutcomeUnknown)):
                await renewed(store.nodes, first)
        finally:
            cluster.start()
        assert len(await renewed(store.nodes, first)) == 1


# Which stores have it -------------------------------------------------------------------------------


async def test_of_several_databases_the_home_has_the_nodes(
    database_url, second_database_url, cluster
):
    async with opened(database_url, second_database_url) as store:
        await joined(store.nodes)
    # Whatever the order of the list.
    async with opened(second_database_url, database_url) as store:
        await joined(store.nodes, "b")
    count = "SELECT count(*) FROM conduit.nodes"
    assert (cluster.sql(count), cluster.sql(count, "second")) == ("2", "0")


def test_stores_of_one_process_have_none(tmp_path):
    assert MemoryStore().nodes is None
    assert SqliteStore(tmp_path / "log.db").nodes is None
