from conduit.core.message import Progress
from conduit.storage.base import Settled, Start
from tests.storage import given
from tests.storage.given import TENANT, paged


async def test_progress_is_given_of_the_topics_that_are_asked_for(store, topics):
    created = await given.subscription(store, pattern="orders.>")
    moved = paged((created.subscription_id, topics["us"]), {3: b"three"})
    await store.settle([moved], [])
    asked = [topics["us"], topics["new"], 10**9]
    assert await store.progress(created.subscription_id, asked) == [moved]
    rows = [Progress(created.subscription_id, topics["eu"], 10, 10)]
    assert await store.progress(created.subscription_id, [topics["eu"]]) == rows
    assert await store.progress(created.subscription_id, []) == []


async def test_progress_in_one_topic_is_given_for_many_subscriptions(store, topics):
    stored, begun, early, unasked = [
        await given.subscription(store, name, pattern="orders.>", **start)
        for name, start in (("a", {}), ("b", {"seq": 9}), ("c", {"earliest": True}), ("d", {}))
    ]
    row = paged((stored.subscription_id, topics["eu"]), {3: b"three"})
    await store.settle([row], [])
    ids = [stored.subscription_id, begun.subscription_id, early.subscription_id, 10**9]
    foreign = await given.subscription(store, "e", tenant="other", pattern="orders.>")
    ids.append(foreign.subscription_id)
    found = await store.progress_at([(each, topics["eu"]) for each in ids])
    assert sorted(found, key=lambda each: each.subscription_id) == [
        row,
        Progress(begun.subscription_id, topics["eu"], 8, 8),
        Progress(early.subscription_id, topics["eu"], 2, 2),
    ]
    await store.topic_delete(topics["eu"])
    ids.append(unasked.subscription_id)
    assert await store.progress_at([(each, topics["eu"]) for each in ids]) == []


async def test_progress_is_given_of_many_places_at_once(store, topics):
    stored, begun, early = [
        await given.subscription(store, name, pattern="orders.>", **start)
        for name, start in (("a", {}), ("b", {"seq": 9}), ("c", {"earliest": True}))
    ]
    foreign = await given.subscription(store, "d", tenant="other", pattern="orders.>")
    row = paged((stored.subscription_id, topics["eu"]), {3: b"three", 4: b"four"})
    await store.settle([row, Progress(stored.subscription_id, topics["us"], 4, 5)], [])
    places = [
        (stored.subscription_id, topics["eu"]),
        (stored.subscription_id, topics["us"]),
        (begun.subscription_id, topics["eu"]),
        (foreign.subscription_id, topics["eu"]),
        (early.subscription_id, 10**9),
        (10**9, topics["eu"]),
    ]
    found = await store.progress_at(places)
    assert sorted(found, key=lambda each: (each.subscription_id, each.topic_id)) == sorted(
        [
            row,
            Progress(stored.subscription_id, topics["us"], 4, 5),
            Progress(begun.subscription_id, topics["eu"], 8, 8),
        ],
        key=lambda each: (each.subscription_id, each.topic_id),
    )
    assert await store.progress_at([]) == []


async def settled(store, subscription_id):
    return (await store.settled([subscription_id]))[subscription_id]


async def test_what_is_settled_in_all_topics_is_one_answer(store, topics):
    created = await given.subscription(store, pattern="orders.>", seq=2)
    # Of `orders.eu` 3 to 10 are stored, and nothing of it is passed; of `orders.us` 1.
    assert await settled(store, created.subscription_id) == Settled(1, [])
    row = paged((created.subscription_id, topics["eu"]), {3: b"three"})
    await store.settle([row, Progress(created.subscription_id, topics["us"], 4, 4)], [])
    assert await settled(store, created.subscription_id) == Settled(7 + 4, [row])
    await store.topic_delete(topics["eu"])
    assert await settled(store, created.subscription_id) == Settled(4, [])
    assert await settled(store, 10**9) == Settled(0, [])


async def test_what_many_have_settled_is_one_answer(store, topics):
    stored, begun, early = [
        await given.subscription(store, name, pattern="orders.>", **start)
        for name, start in (("a", {}), ("b", {"seq": 9}), ("c", {"earliest": True}))
    ]
    foreign = await given.subscription(store, "d", tenant="other", pattern="orders.>")
    eu, us = topics["eu"], topics["us"]
    first = paged((stored.subscription_id, eu), {3: b"three", 4: b"four"})
    second = paged((early.subscription_id, eu), {1: b"one"})
    await store.settle([first, Progress(stored.subscription_id, us, 4, 4), second], [])
    ids = [one.subscription_id for one in (stored, begun, early, foreign)]
    found = await store.settled([*ids, 10**9])
    assert found == {each: await settled(store, each) for each in (*ids, 10**9)}
    assert found[ids[0]] == Settled(7 + 4, [first])
    assert (found[ids[2]].open, found[ids[3]], found[10**9]) == (
        [second],
        Settled(0, []),
        Settled(0, []),
    )
    assert found[ids[1]].passed_count > 0
    assert await store.settled([]) == {}


async def test_very_many_topics_are_given_whole(store):
    # More than any question takes at once.
    names = [f"many.t{number}" for number in range(1_100)]
    for name in names:
        await given.topic(store, name)
    ids = [record.topic_id for record in await store.topics()]
    await store.append([given.message(topic_id) for topic_id in ids])
    created = await given.subscription(store, pattern="many.*")
    rows = await store.progress(created.subscription_id)
    assert sorted((row.topic_id, row.floor) for row in rows) == [(id_, 1) for id_ in sorted(ids)]
    assert len(await store.positions(TENANT, ">", Start())) == len(names)
    assert await settled(store, created.subscription_id) == Settled(len(names), [])
