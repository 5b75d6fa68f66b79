"""Progress as it is settled, sought and claimed; with pages and without."""

import asyncio

import pytest

from conduit.core.message import Death, Progress
from tests.storage import given
from tests.storage.given import TENANT, by_topic, paged


async def test_progress_is_stored_and_replaced(store):
    topic_ids = [(await given.topic(store, name)).topic_id for name in ("a", "b")]
    created = await given.subscription(store, pattern=">")
    first = [Progress(created.subscription_id, id_, 1, 5, bytes(range(256))) for id_ in topic_ids]
    await store.settle(first, [])
    assert sorted(await store.progress(created.subscription_id), key=by_topic) == first
    second = Progress(created.subscription_id, topic_ids[0], 4, 9, b"")
    await store.settle([second], [])
    rows = await store.progress(created.subscription_id)
    assert sorted(rows, key=by_topic) == [second, first[1]]


async def test_progress_of_many_topics_is_one_call(store):
    topic_ids = [(await given.topic(store, f"t{n}")).topic_id for n in range(30)]
    subscriptions = [await given.subscription(store, f"s{n}", ">") for n in range(20)]
    rows = [
        Progress(one.subscription_id, topic_id, n, n)
        for one in subscriptions
        for n, topic_id in enumerate(topic_ids)
    ]
    await store.settle(rows, [])
    for one in subscriptions:
        floors = await given.floors(store, one.subscription_id)
        assert floors == dict(zip(topic_ids, range(30), strict=True))


async def test_progress_of_what_is_gone_is_skipped_and_the_rest_is_stored(store):
    gone, kept = await given.topic(store, "gone"), await given.topic(store, "kept")
    foreign = await given.topic(store, "kept", "others")
    old, new = await given.subscription(store, "old"), await given.subscription(store, "new")
    await store.topic_delete(gone.topic_id)
    await store.subscription_delete(old.subscription_id)
    rows = [
        Progress(new.subscription_id, gone.topic_id, 1, 1),
        Progress(old.subscription_id, kept.topic_id, 2, 2),
        Progress(new.subscription_id, kept.topic_id, 3, 3),
        Progress(new.subscription_id, foreign.topic_id, 4, 4),
    ]
    await store.settle(rows, [])
    assert await store.progress(new.subscription_id) == [rows[2]]
    assert await store.progress(old.subscription_id) == []


async def test_what_an_owner_before_the_newest_stores_is_refused_with_its_deaths(store):
    topic = await given.topic(store)
    await given.messages(store, topic.topic_id, 5)
    shared, other = (
        await given.subscription(store, "shared", seq=1),
        await given.subscription(store),
    )
    ids = shared.subscription_id, other.subscription_id

    def rows(fence: int | None, floor: int) -> list[Progress]:
        return [Progress(id_, topic.topic_id, floor, floor, fence=fence) for id_ in ids]

    def deaths(seq: int) -> list[Death]:
        return [
            given.death(
                topic.topic_id, seq, f"d{seq}-{id_}", subscription=name, subscription_id=id_
            )
            for id_, name in zip(ids, ("shared", "billing"), strict=True)
        ]

    first = await store.subscription_claim(shared.subscription_id)
    await store.subscription_claim(other.subscription_id)
    assert await store.settle(rows(first, 1), deaths(1)) == set()
    second = await store.subscription_claim(shared.subscription_id)
    assert second > first
    assert await store.settle(rows(first, 2), deaths(2)) == {shared.subscription_id}
    assert await given.floors(store, shared.subscription_id) == {topic.topic_id: 1}
    assert await given.floors(store, other.subscription_id) == {topic.topic_id: 2}
    assert await store.dead_of("shared", topic.topic_id, 2) is None
    assert await store.dead_of("billing", topic.topic_id, 2) is not None
    assert await store.settle(rows(second, 3), []) == set()
    assert await store.settle(rows(None, 4), []) == set()
    assert await given.floors(store, shared.subscription_id) == {topic.topic_id: 4}


async def test_claiming_what_is_gone_does_nothing(store):
    created = await given.subscription(store)
    await store.subscription_delete(created.subscription_id)
    await store.subscription_claim(created.subscription_id)
    assert await store.subscriptions() == []


async def test_settling_nothing_is_allowed(store):
    await store.settle([], [])


async def test_seeking_replaces_the_progress_of_the_given_topics(store):
    a, b = await given.topic(store, "a"), await given.topic(store, "b")
    created = await given.subscription(store, pattern=">")
    rows = [Progress(created.subscription_id, t.topic_id, 5, 9, b"open") for t in (a, b)]
    await store.settle(rows, [])
    await store.seek(created.subscription_id, [(a.topic_id, 2)])
    rows[0] = Progress(created.subscription_id, a.topic_id, 2, 2)
    assert sorted(await store.progress(created.subscription_id), key=by_topic) == rows
    await store.seek(created.subscription_id, [(a.topic_id, 0), (b.topic_id, 1)])
    assert await given.floors(store, created.subscription_id) == {a.topic_id: 0, b.topic_id: 1}


@pytest.mark.parametrize("dies", [False, True])
async def test_of_what_is_settled_and_then_sought_at_once_the_seek_is_stored_last(store, dies):
    topic = await given.topic(store)
    created = await given.subscription(store)
    await given.messages(store, topic.topic_id, 3)
    place = (created.subscription_id, topic.topic_id)
    deaths = [given.death(topic.topic_id, 2, "d1", subscription="billing")] if dies else []
    settling = store.settle([Progress(*place, 3, 3)], deaths)
    await asyncio.gather(settling, store.seek(place[0], [(place[1], 1)]))
    assert await store.progress(place[0]) == [Progress(*place, 1, 1)]


async def test_seeking_what_is_gone_or_another_tenants_does_nothing(store):
    gone = await given.topic(store)
    foreign = await given.topic(store, tenant="foreign")
    created = await given.subscription(store)
    await store.seek(created.subscription_id, [(foreign.topic_id, 3)])
    assert await store.progress(created.subscription_id) == []
    await store.topic_delete(gone.topic_id)
    await store.seek(created.subscription_id, [(gone.topic_id, 3)])
    await store.seek(created.subscription_id + 1, [(gone.topic_id, 3)])
    assert await store.progress(created.subscription_id) == []


async def test_of_pages_those_that_are_given_are_stored_and_the_others_stay(store):
    topics = [await given.topic(store, name) for name in ("a", "b")]
    created = await given.subscription(store, pattern=">")
    one, other = [(created.subscription_id, topic.topic_id) for topic in topics]
    await store.settle([paged(one, {0: b"zero", 7: b"seven"}), paged(other, {7: b"other"})], [])
    await store.settle([paged(one, {7: b"", 8: b"\x00eight", 9: b""}), paged(other, {})], [])
    rows = sorted(await store.progress(created.subscription_id), key=by_topic)
    assert rows == [paged(one, {0: b"zero", 8: b"\x00eight"}), paged(other, {7: b"other"})]


async def test_pages_of_an_owner_before_the_newest_and_of_what_is_gone_are_skipped(store):
    topic, gone = await given.topic(store), await given.topic(store, "gone")
    created = await given.subscription(store)
    place = (created.subscription_id, topic.topic_id)
    old, new = [await store.subscription_claim(place[0]) for _ in range(2)]
    await store.settle([paged(place, {1: b"new"}, new)], [])
    assert await store.settle([paged(place, {1: b"", 2: b"old"}, old)], []) == {place[0]}
    await store.topic_delete(gone.topic_id)
    await store.settle([paged((place[0], gone.topic_id), {3: b"gone"}, new)], [])
    assert await store.progress(place[0]) == [paged(place, {1: b"new"})]


async def test_pages_go_with_the_progress_that_is_sought_and_do_not_come_back(store):
    topics = [await given.topic(store, name) for name in ("a", "b")]
    created = await given.subscription(store, pattern=">")
    places = [(created.subscription_id, topic.topic_id) for topic in topics]
    await store.settle([paged(place, {5: b"five"}) for place in places], [])
    await store.seek(created.subscription_id, [(topics[0].topic_id, 2)])
    await store.settle([paged(places[0], {6: b"six"})], [])
    rows = sorted(await store.progress(created.subscription_id), key=by_topic)
    assert rows == [paged(places[0], {6: b"six"}), paged(places[1], {5: b"five"})]


async def test_pages_of_many_are_one_call(store):
    topic = await given.topic(store)
    created = await given.subscription(store)
    place = (created.subscription_id, topic.topic_id)
    pages = {number: b"%d" % number for number in range(1500)}
    await store.settle([paged(place, pages)], [])
    assert await store.progress(place[0]) == [paged(place, pages)]
    await store.settle([paged(place, dict.fromkeys(range(1, 1500), b""))], [])
    assert await store.progress(place[0]) == [paged(place, {0: b"0"})]


async def test_after_a_seek_nothing_is_remembered_of_letters_of_what_comes_again(store):
    record, other = [await given.topic(store, name) for name in ("orders", "other")]
    await given.subscription(store, "shipping", ">")
    created = await given.subscription(store, "billing", ">")
    deaths = []
    for name, topic in (("billing", record), ("billing", other), ("shipping", record)):
        await given.messages(store, topic.topic_id, 3)
        deaths += [
            given.death(topic.topic_id, n, f"{name}-{topic.name}-{n}", subscription=name)
            for n in (1, 2, 3)
        ]
    await store.settle([], deaths)
    await store.dead_delete(TENANT, [death.dead_id for death in deaths])
    await store.seek(created.subscription_id, [(record.topic_id, 1)])
    fates = {
        death.dead_id: await given.fate(store, death.subscription, death.topic_id, death.seq)
        for death in deaths
    }
    assert {dead_id for dead_id, fate in fates.items() if fate is None} == {
        "billing-orders-2",
        "billing-orders-3",
    }
