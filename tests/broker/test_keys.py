"""Idempotency keys: what is known after a restart, and what happens when there are too many."""

import logging

import msgspec
import pytest

from conduit.broker.publish.keys import WARNING_INTERVAL_S
from conduit.names import DEFAULT_TENANT
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, running_broker


@pytest.fixture
async def full():
    """A broker that knows three keys, and has had three."""
    async with running_broker(idempotency_max_count=3) as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "t")
        await publish(bench, "a", "b", "c")
        yield bench


async def publish(bench: Bench, *keys: str) -> list[bool]:
    """Whether each was answered with an earlier result."""
    return [(await bench.publish("t", idempotency_key=key)).duplicate for key in keys]


def tick(bench: Bench, seconds: float = 1.0) -> None:
    bench.clock.seconds += seconds
    bench.broker._keys.tick(bench.clock.now())


def counts(bench: Bench) -> tuple[int, int]:
    return len(bench.broker._keys), bench.broker.stats.forgotten_key_count


async def test_beyond_the_bound_the_oldest_key_stands_for_nothing_and_is_counted(full: Bench):
    tick(full)
    assert counts(full) == (3, 0)
    assert await publish(full, "d") == [False]
    tick(full)
    assert counts(full) == (3, 1)
    assert await publish(full, "b", "c", "d", "a") == [True, True, True, False]


async def test_a_key_whose_window_is_over_is_not_counted(full: Bench, caplog):
    tick(full, 600)
    await publish(full, "d")
    tick(full)
    assert counts(full) == (1, 0)
    assert caplog.records == []


async def test_the_log_tells_of_forgotten_keys_once_a_minute(full: Bench, caplog):
    def told() -> list[str]:
        tick(full, 0.0)
        lines = [
            record.getMessage() for record in caplog.records if record.levelno == logging.WARNING
        ]
        caplog.clear()
        return lines

    await publish(full, "d", "e")
    (line,) = told()
    assert line.startswith("2 idempotency keys were forgotten")
    assert line.endswith("CONDUIT_IDEMPOTENCY_MAX_COUNT (3)")
    full.clock.seconds += WARNING_INTERVAL_S - 1
    await publish(full, "f")
    assert told() == []
    await publish(full, "g", "h")
    full.clock.seconds += 1
    (line,) = told()
    assert line.startswith("3 idempotency keys were forgotten")
    full.clock.seconds += WARNING_INTERVAL_S
    assert told() == []


async def test_after_a_restart_the_newest_keys_are_known_with_their_results():
    store = MemoryStore()
    async with running_broker(store, idempotency_max_count=3) as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "t")
        await bench.subscribe("t")
        first = await bench.publish("t", idempotency_key="d")
        repeated = await bench.publish("t", idempotency_key="d")
        assert repeated == msgspec.structs.replace(first, duplicate=True)
        bench.clock.seconds += 1
        await publish(bench, "a", "b")
    async with running_broker(store, idempotency_max_count=2) as bench:
        assert await publish(bench, "a", "b") == [True, True]
        tick(bench)
        assert counts(bench) == (2, 0)
    async with running_broker(store, idempotency_max_count=3) as bench:
        repeated = await bench.publish("t", idempotency_key="d")
        assert repeated == msgspec.structs.replace(first, subscribers=0, duplicate=True)
