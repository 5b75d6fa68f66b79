"""Claims that wait for their turn and are made together; what each means is in test_owners.py."""

from __future__ import annotations

import asyncio

import pytest
import uuid_utils

from conduit.errors import StoreUnavailable
from conduit.storage.base import OwnedBy
from conduit.storage.nodes import Joined, Node
from conduit.storage.postgres import claims, owners
from tests.storage import given
from tests.storage.postgres_kit import opened

pytestmark = pytest.mark.process

COUNT = 20


def incarnation() -> str:
    return str(uuid_utils.uuid7())


@pytest.fixture
async def store(database_url):
    async with opened(database_url) as made:
        yield made


@pytest.fixture
async def ids(store) -> list[int]:
    return [(await given.subscription(store, f"s{n}")).subscription_id for n in range(COUNT)]


@pytest.fixture
def asked(monkeypatch) -> list[int]:
    """How many were claimed in each transaction."""
    found: list[int] = []
    claim = owners.claim

    async def counted(connection, subscription_ids, owner, *, by_force):
        found.append(len(subscription_ids))
        return await claim(connection, subscription_ids, owner, by_force=by_force)

    monkeypatch.setattr(owners, "claim", counted)
    return found


async def test_those_that_wait_go_with_the_next_and_each_hears_of_its_own(store, ids, asked):
    own = incarnation()
    other = Node(name="a", incarnation=incarnation(), address="a:1", version="1", protocol=1)
    assert isinstance(await store.nodes.join(other, "up"), Joined)
    assert await store.subscription_claim(ids[3], other.incarnation) == 1
    await store.subscription_delete(ids[5])
    found = await asyncio.gather(*(store.subscription_claim(id_, own) for id_ in reversed(ids)))
    found.reverse()
    taken = found.pop(3)
    assert isinstance(taken, OwnedBy)
    assert taken.owner == other.incarnation
    assert found == [1] * 4 + [0] + [1] * 14
    assert sum(asked) == 1 + COUNT
    assert len(asked) <= 3


async def test_no_more_go_together_than_may_and_not_those_of_another_kind(
    store, ids, asked, monkeypatch
):
    monkeypatch.setattr(claims, "TOGETHER_MAX_COUNT", 6)
    own = incarnation()
    waits = [store.subscription_claim(id_, own) for id_ in ids[:-1]]
    waits.append(store.subscription_claim(ids[-1], own, by_force=True))
    assert await asyncio.gather(*waits) == [1] * COUNT
    assert max(asked) <= 6
    assert asked[-1] == 1


async def test_one_that_nobody_waits_for_any_more_is_made_in_its_turn(store, ids):
    own = incarnation()
    loop = asyncio.get_running_loop()
    waits = [loop.create_task(store.subscription_claim(id_, own)) for id_ in ids]
    await asyncio.sleep(0)
    for each in waits[5:]:
        each.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    # What is asked later comes after it.
    assert dict(await store.subscriptions_owned(own)) == dict.fromkeys(ids, 1)


async def test_if_the_store_fails_all_of_them_have_failed_and_none_is_made_later(
    store, ids, monkeypatch
):
    own = incarnation()

    async def fail(*_: object, **__: object) -> list[int]:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(owners, "claim", fail)
        waits = (store.subscription_claim(id_, own) for id_ in ids)
        found = await asyncio.gather(*waits, return_exceptions=True)
    assert {type(each) for each in found} == {StoreUnavailable}
    assert await store.subscription_claim(ids[0], own) == 1
    assert await store.subscriptions_owned(own) == [(ids[0], 1)]
