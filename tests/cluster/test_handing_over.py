"""What is asked of a durable subscription while it goes from one node to another: several brokers, linked."""

from __future__ import annotations

import asyncio

import pytest

from conduit.broker.deliver.settings import DURABLE
from conduit.names import DEFAULT_TENANT as T
from tests.broker.leased import LeasedStore
from tests.broker.nodes import begun
from tests.cluster.company import Company, a_company
from tests.cluster.links.kit import until

# Much less than anybody waits for another node.
SOON_S = 3.0


@pytest.fixture
def store() -> LeasedStore:
    return LeasedStore()


@pytest.fixture
async def company(store):
    async with a_company("a", "b", store=store) as made:
        for member in made.members.values():
            await member.bench.broker.topics.ensure(T, "t")
        yield made


async def made(company: Company, owner: str) -> str:
    """One that this node is to run, and nobody does yet."""
    name = company.name_for(owner)
    await company["a"].subscriptions.create(T, name, "t", DURABLE, None)
    for member in company.members.values():
        await member.bench.broker.news.catch_up()
    return name


def id_of(company: Company, name: str) -> int:
    return company["a"].bench.broker._owned.get(T, name).subscription_id


async def test_who_waits_at_a_node_that_is_not_the_owner_any_more_goes_to_who_is(company, store):
    name = await made(company, "b")
    # A node that leaves, and is slow.
    store.live.add("third")
    fence = await store.subscription_claim(id_of(company, name), "third")
    client = company["a"].client()
    waiting = begun(client.subscribe(name))
    await until(lambda: store.asked.count(("claim", id_of(company, name))) > 2)
    company.meet("a")
    await store.subscription_release("third", [(id_of(company, name), fence)])
    await company["a"].client().subscribe(name)
    async with asyncio.timeout(SOON_S):
        await waiting
    assert company["a"].settled(name) == 0
    assert store.owner_of(id_of(company, name)) == company["a"].own.incarnation


async def test_what_is_being_loaded_when_the_owner_changes_does_not_stay(company, store):
    name = await made(company, "b")
    store.held.add("progress")
    client = company["b"].client()
    waiting = begun(client.subscribe(name))
    await until(lambda: "progress" in store.waiting)
    company.meet("a")
    await company["b"].exchange.handing_over.over()
    store.release("progress")
    async with asyncio.timeout(SOON_S):
        await waiting
    assert (company["a"].settled(name), company["b"].settled(name)) == (0, -1)
    assert store.owner_of(id_of(company, name)) == company["a"].own.incarnation
    await company["b"].bench.publish_many("t", 2)
    await until(lambda: client.seqs == [1, 2])
