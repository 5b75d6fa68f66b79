"""Owners and their leases in PostgreSQL, directly and through a pooler in transaction mode."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
import uuid_utils

from conduit.core.lease import LEASE_S
from conduit.storage.base import OwnedBy
from conduit.storage.nodes import Joined, Node
from conduit.storage.postgres.lane import Overtaken, check
from tests.storage import given
from tests.storage.postgres_kit import opened
from tests.storage.test_postgres_lane import unanswered, until_waiting
from tests.support.postgres import DATABASE

pytestmark = pytest.mark.process

OVER = "UPDATE conduit.nodes SET lease_until = clock_timestamp() WHERE incarnation = '{}'"
# As who stores progress does.
HELD = "SELECT FROM conduit.subscriptions WHERE subscription_id = $1 FOR SHARE"


@pytest.fixture(params=["direct", "pooler"])
async def store(request, database_url):
    url = database_url
    if request.param == "pooler":
        url = request.getfixturevalue("pgbouncer").url(DATABASE)
    async with opened(url) as made:
        yield made


@pytest.fixture
async def sql(store, database_url):
    connection = await asyncpg.connect(database_url)
    await connection.execute("SET conduit.tenant = '*'")
    yield connection
    connection.terminate()


@pytest.fixture
async def shared(store) -> int:
    return (await given.subscription(store)).subscription_id


async def joined(store, name: str) -> Node:
    """A node with a lease."""
    node = Node(
        name=name,
        incarnation=str(uuid_utils.uuid7()),
        address=f"{name}.example:8080",
        version="1.2.3",
        protocol=1,
    )
    assert isinstance(await store.nodes.join(node, "up"), Joined)
    return node


async def renewed(store, node: Node) -> None:
    await store.nodes.renew(node.name, node.incarnation, "up")


async def test_what_a_node_has_nobody_else_claims_as_long_as_its_lease_holds(store, shared, sql):
    a, b = await joined(store, "a"), await joined(store, "b")
    fence = await store.subscription_claim(shared, a.incarnation)
    for _ in range(3):
        answer = await store.subscription_claim(shared, b.incarnation)
        assert isinstance(answer, OwnedBy)
        assert answer.owner == a.incarnation
        assert 0 < answer.left_s <= LEASE_S
    assert await store.subscriptions_owned(a.incarnation) == [(shared, fence)]
    # Its own it may claim again.
    assert await store.subscription_claim(shared, a.incarnation) == fence + 1
    assert await store.subscriptions_owned(b.incarnation) == []


@pytest.mark.parametrize("how", ["over", "left", "forgotten", "given up", "by force", "by nobody"])
async def test_what_makes_a_subscription_free_to_claim(store, shared, sql, how):
    a, b = await joined(store, "a"), await joined(store, "b")
    fence = await store.subscription_claim(shared, a.incarnation)
    owner, more = b.incarnation, {}
    if how == "over":
        await sql.execute(OVER.format(a.incarnation))
    elif how == "left":
        await store.nodes.leave("a", a.incarnation)
    elif how == "forgotten":
        await sql.execute("DELETE FROM conduit.nodes WHERE name = 'a'")
    elif how == "given up":
        await store.subscription_release(a.incarnation, [(shared, fence)])
    elif how == "by force":
        more = {"by_force": True}
    else:
        owner = None
    assert await store.subscription_claim(shared, owner, **more) == fence + 1
    assert await store.subscriptions_owned(a.incarnation) == []
    owned = [(shared, fence + 1)] if owner else []
    assert await store.subscriptions_owned(b.incarnation) == owned


async def test_who_waited_for_a_claim_decides_by_the_lease_as_it_is_then(store, shared, sql):
    a, b = await joined(store, "a"), await joined(store, "b")
    await store.subscription_claim(shared, a.incarnation)
    claims = []
    for is_over_at_first in (True, False):
        await renewed(store, a)
        if is_over_at_first:
            await sql.execute(OVER.format(a.incarnation))
        async with sql.transaction():
            await sql.fetch(HELD, shared)
            claim = asyncio.get_running_loop().create_task(
                store.subscription_claim(shared, b.incarnation)
            )
            await until_waiting(sql)
            if is_over_at_first:
                await renewed(store, a)
            else:
                await store.nodes.leave("a", a.incarnation)
        claims.append(await claim)
    assert isinstance(claims[0], OwnedBy), "its owner has prolonged its lease meanwhile"
    assert isinstance(claims[1], int), "its owner has left meanwhile"


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_who_asks_what_it_has_waits_for_claims_that_are_under_way(store, shared, sql, end):
    a, b = await joined(store, "a"), await joined(store, "b")
    fence = await store.subscription_claim(shared, a.incarnation)
    await sql.execute(OVER.format(a.incarnation))
    claim = sql.transaction()
    await claim.start()
    query = "SELECT fence FROM conduit.claim_subscription($1, $2::uuid, false)"
    assert await sql.fetchval(query, shared, b.incarnation) == fence + 1
    # Its lease is there again, and it asks what is left to it.
    await renewed(store, a)
    asking = asyncio.get_running_loop().create_task(store.subscriptions_owned(a.incarnation))
    await until_waiting(sql)
    assert not asking.done()
    await getattr(claim, end)()
    assert await asking == ([] if end == "commit" else [(shared, fence)])


async def test_of_many_nodes_that_claim_at_once_one_has_it(store, shared):
    nodes = [await joined(store, f"n{n}") for n in range(8)]
    for _ in range(5):
        claims = [store.subscription_claim(shared, node.incarnation) for node in nodes]
        fences = [
            (node, answer)
            for node, answer in zip(nodes, await asyncio.gather(*claims), strict=True)
            if isinstance(answer, int)
        ]
        [(winner, fence)] = fences
        assert await store.subscriptions_owned(winner.incarnation) == [(shared, fence)]
        await store.subscription_release(winner.incarnation, [(shared, fence)])


async def test_a_claim_without_an_answer_that_comes_after_the_question_changes_nothing(
    store, shared, sql
):
    ticket = await unanswered(store)
    assert await store.subscriptions_owned(str(uuid_utils.uuid7())) == []
    with pytest.raises(Overtaken):
        await check(sql, ticket)


async def test_a_change_of_owner_is_no_change_for_others_and_a_seek_is_one(store, shared):
    before = (await store.changes(None)).position
    fence = await store.subscription_claim(shared, str(uuid_utils.uuid7()))
    await store.subscription_release(str(uuid_utils.uuid7()), [(shared, fence)])
    assert (await store.changes(before)).subscription_ids == []
    await store.seek(shared, [])
    assert (await store.changes(before)).subscription_ids == [shared]
