"""What a store remembers of deleted topics, for the durable subscriptions that followed them."""

import asyncio

import pytest

from conduit.core.message import Progress
from conduit.storage import base
from conduit.storage.base import Former, Heard, Rule
from tests.storage import given
from tests.storage.given import NOW_MS, TENANT


async def progressed(store, subscription_id: int, topic_id: int, floor: int) -> None:
    await store.settle([Progress(subscription_id, topic_id, floor, floor)], [])


async def deleted(store, name: str, followers, now_ms: int = NOW_MS) -> Former:
    """A topic that was made, followed and deleted; what is remembered of it without progress."""
    topic = await given.topic(store, name)
    await store.topic_delete(topic.topic_id, followers, now_ms)
    return Former(name, topic.epoch, 0, 0)


async def test_a_subscription_is_told_of_the_topics_that_were_deleted_while_it_followed_them(store):
    created = await given.subscription(store, pattern=">")
    orders, bills = await given.topic(store, "orders"), await given.topic(store, "bills")
    await given.messages(store, orders.topic_id, 9)
    await progressed(store, created.subscription_id, orders.topic_id, 7)
    assert await store.former(created.subscription_id) == []
    for topic in (orders, bills):
        await store.topic_delete(topic.topic_id, [created.subscription_id], NOW_MS)
    assert set(await store.former(created.subscription_id)) == {
        Former("orders", orders.epoch, 7, 9),
        Former("bills", bills.epoch, 0, 0),
    }
    assert await store.progress(created.subscription_id) == []


@pytest.mark.parametrize("is_moved", [False, True])
async def test_where_it_began_or_was_moved_to_is_what_it_had_settled(store, is_moved):
    orders, bills = await given.topic(store, "orders"), await given.topic(store, "bills")
    for topic, count in ((orders, 9), (bills, 5)):
        await given.messages(store, topic.topic_id, count)
    created = await given.subscription(store, pattern=">")
    await progressed(store, created.subscription_id, orders.topic_id, 12)
    if is_moved:
        await store.seek(created.subscription_id, [(orders.topic_id, 3), (bills.topic_id, 4)])
    for topic in (orders, bills):
        await store.topic_delete(topic.topic_id, [created.subscription_id], NOW_MS)
    assert {
        former.name: former.floor for former in await store.former(created.subscription_id)
    } == ({"orders": 3, "bills": 4} if is_moved else {"orders": 12, "bills": 5})


async def test_a_seek_is_not_taken_for_hearing_of_it(store):
    created = await given.subscription(store, pattern=">")
    before = await deleted(store, "orders", [created.subscription_id])
    successor = await given.topic(store, "orders")
    await store.seek(created.subscription_id, [(successor.topic_id, 0)])
    assert await store.former(created.subscription_id) == [before]


async def test_only_the_followers_are_told(store):
    ours = await given.subscription(store, "ours", ">")
    other = await given.subscription(store, "other", "else")
    foreign = await given.subscription(store, "foreign", ">", tenant="foreign")
    topic = await given.topic(store)
    gone = other.subscription_id + 99
    followers = [gone, ours.subscription_id, foreign.subscription_id]
    await store.topic_delete(topic.topic_id, followers, NOW_MS)
    assert await store.former(ours.subscription_id) == [Former("orders", topic.epoch, 0, 0)]
    for record in (other, foreign):
        assert await store.former(record.subscription_id) == []
    assert await store.former(gone) == []


async def test_deleting_an_unknown_topic_or_one_of_nobody_is_remembered_for_nobody(store):
    created = await given.subscription(store)
    topic = await given.topic(store)
    await store.topic_delete(topic.topic_id + 1, [created.subscription_id], NOW_MS)
    await store.topic_delete(topic.topic_id)
    assert await store.former(created.subscription_id) == []


def heard(record, former: Former, is_over: bool) -> Heard:
    return Heard(record.subscription_id, former.name, former.epoch, is_over)


async def test_it_is_remembered_until_it_was_heard_whatever_is_settled_meanwhile(store):
    ours = await given.subscription(store, "ours", ">")
    other = await given.subscription(store, "other", ">")
    before = await deleted(store, "orders", [ours.subscription_id, other.subscription_id])
    successor = await given.topic(store, "orders")
    await progressed(store, ours.subscription_id, successor.topic_id, 0)
    assert await store.former(ours.subscription_id) == [before]
    await store.former_heard([heard(ours, before, True)])
    assert await store.former(ours.subscription_id) == []
    assert await store.former(other.subscription_id) == [before]


async def test_what_is_heard_before_the_topic_is_made_anew_is_remembered_with_nothing_lost(store):
    created = await given.subscription(store, pattern=">")
    one, other = await given.topic(store, "one"), await given.topic(store, "other")
    for topic in (one, other):
        await given.messages(store, topic.topic_id, 9)
        await progressed(store, created.subscription_id, topic.topic_id, 4)
        await store.topic_delete(topic.topic_id, [created.subscription_id], NOW_MS)
    gone = Former("one", one.epoch, 4, 9)
    await store.former_heard([heard(created, gone, False)])
    assert set(await store.former(created.subscription_id)) == {
        Former("one", one.epoch, 4, 4),
        Former("other", other.epoch, 4, 9),
    }


@pytest.mark.parametrize("is_over", [False, True])
async def test_what_is_heard_of_a_topic_says_nothing_of_one_that_was_deleted_since(store, is_over):
    created = await given.subscription(store, pattern=">")
    first = await deleted(store, "orders", [created.subscription_id])
    second = await deleted(store, "orders", [created.subscription_id])
    await store.former_heard([heard(created, first, is_over)])
    assert await store.former(created.subscription_id) == [second._replace(last_seq=None)]


async def test_hearing_of_what_is_not_remembered_is_ignored(store):
    created = await given.subscription(store)
    await store.former_heard([])
    await store.former_heard([Heard(created.subscription_id + 9, "orders", "e", True)])
    assert await store.former(created.subscription_id) == []


async def test_the_latest_topic_of_a_name_counts_and_more_than_that_may_be_lost(store):
    created = await given.subscription(store)
    first = await deleted(store, "orders", [created.subscription_id])
    second = await given.topic(store, "orders")
    assert second.epoch != first.epoch
    await progressed(store, created.subscription_id, second.topic_id, 3)
    await store.topic_delete(second.topic_id, [created.subscription_id], NOW_MS)
    assert await store.former(created.subscription_id) == [Former("orders", second.epoch, 3, None)]


async def test_what_a_start_cannot_be_given_is_remembered_with_the_subscription(store):
    gaps = [Former("gone", "", 4, None), Former("short", "e1", 7, 9, "log_lost")]
    created = await given.subscription(store, pattern=">", positions={}, gaps=gaps)
    other = await given.subscription(store, "other", ">")
    assert set(await store.former(created.subscription_id)) == set(gaps)
    assert await store.former(other.subscription_id) == []
    await store.former_heard([heard(created, gaps[1], True)])
    assert await store.former(created.subscription_id) == gaps[:1]


async def test_a_deleted_subscription_is_told_nothing_and_its_namesake_neither(store):
    created = await given.subscription(store)
    await deleted(store, "orders", [created.subscription_id])
    await store.subscription_delete(created.subscription_id)
    assert await store.former(created.subscription_id) == []
    again = await given.subscription(store)
    assert await store.former(again.subscription_id) == []
    await deleted(store, "bills", [created.subscription_id, again.subscription_id])
    assert [former.name for former in await store.former(again.subscription_id)] == ["bills"]
    assert await store.former(created.subscription_id) == []


async def test_what_was_deleted_long_ago_is_forgotten_in_slices_the_oldest_first(store):
    created = await given.subscription(store, pattern=">")
    for n in range(5):
        await deleted(store, f"t{n}", [created.subscription_id], NOW_MS + n)

    async def names() -> set[str]:
        return {former.name for former in await store.former(created.subscription_id)}

    assert await store.former_trim(NOW_MS + 4, 3) == 3
    assert await names() == {"t3", "t4"}
    assert await store.former_trim(NOW_MS + 4, 3) == 1
    assert await store.former_trim(NOW_MS + 4, 3) == 0
    assert await names() == {"t4"}


async def test_a_topic_that_is_deleted_again_is_as_old_as_its_last_deletion(store):
    created = await given.subscription(store)
    await deleted(store, "orders", [created.subscription_id], NOW_MS)
    await deleted(store, "bills", [created.subscription_id], NOW_MS + 1)
    latest = await deleted(store, "orders", [created.subscription_id], NOW_MS + 2)
    assert await store.former_trim(NOW_MS + 2, 10) == 1
    assert await store.former(created.subscription_id) == [latest._replace(last_seq=None)]


async def test_what_a_subscription_is_not_told_any_more_is_forgotten(store, monkeypatch):
    for module in ("sqlite", "postgres", "memory"):
        monkeypatch.setattr(f"conduit.storage.{module}.former.FORMER_MAX_COUNT", 3)
    churned = await given.subscription(store, pattern=">")
    quiet = await given.subscription(store, "quiet", pattern=">")
    await deleted(store, "t0", [quiet.subscription_id])
    gone = [await deleted(store, f"t{n}", [churned.subscription_id], NOW_MS + n) for n in range(9)]
    # It may be the turn of the other one for some times.
    for _ in range(100):
        assert await store.former_trim(NOW_MS, 4) <= 4
    assert await store.former(churned.subscription_id) == gone[6:]
    heard = [Heard(churned.subscription_id, one.name, one.epoch, True) for one in gone[6:]]
    await store.former_heard(heard)
    assert await store.former(churned.subscription_id) == []
    assert len(await store.former(quiet.subscription_id)) == 1


async def test_a_subscription_is_told_of_so_many_topics_the_ones_deleted_last(store, monkeypatch):
    for module in ("sqlite", "postgres", "memory"):
        monkeypatch.setattr(f"conduit.storage.{module}.former.FORMER_MAX_COUNT", 2)
    created = await given.subscription(store, pattern=">")
    for n in range(4):
        await deleted(store, f"t{n}", [created.subscription_id], NOW_MS + n)
    known = (await store.former(created.subscription_id))[-1]
    await store.former_heard([heard(created, known, True)])
    assert [former.name for former in await store.former(created.subscription_id)] == ["t1", "t2"]


async def test_former_topics_come_in_the_order_in_which_they_were_deleted(store):
    created = await given.subscription(store, pattern=">")
    names = ["b", "c", "a"]
    for n, name in enumerate(names):
        await deleted(store, name, [created.subscription_id], NOW_MS + n)
    assert [former.name for former in await store.former(created.subscription_id)] == names
    await deleted(store, "b", [created.subscription_id], NOW_MS + 3)
    found = await store.former(created.subscription_id)
    assert [former.name for former in found] == ["c", "a", "b"]


async def test_all_followers_are_remembered_with_one_deletion(store):
    topic = await given.topic(store)
    created = await asyncio.gather(*(given.subscription(store, f"s{n}") for n in range(300)))
    ids = [record.subscription_id for record in created]
    await store.settle([Progress(id_, topic.topic_id, id_, id_) for id_ in ids], [])
    await store.topic_delete(topic.topic_id, ids, NOW_MS)
    for id_ in ids[::50]:
        assert await store.former(id_) == [Former("orders", topic.epoch, id_, 0)]


async def test_extents_say_what_topics_hold_and_leave_unknown_ones_out(store):
    topics = [await given.topic(store, f"t{n}") for n in range(4)]
    for topic, count in zip(topics, (0, 1, 5, 2), strict=True):
        await given.messages(store, topic.topic_id, count)
    await store.trim(topics[2].topic_id, Rule(base.Retention(max_messages=2), NOW_MS), 10)
    await store.topic_delete(topics[3].topic_id)
    ids = [topic.topic_id for topic in topics]
    found = await store.extents([*ids, 999_999, ids[0]])
    assert sorted(found) == [
        base.Extent(ids[0], "t0", 1, 0),
        base.Extent(ids[1], "t1", 1, 1),
        base.Extent(ids[2], "t2", 4, 5, NOW_MS + 2),
    ]
    assert await store.extents([]) == []


async def test_topics_and_subscriptions_are_found_by_their_ids(store):
    a, b, gone = [await given.topic(store, name) for name in ("a", "b", "gone")]
    await given.messages(store, b.topic_id, 3)
    await store.topic_delete(gone.topic_id)
    found = await store.topics_of([b.topic_id, gone.topic_id, 999_999, a.topic_id, b.topic_id])
    everything = {record.topic_id: record for record in await store.topics()}
    assert sorted(record.topic_id for record in found) == [a.topic_id, b.topic_id]
    assert all(everything[record.topic_id] == record for record in found)
    assert {record.topic_id: record.last_seq for record in found}[b.topic_id] == 3
    one, two = await given.subscription(store, "one"), await given.subscription(store, "two")
    assert await store.subscriptions_of([two.subscription_id, 999_999]) == [two]
    assert len(await store.subscriptions_of([one.subscription_id, two.subscription_id])) == 2
    assert (await store.topics_of([]), await store.subscriptions_of([])) == ([], [])


async def test_a_position_of_ten_thousand_topics_is_one_question(store):
    topics = [await given.topic(store, f"t{n}", TENANT) for n in range(3)]
    # All ids that a client may name, most of them of topics that are gone.
    ids = [topics[0].topic_id, *range(1_000_000, 1_010_000), topics[2].topic_id]
    assert {extent.name for extent in await store.extents(ids)} == {"t0", "t2"}


@pytest.mark.parametrize("followers", [[], [1, 1]], ids=str)
async def test_followers_may_be_none_or_named_twice(store, followers):
    created = await given.subscription(store)
    ids = [created.subscription_id for _ in followers]
    former = await deleted(store, "orders", ids)
    assert await store.former(created.subscription_id) == ([former] if followers else [])
