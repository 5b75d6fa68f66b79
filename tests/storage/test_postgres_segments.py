"""The log in segments: begun, read across, dropped, emptied."""

import asyncpg
import pytest

from conduit.core.message import Retention
from conduit.storage.base import Rule
from conduit.storage.postgres import housekeeping, reads
from conduit.storage.postgres.extents import Extents
from tests.storage import given
from tests.storage.given import NOW_MS, TENANT
from tests.storage.postgres_kit import EAGER, maintained, opened


@pytest.fixture
async def store(database_url):
    async with opened(database_url, rules=EAGER) as store:
        yield store


@pytest.fixture
def tables(cluster):
    """The segments that exist, by their numbers."""

    def listed() -> list[int]:
        found = cluster.sql(
            "SELECT substring(relname FROM 10)::int FROM pg_class"
            " WHERE relname ~ '^messages_[0-9]+$' ORDER BY 1"
        )
        return [int(number) for number in found.split()]

    return listed


async def in_segments(store, topic_id: int, count: int = 3, size: int = 4) -> list[str]:
    """`size` messages in each of `count` segments, one millisecond apart."""
    ids = []
    for number in range(count):
        if number:
            await maintained(store)
        ids += await given.messages(store, topic_id, size, first_ms=NOW_MS + number * size)
    return ids


async def seqs(store, topic_id: int, from_seq: int, **how) -> list[int]:
    return [message.seq for message in await store.read(topic_id, from_seq, **how)]


async def test_a_topic_is_read_across_its_segments(store, tables):
    record = await given.topic(store)
    ids = await in_segments(store, record.topic_id)
    assert tables() == [1, 2, 3]
    assert await seqs(store, record.topic_id, 1, limit=99) == list(range(1, 13))
    assert await seqs(store, record.topic_id, 3, limit=3) == [3, 4, 5]
    assert await seqs(store, record.topic_id, 99, limit=6, descending=True) == [12, 11, 10, 9, 8, 7]
    assert await seqs(store, record.topic_id, 5, limit=99, descending=True) == [5, 4, 3, 2, 1]
    assert await seqs(store, record.topic_id, 3, limit=9, max_bytes=3) == [3, 4, 5, 6]
    at = [await store.seq_at(record.topic_id, NOW_MS + ms) for ms in (0, 3, 4, 11, 12)]
    assert at == [1, 4, 5, 12, 13]
    found = [await store.find(TENANT, message_id) for message_id in ids]
    assert [message.seq for _, message in found] == list(range(1, 13))


async def test_a_time_is_found_by_looks_into_the_log_never_by_reading_it(store):
    records = [await given.topic(store, f"t{n}") for n in range(20)]
    for _ in range(3):
        await store.append([given.message(each.topic_id) for each in records for _ in range(100)])
        await maintained(store)
    many = [*(each.topic_id for each in records), *range(1_000_000, 1_002_000)]
    connection = await store._home.database.connect()
    await connection.execute("SET jit = on; SET conduit.tenant = '*'")
    for analyzed in (False, True):
        rows = await connection.fetch(
            f"EXPLAIN (ANALYZE, TIMING off) {reads._SEQS_AT}", many, NOW_MS
        )
        lines = [row[0] for row in rows]
        read = [line for line in lines if "on messages_" in line and "never executed" not in line]
        assert read, analyzed
        assert all(line.lstrip().startswith("->  Index Scan") for line in read), analyzed
        # Nor is it compiled, which would take longer than the looks.
        assert not [line for line in lines if "JIT" in line]
        await connection.execute("ANALYZE")
    connection.terminate()


async def test_a_topic_that_is_silent_has_no_part_in_a_segment(store):
    loud, silent = await given.topic(store, "loud"), await given.topic(store, "silent")
    await given.messages(store, silent.topic_id, 2)
    await in_segments(store, loud.topic_id)
    assert await seqs(store, silent.topic_id, 1, limit=9) == [1, 2]
    await given.messages(store, silent.topic_id, 2)
    assert await seqs(store, silent.topic_id, 1, limit=9) == [1, 2, 3, 4]


async def test_an_empty_segment_is_not_followed_by_another(store, tables):
    await maintained(store)
    assert tables() == [1]


async def test_retention_goes_across_segments_and_drops_what_nobody_needs(store, tables):
    record = await given.topic(store)
    await in_segments(store, record.topic_id)
    keep = Retention(max_messages=3)
    trimmed = [await store.trim(record.topic_id, Rule(keep, NOW_MS), 99) for _ in range(4)]
    assert [each.removed_count for each in trimmed] == [4, 4, 1, 0]
    assert [each.more for each in trimmed] == [True, True, False, False]
    assert await seqs(store, record.topic_id, 1, limit=99) == [10, 11, 12]
    assert await seqs(store, record.topic_id, 99, limit=99, descending=True) == [12, 11, 10]
    await maintained(store)
    assert tables() == [3, 4]
    assert await seqs(store, record.topic_id, 1, limit=99) == [10, 11, 12]
    assert await store.append([given.message(record.topic_id)]) == [13]
    assert await seqs(store, record.topic_id, 1, limit=99) == [10, 11, 12, 13]


async def test_a_segment_stays_as_long_as_one_topic_needs_it(store, tables):
    kept, trimmed = await given.topic(store, "kept"), await given.topic(store, "trimmed")
    await given.messages(store, kept.topic_id, 1)
    await in_segments(store, trimmed.topic_id, 2)
    await store.trim(trimmed.topic_id, Rule(Retention(max_messages=0), NOW_MS), 99)
    await store.trim(trimmed.topic_id, Rule(Retention(max_messages=0), NOW_MS), 99)
    await maintained(store)
    assert tables() == [1, 3]
    assert await seqs(store, kept.topic_id, 1, limit=9) == [1]
    await store.topic_delete(kept.topic_id)
    await maintained(store)
    assert tables() == [3]


async def test_rows_that_no_topic_needs_are_deleted_from_a_segment_that_stays(store, cluster):
    kept, trimmed = await given.topic(store, "kept"), await given.topic(store, "trimmed")
    await given.messages(store, kept.topic_id, 1)
    await in_segments(store, trimmed.topic_id, 2, 10)
    await store.trim(trimmed.topic_id, Rule(Retention(max_messages=10), NOW_MS), 99)
    assert [await maintained(store, 4) for _ in range(4)] == [4, 4, 2, 0]
    assert cluster.sql("SELECT count(*) FROM conduit.messages_1") == "1"
    assert await seqs(store, trimmed.topic_id, 1, limit=99) == list(range(11, 21))


async def test_a_segment_that_age_alone_will_empty_soon_is_left_until_then(store, cluster):
    kept, trimmed = await given.topic(store, "kept"), await given.topic(store, "trimmed")
    await store.topic_update(kept.topic_id, Retention(max_age_s=3600))
    await given.messages(store, kept.topic_id, 1)
    await in_segments(store, trimmed.topic_id, 2, 10)
    await store.trim(trimmed.topic_id, Rule(Retention(max_messages=10), NOW_MS), 99)
    assert await maintained(store) == 0
    assert cluster.sql("SELECT count(*) FROM conduit.messages_1") == "11"


async def test_the_rows_of_a_deleted_topic_are_deleted_from_all_segments(store, cluster):
    gone, kept = await given.topic(store, "gone"), await given.topic(store, "kept")
    await given.messages(store, kept.topic_id, 1)
    await in_segments(store, gone.topic_id, 3)
    await store.topic_delete(gone.topic_id)
    assert [await store.purge(5) for _ in range(4)] == [5, 5, 2, 0]
    assert cluster.sql("SELECT count(*) FROM conduit.messages") == "1"
    assert cluster.sql("SELECT count(*) FROM conduit.gone_topics") == "0"


async def test_another_server_goes_on_in_the_segment_that_this_one_began(store, database_url):
    record = await given.topic(store)
    async with opened(database_url, rules=EAGER) as other:
        for first in (1, 3, 5):
            assert await store.append([given.message(record.topic_id)]) == [first]
            assert await other.append([given.message(record.topic_id)]) == [first + 1]
            assert await seqs(other, record.topic_id, 1, limit=9) == list(range(1, first + 2))
            await maintained(store)
        for number in range(1, 7):
            assert await seqs(store, record.topic_id, number, limit=1) == [number]
            assert await seqs(other, record.topic_id, number, limit=1) == [number]
        await store.trim(record.topic_id, Rule(Retention(max_messages=1), NOW_MS), 9)
        await store.trim(record.topic_id, Rule(Retention(max_messages=1), NOW_MS), 9)
        await store.trim(record.topic_id, Rule(Retention(max_messages=1), NOW_MS), 9)
        await maintained(store)
        assert await seqs(other, record.topic_id, 1, limit=9) == [6]


async def test_a_dead_letter_is_made_of_a_message_in_any_segment(store):
    record = await given.topic(store)
    ids = await in_segments(store, record.topic_id, 2, 1)
    deaths = [given.death(record.topic_id, seq, f"d{seq}") for seq in (1, 2)]
    await store.settle([], deaths)
    letters = [await store.dead_get(TENANT, f"d{seq}") for seq in (1, 2)]
    assert [letter.message_id for letter in letters] == ids


async def test_a_day_begins_a_new_segment(database_url, cluster, tables):
    async with opened(database_url) as store:
        record = await given.topic(store)
        await given.messages(store, record.topic_id, 1)
        await maintained(store)
        assert tables() == [1]
        cluster.sql("UPDATE conduit.segments SET began_at = now() - interval '1 day'")
        await maintained(store)
        await maintained(store)
        assert tables() == [1, 2]


async def test_a_segment_that_somebody_reads_is_dropped_later(store, cluster, tables):
    record = await given.topic(store)
    await in_segments(store, record.topic_id, 2, 1)
    await store.trim(record.topic_id, Rule(Retention(max_messages=1), NOW_MS), 9)
    reader = await store._home.database.connect()
    try:
        await reader.execute("BEGIN; SELECT * FROM conduit.messages LIMIT 1")
        await maintained(store)
        assert tables() == [1, 2, 3]
        assert await store.append([given.message(record.topic_id)]) == [3]
    finally:
        reader.terminate()
    await maintained(store)
    assert tables() == [2, 3, 4]


@pytest.mark.parametrize(("is_awaited", "synced"), [(True, "on"), (False, "off")])
async def test_a_slice_that_somebody_waits_for_is_synced(store, database_url, is_awaited, synced):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 3)
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            rule = Rule(Retention(), 0, 2, is_awaited=is_awaited)
            done = await housekeeping.trim(connection, Extents(), record.topic_id, rule, 9)
            assert (done.first_seq, done.removed_count) == (3, 2)
            assert await connection.fetchval("SHOW synchronous_commit") == synced
    finally:
        await connection.close()


async def test_a_purge_of_several_segments_goes_on_until_all_are_behind_it(store):
    record = await given.topic(store)
    await in_segments(store, record.topic_id)
    rule, firsts = Rule(Retention(), 0, 11, is_awaited=True), []
    while not firsts or firsts[-1] <= 11:
        firsts.append((await store.trim(record.topic_id, rule, 100)).first_seq)
    assert firsts == [5, 9, 12]
