import pytest

from conduit.core.message import Retention
from conduit.errors import Conflict
from tests.storage import given
from tests.storage.given import NOW_MS, TENANT


async def test_a_new_store_is_empty(store):
    assert await store.topics() == []
    assert await store.subscriptions() == []


async def test_a_store_says_what_it_is(store):
    described = store.describe()
    assert described["kind"] == store.kind
    assert described["durable"] is store.durable


async def test_closing_twice_is_closing_once(store):
    await store.close()
    await store.close()


async def test_a_new_topic_is_empty_and_has_an_epoch(store):
    retention = Retention(max_age_s=60, max_messages=10, max_bytes=1000)
    record = await store.topic_create(TENANT, "orders", retention, NOW_MS)
    assert (record.tenant, record.name, record.created_at_ms) == (TENANT, "orders", NOW_MS)
    assert (record.first_seq, record.last_seq, record.stored_bytes) == (1, 0, 0)
    assert record.epoch
    assert record.retention == retention
    assert await store.topics() == [record]


async def test_a_topic_of_that_name_exists_once(store):
    await given.topic(store, "orders")
    with pytest.raises(Conflict) as caught:
        await given.topic(store, "orders")
    assert caught.value.code == "topic_exists"
    assert len(await store.topics()) == 1


async def test_tenants_have_topics_of_the_same_name(store):
    ours = await given.topic(store, "orders", "ours")
    theirs = await given.topic(store, "orders", "theirs")
    assert ours.topic_id != theirs.topic_id
    assert {(t.tenant, t.topic_id) for t in await store.topics()} == {
        ("ours", ours.topic_id),
        ("theirs", theirs.topic_id),
    }


async def test_the_retention_of_a_topic_is_replaced(store):
    record = await given.topic(store)
    await store.topic_update(record.topic_id, Retention(max_messages=7))
    assert (await given.topic_now(store, record.topic_id)).retention == Retention(max_messages=7)
    await store.topic_update(record.topic_id, Retention())
    assert (await given.topic_now(store, record.topic_id)).retention == Retention()


async def test_updating_or_deleting_an_unknown_topic_does_nothing(store):
    record = await given.topic(store)
    await store.topic_update(record.topic_id + 1, Retention(max_messages=7))
    await store.topic_delete(record.topic_id + 1)
    assert await store.topics() == [record]


async def test_a_topic_says_what_it_holds(store):
    record = await given.topic(store)
    new = given.message(record.topic_id, b'{"a":1}', key="käse", headers=b'{"h":"x"}')
    await store.append([new, given.message(record.topic_id, b"[]")])
    now = await given.topic_now(store, record.topic_id)
    assert (now.first_seq, now.last_seq) == (1, 2)
    assert now.stored_bytes == len(b'{"a":1}') + len("käse".encode()) + len(b'{"h":"x"}') + 2


async def test_a_deleted_topic_is_gone_with_its_messages(store):
    record = await given.topic(store)
    [message_id, *_] = await given.messages(store, record.topic_id, 3)
    await store.topic_delete(record.topic_id)
    assert await store.topics() == []
    assert await store.read(record.topic_id, 1, limit=10) == []
    assert await store.read(record.topic_id, 3, limit=10, descending=True) == []
    assert await store.find(TENANT, message_id) is None
    assert await store.seq_at(record.topic_id, NOW_MS) == 1


async def test_a_recreated_topic_has_another_id_and_epoch_and_counts_from_1(store):
    before = await given.topic(store)
    await given.messages(store, before.topic_id, 3)
    await store.topic_delete(before.topic_id)
    after = await given.topic(store)
    assert after.topic_id != before.topic_id
    assert after.epoch != before.epoch
    assert await store.append([given.message(after.topic_id)]) == [1]
    assert len(await store.read(after.topic_id, 1, limit=10)) == 1


async def test_ids_of_deleted_topics_are_never_reused(store):
    seen = set()
    for _ in range(4):
        record = await given.topic(store)
        assert record.topic_id not in seen
        seen.add(record.topic_id)
        await store.topic_delete(record.topic_id)


async def test_deleting_a_topic_forgets_its_progress_and_keeps_that_of_others(store):
    orders, refunds = await given.topic(store, "orders"), await given.topic(store, "refunds")
    await given.messages(store, orders.topic_id, 2)
    await given.messages(store, refunds.topic_id, 3)
    billing = await given.subscription(store, pattern=">")
    await store.topic_delete(orders.topic_id)
    assert await given.floors(store, billing.subscription_id) == {refunds.topic_id: 3}


async def test_what_is_given_out_is_the_callers_own(store):
    record = await given.topic(store)
    record.last_seq = 99
    (await store.topics())[0].last_seq = 99
    assert (await given.topic_now(store, record.topic_id)).last_seq == 0


async def test_several_topics_are_created_at_once_but_for_those_that_exist(store):
    old = await given.topic(store, "b")
    kept = Retention(max_messages=10)
    created = await store.topics_create(TENANT, ["a", "b", "c", "d"], kept, NOW_MS)
    assert sorted(record.name for record in created) == ["a", "c", "d"]
    assert all(record.created_at_ms == NOW_MS for record in created)
    assert all(record.retention == kept for record in created)
    assert len({record.epoch for record in created}) == 3
    assert sorted(await store.topics(), key=lambda record: record.name) == sorted(
        [*created, old], key=lambda record: record.name
    )
    for record in created:
        assert await store.append([given.message(record.topic_id)]) == [1]
    assert await store.topics_create(TENANT, ["a", "b"], kept, NOW_MS) == []
    assert await store.topics_create("another", ["a"], kept, NOW_MS) != []
