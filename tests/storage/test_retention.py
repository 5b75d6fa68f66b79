import pytest

from conduit.core.message import Retention
from conduit.storage.base import Rule, Trimmed
from conduit.storage.dead_letters import DeadBounds, DeadFilter
from tests.storage import given
from tests.storage.given import NOW_MS, TENANT, letters_count


async def seqs(store, topic_id: int) -> list[int]:
    return [message.seq for message in await store.read(topic_id, 1, limit=1000)]


async def test_no_bound_removes_nothing(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 5)
    trimmed = await store.trim(record.topic_id, Rule(Retention(), NOW_MS * 2), 100)
    assert trimmed == Trimmed(first_seq=1, stored_bytes=5, removed_count=0, more=False)


async def test_the_count_is_bounded_in_slices(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 10)
    keep = Retention(max_messages=3)
    assert await store.trim(record.topic_id, Rule(keep, NOW_MS), 4) == Trimmed(5, 6, 4, more=True)
    assert await store.trim(record.topic_id, Rule(keep, NOW_MS), 4) == Trimmed(8, 3, 3, more=False)
    assert await store.trim(record.topic_id, Rule(keep, NOW_MS), 4) == Trimmed(8, 3, 0, more=False)
    assert await seqs(store, record.topic_id) == [8, 9, 10]


async def test_a_slice_that_removes_the_last_one_due_is_the_last(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 8)
    keep = Retention(max_messages=4)
    assert (await store.trim(record.topic_id, Rule(keep, NOW_MS), 4)).more is False


async def test_a_slice_of_none_removes_nothing_and_says_whether_something_is_due(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 5)
    await store.settle([], [given.death(record.topic_id, 1, "d1")])
    for kept, more in ((4, True), (5, False)):
        trimmed = await store.trim(record.topic_id, Rule(Retention(max_messages=kept), NOW_MS), 0)
        assert trimmed == Trimmed(1, 5, 0, more)
    assert await store.dead_trim(NOW_MS * 2, DeadBounds(max_count=0), 0) == 0
    await store.topic_delete(record.topic_id)
    assert await store.purge(0) == 0
    assert await letters_count(store, TENANT, DeadFilter()) == 1


async def test_the_age_is_bounded_in_slices(store):
    record = await given.topic(store)
    ages_s = [500, 400, 300, 200, 100, 0]
    batch = [given.message(record.topic_id, at_ms=NOW_MS - age * 1000) for age in ages_s]
    await store.append(batch)
    keep = Retention(max_age_s=200)
    assert await store.trim(record.topic_id, Rule(keep, NOW_MS), 2) == Trimmed(3, 8, 2, more=True)
    assert await store.trim(record.topic_id, Rule(keep, NOW_MS), 2) == Trimmed(4, 6, 1, more=False)
    assert await store.trim(record.topic_id, Rule(keep, NOW_MS + 1), 2) == Trimmed(
        5, 4, 1, more=False
    )
    assert await seqs(store, record.topic_id) == [5, 6]


async def test_the_bytes_are_bounded_in_slices(store):
    record = await given.topic(store)
    new = [given.message(record.topic_id, b"x" * 80, key="k" * 10, headers=b"h" * 10)] * 6
    await store.append(new)
    keep = Retention(max_bytes=250)
    assert await store.trim(record.topic_id, Rule(keep, NOW_MS), 3) == Trimmed(4, 300, 3, more=True)
    assert await store.trim(record.topic_id, Rule(keep, NOW_MS), 3) == Trimmed(
        5, 200, 1, more=False
    )
    assert await seqs(store, record.topic_id) == [5, 6]


async def test_all_bounds_apply(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 10)
    keep = Retention(max_age_s=3600, max_messages=8, max_bytes=5)
    assert (await store.trim(record.topic_id, Rule(keep, NOW_MS), 100)).first_seq == 6
    keep = Retention(max_age_s=0, max_messages=8, max_bytes=5)
    assert (await store.trim(record.topic_id, Rule(keep, NOW_MS + 7), 100)).first_seq == 8


async def test_what_came_after_the_age_was_looked_at_is_not_too_old_whatever_its_stamp_says(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 10)
    rule = Rule(Retention(max_age_s=0), NOW_MS + 10_000, aged_seq=4)
    assert await store.trim(record.topic_id, rule, 3) == Trimmed(4, 7, 3, more=True)
    assert await store.trim(record.topic_id, rule, 3) == Trimmed(5, 6, 1, more=False)
    assert await store.trim(record.topic_id, rule, 3) == Trimmed(5, 6, 0, more=False)
    # Another reason is not bound by it.
    rule = Rule(Retention(max_age_s=0, max_messages=2), NOW_MS + 10_000, aged_seq=4)
    assert await store.trim(record.topic_id, rule, 9) == Trimmed(9, 2, 4, more=False)


@pytest.mark.parametrize(
    "keep", [Retention(max_messages=0), Retention(max_bytes=0), Retention(max_age_s=0)]
)
async def test_a_topic_that_is_trimmed_empty_goes_on_with_its_numbers(store, keep):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 3)
    trimmed = await store.trim(record.topic_id, Rule(keep, NOW_MS + 10_000), 100)
    assert trimmed == Trimmed(first_seq=4, stored_bytes=0, removed_count=3, more=False)
    assert (await store.trim(record.topic_id, Rule(keep, NOW_MS + 10_000), 100)).removed_count == 0
    assert await store.append([given.message(record.topic_id)]) == [4]
    now = await given.topic_now(store, record.topic_id)
    assert (now.first_seq, now.last_seq, now.stored_bytes) == (4, 4, 2)


async def test_what_was_trimmed_is_found_no_more(store):
    record = await given.topic(store)
    ids = await given.messages(store, record.topic_id, 4)
    await store.trim(record.topic_id, Rule(Retention(max_messages=2), NOW_MS), 100)
    found = [await store.find(TENANT, message_id) is not None for message_id in ids]
    assert found == [False, False, True, True]
    assert [m.seq for m in await store.read(record.topic_id, 1, limit=1)] == [3]
    assert [m.seq for m in await store.read(record.topic_id, 9, limit=9, descending=True)] == [4, 3]


@pytest.mark.parametrize("is_awaited", [True, False])
async def test_what_is_not_above_a_number_goes_whatever_is_kept(store, is_awaited):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 5)
    rule = Rule(Retention(), 0, 4, is_awaited=is_awaited)
    assert await store.trim(record.topic_id, rule, 3) == Trimmed(4, 2, 3, more=True)
    assert await store.trim(record.topic_id, rule, 3) == Trimmed(5, 1, 1, more=False)
    assert (await store.trim(record.topic_id, rule, 3)).removed_count == 0
    assert await seqs(store, record.topic_id) == [5]


async def test_trimming_an_unknown_topic_removes_nothing(store):
    trimmed = await store.trim(99, Rule(Retention(max_messages=0), NOW_MS), 100)
    assert (trimmed.removed_count, trimmed.more) == (0, False)


async def test_messages_of_deleted_topics_are_purged_in_slices(store):
    a, b, kept = [await given.topic(store, name) for name in ("a", "b", "kept")]
    for record in (a, b, kept):
        await given.messages(store, record.topic_id, 5)
    assert await store.purge(100) == 0
    await store.topic_delete(a.topic_id)
    await store.topic_delete(b.topic_id)
    assert [await store.purge(4) for _ in range(4)] == [4, 4, 2, 0]
    assert await seqs(store, kept.topic_id) == [1, 2, 3, 4, 5]


async def test_a_topic_deleted_while_empty_needs_no_purge(store):
    record = await given.topic(store)
    await store.topic_delete(record.topic_id)
    assert await store.purge(100) == 0


async def test_what_is_not_above_a_number_goes_whatever_else_is_kept(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 10)
    topic_id, keep = record.topic_id, Retention(max_messages=9)
    assert await store.trim(topic_id, Rule(Retention(), 0, 5), 4) == Trimmed(5, 6, 4, more=True)
    assert await store.trim(topic_id, Rule(Retention(), 0, 5), 4) == Trimmed(6, 5, 1, more=False)
    assert await store.trim(topic_id, Rule(keep, 0, 3), 4) == Trimmed(6, 5, 0, more=False)
    assert await store.trim(topic_id, Rule(Retention(max_messages=2), 0, 7), 9) == Trimmed(
        9, 2, 3, False
    )
    assert await store.trim(topic_id, Rule(Retention(), 0, 99), 9) == Trimmed(11, 0, 2, more=False)
    assert await store.trim(topic_id, Rule(Retention(), 0, 99), 9) == Trimmed(11, 0, 0, more=False)
