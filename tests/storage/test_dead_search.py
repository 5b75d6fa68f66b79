"""Searching dead letters: how much one call looks at, that it says how far it came, and who waits for it."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from conduit.storage.base import Store
from conduit.storage.dead_letters import LOOK_MAX_COUNT, DeadFilter
from conduit.storage.postgres import PostgresStore
from conduit.storage.sqlite import SqliteStore
from tests.storage import given
from tests.storage.given import TENANT

ALL = DeadFilter()
SIZE = 1_000


@pytest.fixture
async def letters(store):
    """d0000 to d1499; the payload of d0007 has `needle` in it."""
    record = await given.topic(store)
    count = LOOK_MAX_COUNT * 3 // 2
    new = [
        given.message(record.topic_id, b"needle" if n == 7 else b"x" * SIZE) for n in range(count)
    ]
    seqs = await store.append(new)
    deaths = [given.death(record.topic_id, seq, f"d{n:04}") for n, seq in enumerate(seqs)]
    await store.settle([], deaths)


def ids(found) -> list[str]:
    return [one.dead_id for one in found]


@pytest.mark.parametrize("call", ["dead_list", "dead_places"])
async def test_one_call_looks_at_so_many_and_says_how_far_it_came(store, letters, call):
    ask, which = getattr(store, call), DeadFilter(reason="other")
    found = await ask(TENANT, which, limit=10)
    assert (found, found.reached_id) == ([], "d0500")
    found = await ask(TENANT, which, limit=10, before_id="d0500")
    assert (found, found.reached_id) == ([], None)


@pytest.mark.parametrize("call", ["dead_list", "dead_places"])
async def test_what_is_looked_for_in_payloads_is_found_by_asking_again(store, letters, call):
    ask, before_id, found = getattr(store, call), None, []
    for _ in range(20):
        page = await ask(TENANT, DeadFilter(q="needle"), limit=10, before_id=before_id)
        found += ids(page)
        if (before_id := page.reached_id) is None:
            break
    assert (found, before_id) == (["d0007"], None)


async def test_a_full_page_goes_on_below_its_last_and_the_last_page_says_so(store, letters):
    page = await store.dead_places(TENANT, ALL, limit=3)
    assert (ids(page), page.reached_id) == (["d1499", "d1498", "d1497"], "d1497")
    for limit in (2, 3):
        page = await store.dead_places(TENANT, ALL, limit=limit, before_id="d0002")
        assert ids(page) == ["d0001", "d0000"]
    assert page.reached_id is None


async def test_a_page_ends_before_it_passes_its_bytes(store, letters):
    for max_bytes, count in ((10 * SIZE, 10), (10 * SIZE - 1, 9), (1, 1)):
        page = await store.dead_list(TENANT, ALL, limit=50, max_bytes=max_bytes)
        assert (len(page), page.reached_id) == (count, page[-1].dead_id)


@pytest.mark.parametrize("call", ["dead_list", "dead_places"])
async def test_those_of_some_patterns_of_topics_are_found_page_by_page(store, call):
    for topic in ("orders.a", "orders.b.c", "other"):
        record = await given.topic(store, topic)
        seqs = await store.append([given.message(record.topic_id)] * LOOK_MAX_COUNT)
        deaths = [
            given.death(record.topic_id, seq, f"d{n:04}-{topic}") for n, seq in enumerate(seqs)
        ]
        await store.settle([], deaths)
    which = DeadFilter(patterns=("orders.*", "nothing"))
    before_id, found, looks_count = None, [], 0
    while True:
        page = await getattr(store, call)(TENANT, which, limit=400, before_id=before_id)
        found += ids(page)
        looks_count += 1
        if (before_id := page.reached_id) is None:
            break
    # It looks at so many in each call, whatever they are.
    assert looks_count == 4
    assert found == [f"d{n:04}-orders.a" for n in reversed(range(LOOK_MAX_COUNT))]


def made(name: str, request, folder: Path) -> Store:
    """A store that is not open yet."""
    if name == "sqlite":
        return SqliteStore(folder / "log.db")
    return PostgresStore(request.getfixturevalue("database_url"))


@asynccontextmanager
async def searching(store: Store) -> AsyncIterator[None]:
    """Somebody searches dead letters, and takes long."""
    over, loop = asyncio.Event(), asyncio.get_running_loop()
    if isinstance(store, SqliteStore):
        go_on = threading.Event()
        search = store._db.searcher.call(lambda _: go_on.wait(20))
        stop = go_on.set
    else:
        search = store._home.database.search(lambda _: over.wait())
        stop = over.set
    task = loop.create_task(search)
    await asyncio.sleep(0)
    try:
        yield
    finally:
        stop()
        await task


@pytest.mark.parametrize("name", ["sqlite", pytest.param("postgres", marks=pytest.mark.process)])
async def test_what_is_looked_for_in_payloads_holds_up_nothing_but_its_like(
    request, tmp_path, name
):
    store = made(name, request, tmp_path)
    await store.open()
    record = await given.topic(store)
    [seq] = await store.append([given.message(record.topic_id)])
    await store.settle([], [given.death(record.topic_id, seq, "d1")])
    async with searching(store):
        search = asyncio.get_running_loop().create_task(
            store.dead_list(TENANT, DeadFilter(q=""), limit=1)
        )
        for _ in range(20):
            assert await store.read(record.topic_id, 1, limit=1)
            assert await store.dead_get(TENANT, "d1")
            for which in (ALL, DeadFilter(subscription="", is_redriven=False)):
                assert ids(await store.dead_list(TENANT, which, limit=1)) == ["d1"]
                assert ids(await store.dead_places(TENANT, which, limit=1)) == ["d1"]
            await store.prove(16)
            await store.append([given.message(record.topic_id)])
        assert not search.done()
    assert ids(await search) == ["d1"]
    await store.close()
