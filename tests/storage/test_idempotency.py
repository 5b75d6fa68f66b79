import pytest

from conduit.storage import keys
from conduit.storage.base import KnownKey, Rule
from conduit.storage.keys import LOOKED_AT_TIMES
from conduit.storage.postgres import keys as postgres_keys
from conduit.storage.sqlite import reads as sqlite_reads
from tests.storage import given
from tests.storage.given import NOW_MS

ALL = 1_000


async def test_a_key_is_recorded_with_the_result_it_stands_for(store):
    record = await given.topic(store)
    new = given.message(record.topic_id, idempotency_key="käse\x00'")
    await store.append([given.message(record.topic_id), new])
    known = KnownKey(record.topic_id, "käse\x00'", new.message_id, 2, NOW_MS)
    assert await store.known_keys(0, ALL) == [known]


@pytest.mark.parametrize("payload_hash", [b"\x00" * 8, b"\xff" * 8])
async def test_a_key_is_recorded_with_the_hash_of_its_payload(store, payload_hash):
    record = await given.topic(store)
    unkeyed = given.message(record.topic_id)
    keyed = [
        given.message(record.topic_id, idempotency_key=key, payload_hash=hashed)
        for key, hashed in (("a", payload_hash), ("b", None))
    ]
    await store.append([unkeyed, *keyed])
    hashes = {known.key: known.payload_hash for known in await store.known_keys(0, ALL)}
    assert hashes == {"a": payload_hash, "b": None}


async def test_of_more_keys_than_may_be_known_the_topic_with_the_most_loses_its_oldest(store):
    few, many, more = [await given.topic(store, name) for name in ("few", "many", "more")]
    await store.append([given.message(few.topic_id, idempotency_key=f"few {n}") for n in range(2)])
    for n in range(6):
        at_ms = NOW_MS + 1 + n
        some = [given.message(many.topic_id, at_ms=at_ms, idempotency_key=f"many {n}")]
        if n >= 2:
            some.append(given.message(more.topic_id, at_ms=at_ms, idempotency_key=f"more {n}"))
        await store.append(some)
    for limit, known in (
        (8, ["few 0", "few 1", "many 3", "more 3", "many 4", "more 4", "many 5", "more 5"]),
        (6, ["few 0", "few 1", "many 4", "more 4", "many 5", "more 5"]),
        (3, ["few 1", "many 5", "more 5"]),
    ):
        found = await store.known_keys(0, limit)
        assert sorted(key.key for key in found) == sorted(known)
        assert [key.published_at_ms for key in found] == sorted(k.published_at_ms for k in found)


async def test_of_more_keys_than_may_be_known_the_tenant_with_the_most_loses_some(store):
    few = await given.topic(store, "few", "small")
    await store.append([given.message(few.topic_id, idempotency_key=f"few {n}") for n in range(3)])
    for n in range(6):
        many = await given.topic(store, f"many{n}", "large")
        at_ms = NOW_MS + 1 + n
        keys_of_it = [f"many {n} {k}" for k in range(1 + n // 5)]
        for key in keys_of_it:
            new = given.message(many.topic_id, at_ms=at_ms, idempotency_key=key)
            await store.append([new])
    for limit, known in (
        (9, ["few 0", "few 1", "few 2", *(f"many {n} 0" for n in range(5)), "many 5 1"]),
        (6, ["few 0", "few 1", "few 2", "many 3 0", "many 4 0", "many 5 1"]),
        (4, ["few 1", "few 2", "many 4 0", "many 5 1"]),
    ):
        found = await store.known_keys(0, limit)
        assert sorted(key.key for key in found) == sorted(known)


async def test_keys_older_than_all_that_are_looked_at_are_not_read(store, monkeypatch):
    few, many = await given.topic(store, "few"), await given.topic(store, "many")
    limit = 2
    looked_at = limit * LOOKED_AT_TIMES
    old = [given.message(few.topic_id, idempotency_key=f"old {n}") for n in range(100)]
    await store.append(old)
    times = [NOW_MS + 1 + n for n in range(looked_at)]
    for at_ms in times[:-1]:
        await store.append([given.message(many.topic_id, at_ms=at_ms, idempotency_key=f"{at_ms}")])
    await store.append([given.message(few.topic_id, at_ms=times[-1], idempotency_key="new")])
    found: list[int] = []
    in_order = keys.in_order

    def counted(known, limit):
        found.append(len(known))
        return in_order(known, limit)

    for module in (keys, sqlite_reads, postgres_keys):
        monkeypatch.setattr(module, "in_order", counted)
    known = await store.known_keys(0, limit)
    assert [each.key for each in known] == [f"{times[-2]}", "new"]
    assert all(count <= looked_at for count in found)


async def test_keys_come_oldest_first_from_a_time_on(store):
    record = await given.topic(store)
    for n in range(5):
        new = given.message(record.topic_id, at_ms=NOW_MS + n, idempotency_key=f"k{n}")
        await store.append([new])
    assert [known.key for known in await store.known_keys(0, ALL)] == ["k0", "k1", "k2", "k3", "k4"]
    assert [known.key for known in await store.known_keys(NOW_MS + 3, ALL)] == ["k3", "k4"]
    assert await store.known_keys(NOW_MS + 5, ALL) == []


async def test_of_many_keys_the_newest_come_and_of_those_the_oldest_first(store):
    record, gone = await given.topic(store), await given.topic(store, "gone")
    for n in range(4):
        pair = [
            given.message(record.topic_id, at_ms=NOW_MS + n, idempotency_key=f"{name}{n}")
            for name in "ba"
        ]
        await store.append([*pair, given.message(gone.topic_id, idempotency_key=f"gone {n}")])
    await store.topic_delete(gone.topic_id)
    assert [known.key for known in await store.known_keys(0, 3)] == ["a2", "b3", "a3"]
    assert [known.key for known in await store.known_keys(NOW_MS + 3, 3)] == ["b3", "a3"]
    assert await store.known_keys(0, 0) == []


async def test_a_key_belongs_to_its_topic(store):
    a, b = await given.topic(store, "a"), await given.topic(store, "b")
    await store.append([given.message(t.topic_id, idempotency_key="same") for t in (a, b)])
    assert {known.topic_id for known in await store.known_keys(0, ALL)} == {a.topic_id, b.topic_id}


async def test_in_a_store_of_one_process_a_key_that_is_used_again_stands_for_the_newest_result(
    store,
):
    if store.kind == "postgresql":
        pytest.skip("several processes may share it: test_postgres_keys.py")
    record = await given.topic(store)
    for at in (0, 5):
        new = given.message(
            record.topic_id, at_ms=NOW_MS + at, idempotency_key="again", payload_hash=b"%d" % at
        )
        await store.append([new])
    known = KnownKey(record.topic_id, "again", new.message_id, 2, NOW_MS + 5, b"5")
    assert await store.known_keys(0, ALL) == [known]
    assert await store.forget_keys(NOW_MS + 5, 10) == 0


async def test_old_keys_are_forgotten_in_slices_from_the_oldest(store):
    record = await given.topic(store)
    batch = [
        given.message(record.topic_id, at_ms=NOW_MS + n, idempotency_key=f"k{n}") for n in range(6)
    ]
    await store.append(batch)
    assert await store.forget_keys(NOW_MS + 5, 3) == 3
    assert [known.key for known in await store.known_keys(0, ALL)] == ["k3", "k4", "k5"]
    assert await store.forget_keys(NOW_MS + 5, 3) == 2
    assert await store.forget_keys(NOW_MS + 5, 3) == 0
    assert [known.key for known in await store.known_keys(0, ALL)] == ["k5"]


async def test_a_deleted_topic_takes_its_keys_along(store):
    gone, kept = await given.topic(store, "gone"), await given.topic(store, "kept")
    await store.append([given.message(t.topic_id, idempotency_key="k") for t in (gone, kept)])
    await store.topic_delete(gone.topic_id)
    assert [known.topic_id for known in await store.known_keys(0, ALL)] == [kept.topic_id]


async def test_a_message_that_was_not_stored_leaves_no_key(store):
    record = await given.topic(store)
    await store.topic_delete(record.topic_id)
    await store.append([given.message(record.topic_id, idempotency_key="k")])
    assert await store.known_keys(0, ALL) == []


async def test_a_key_outlives_its_message(store):
    record = await given.topic(store)
    await store.append([given.message(record.topic_id, idempotency_key="k")])
    await store.trim(record.topic_id, Rule(given.Retention(max_messages=0), NOW_MS), 10)
    assert len(await store.known_keys(0, ALL)) == 1
