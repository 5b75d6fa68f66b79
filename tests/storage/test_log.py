import asyncio

import pytest
import uuid_utils

from conduit.core.message import Retention
from conduit.storage.base import TOPIC_GONE, Rule
from tests.storage import given
from tests.storage.given import NOW_MS, TENANT


async def test_an_empty_batch_stores_nothing(store):
    assert await store.append([]) == []


async def test_numbers_start_at_1_and_follow_the_batch(store):
    record = await given.topic(store)
    batch = [given.message(record.topic_id, b"%d" % n) for n in range(5)]
    assert await store.append(batch) == [1, 2, 3, 4, 5]
    assert await store.append(batch[:0]) == []
    read = await store.read(record.topic_id, 1, limit=10)
    assert read == [given.stored(new, seq) for seq, new in enumerate(batch, 1)]


async def test_each_topic_of_a_batch_has_its_own_numbers(store):
    a, b = await given.topic(store, "a"), await given.topic(store, "b")
    ids = [a.topic_id, b.topic_id, b.topic_id, a.topic_id, b.topic_id]
    assert await store.append([given.message(topic_id) for topic_id in ids]) == [1, 1, 2, 2, 3]
    assert await store.append([given.message(topic_id) for topic_id in ids]) == [3, 4, 5, 4, 6]


@pytest.mark.parametrize("count", [1, 2, 3, 511, 512, 513, 1000])
async def test_batches_of_any_size_are_whole(store, count):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, count)
    await given.messages(store, record.topic_id, count)
    read = await store.read(record.topic_id, 1, limit=3000)
    assert [message.seq for message in read] == list(range(1, 2 * count + 1))
    assert [message.payload for message in read[:count]] == [b"%d" % n for n in range(count)]


async def test_concurrent_appends_to_many_topics_leave_no_hole(store):
    topics = [await given.topic(store, f"t{n}") for n in range(7)]

    async def publish(worker: int) -> list[tuple[int, int, bytes]]:
        mine = []
        for turn in range(10):
            batch = [
                given.message(topics[(worker + n) % 7].topic_id, b"%d.%d.%d" % (worker, turn, n))
                for n in range(1 + (worker * turn) % 11)
            ]
            seqs = await store.append(batch)
            mine += [(new.topic_id, s, new.payload) for new, s in zip(batch, seqs, strict=True)]
        return mine

    acked = [one for mine in await asyncio.gather(*map(publish, range(6))) for one in mine]
    for record in topics:
        read = await store.read(record.topic_id, 1, limit=1000)
        assert [message.seq for message in read] == list(range(1, len(read) + 1))
        assert {(record.topic_id, m.seq, m.payload) for m in read} == {
            one for one in acked if one[0] == record.topic_id
        }


async def test_calls_take_effect_in_the_order_in_which_they_were_made(store):
    record = await given.topic(store)
    calls = [store.append([given.message(record.topic_id, b"%d" % n)]) for n in range(20)]
    assert await asyncio.gather(*calls) == [[n] for n in range(1, 21)]
    read = await store.read(record.topic_id, 1, limit=30)
    assert [message.payload for message in read] == [b"%d" % n for n in range(20)]


async def test_a_message_for_a_topic_that_is_gone_burns_no_number(store):
    gone, kept = await given.topic(store, "gone"), await given.topic(store, "kept")
    await store.append([given.message(gone.topic_id)])
    await store.topic_delete(gone.topic_id)
    lost = given.message(gone.topic_id)
    batch = [given.message(kept.topic_id), lost, given.message(kept.topic_id)]
    assert await store.append(batch) == [1, TOPIC_GONE, 2]
    assert await store.append([lost]) == [TOPIC_GONE]
    assert await store.find(TENANT, lost.message_id) is None


async def test_a_message_comes_back_as_the_bytes_that_came(store):
    record = await given.topic(store)
    batch = [
        given.message(record.topic_id, b""),
        given.message(record.topic_id, bytes(range(256)), key="", headers=b""),
        given.message(record.topic_id, b'"\xc3\xa4\\u0000"', key="a\x00b\"\\ü\U0001f600'"),
        given.message(record.topic_id, b"x" * 262_144, headers=bytes(range(256))),
    ]
    await store.append(batch)
    expected = [given.stored(new, seq) for seq, new in enumerate(batch, 1)]
    assert await store.read(record.topic_id, 1, limit=10) == expected
    assert await store.find(TENANT, batch[2].message_id) == (record.topic_id, expected[2])
    assert await store.find(TENANT, batch[1].message_id) == (record.topic_id, expected[1])


async def seqs(store, topic_id: int, from_seq: int, **how) -> list[int]:
    return [message.seq for message in await store.read(topic_id, from_seq, **how)]


async def test_reading_begins_where_it_is_told_and_ends_at_the_limit(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 10)
    assert await seqs(store, record.topic_id, 1, limit=3) == [1, 2, 3]
    assert await seqs(store, record.topic_id, 4, limit=1) == [4]
    assert await seqs(store, record.topic_id, 9, limit=5) == [9, 10]
    assert await seqs(store, record.topic_id, 0, limit=2) == [1, 2]
    assert await seqs(store, record.topic_id, 11, limit=5) == []
    assert await seqs(store, record.topic_id, 1 << 53, limit=5) == []
    assert await seqs(store, record.topic_id + 1, 1, limit=5) == []


async def test_reading_downwards(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 10)
    topic_id = record.topic_id
    assert await seqs(store, topic_id, 10, limit=3, descending=True) == [10, 9, 8]
    assert await seqs(store, topic_id, 1 << 53, limit=2, descending=True) == [10, 9]
    assert await seqs(store, topic_id, 2, limit=5, descending=True) == [2, 1]
    assert await seqs(store, topic_id, 0, limit=5, descending=True) == []
    assert await seqs(store, topic_id + 1, 5, limit=5, descending=True) == []


async def test_reading_an_empty_topic_gives_nothing(store):
    record = await given.topic(store)
    assert await seqs(store, record.topic_id, 1, limit=5) == []
    assert await seqs(store, record.topic_id, 1, limit=5, descending=True) == []


async def test_reading_stops_after_the_message_that_passes_max_bytes(store):
    record = await given.topic(store)
    await store.append([given.message(record.topic_id, b"x" * 100) for _ in range(6)])
    topic_id = record.topic_id
    assert await seqs(store, topic_id, 1, limit=9, max_bytes=250) == [1, 2, 3]
    assert await seqs(store, topic_id, 1, limit=9, max_bytes=299) == [1, 2, 3]
    assert await seqs(store, topic_id, 1, limit=9, max_bytes=300) == [1, 2, 3, 4]
    assert await seqs(store, topic_id, 1, limit=9, max_bytes=1) == [1]
    assert await seqs(store, topic_id, 5, limit=9, max_bytes=250, descending=True) == [5, 4, 3]


async def test_a_read_sees_every_append_that_was_acked(store):
    record = await given.topic(store)
    for n in range(1, 20):
        await store.append([given.message(record.topic_id)])
        assert await seqs(store, record.topic_id, n, limit=5) == [n]


async def test_a_message_is_found_by_its_id_in_its_tenant_only(store):
    ours, theirs = await given.topic(store, "a", "ours"), await given.topic(store, "a", "theirs")
    new = given.message(ours.topic_id, b"1")
    await store.append([given.message(theirs.topic_id), given.message(ours.topic_id), new])
    assert await store.find("ours", new.message_id) == (ours.topic_id, given.stored(new, 2))
    assert await store.find("theirs", new.message_id) is None


async def test_an_unknown_id_is_found_nowhere(store):
    record = await given.topic(store)
    [message_id] = await given.messages(store, record.topic_id, 1)
    for unknown in (str(uuid_utils.uuid7()), "", "no id", message_id.upper(), message_id + "0"):
        assert await store.find(TENANT, unknown) is None


async def test_the_place_of_a_time_in_a_topic(store):
    record = await given.topic(store)
    times = [10, 20, 20, 20, 30, 40]
    await store.append([given.message(record.topic_id, at_ms=NOW_MS + at) for at in times])
    at = [await store.seq_at(record.topic_id, NOW_MS + ms) for ms in (0, 10, 11, 20, 21, 40, 41)]
    assert at == [1, 1, 2, 2, 5, 6, 7]


async def test_the_place_of_a_time_in_a_trimmed_topic(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 100)
    await store.trim(record.topic_id, Rule(given.Retention(max_messages=37), NOW_MS), 100)
    at = [await store.seq_at(record.topic_id, NOW_MS + ms) for ms in (0, 63, 64, 99, 100)]
    assert at == [64, 64, 65, 100, 101]


async def test_an_empty_topic_has_every_time_at_its_next_number(store):
    record = await given.topic(store)
    assert await store.seq_at(record.topic_id, NOW_MS) == 1
    await given.messages(store, record.topic_id, 3)
    await store.trim(record.topic_id, Rule(given.Retention(max_messages=0), NOW_MS), 10)
    assert await store.seq_at(record.topic_id, 0) == 4


async def test_downwards_from_above_every_number_is_from_the_last_one(store):
    record, empty = await given.topic(store), await given.topic(store, "empty")
    await given.messages(store, record.topic_id, 3)
    found = await store.read(record.topic_id, 1 << 62, limit=1, descending=True)
    assert [message.seq for message in found] == [3]
    await store.trim(record.topic_id, Rule(given.Retention(max_messages=0), NOW_MS), 10)
    assert await store.read(record.topic_id, 1 << 62, limit=1, descending=True) == []
    assert await store.read(empty.topic_id, 1 << 62, limit=1, descending=True) == []


async def test_the_stamps_of_the_last_messages_are_those_of_many_topics_at_once(store):
    records = [await given.topic(store, f"t{n}") for n in range(5)]
    for number, record in enumerate(records[:4]):
        await given.messages(store, record.topic_id, number + 1, first_ms=NOW_MS + 100 * number)
    trimmed = records[3].topic_id
    await store.trim(trimmed, Rule(Retention(max_messages=0), NOW_MS), 10)
    ids = [record.topic_id for record in records]
    assert await store.last_stamps([*ids, 12345]) == {
        ids[0]: NOW_MS,
        ids[1]: NOW_MS + 101,
        ids[2]: NOW_MS + 202,
    }
    assert await store.last_stamps([]) == {}
