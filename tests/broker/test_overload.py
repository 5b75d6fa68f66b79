"""What waits for a store that does not keep up: refused in time, and never stored after that."""

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest

from conduit.broker.publish.admission import PublishLimits
from conduit.broker.publish.committer import Committer
from conduit.broker.publish.queue import Queue
from conduit.broker.stamps import Stamps
from conduit.core.message import NewMessage
from conduit.errors import (
    ConduitError,
    OutcomeUnknown,
    Overloaded,
    StoreDataError,
    StoreUnavailable,
)
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import PublishRequest
from tests.broker.kit import Bench, ManualClock, made_commits, running_broker
from tests.broker.test_commits import HangingStore, published

TIMEOUT_S = 5.0


class GatedStore:
    """Each append waits until it is let through; what was stored is kept, and `poison` refused."""

    kind = "memory"

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.gate = asyncio.Semaphore(0)

    async def append(self, batch: Sequence[NewMessage]) -> list[int]:
        await self.gate.acquire()
        if any(message.payload == b"poison" for message in batch):
            raise StoreDataError("a row is refused")
        self.payloads += [message.payload for message in batch]
        return [len(self.payloads)] * len(batch)


class MakingStore(HangingStore):
    """Topics are made when `makes` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.makes = asyncio.Event()

    async def topic_create(self, *args):
        await self.makes.wait()
        return await super().topic_create(*args)


class Publisher:
    """A unit of one message, and what it was told."""

    def __init__(self, payload: bytes) -> None:
        self.message = NewMessage(1, "id", payload)
        self.told: list[int | ConduitError] = []

    def stored(self, seqs: Sequence[int], start: int) -> None:
        self.told.append(seqs[start])

    def failed(self, error: ConduitError) -> None:
        self.told.append(error)


@asynccontextmanager
async def gated_committer():
    store = GatedStore()
    clock = made_commits(ManualClock())
    committer = Committer(store, clock, lambda messages, seqs: None, timeout_s=TIMEOUT_S)
    task = asyncio.get_running_loop().create_task(committer.run())
    try:
        yield store, committer
    finally:
        for _ in range(10):
            store.gate.release()
        await committer.drain()
        task.cancel()


def submit(committer: Committer, payload: bytes, since: float | None = None) -> Publisher:
    publisher = Publisher(payload)
    committer.submit([publisher.message], len(payload), publisher, since)
    return publisher


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def teach(committer: Committer, *, commit_s: float) -> None:
    """As if the store had always taken so long."""
    now = asyncio.get_running_loop().time()
    for _ in range(5):
        committer._room.begin(now - commit_s, 1, has_rest=False)
        committer._room.end(now, is_stored=True)


async def test_what_has_waited_too_long_when_its_turn_comes_is_refused_and_not_stored():
    async with gated_committer() as (store, committer):
        first = submit(committer, b"first")
        await turns()
        long_ago = asyncio.get_running_loop().time() - TIMEOUT_S
        fresh, late = submit(committer, b"fresh"), submit(committer, b"late", long_ago)
        store.gate.release()
        await turns()
        assert isinstance(late.told[0], Overloaded)
        assert len(first.told) == 1
        store.gate.release()
        await committer.drain()
        assert store.payloads == [b"first", b"fresh"]
        assert len(late.told) == len(fresh.told) == 1


async def test_a_batch_that_cannot_be_stamped_is_refused_and_the_next_is_stored(monkeypatch):
    def fails(*_: object) -> None:
        raise KeyError(1)

    async with gated_committer() as (store, committer):
        with monkeypatch.context() as patch:
            patch.setattr(Stamps, "give", fails)
            first = submit(committer, b"first")
            await turns()
        assert [error.code for error in first.told] == ["internal"]
        store.gate.release()
        second = submit(committer, b"second")
        await committer.drain()
        assert second.told == [1]
        assert store.payloads == [b"second"]


async def test_what_would_be_stored_too_late_is_not_begun():
    async with gated_committer() as (store, committer):
        teach(committer, commit_s=2.0)
        now = asyncio.get_running_loop().time()
        old, new = submit(committer, b"old", now - 3.5), submit(committer, b"new", now - 2)
        store.gate.release()
        await committer.drain()
        assert isinstance(old.told[0], Overloaded)
        # So long takes what is still queued.
        assert 1.9 <= old.told[0].retry_after_s <= 2.5
        assert new.told == [1]
        assert store.payloads == [b"new"]


async def test_what_waits_is_refused_when_its_time_is_over_and_not_only_when_its_turn_comes():
    async with gated_committer() as (store, committer):
        submit(committer, b"first")
        await turns()
        now = asyncio.get_running_loop().time()
        queued, late = submit(committer, b"queued"), submit(committer, b"late", now - 4)
        committer.check(now + 2)
        assert isinstance(late.told[0], Overloaded)
        assert queued.told == []
        store.gate.release()
        store.gate.release()
        await committer.drain()
        assert store.payloads == [b"first", b"queued"]


async def test_the_time_that_a_publish_waited_in_the_queue_counts_while_its_commit_runs():
    async with gated_committer() as (store, committer):
        now = asyncio.get_running_loop().time()
        old, new = submit(committer, b"old", now - 4), submit(committer, b"new")
        await turns()
        committer.check(now + 2)
        assert isinstance(old.told[0], OutcomeUnknown)
        assert new.told == []
        store.gate.release()
        await committer.drain()
        assert store.payloads == [b"old", b"new"]


async def test_of_a_batch_that_is_bisected_nobody_waits_for_long_behind_a_half_that_hangs():
    async with gated_committer() as (store, committer):
        first, second = submit(committer, b"1"), submit(committer, b"2")
        third, poison = submit(committer, b"3"), submit(committer, b"poison")
        await turns()
        store.gate.release()
        await turns()
        committer.check(asyncio.get_running_loop().time() + TIMEOUT_S + 1)
        assert [type(one.told[0]) for one in (first, second)] == [OutcomeUnknown] * 2
        assert [type(one.told[0]) for one in (third, poison)] == [StoreUnavailable] * 2
        store.gate.release()
        await committer.drain()
        assert store.payloads == [b"1", b"2"]
        assert [len(one.told) for one in (first, second, third, poison)] == [2, 2, 1, 1]


async def test_what_waits_for_its_half_of_a_batch_is_refused_when_its_time_is_over():
    async with gated_committer() as (store, committer):
        now = asyncio.get_running_loop().time()
        for payload in (b"1", b"2"):
            submit(committer, payload)
        poison, late = submit(committer, b"poison"), submit(committer, b"late", now - 4)
        await turns()
        store.gate.release()
        await turns()
        committer.check(now + 2)
        assert [type(error) for error in late.told] == [Overloaded]
        assert poison.told == []
        for _ in range(5):
            store.gate.release()
        await committer.drain()
        assert store.payloads == [b"1", b"2"]
        assert [type(error) for error in poison.told] == [StoreDataError]


@pytest.mark.parametrize("is_batch", [False, True])
async def test_the_time_that_a_publish_waited_for_its_topic_counts_as_well(is_batch):
    store, limits = MakingStore(), PublishLimits(auto_create_topics=True)
    async with running_broker(store, publish=limits) as bench:
        request = PublishRequest("new", msgspec.Raw(b"1"))
        answers: list[object] = []
        if is_batch:
            bench.broker.publish_batch(DEFAULT_TENANT, [request], answers.append)
        else:
            bench.broker.publish(DEFAULT_TENANT, request, answers.append)
        began = asyncio.get_running_loop().time()
        await bench.rest()
        store.makes.set()
        committer = bench.broker._committers._committers[0]
        await bench.until(lambda: bool(committer._running.units))
        oldest = committer._running.oldest
        store.goes_on.set()
        await bench.until(lambda: bool(answers))
        assert oldest <= began


async def test_who_would_wait_too_long_is_refused_at_once_and_told_when_to_come_again():
    async with gated_committer() as (store, committer):
        teach(committer, commit_s=3.0)
        submit(committer, b"first")
        await turns()
        with pytest.raises(Overloaded) as refused:
            submit(committer, b"second")
        assert 3.0 <= refused.value.retry_after_s <= 6.5
        store.gate.release()
        await turns()
        submit(committer, b"third")
        store.gate.release()
        await committer.drain()
        assert store.payloads == [b"first", b"third"]


@asynccontextmanager
async def slow_broker():
    """Its store takes 3 s, and is busy."""
    store = HangingStore()
    async with running_broker(store) as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "a")
        committer = bench.broker._committers._committers[0]
        teach(committer, commit_s=3.0)
        published(bench, idempotency_key="first")
        await bench.rest()
        try:
            yield bench
        finally:
            store.goes_on.set()


async def batch_of(bench: Bench, *keys: str | None) -> list[object]:
    requests = [PublishRequest("a", msgspec.Raw(b"1"), idempotency_key=key) for key in keys]
    answers: list[object] = []
    bench.broker.publish_batch(DEFAULT_TENANT, requests, answers.append)
    await bench.rest()
    return answers


async def test_a_batch_for_which_there_is_no_room_is_refused_and_its_topic_goes_on():
    async with slow_broker() as bench:
        assert [type(answer) for answer in await batch_of(bench, None, None)] == [Overloaded]
        assert [type(answer) for answer in await batch_of(bench, "x", None)] == [Overloaded]
        assert sum(bench.broker.stats.publish_errors.values()) == 2


async def test_what_repeats_a_key_waits_for_the_first_result_although_there_is_no_room():
    async with slow_broker() as bench:
        assert await batch_of(bench, "first", "first") == []
        bench.broker.store.goes_on.set()
        assert (await bench.publish("a", idempotency_key="first")).duplicate
        assert bench.broker.topics.get(DEFAULT_TENANT, "a").last_seq == 1


async def test_a_store_slower_than_the_time_out_is_still_tried_when_it_is_idle():
    async with gated_committer() as (store, committer):
        teach(committer, commit_s=60.0)
        large = b"x" * (9 << 20)
        submit(committer, large)
        await turns()
        with pytest.raises(Overloaded):
            submit(committer, b"second")
        store.gate.release()
        await committer.drain()
        assert store.payloads == [large]


async def test_commits_have_no_more_bytes_than_the_store_takes_in_time():
    sizes: list[int] = []

    class Store(GatedStore):
        async def append(self, batch: Sequence[NewMessage]) -> list[int]:
            sizes.append(sum(len(message.payload) for message in batch))
            return await super().append(batch)

    store, commits = Store(), made_commits(ManualClock())
    committer = Committer(store, commits, lambda messages, seqs: None)
    for _ in range(40):
        submit(committer, b"x" * (1 << 20))
        store.gate.release()
    task = asyncio.get_running_loop().create_task(committer.run())
    await committer.drain()
    task.cancel()
    assert sum(sizes) == 40 << 20
    assert max(sizes) == 8 << 20


def test_a_queue_is_divided_into_those_that_came_until_then_and_the_others():
    queue = Queue()
    for since, count in ((1.0, 2), (3.0, 1), (2.0, 3)):
        queue.units.append((count, Publisher(b""), since))
        queue.messages += [NewMessage(1, "id", b"%d" % since)] * count
        queue.size_bytes += count
    early, others = queue.divide(2.0)
    assert [message.payload for message in early.messages] == [b"1"] * 2 + [b"2"] * 3
    assert [message.payload for message in others.messages] == [b"3"]
    assert (early.size_bytes, others.size_bytes) == (5, 1)
    assert (early.oldest, others.oldest) == (1.0, 3.0)


async def test_a_commit_that_hangs_is_noticed_without_anybody_who_publishes():
    store, told = HangingStore(), asyncio.Event()
    async with running_broker(store, publish=PublishLimits(timeout_s=0.01)) as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "a")
        request = PublishRequest("a", msgspec.Raw(b"1"))
        answers: list[object] = []
        bench.broker.publish(
            DEFAULT_TENANT, request, lambda answer: (answers.append(answer), told.set())
        )
        await asyncio.wait_for(told.wait(), 10)
        assert isinstance(answers[0], OutcomeUnknown)
        store.goes_on.set()
