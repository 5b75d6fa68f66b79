"""Who has a subscription: claimed, given up, asked for; in every store."""

from __future__ import annotations

import pytest
import uuid_utils

from conduit.core.message import Progress
from tests.storage import given

# Nodes without a lease: whoever claims takes.
A, B = (str(uuid_utils.uuid7()) for _ in range(2))


async def claimed(store, subscription, owner: str | None = None, **more) -> tuple[int, int]:
    """(id, fence)"""
    id_ = subscription.subscription_id
    return id_, await store.subscription_claim(id_, owner, **more)


async def test_each_claim_has_a_higher_fence_whoever_makes_it(store):
    shared = await given.subscription(store)
    fences = [(await claimed(store, shared, owner))[1] for owner in (None, A, A, B, None, B)]
    assert fences == sorted(set(fences))
    assert await store.subscription_fences([shared.subscription_id]) == {
        shared.subscription_id: fences[-1]
    }


async def test_a_node_has_what_it_claimed_last(store):
    ones = [await given.subscription(store, f"s{n}") for n in range(4)]
    places = [await claimed(store, one, A) for one in ones]
    await claimed(store, ones[1], B)
    await claimed(store, ones[2])
    again = await claimed(store, ones[3], A)
    assert sorted(await store.subscriptions_owned(A)) == [places[0], again]
    assert [id_ for id_, _ in await store.subscriptions_owned(B)] == [ones[1].subscription_id]
    await store.subscription_delete(ones[0].subscription_id)
    assert await store.subscriptions_owned(A) == [again]


async def test_what_is_given_up_is_nobodys(store):
    ones = [await given.subscription(store, f"s{n}") for n in range(3)]
    places = [await claimed(store, one, A) for one in ones]
    assert await store.subscription_release(A, places[:2]) == []
    assert await store.subscriptions_owned(A) == places[2:]
    # Its fence stays: what was stored before is not refused, and nobody else may store.
    ids = [id_ for id_, _ in places]
    assert await store.subscription_fences(ids) == dict(places)


async def test_what_is_given_up_with_no_fence_stays_and_is_told(store):
    ones = [await given.subscription(store, f"s{n}") for n in range(3)]
    place = await claimed(store, ones[0], A)
    await claimed(store, ones[1], B)
    asked = [(one.subscription_id, 0) for one in ones]
    assert await store.subscription_release(A, asked) == [place]
    assert await store.subscriptions_owned(A) == [place]


async def test_what_was_claimed_again_or_is_of_another_node_is_not_given_up(store):
    ones = [await given.subscription(store, f"s{n}") for n in range(2)]
    first = [await claimed(store, one, A) for one in ones]
    again, taken = await claimed(store, ones[0], A), await claimed(store, ones[1], B)
    unknown = (ones[1].subscription_id + 1, 1)
    assert await store.subscription_release(A, [*first, taken, unknown]) == [again]
    assert await store.subscription_release(B, [again]) == []
    assert await store.subscriptions_owned(A) == [again]
    assert await store.subscriptions_owned(B) == [taken]
    assert await store.subscription_release(A, []) == []


async def test_very_many_are_given_up_in_one_call(store):
    ones = [await given.subscription(store, f"s{n}") for n in range(50)]
    places = [await claimed(store, one, A) for one in ones]
    kept = places.pop(20)
    # Others that are not there.
    await store.subscription_release(A, [*places, *((n, 1) for n in range(100_000, 102_000))])
    assert await store.subscriptions_owned(A) == [kept]


async def test_of_what_is_gone_nothing_is_claimed_and_nothing_known(store):
    gone = await given.subscription(store)
    await store.subscription_delete(gone.subscription_id)
    for owner in (None, A):
        assert (await claimed(store, gone, owner))[1] == 0
    assert await store.subscriptions_owned(A) == []
    assert await store.subscription_fences([gone.subscription_id]) == {}


@pytest.mark.parametrize("is_moved_by_it", [True, False])
async def test_what_an_owner_stores_after_a_seek_of_another_is_refused(store, is_moved_by_it):
    topic, created = await given.topic(store), await given.subscription(store)
    place = await claimed(store, created, A)
    fence = place[1] if is_moved_by_it else None
    await store.seek(place[0], [(topic.topic_id, 1)], fence)
    refused = await store.settle([Progress(place[0], topic.topic_id, 5, 5, fence=place[1])], [])
    assert refused == (set() if is_moved_by_it else {place[0]})
    floor = 5 if is_moved_by_it else 1
    assert await given.floors(store, place[0]) == {topic.topic_id: floor}
    # It has it all the same, until it gives it up with the fence that there is now.
    (owned,) = await store.subscriptions_owned(A)
    assert (owned == place) is is_moved_by_it
    assert await store.subscription_release(A, [place]) == ([] if is_moved_by_it else [owned])
    assert await store.subscription_release(A, [owned]) == []
    assert await store.subscriptions_owned(A) == []


async def test_a_seek_of_an_owner_before_the_newest_is_that_of_another(store):
    topic, created = await given.topic(store), await given.subscription(store)
    old, new = await claimed(store, created, A), await claimed(store, created, B)
    await store.seek(old[0], [(topic.topic_id, 1)], old[1])
    rows = [Progress(old[0], topic.topic_id, 5, 5, fence=fence) for _, fence in (old, new)]
    for row in rows:
        assert await store.settle([row], []) == {old[0]}
