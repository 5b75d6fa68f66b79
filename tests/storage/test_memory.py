import asyncio
import random
from itertools import islice

import pytest

from conduit.core.message import Redriven
from conduit.storage.access import AuditLook
from conduit.storage.dead_letters import LOOK_MAX_COUNT, DeadBounds, DeadFilter
from conduit.storage.memory import MemoryStore, audit, dead_letters, gone
from conduit.storage.memory.gone import GoneLetters
from conduit.storage.memory.piles import Ids, Pile
from conduit.storage.slices import SLICE_COUNT
from tests.storage import given
from tests.storage.given import KEEP_ALL, NOW_MS, TENANT, letters_count, listed
from tests.storage.test_audit import entry


async def turns(call) -> int:
    """How often the loop turns meanwhile."""
    turned = 0
    task = asyncio.get_running_loop().create_task(call)
    while not task.done():
        await asyncio.sleep(0)
        turned += 1
    return turned


async def held(store, topic_id: int) -> list[int]:
    return [message.seq for message in await store.read(topic_id, 1, limit=10_000)]


async def test_a_full_store_drops_the_oldest_messages():
    store = MemoryStore(max_messages=10)
    record = await given.topic(store)
    ids = await given.messages(store, record.topic_id, 12)
    assert await held(store, record.topic_id) == list(range(3, 13))
    assert await store.append([given.message(record.topic_id)]) == [13]
    assert await store.find(TENANT, ids[0]) is None
    now = await given.topic_now(store, record.topic_id)
    assert (now.first_seq, now.last_seq) == (4, 13)


async def test_a_noisy_topic_pays_for_itself():
    store = MemoryStore(max_messages=100)
    quiet, noisy = await given.topic(store, "quiet"), await given.topic(store, "noisy")
    await given.messages(store, quiet.topic_id, 20)
    for _ in range(50):
        await given.messages(store, noisy.topic_id, 10)
    assert await held(store, quiet.topic_id) == list(range(1, 21))
    noisy_seqs = await held(store, noisy.topic_id)
    assert 70 <= len(noisy_seqs) <= 80
    assert noisy_seqs[-1] == 500


async def test_a_topic_that_grows_later_pays_soon_and_a_deleted_one_no_more():
    store = MemoryStore(max_messages=1_000)
    first, second = await given.topic(store, "first"), await given.topic(store, "second")
    quiet = [await given.topic(store, f"quiet-{n}") for n in range(100)]
    for record in quiet:
        await given.messages(store, record.topic_id, 4)
    for _ in range(100):
        await given.messages(store, first.topic_id, 10)
    assert 590 <= len(await held(store, first.topic_id)) <= 600
    for _ in range(200):
        await given.messages(store, second.topic_id, 10)
    counts = [len(await held(store, record.topic_id)) for record in (first, second)]
    assert 590 <= sum(counts) <= 600
    assert max(counts) - min(counts) <= 20
    await store.topic_delete(second.topic_id)
    for _ in range(200):
        await given.messages(store, first.topic_id, 10)
    assert 590 <= len(await held(store, first.topic_id)) <= 600
    assert all([len(await held(store, record.topic_id)) == 4 for record in quiet])
    assert sum(record.stored_bytes for record in await store.topics()) <= 2_000


async def test_topics_of_one_size_all_make_room():
    store = MemoryStore(max_messages=64)
    topics = [await given.topic(store, f"t{n}") for n in range(8)]
    for _ in range(20):
        await store.append([given.message(record.topic_id) for record in topics])
    counts = [len(await held(store, record.topic_id)) for record in topics]
    assert sum(counts) <= 64
    assert min(counts) >= 3


async def test_bytes_are_bounded_over_all_topics():
    store = MemoryStore(max_bytes=10_000)
    small, large = await given.topic(store, "small"), await given.topic(store, "large")
    for n in range(40):
        await store.append([given.message(small.topic_id, b"x" * 10)])
        await store.append([given.message(large.topic_id, b"x" * 900, headers=b"h" * 100)])
        stored = sum(record.stored_bytes for record in await store.topics())
        assert stored <= 10_000, n
    assert await held(store, small.topic_id) == list(range(1, 41))
    assert len(await held(store, large.topic_id)) == 9


async def test_what_was_deleted_goes_before_what_is_there():
    store = MemoryStore(max_messages=10)
    gone, kept = await given.topic(store, "gone"), await given.topic(store, "kept")
    await given.messages(store, gone.topic_id, 6)
    await given.messages(store, kept.topic_id, 4)
    await store.topic_delete(gone.topic_id)
    await given.messages(store, kept.topic_id, 6)
    assert await held(store, kept.topic_id) == list(range(1, 11))
    assert await store.purge(100) == 0


async def test_a_batch_beyond_the_bound_leaves_its_end():
    store = MemoryStore(max_messages=10)
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 35)
    assert await held(store, record.topic_id) == list(range(26, 36))


async def test_a_message_beyond_the_bound_is_not_kept():
    store = MemoryStore(max_bytes=100)
    record = await given.topic(store)
    assert await store.append([given.message(record.topic_id, b"x" * 101)]) == [1]
    assert await held(store, record.topic_id) == []


async def test_idempotency_keys_are_bounded_by_count():
    store = MemoryStore(max_keys=10)
    record = await given.topic(store)
    for n in range(15):
        await store.append([given.message(record.topic_id, idempotency_key=f"k{n}")])
    assert [known.key for known in await store.known_keys(0, 1_000)] == [
        f"k{n}" for n in range(5, 15)
    ]


async def test_former_topics_are_bounded_by_count(monkeypatch):
    monkeypatch.setattr("conduit.storage.memory.former.MAX_COUNT", 3)
    store = MemoryStore()
    one, other = [await given.subscription(store, name, ">") for name in ("one", "other")]
    for n, record in enumerate((one, one, other, other)):
        topic = await given.topic(store, f"t{n}")
        await store.topic_delete(topic.topic_id, [record.subscription_id], given.NOW_MS)
    assert [former.name for former in await store.former(one.subscription_id)] == ["t1"]
    assert len(await store.former(other.subscription_id)) == 2


@pytest.mark.parametrize("count", [0, 3])
async def test_a_closed_store_keeps_what_it_has(count):
    store = MemoryStore()
    record = await given.topic(store)
    await given.messages(store, record.topic_id, count)
    await store.close()
    await store.open()
    assert len(await held(store, record.topic_id)) == count


async def die(store, record, first: int, count: int, size: int = 100_000) -> None:
    """So many messages of a topic, each published and dead in `billing`."""
    for n in range(first, first + count):
        await store.append([given.message(record.topic_id, b"x" * size)])
        death = given.death(record.topic_id, n, f"{record.name}{n:04}", subscription="billing")
        await store.settle([], [death])


async def test_dead_letters_are_within_the_bound_on_bytes_and_leave_half_to_the_log():
    store = MemoryStore(max_bytes=10_000_000)
    record = await given.topic(store)
    await given.subscription(store)
    await die(store, record, 1, 200)
    letters = await store.dead_tally(TENANT, "billing")
    (topic,) = await store.topics()
    assert 4_500_000 < letters.size_bytes <= 5_000_000
    assert 4_500_000 < topic.stored_bytes <= 10_000_000 - letters.size_bytes
    assert (await listed(store, limit=1000))[0] == "orders0200"
    (loss,) = await store.dead_losses()
    assert loss.dropped_count == 200 - letters.open_count
    assert await given.fate(store, "billing", record.topic_id, 1) == "dropped"
    await store.dead_trim(NOW_MS + 1, DeadBounds(), 1_000)
    await given.messages(store, record.topic_id, 1)
    for _ in range(100):
        await store.append([given.message(record.topic_id, b"x" * 100_000)])
    (topic,) = await store.topics()
    assert topic.stored_bytes >= 9_900_000


async def test_many_small_piles_of_one_tenant_push_out_none_of_a_tenant_that_has_less():
    store = MemoryStore(max_bytes=10_000_000)
    quiet = await given.topic(store, "quiet", "other")
    await given.subscription(store, tenant="other", pattern="quiet")
    for n in range(1, 21):
        await store.append([given.message(quiet.topic_id, b"x" * 100_000)])
        death = given.death(quiet.topic_id, n, f"q{n}", tenant="other", subscription="billing")
        await store.settle([], [death])
    # Each of these has less than that one, and all together twice as much.
    for number in range(50):
        record = await given.topic(store, f"noisy{number}")
        await store.append([given.message(record.topic_id, b"x" * 100_000)])
        await store.settle([], [given.death(record.topic_id, 1, f"n{number:02}")])
    assert (await store.dead_tally("other", "billing")).open_count == 20
    assert (await store.dead_tally(TENANT, None)).open_count < 50


async def test_who_has_the_most_dead_letters_pays_for_them():
    store = MemoryStore(max_bytes=10_000_000)
    noisy, quiet = await given.topic(store, "noisy"), await given.topic(store, "quiet")
    await given.subscription(store, "billing", ">")
    await given.subscription(store, "audit", ">")
    await store.append([given.message(quiet.topic_id, b"x" * 100_000)])
    await store.settle([], [given.death(quiet.topic_id, 1, "audit", subscription="audit")])
    await die(store, noisy, 1, 200)
    assert await listed(store, subscription="audit") == ["audit"]


async def test_nothing_about_very_many_dead_letters_is_one_long_turn():
    store = MemoryStore()
    record = await given.topic(store)
    await given.subscription(store)
    count = 20 * SLICE_COUNT
    await given.messages(store, record.topic_id, count)
    for first in range(1, count + 1, 1_000):
        deaths = [
            given.death(record.topic_id, n, f"d{n:06}", subscription="billing")
            for n in range(first, first + 1_000)
        ]
        await store.settle([], deaths)

    assert await letters_count(store, TENANT, DeadFilter(reason="ack_timeout")) == count
    for which in (DeadFilter(reason="other"), DeadFilter(topic="other"), DeadFilter(q="other")):
        for ask in (store.dead_list, store.dead_places):
            found = await ask(TENANT, which, limit=50)
            assert (found, found.reached_id) == ([], f"d{count - LOOK_MAX_COUNT + 1:06}")


async def test_nothing_about_a_subscription_on_very_many_topics_is_one_long_turn():
    store = MemoryStore()
    count = 10 * SLICE_COUNT
    names = [f"orders.t{n}" for n in range(count)]
    topics = await store.topics_create(TENANT, names, KEEP_ALL, NOW_MS)
    await store.append([given.message(record.topic_id) for record in topics])
    # Once for finding where it begins, once for storing that.
    assert await turns(given.subscription(store, pattern=">")) >= 19
    [record] = await store.subscriptions()
    positions = [(topic.topic_id, 0) for topic in topics]
    assert await turns(store.seek(record.subscription_id, positions)) >= 10
    assert await turns(store.settled([record.subscription_id])) >= 19
    assert len(await store.progress(record.subscription_id)) == count


async def test_a_topic_that_goes_while_a_subscription_is_moved_leaves_nothing_in_it():
    store = MemoryStore()
    names = [f"orders.t{n}" for n in range(3 * SLICE_COUNT)]
    topics = await store.topics_create(TENANT, names, KEEP_ALL, NOW_MS)
    record = await given.subscription(store, pattern=">")
    positions = [(topic.topic_id, 0) for topic in topics]
    moving = asyncio.get_running_loop().create_task(store.seek(record.subscription_id, positions))
    await asyncio.sleep(0)
    await store.topic_delete(topics[0].topic_id)
    await moving
    moved = await store.progress(record.subscription_id)
    assert {row.topic_id for row in moved} == {topic.topic_id for topic in topics[1:]}


async def test_ids_that_are_gone_leave_no_trace_and_others_stay_in_order():
    rng = random.Random(7)
    live: dict[str, None] = {}
    ids = Ids(live)
    made = 0
    for _ in range(5_000):
        if live and rng.random() < 0.5:
            del live[rng.choice(list(live))]
            ids.removed()
        else:
            made += 1
            dead_id = f"{made + rng.choice((0, 0, 0, -5)) * 10:08}-{made}"
            live[dead_id] = None
            ids.add(dead_id)
        if rng.random() < 0.02:
            assert list(ids.oldest()) == sorted(live)
            newest = [one for one in ids.below(None, 10_000) if one in live]
            assert newest == sorted(live, reverse=True)
    assert len(ids._items) <= 2 * len(live) + 1


def test_an_id_that_is_back_is_there_once():
    live = dict.fromkeys("abc")
    ids = Ids(live)
    for dead_id in "abc":
        ids.add(dead_id)
    for dead_id in "bc":
        del live[dead_id]
        ids.removed()
        live[dead_id] = None
        ids.add(dead_id)
    assert list(ids.oldest()) == ["a", "b", "c"]
    assert ids.below(None, 10) == ["c", "b", "a"]


def test_what_is_remembered_of_letters_that_are_gone_is_bounded_over_all_topics(monkeypatch):
    monkeypatch.setattr(gone, "ALL_MAX_COUNT", 10)
    letters = GoneLetters()
    for topic_id in (1, 2, 3):
        for seq in range(1, 5):
            letters.remember("s", topic_id, seq, "dropped")
    fates = [[letters.fate("s", topic_id, seq) for seq in (4, 5)] for topic_id in (1, 2, 3)]
    assert fates == [["forgotten", None], ["dropped", None], ["dropped", None]]
    letters.is_back("s", 2, 4)
    letters.remember("s", 1, 9, "discarded")
    letters.forget_topic(3)
    assert [letters.fate("s", topic_id, 9) for topic_id in (1, 2, 3)] == ["discarded", None, None]
    assert letters._count == sum(len(topic.fates) for topic in letters._topics.values()) == 4


async def test_letters_that_are_younger_than_they_were_do_not_keep_the_loop_nor_older_ones(
    monkeypatch,
):
    store = MemoryStore()
    monkeypatch.setattr(dead_letters, "DATED_MAX_COUNT", 3)
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 8)
    await store.settle([], [given.death(record.topic_id, n, f"d{n}") for n in range(1, 9)])
    await store.settle([], [], [Redriven(f"d{n}", NOW_MS + 100) for n in range(1, 7)])
    removed = [await store.dead_trim(NOW_MS + 1, DeadBounds(), 100) for _ in range(4)]
    assert (removed, sum(removed)) == ([0, 0, 2, 0], 2)
    assert await store.dead_trim(NOW_MS + 101, DeadBounds(), 4) == 4
    assert len(store._dead._by_age) == 2


def test_of_very_many_redriven_dead_letters_only_those_that_go_are_looked_at():
    ids = {f"d{number:06}": None for number in range(10_000)}
    pile, asked = Pile(ids), []
    for dead_id in ids:
        pile.ids.add(dead_id)
    pile.redriven = dict.fromkeys(reversed(ids))

    def is_left(dead_id: str) -> bool:
        asked.append(dead_id)
        return dead_id == "d009998"

    assert list(islice(pile.going(is_left), 3)) == ["d009999", "d009997", "d009996"]
    assert len(asked) == 4
    assert list(pile.going(is_left))[-1] == "d009998"


def test_a_tenant_that_does_much_takes_no_place_of_others_in_the_audit_log(monkeypatch):
    monkeypatch.setattr(audit, "MAX_COUNT", 100)
    monkeypatch.setattr(audit, "SLACK_COUNT", 10)
    log = audit.Audit()
    kept = [entry(NOW_MS + n, tenant="other") for n in range(20)]
    log.add(kept)
    for n in range(1_000):
        log.add([entry(NOW_MS + 20 + n)])
    assert log.page(AuditLook("other", 100, None)) == kept[::-1]
    assert len(log.page(AuditLook(None, 1_000, None))) == len(log._by_id) <= 110
    assert log.page(AuditLook("acme", 1, None))[0].at_ms == NOW_MS + 1_019
