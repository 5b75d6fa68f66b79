from collections.abc import AsyncIterator

import pytest

from conduit.cluster.subscribers import DURABLE, Subscribers
from conduit.names import DEFAULT_TENANT as T
from tests.broker.kit import Bench, running_broker


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with running_broker() as bench:
        yield bench


def told(bench: Bench, *, durable: bool) -> dict[tuple[str, str, str], int]:
    """What it has told last of each."""
    counts: dict[tuple[str, str, str], int] = {}
    subscribers = Subscribers()
    bench.broker.router.on_count = subscribers.changed
    if durable:
        bench.broker.router.on_durable = subscribers.durable
    subscribers.begin(lambda *entry: counts.__setitem__(entry[:3], entry[3]))
    return counts


async def test_subscribers_that_come_and_go_are_told(bench: Bench):
    counts = told(bench, durable=False)
    connection, _ = await bench.subscribe("t")
    await bench.subscribe("t")
    await bench.subscribe("o.*", subscription="s")
    assert counts == {(T, "", "t"): 2, (T, "s", "o.*"): 1}
    connection.close()
    assert counts[T, "", "t"] == 1


async def test_a_durable_subscription_counts_beside_its_subscribers_as_long_as_it_is_there(bench):
    counts = told(bench, durable=True)
    connection, _ = await bench.subscribe("o.*", subscription="s")
    assert counts[T, "s", "o.*"] == DURABLE + 1
    connection.close()
    assert counts[T, "s", "o.*"] == DURABLE
    assert counts[T, "s", "o.*"] % DURABLE == 0
    await bench.broker.subscriptions.delete(T, "s")
    assert counts[T, "s", "o.*"] == 0


async def test_what_was_there_before_it_began_is_told_first(bench: Bench):
    subscribers = Subscribers()
    bench.broker.router.on_count = subscribers.changed
    await bench.subscribe("t")
    found = []
    subscribers.begin(lambda *entry: found.append(entry))
    assert found == [(T, "", "t", 1)]
