"""Idempotency keys where several processes append: one key is one message."""

import asyncio

import asyncpg
import pytest

from conduit.errors import KeyConflict
from conduit.storage.base import TOPIC_GONE, KnownKey
from tests.storage import given
from tests.storage.given import NOW_MS
from tests.storage.postgres_kit import losing_answers, opened

pytestmark = pytest.mark.process


@pytest.fixture
async def stores(database_url):
    """Two processes on one log."""
    async with opened(database_url) as ours, opened(database_url) as theirs:
        yield ours, theirs


def keyed(topic_id: int, key: str, payload_hash: bytes | None = b"12345678", **more):
    return given.message(topic_id, idempotency_key=key, payload_hash=payload_hash, **more)


async def log(store, topic_id: int) -> list[tuple[int, str]]:
    return [(each.seq, each.message_id) for each in await store.read(topic_id, 1, limit=1_000)]


async def test_a_key_that_another_process_has_used_stands_for_its_message(stores):
    ours, theirs = stores
    record = await given.topic(ours)
    first, again, other = (keyed(record.topic_id, key) for key in ("k", "k", "l"))
    assert await ours.append([given.message(record.topic_id), first]) == [1, 2]
    known = KnownKey(record.topic_id, "k", first.message_id, 2, NOW_MS, b"12345678")
    unkeyed = given.message(record.topic_id)
    assert await theirs.append([unkeyed, again, other]) == [3, known, 4]
    assert (await log(theirs, record.topic_id))[1:] == [
        (2, first.message_id),
        (3, unkeyed.message_id),
        (4, other.message_id),
    ]
    assert await ours.append([keyed(record.topic_id, "l")]) == [
        KnownKey(record.topic_id, "l", other.message_id, 4, NOW_MS, b"12345678")
    ]


async def test_when_all_of_a_batch_is_known_nothing_is_stored(stores):
    ours, theirs = stores
    record = await given.topic(ours)
    batch = [keyed(record.topic_id, f"{n}") for n in range(100)]
    assert await ours.append(batch) == [*range(1, 101)]
    answers = await theirs.append([keyed(record.topic_id, f"{n}") for n in range(100)])
    assert [answer.seq for answer in answers] == [*range(1, 101)]
    assert (await given.topic_now(ours, record.topic_id)).last_seq == 100
    assert await theirs.append([given.message(record.topic_id)]) == [101]


async def test_a_key_belongs_to_its_topic_and_goes_with_it(stores):
    ours, theirs = stores
    one, two = [await given.topic(ours, name) for name in ("one", "two")]
    assert await ours.append([keyed(one.topic_id, "k"), keyed(two.topic_id, "k")]) == [1, 1]
    await ours.topic_delete(one.topic_id)
    assert await theirs.append([keyed(one.topic_id, "k")]) == [TOPIC_GONE]


async def test_another_payload_under_a_key_is_refused_and_nothing_of_its_batch_is_stored(stores):
    ours, theirs = stores
    record = await given.topic(ours)
    await ours.append([keyed(record.topic_id, "k"), keyed(record.topic_id, "old", None)])
    batch = [keyed(record.topic_id, "new"), keyed(record.topic_id, "k", b"another!")]
    with pytest.raises(KeyConflict) as raised:
        await theirs.append(batch)
    assert raised.value.keys == {1: "k"}
    assert (await given.topic_now(ours, record.topic_id)).last_seq == 2
    # One that was stored without its hash stands for any payload.
    [old, seq] = await theirs.append([keyed(record.topic_id, "old"), batch[0]])
    assert (old.seq, seq) == (2, 3)


async def test_a_key_is_known_for_its_window_by_the_time_of_the_database(stores, database_url):
    ours, theirs = stores
    record = await given.topic(ours)
    # The clock of another server may be a day behind.
    assert await ours.append([keyed(record.topic_id, "k", at_ms=NOW_MS - 86_400_000)]) == [1]
    [known] = await theirs.append([keyed(record.topic_id, "k")])
    assert known.seq == 1
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "UPDATE conduit.idempotency_keys SET stored_at = now() - interval '601 seconds'"
    )
    await connection.close()
    again = keyed(record.topic_id, "k")
    assert await theirs.append([again]) == [2]
    [known] = await ours.append([keyed(record.topic_id, "k")])
    assert (known.seq, known.message_id) == (2, again.message_id)


async def test_of_those_who_use_a_key_at_once_one_is_stored(stores):
    ours, theirs = stores
    record = await given.topic(ours)
    keys_count, rounds_count = 20, 30
    for number in range(rounds_count):
        batches = [
            [keyed(record.topic_id, f"{number} {n}") for n in order]
            for order in (range(keys_count), reversed(range(keys_count)))
        ]
        answers = await asyncio.gather(ours.append(batches[0]), theirs.append(batches[1]))
        by_key: dict[str | None, set[str]] = {}
        for batch, answer in zip(batches, answers, strict=True):
            for message, place in zip(batch, answer, strict=True):
                id_ = message.message_id if isinstance(place, int) else place.message_id
                by_key.setdefault(message.idempotency_key, set()).add(id_)
        assert [len(ids) for ids in by_key.values()] == [1] * keys_count
    assert [seq for seq, _ in await log(ours, record.topic_id)] == [
        *range(1, keys_count * rounds_count + 1)
    ]


@pytest.mark.parametrize("known_count", [0, 1, 3])
async def test_a_batch_whose_answer_is_lost_is_stored_once(stores, known_count):
    ours, theirs = stores
    record = await given.topic(ours)
    for n in range(known_count):
        await ours.append([keyed(record.topic_id, f"{n}")])
    await theirs.append([given.message(record.topic_id)])
    batch = [keyed(record.topic_id, f"{n}") for n in range(3)]
    with losing_answers(theirs._home._writer) as lost:
        answers = await theirs.append(batch)
    assert lost.count == (2 if 0 < known_count < 3 else 1)
    stored = [answer for answer in answers if isinstance(answer, int)]
    assert len(stored) == 3 - known_count
    assert [seq for seq, _ in await log(ours, record.topic_id)] == [*range(1, 5)]
