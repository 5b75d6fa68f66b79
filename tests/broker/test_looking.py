"""The line of those who look for dead letters: one look at a time, all get on, and nobody waits for ever."""

import asyncio

import pytest

from conduit.broker.administer import looking
from conduit.broker.administer.looking import (
    REQUEST_MAX_S,
    SEARCH_MAX_S,
    SEARCHES_MAX_COUNT,
    Line,
)
from conduit.errors import Overloaded, StoreUnavailable
from conduit.names import DEFAULT_TENANT
from conduit.storage.dead_letters import DeadFilter
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, running_broker
from tests.broker.test_dead_letters import FAST, die

T = DEFAULT_TENANT
SEARCH = DeadFilter(q="nothing like it")


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def begin(work) -> asyncio.Task:
    return asyncio.get_running_loop().create_task(work)


async def answer(value):
    return value


class Hanging:
    """Looks that go on until `over`."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.begun_count = 0

    async def look(self) -> str:
        self.begun_count += 1
        await self.over.wait()
        return "seen"


async def looks(line: Line, ask, count: int = 1) -> list:
    """What one request sees."""
    with line.joined(DEFAULT_TENANT) as looker:
        return [await looker.look(ask) for _ in range(count)]


@pytest.fixture
async def clock(monkeypatch) -> list[float]:
    """The loop's clock, which stands still until `clock[0]` is moved."""
    loop = asyncio.get_running_loop()
    times = [loop.time()]
    monkeypatch.setattr(loop, "time", lambda: times[0])
    return times


@pytest.fixture
async def line() -> Line:
    return Line(SEARCHES_MAX_COUNT, "dead letters")


async def test_who_has_had_a_look_comes_after_all_who_wait(line):
    seen = []

    async def request(name):
        await looks(line, lambda: answer(seen.append(name)), count=3)

    await asyncio.gather(*map(request, "abc"))
    assert "".join(seen) == "abcabcabc"


async def test_one_more_than_the_line_has_room_for_is_refused_at_once(line):
    hanging = Hanging()
    waiting = [begin(looks(line, hanging.look)) for _ in range(SEARCHES_MAX_COUNT)]
    await turns()
    with pytest.raises(Overloaded) as refused:
        await looks(line, hanging.look)
    assert refused.value.retry_after_s == SEARCH_MAX_S
    assert hanging.begun_count == 1
    hanging.over.set()
    assert await asyncio.gather(*waiting) == [["seen"]] * SEARCHES_MAX_COUNT
    assert await looks(line, hanging.look) == ["seen"]


async def test_however_many_one_tenant_has_in_line_another_comes_in(line):
    hanging = Hanging()
    waiting = [begin(looks(line, hanging.look)) for _ in range(SEARCHES_MAX_COUNT)]
    await turns()
    with line.joined("other") as looker:
        other = begin(looker.look(hanging.look))
        await turns()
        hanging.over.set()
        assert await other == "seen"
    await asyncio.gather(*waiting)


async def test_the_time_of_a_search_begins_with_its_first_look(line, clock):
    with line.joined(DEFAULT_TENANT) as looker:
        clock[0] += REQUEST_MAX_S - SEARCH_MAX_S - 1
        assert await looker.look(lambda: answer(1)) == 1
        clock[0] += SEARCH_MAX_S - 0.1
        assert await looker.look(lambda: answer(2)) == 2
        clock[0] += 0.1
        assert await looker.look(lambda: answer(3)) is None


async def test_who_has_waited_too_long_for_the_first_look_is_told(line, clock):
    hanging = Hanging()
    first = begin(looks(line, hanging.look))
    await turns()
    second = begin(looks(line, hanging.look))
    await turns()
    clock[0] += REQUEST_MAX_S - SEARCH_MAX_S
    with pytest.raises(Overloaded):
        await second
    hanging.over.set()
    assert await first == ["seen"]
    assert hanging.begun_count == 1


async def test_who_has_seen_something_waits_no_longer_than_its_time_for_more(line, clock):
    hanging = Hanging()
    with line.joined(DEFAULT_TENANT) as looker:
        assert await looker.look(lambda: answer(1)) == 1
        other = begin(looks(line, hanging.look))
        await turns()
        more = begin(looker.look(lambda: answer(2)))
        await turns()
        assert not more.done()
        clock[0] += SEARCH_MAX_S
        assert await more is None
    hanging.over.set()
    await other


async def test_a_look_that_takes_too_long_is_waited_for_no_more_and_keeps_its_turn(line, clock):
    hanging = Hanging()
    late = begin(looks(line, hanging.look))
    await turns()
    clock[0] += REQUEST_MAX_S
    with pytest.raises(Overloaded):
        await late
    follows = begin(looks(line, lambda: answer(2)))
    await turns()
    assert not follows.done()
    hanging.over.set()
    assert await follows == [2]


async def test_who_leaves_in_the_middle_of_a_look_keeps_the_turn_until_it_is_over(line):
    hanging = Hanging()
    leaves, follows = begin(looks(line, hanging.look)), begin(looks(line, lambda: answer(2)))
    await turns()
    leaves.cancel()
    await turns()
    assert leaves.cancelled()
    assert not follows.done()
    hanging.over.set()
    assert await follows == [2]


async def test_a_look_that_fails_gives_its_turn_to_the_next(line):
    async def fails():
        raise StoreUnavailable("the disk is gone")

    failing, follows = begin(looks(line, fails)), begin(looks(line, lambda: answer(2)))
    with pytest.raises(StoreUnavailable):
        await failing
    assert await follows == [2]


class HangingStore(MemoryStore):
    """Its searches of payloads go on until `over`; `looks_count` is how many began."""

    def __init__(self) -> None:
        super().__init__()
        self.over = asyncio.Event()
        self.looks_count = 0

    async def dead_list(self, tenant, which, **more):
        self.looks_count += 1
        if which.q is not None:
            await self.over.wait()
        return await super().dead_list(tenant, which, **more)


async def test_what_has_an_index_does_not_wait_for_searches():
    store = HangingStore()
    async with running_broker(store) as bench:
        dead_letters = bench.broker.dead_letters
        await die(bench, "t", count=3)
        searches = [begin(dead_letters.list(T, SEARCH, limit=9)) for _ in range(SEARCHES_MAX_COUNT)]
        await turns()
        with pytest.raises(Overloaded):
            await dead_letters.list(T, DeadFilter(topic="t"), limit=9)
        which = DeadFilter(subscription="s")
        newest, middle, _ = (await dead_letters.list(T, which, limit=9)).letters
        await dead_letters.discard(T, newest.dead_id)
        await dead_letters.redrive(T, middle.dead_id)
        job = dead_letters.jobs.start(T, which, **FAST)
        await bench.until(lambda: job.state == "done")
        assert job.redriven_count == 1
        job = dead_letters.jobs.start(T, which, **FAST, action="discard")
        await bench.until(lambda: job.state == "done")
        assert job.discarded_count == 2
        assert not any(search.done() for search in searches)
        # One that searches is not refused, and waits.
        job = dead_letters.jobs.start(T, SEARCH, **FAST)
        await turns()
        assert job.state == "running"
        store.over.set()
        await asyncio.gather(*searches)
        await bench.until(lambda: job.state == "done")


async def test_however_many_search_one_turn_of_the_loop_has_one_look(monkeypatch):
    monkeypatch.setattr("conduit.storage.dead.LOOK_MAX_COUNT", 2)
    store = HangingStore()
    store.over.set()
    async with running_broker(store) as bench:
        await die(bench, "t", count=20)
        searches = [
            begin(bench.broker.dead_letters.list(T, SEARCH, limit=9))
            for _ in range(SEARCHES_MAX_COUNT)
        ]
        while not all(search.done() for search in searches):
            before = store.looks_count
            await asyncio.sleep(0)
            assert store.looks_count <= before + 1
        assert store.looks_count >= 10 * SEARCHES_MAX_COUNT


async def test_a_search_that_is_cut_says_how_far_it_came(bench: Bench, monkeypatch):
    monkeypatch.setattr("conduit.storage.dead.LOOK_MAX_COUNT", 2)
    monkeypatch.setattr(looking, "SEARCH_MAX_S", 0.0)
    await die(bench, "t", count=3)
    found = await bench.broker.dead_letters.list(T, SEARCH, limit=9)
    assert found.is_cut
    rest = await bench.broker.dead_letters.list(T, SEARCH, limit=9, before_id=found.before_id)
    assert rest.before_id is None
