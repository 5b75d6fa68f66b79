import asyncio

import pytest

from conduit.core.message import Progress, SubscriptionSettings
from conduit.errors import Conflict
from conduit.storage.base import Start, StartPlace
from tests.storage import given
from tests.storage.given import NOW_MS, TENANT, by_topic


async def test_a_new_subscription_is_listed_as_it_was_created(store):
    settings = SubscriptionSettings("auto", "strict", 7, 8, 9, 10)
    created = await store.subscription_create(
        TENANT, "billing", "orders.>", settings, Start(), NOW_MS
    )
    assert (created.tenant, created.name, created.pattern) == (TENANT, "billing", "orders.>")
    assert (created.created_at_ms, created.paused, created.settings) == (NOW_MS, False, settings)
    assert await store.subscriptions() == [created]


async def test_a_subscription_of_that_name_exists_once_in_a_tenant(store):
    ours = await given.subscription(store)
    with pytest.raises(Conflict) as caught:
        await given.subscription(store, pattern="other")
    assert caught.value.code == "subscription_exists"
    assert await store.subscriptions() == [ours]
    theirs = await given.subscription(store, tenant="theirs")
    assert theirs.subscription_id != ours.subscription_id


def at(*, is_made_anew=False, time_ms=None, **seqs):
    """Makes a start at these numbers from the topics' ids; `is_made_anew`: the ids are others by now."""

    def start(topics):
        places = {
            f"orders.{name}": StartPlace(0 if is_made_anew else topics[name], seq)
            for name, seq in seqs.items()
        }
        return Start(positions=places, time_ms=time_ms)

    return start


STARTS = [
    (Start(), {"eu": 10, "us": 4, "new": 0}),
    (Start(earliest=True), {"eu": 2, "us": 0, "new": 0}),
    (Start(seq=1), {"eu": 0, "us": 0, "new": 0}),
    (Start(seq=4), {"eu": 3, "us": 3, "new": 0}),
    (Start(seq=0), {"eu": 0, "us": 0, "new": 0}),
    (Start(seq=99), {"eu": 10, "us": 4, "new": 0}),
    (Start(time_ms=NOW_MS + 3), {"eu": 3, "us": 3, "new": 0}),
    (Start(time_ms=NOW_MS + 4), {"eu": 4, "us": 4, "new": 0}),
    # Retention has removed the first two of `eu`, which were published at 0 and 1 ms.
    (Start(time_ms=NOW_MS + 2), {"eu": 2, "us": 2, "new": 0}),
    (Start(time_ms=NOW_MS + 1), {"eu": 0, "us": 1, "new": 0}),
    (Start(time_ms=0), {"eu": 0, "us": 0, "new": 0}),
    (Start(time_ms=NOW_MS + 99), {"eu": 10, "us": 4, "new": 0}),
    (at(eu=6), {"eu": 5, "us": 4, "new": 0}),
    (at(us=99, eu=0), {"eu": 0, "us": 4, "new": 0}),
    (at(us=3, time_ms=NOW_MS + 4), {"eu": 4, "us": 2, "new": 0}),
    (at(is_made_anew=True, eu=6, us=3), {"eu": 2, "us": 0, "new": 0}),
]


@pytest.mark.parametrize(("start", "expected"), STARTS)
async def test_where_a_start_is_in_every_matching_topic(store, topics, start, expected):
    if not isinstance(start, Start):
        start = start(topics)
    floors = {topics[name]: floor for name, floor in expected.items()}
    assert dict(await store.positions(TENANT, "orders.*", start)) == floors


@pytest.mark.parametrize(("start", "expected"), STARTS)
async def test_a_subscription_has_progress_where_it_does_not_begin_at_the_first_number(
    store, topics, start, expected
):
    if not isinstance(start, Start):
        start = start(topics)
    created = await store.subscription_create(
        TENANT, "billing", "orders.*", SubscriptionSettings(), start, NOW_MS
    )
    rows = await store.progress(created.subscription_id)
    assert sorted((row.topic_id, row.floor, row.cursor, row.open) for row in rows) == sorted(
        (topics[name], floor, floor, b"") for name, floor in expected.items() if floor
    )


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("orders.eu", {"eu"}),
        ("orders.*", {"eu", "us", "new"}),
        ("orders.>", {"eu", "us", "new"}),
        ("*.eu", {"eu"}),
        ("orders.e", set()),
        ("refunds", set()),
    ],
)
async def test_a_pattern_means_the_topics_of_its_tenant(store, topics, pattern, names):
    found = await store.positions(TENANT, pattern, Start())
    assert {topic_id for topic_id, _ in found} == {topics[name] for name in names}


async def test_a_subscription_on_many_topics_is_one_value_until_something_is_recorded(store):
    topic_ids = [(await given.topic(store, f"t{n}")).topic_id for n in range(30)]
    await store.append([given.message(id_) for id_ in topic_ids])
    created = await given.subscription(store, pattern=">")
    floors = dict.fromkeys(topic_ids, 1)
    assert await given.floors(store, created.subscription_id) == floors
    assert await given.recorded_count(store) == 0
    later = await given.topic(store, "later")
    await given.messages(store, later.topic_id, 2)
    recorded = [
        Progress(created.subscription_id, topic_ids[7], 5, 9, b"open"),
        Progress(created.subscription_id, later.topic_id, 1, 2),
    ]
    await store.settle(recorded, [])
    assert await given.recorded_count(store) == 2
    found = await store.progress(created.subscription_id)
    assert [row for row in found if row in recorded] == sorted(recorded, key=by_topic)
    floors |= {topic_ids[7]: 5, later.topic_id: 1}
    assert {row.topic_id: row.floor for row in found} == floors
    assert len(found) == len(floors)


async def test_a_subscription_that_is_moved_on_many_topics_is_one_value_again(store):
    topic_ids = [(await given.topic(store, f"t{n}")).topic_id for n in range(30)]
    ours, other = [await given.subscription(store, name, ">", seq=1) for name in ("s", "t")]
    rows = [
        Progress(created.subscription_id, id_, 5, 9, b"open")
        for created in (ours, other)
        for id_ in topic_ids[:20]
    ]
    await store.settle(rows, [])
    await store.seek(ours.subscription_id, [(id_, 3) for id_ in topic_ids[10:]])
    # What was recorded in the ten others, and what another subscription has.
    assert await given.recorded_count(store) == 10 + 20
    floors = dict.fromkeys(topic_ids[:10], 5) | dict.fromkeys(topic_ids[10:], 3)
    assert await given.floors(store, ours.subscription_id) == floors
    assert sorted(await store.progress(other.subscription_id), key=by_topic) == rows[20:]
    # Moved anew it is only where it was moved to last.
    await store.seek(ours.subscription_id, [(topic_ids[29], 4)])
    floors = dict.fromkeys(topic_ids[:10], 5) | {topic_ids[29]: 4}
    assert await given.floors(store, ours.subscription_id) == floors


async def test_where_a_subscription_begins_goes_with_the_topic_and_is_not_its_successors(store):
    orders = await given.topic(store)
    await given.messages(store, orders.topic_id, 3)
    created = await given.subscription(store)
    await store.topic_delete(orders.topic_id)
    assert await store.progress(created.subscription_id) == []
    successor = await given.topic(store)
    assert await store.progress(created.subscription_id) == []
    await store.seek(created.subscription_id, [(orders.topic_id, 3), (successor.topic_id, 0)])
    assert await given.floors(store, created.subscription_id) == {successor.topic_id: 0}


async def test_what_was_acked_before_a_subscription_is_made_is_not_new_and_the_rest_is(store):
    topic = await given.topic(store)
    await given.messages(store, topic.topic_id, 2)
    # The third is not acked yet; the store decides which side it is on.
    append = store.append([given.message(topic.topic_id)])
    _, created = await asyncio.gather(append, given.subscription(store))
    await given.messages(store, topic.topic_id, 1)
    assert (await given.floors(store, created.subscription_id))[topic.topic_id] in (2, 3)


async def test_a_subscription_begins_between_two_commits(store):
    record = await given.topic(store)
    batches = [[given.message(record.topic_id) for _ in range(3)] for _ in range(20)]
    calls = [store.append(batch) for batch in batches]
    create = store.subscription_create(
        TENANT, "billing", "orders", SubscriptionSettings(), Start(), NOW_MS
    )
    calls.insert(10, create)
    results = await asyncio.gather(*calls)
    floors = await given.floors(store, results[10].subscription_id)
    # Which two is the store's affair.
    assert floors.get(record.topic_id, 0) in range(0, 61, 3)


async def test_settings_and_the_paused_flag_are_replaced(store):
    created = await given.subscription(store)
    settings = SubscriptionSettings(max_in_flight=1)
    await store.subscription_update(created.subscription_id, settings, True)
    [record] = await store.subscriptions()
    assert (record.settings, record.paused) == (settings, True)
    await store.subscription_update(created.subscription_id, settings, False)
    assert (await store.subscriptions())[0].paused is False


async def test_updating_or_deleting_an_unknown_subscription_does_nothing(store):
    created = await given.subscription(store)
    unknown = created.subscription_id + 1
    await store.subscription_update(unknown, SubscriptionSettings(max_in_flight=1), True)
    await store.subscription_delete(unknown)
    assert await store.subscriptions() == [created]
    assert await store.progress(unknown) == []


async def test_a_deleted_subscription_is_gone_with_its_progress(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 3)
    before = await given.subscription(store)
    await store.subscription_delete(before.subscription_id)
    assert await store.subscriptions() == []
    assert await store.progress(before.subscription_id) == []
    after = await given.subscription(store, seq=1)
    assert after.subscription_id != before.subscription_id
    assert await store.progress(after.subscription_id) == []
