import asyncio

import pytest

from conduit.broker.administer import browse
from conduit.broker.administer.browse import Window
from conduit.core.message import Retention
from conduit.core.scan import Wanted
from conduit.errors import NotFound
from conduit.names import DEFAULT_TENANT
from tests.broker.kit import Bench, running_broker
from tests.broker.stores import SlowStore

T = DEFAULT_TENANT


@pytest.fixture
async def ten(bench: Bench) -> Bench:
    """Messages 1 to 10, published a second apart."""
    await bench.broker.topics.create(T, "t")
    for _ in range(10):
        await bench.publish("t")
        bench.clock.seconds += 1
    return bench


def at(bench: Bench, seq: int) -> int:
    """When a message of `ten` was published."""
    return int((bench.clock.seconds - 11 + seq) * 1000)


async def page(bench: Bench, limit=100, **window):
    messages, following = await bench.broker.messages.browse(T, "t", Window(**window), limit)
    return [message.seq for message in messages], following


async def walk(bench: Bench, limit, **window):
    """All pages, joined."""
    found, following = await page(bench, limit, **window)
    while following is not None:
        more, following = await page(bench, limit, **{**window, "from_seq": following})
        assert more, "a page that was announced is not empty"
        found += more
    return found


@pytest.mark.parametrize("limit", [1, 3, 10, 100])
@pytest.mark.parametrize(("first", "last"), [(1, 10), (4, 10), (1, 6), (4, 6), (5, 5), (7, 6)])
async def test_pages_join_to_the_window_in_both_directions(ten: Bench, limit, first, last):
    window = {"from_ms": at(ten, first), "to_ms": at(ten, last) + 1}
    expected = list(range(first, last + 1))
    assert await walk(ten, limit, **window) == expected
    assert await walk(ten, limit, **window, descending=True) == expected[::-1]


async def test_a_start_outside_the_window_is_brought_into_it_or_finds_nothing(ten: Bench):
    assert await page(ten, from_seq=99) == ([], None)
    assert await page(ten, from_seq=0, limit=1) == ([1], 2)
    assert await page(ten, from_seq=99, limit=1, descending=True) == ([10], 9)
    assert await page(ten, from_seq=0, descending=True) == ([], None)


async def test_an_empty_topic_has_no_page(bench: Bench):
    await bench.broker.topics.create(T, "t")
    assert await page(bench) == ([], None)
    assert await page(bench, descending=True) == ([], None)


async def test_what_retention_removed_is_not_browsed(ten: Bench):
    await ten.broker.topics.update(T, "t", Retention(max_messages=3))
    await ten.broker._housekeeper.round()
    assert await page(ten) == ([8, 9, 10], None)
    assert await page(ten, from_seq=2, limit=1) == ([8], 9)


async def test_a_page_ends_early_when_it_is_large(bench: Bench, monkeypatch):
    monkeypatch.setattr(browse, "PAGE_MAX_BYTES", 2_500)
    await bench.broker.topics.create(T, "t")
    for _ in range(5):
        await bench.publish("t", "x" * 1_000)
    assert await page(bench) == ([1, 2], 3)
    assert await walk(bench, 100) == [1, 2, 3, 4, 5]
    await bench.publish("t", "x" * 3_000)
    assert await walk(bench, 100) == [1, 2, 3, 4, 5, 6]
    for _ in range(2):
        await bench.publish("t", 1, key="k" * 250, headers={"a": "x" * 1_200})
    assert await page(bench, from_seq=7) == ([7], 8)


async def test_unknown_names_ids_and_other_tenants_find_nothing(ten: Bench):
    browser = ten.broker.messages
    (message, *_), _ = await browser.browse(T, "t", Window(), 1)
    topic, found, states = await browser.get(T, message.message_id)
    assert (topic.name, found, states) == ("t", message, [])
    for tenant, message_id in (("other", message.message_id), (T, "nonsense")):
        with pytest.raises(NotFound) as caught:
            await browser.get(tenant, message_id)
        assert caught.value.code == "message_not_found"
    for tenant, name in (("other", "t"), (T, "u")):
        with pytest.raises(NotFound):
            await browser.browse(tenant, name, Window(), 1)


async def test_a_message_of_a_deleted_topic_is_not_found(ten: Bench):
    (message, *_), _ = await ten.broker.messages.browse(T, "t", Window(), 1)
    await ten.broker.topics.delete(T, "t")
    with pytest.raises(NotFound):
        await ten.broker.messages.get(T, message.message_id)


async def test_pages_are_read_one_at_a_time():
    store = SlowStore()
    async with running_broker(store) as bench:
        await bench.broker.topics.create(T, "t")
        await bench.publish("t")
        store.held.add("read")
        async with asyncio.TaskGroup() as group:
            pages = [group.create_task(page(bench)) for _ in range(3)]
            for _ in range(20):
                await asyncio.sleep(0)
            assert store.waiting == ["read"]
            store.release()
        assert [each.result() for each in pages] == [([1], None)] * 3


# Searching ------------------------------------------------------------------------------------------


async def search(bench: Bench, wanted: Wanted, limit=100, **window):
    found = await bench.broker.messages.search(T, "t", Window(**window), wanted, limit)
    return [message.seq for message in found.messages], found.scanned_to, found.following


@pytest.fixture
async def hundred(bench: Bench) -> Bench:
    """Messages 1 to 100; every tenth has the key `k`."""
    await bench.broker.topics.create(T, "t")
    for seq in range(1, 101):
        await bench.publish("t", {"n": seq}, key="k" if seq % 10 == 0 else None)
    return bench


@pytest.mark.parametrize("descending", [False, True])
async def test_a_search_says_how_far_it_has_come_and_goes_on_there(
    hundred: Bench, monkeypatch, descending
):
    monkeypatch.setattr(browse, "SCAN_MAX_COUNT", 25)
    monkeypatch.setattr(browse, "STEP_MAX_COUNT", 4)
    wanted, found, places, start = Wanted(key="k"), [], [], None
    while True:
        seqs, scanned_to, start = await search(
            hundred, wanted, from_seq=start, descending=descending
        )
        found, places = found + seqs, [*places, scanned_to]
        if start is None:
            break
    expected = list(range(10, 101, 10))
    assert found == (expected[::-1] if descending else expected)
    assert places == ([76, 51, 26, 1] if descending else [25, 50, 75, 100])


async def test_a_search_ends_with_what_was_asked_for(hundred: Bench):
    assert await search(hundred, Wanted(text="5}"), limit=2) == ([5, 15], 15, 16)
    assert await search(hundred, Wanted(text="none")) == ([], 100, None)
    assert await search(hundred, Wanted(text="none"), from_seq=101) == ([], None, None)


async def test_a_search_ends_when_it_has_looked_at_much(hundred: Bench, monkeypatch):
    monkeypatch.setattr(browse, "SCAN_MAX_BYTES", 20)
    seqs, scanned_to, following = await search(hundred, Wanted(text="none"))
    assert (seqs, following) == ([], scanned_to + 1)
    assert 1 <= scanned_to < 10


async def test_others_have_their_turns_while_a_search_looks_at_what_it_has_read(
    hundred: Bench, monkeypatch
):
    turn_counts = []

    def count_turn():
        turn_counts[-1] += 1
        again.append(asyncio.get_running_loop().call_soon(count_turn))

    again = []
    for part_bytes in (1 << 20, 1):
        monkeypatch.setattr(browse, "PART_MAX_BYTES", part_bytes)
        turn_counts.append(0)
        count_turn()
        assert await search(hundred, Wanted(text="none")) == ([], 100, None)
        again[-1].cancel()
    assert turn_counts[1] >= turn_counts[0] + 99


async def test_a_list_does_not_wait_for_those_who_search():
    store = SlowStore()
    async with running_broker(store) as bench:
        await bench.broker.topics.create(T, "t")
        await bench.publish("t")
        looks = bench.broker.messages
        async with looks._searches._turn:
            assert await page(bench) == ([1], None)
