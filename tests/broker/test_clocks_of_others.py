"""Several servers on one store, each with its machine's clock: none of them removes anything early."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from conduit.broker.administer.browse import Window
from conduit.broker.administer.retention import RetentionRules
from conduit.broker.store_time import FORGET_TOLD_S, TOLD
from conduit.core.message import Retention
from conduit.errors import StoreUnavailable
from conduit.names import DEFAULT_TENANT
from conduit.storage.base import Rule
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, ManualClock, running_broker
from tests.broker.stores import Share

T = DEFAULT_TENANT
HOUR_S = 3_600


class Pair:
    """Two servers on one store, on machines of their own: `old` cleans up at first, `new` is about to replace
    it."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        self.store.server_count = 2
        self.shares = [Share(self.store, is_leader=True), Share(self.store, is_leader=False)]
        self.clocks = [ManualClock(), ManualClock()]
        self.clocks[1].boot_id = "another machine"
        self.old: Bench
        self.new: Bench

    def pass_s(self, seconds: float) -> None:
        for clock, bench in zip(self.clocks, (self.old, self.new), strict=True):
            clock.seconds += seconds
            bench.broker._time.tick()

    async def round(self) -> None:
        """Both do their housekeeping."""
        for bench in (self.new, self.old):
            await bench.broker.topics.learn()
            await bench.broker._housekeeper.round()

    async def kept(self, name: str) -> list[int]:
        await self.round()
        messages, _ = await self.new.broker.messages.browse(T, name, Window(), 100)
        return [message.seq for message in messages]


@pytest.fixture
async def pair():
    pair = Pair()
    async with AsyncExitStack() as stack:
        benches = [
            await stack.enter_async_context(
                running_broker(share, clock, housekeeping=RetentionRules(interval_s=HOUR_S))
            )
            for share, clock in zip(pair.shares, pair.clocks, strict=True)
        ]
        pair.old, pair.new = benches
        await pair.round()
        pair.pass_s(30)
        yield pair


async def created(bench: Bench, name: str) -> None:
    await bench.broker.topics.create(T, name, Retention(max_age_s=HOUR_S))


async def test_what_another_server_stamps_with_a_clock_that_was_set_back_is_kept_for_its_age(pair):
    await created(pair.new, "t")
    pair.clocks[1].ahead_s -= 2 * HOUR_S
    await pair.new.publish("t")
    assert await pair.kept("t") == [1]
    for _ in range(55):
        pair.pass_s(60)
        await pair.round()
    await pair.new.publish("t")
    assert await pair.kept("t") == [1, 2]
    for _ in range(6):
        pair.pass_s(60)
        await pair.round()
    assert await pair.kept("t") == [2]


async def test_of_a_server_that_has_begun_with_a_clock_that_is_behind_nothing_is_removed_early():
    pair = Pair()
    pair.clocks[1].ahead_s = -2 * HOUR_S
    async with (
        running_broker(pair.shares[0], pair.clocks[0]) as pair.old,
        running_broker(pair.shares[1], pair.clocks[1]) as pair.new,
    ):
        await created(pair.new, "t")
        await pair.new.publish("t")
        assert await pair.kept("t") == [1]


async def test_a_clock_that_was_behind_for_a_moment_between_two_looks_is_heard_of(pair):
    await created(pair.new, "t")
    pair.clocks[1].ahead_s -= 2 * HOUR_S
    await pair.new.publish("t")
    pair.pass_s(2)
    pair.clocks[1].ahead_s = 0
    await pair.new.publish("t")
    assert await pair.kept("t") == [1, 2]


async def test_who_takes_over_goes_on_from_what_the_one_before_knew_and_from_what_was_said_since(
    pair,
):
    await created(pair.new, "t")
    for at, bench in enumerate((pair.old, pair.new)):
        pair.clocks[at].ahead_s -= 2 * HOUR_S
        await bench.broker.topics.learn()
        await bench.publish("t")
        pair.clocks[at].ahead_s = 0
        pair.pass_s(1)
    pair.shares[0].is_leader, pair.shares[1].is_leader = False, True
    for _ in range(50):
        pair.pass_s(60)
        assert await pair.kept("t") == [1, 2]
    for _ in range(12):
        pair.pass_s(60)
        await pair.round()
    assert await pair.kept("t") == []


async def test_a_server_that_has_stopped_is_forgotten_and_holds_nothing_up(pair):
    pair.clocks[1].ahead_s -= 30 * 24 * HOUR_S
    pair.pass_s(1)
    await pair.round()
    assert len(await pair.store.facts(TOLD)) == 1
    leader = pair.old.broker._time
    for clock in pair.clocks:
        clock.seconds += FORGET_TOLD_S
    await leader.hear()
    assert await pair.store.facts(TOLD) == {}
    now_ms = pair.clocks[0].wall_ms()
    assert leader.before_ms(HOUR_S) < now_ms - 24 * HOUR_S * 1000
    pair.clocks[0].seconds += 2 * HOUR_S
    assert leader.before_ms(HOUR_S) == pair.clocks[0].wall_ms() - HOUR_S * 1000


async def test_a_store_that_cannot_keep_the_time_is_cleaned_up_all_the_same(pair, monkeypatch):
    async def fails(_name: str, _value: bytes | None) -> None:
        raise StoreUnavailable("there is no room")

    await created(pair.old, "t")
    await pair.old.publish("t")
    pair.pass_s(HOUR_S + 200)
    monkeypatch.setattr(pair.store, "keep_fact", fails)
    assert await pair.kept("t") == []


class Slices(MemoryStore):
    """Calls `between` after each slice of retention."""

    def __init__(self) -> None:
        super().__init__()
        self.between: Callable[[], Awaitable[object]] | None = None

    async def trim(self, *args):
        trimmed = await super().trim(*args)
        if self.between is not None:
            await self.between()
        return trimmed


async def test_a_clock_that_is_set_back_between_two_slices_is_heard_of(monkeypatch):
    monkeypatch.setattr("conduit.broker.administer.retention.SLICE_COUNT", 2)
    pair = Pair(store := Slices())
    async with (
        running_broker(pair.shares[0], pair.clocks[0]) as pair.old,
        running_broker(pair.shares[1], pair.clocks[1]) as pair.new,
    ):
        await created(pair.new, "t")
        await pair.new.publish_many("t", 3)
        pair.pass_s(HOUR_S + 300)

        async def sets_it_back() -> None:
            store.between = None
            pair.clocks[1].ahead_s -= 2 * HOUR_S
            await pair.store.trim(topic.topic_id, Rule(Retention(max_messages=0), 0), 1)
            await pair.new.publish("t")

        topic = pair.new.broker.topics.get(T, "t")
        store.between = sets_it_back
        assert await pair.kept("t") == [4]
