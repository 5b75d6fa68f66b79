"""What is asked of a durable subscription while it goes from one node to another: several brokers, linked."""

from __future__ import annotations

import asyncio

import pytest

from conduit.broker.administer import altering, letter_acts
from conduit.broker.administer import redriving as redriving_module
from conduit.broker.administer.letter_acts import LetterJob
from conduit.broker.deliver.settings import DURABLE
from conduit.cluster import handing_over, messenger
from conduit.errors import Unavailable
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Reject
from conduit.storage.dead_letters import DeadFilter
from tests.broker.leased import LeasedStore
from tests.broker.nodes import begun
from tests.cluster.company import Company, a_company
from tests.cluster.links.kit import until

pytestmark = pytest.mark.slow

# Much less than anybody waits for another node.
SOON_S = 3.0
COUNT = 20


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


# Redriving ----------------------------------------------------------------------------------------


async def buried(company: Company, store: LeasedStore) -> str:
    """One of node b with dead letters, that nobody runs."""
    name = await made(company, "b")
    client = await company["b"].client().subscribe(name)
    await company["b"].bench.publish_many("t", COUNT)
    await until(lambda: len(client.seqs) == COUNT)
    for id_ in client.ids:
        client.verbs.reject(Reject(id_))
    client.connection.close()
    await company.flush()
    await until(lambda: store.owner_of(id_of(company, name)) is None)
    return name


def redriving(company: Company, node: str, name: str) -> LetterJob:
    jobs = company[node].bench.broker.dead_letters.jobs
    return jobs.start(T, DeadFilter(subscription=name), rate_per_s=1e6, max_count=COUNT)


async def ended(company: Company, job: LetterJob) -> tuple[str, int, int]:
    for _ in range(500):
        await company.flush()
        if job.state != "running":
            break
        await asyncio.sleep(0.01)
    return job.state, job.redriven_count, job.failed_count


async def test_a_redrive_waits_until_the_owner_before_has_given_it_up(company, store):
    name = await buried(company, store)
    await company["b"].client().subscribe(name)
    store.held.add("give_up")
    company.meet("a")
    await until(lambda: company["b"].settled(name) == -1)
    job = redriving(company, "a", name)
    await until(lambda: ("claim", id_of(company, name)) in store.asked[-2:])
    store.release("give_up")
    assert await ended(company, job) == ("done", COUNT, 0)


async def test_a_job_waits_for_an_owner_that_does_not_give_it_up_in_time(
    company, store, monkeypatch
):
    monkeypatch.setattr(redriving_module, "CLAIM_WAIT_MAX_S", 0.01)
    monkeypatch.setattr(letter_acts, "WAIT_AGAIN_S", 0.01)
    name = await buried(company, store)
    id_ = id_of(company, name)
    store.live.add("third")
    fence = await store.subscription_claim(id_, "third")
    job = redriving(company, "a", name)
    await until(lambda: job.error is not None)
    assert (job.state, job.failed_count) == ("running", 0)
    await store.subscription_release("third", [(id_, fence)])
    assert await ended(company, job) == ("done", COUNT, 0)
    assert job.error is None


@pytest.mark.parametrize("what", ["progress", "settle"])
async def test_a_job_goes_on_at_the_next_owner(company, store, monkeypatch, what):
    """The owners change while the subscription is loaded for it, and while what it did is stored."""
    monkeypatch.setattr(letter_acts, "WAIT_AGAIN_S", 0.01)
    monkeypatch.setattr(handing_over, "STORE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(handing_over, "PATIENCE_S", 0.05)
    name = await buried(company, store)
    store.held.add(what)
    job = redriving(company, "b", name)
    await until(lambda: what in store.waiting)
    company.meet("a")
    await company["b"].exchange.handing_over.over()
    client = company["a"].client()
    attached = begun(client.subscribe(name))
    store.release(what)
    async with asyncio.timeout(SOON_S):
        await attached
    assert await ended(company, job) == ("done", COUNT, 0)
    assert company["b"].settled(name) == -1
    await until(lambda: sorted(client.seqs) == list(range(1, COUNT + 1)))


# Seeks and deletions ------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["seek", "delete"])
@pytest.mark.parametrize("asked_at", ["a", "b"])
async def test_what_has_died_at_the_owner_before_is_a_dead_letter(company, store, what, asked_at):
    name = await made(company, "b")
    client = await company["b"].client().subscribe(name)
    await company["b"].bench.publish_many("t", COUNT)
    await until(lambda: len(client.seqs) == COUNT)
    store.held.add("settle")
    for id_ in client.ids:
        client.verbs.reject(Reject(id_))
    company.meet("a")
    subscriptions, id_ = company[asked_at].subscriptions, id_of(company, name)
    if what == "seek":
        change = begun(subscriptions.seek(T, name, "new", dry_run=False))
    else:
        change = begun(subscriptions.delete(T, name))
    # The next owner asks for it, and the one before has it.
    await until(lambda: store.asked.count(("claim", id_)) > 2)
    assert not change.done()
    store.release("settle")
    async with asyncio.timeout(SOON_S):
        await change
    assert len(await store.dead_list(T, DeadFilter(), limit=100)) == COUNT
    await until(lambda: store.owner_of(id_) in (None, company["a"].own.incarnation))


async def test_a_seek_is_refused_while_another_node_does_not_give_it_up(
    company, store, monkeypatch
):
    monkeypatch.setattr(altering, "CLAIM_WAIT_MAX_S", 0.01)
    monkeypatch.setattr(messenger, "REACH_TIMEOUT_S", 0.01)
    name = await made(company, "b")
    id_ = id_of(company, name)
    store.live.add("third")
    fence = await store.subscription_claim(id_, "third")
    for node in "ab":
        with pytest.raises(Unavailable) as refused:
            await company[node].subscriptions.seek(T, name, "new", dry_run=False)
        assert refused.value.code == "unavailable"
        with pytest.raises(Unavailable):
            await company[node].subscriptions.delete(T, name)
    assert (store.fence_of(id_), store.owner_of(id_)) == (fence, "third")


async def test_what_was_claimed_for_a_seek_is_given_up(company, store):
    name = await made(company, "b")
    await company["a"].subscriptions.seek(T, name, "new", dry_run=False)
    assert ("claim", id_of(company, name)) in store.asked
    await until(lambda: store.owner_of(id_of(company, name)) is None)
