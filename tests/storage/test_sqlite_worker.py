import asyncio
import threading

import apsw
import pytest

from conduit.errors import StateError, StoreUnavailable
from conduit.storage.sqlite.worker import URGENT_STREAK_COUNT, WAITING_MAX_COUNT, Worker


@pytest.fixture
async def worker():
    worker = Worker("test-worker", [apsw.Connection(":memory:")])
    yield worker
    await asyncio.to_thread(worker.close)


@pytest.fixture
def gate():
    gate = threading.Event()
    yield gate
    gate.set()


def block(connection: apsw.Connection, gate: threading.Event) -> None:
    gate.wait(10)


async def ran(worker: Worker, gate: threading.Event, calls: list[str]) -> list[str]:
    """The order in which calls run that were all made while the worker was busy."""
    order: list[str] = []

    def note(connection: apsw.Connection, name: str) -> None:
        order.append(name)

    made = [
        (worker.housekeep if name.startswith("later") else worker.call)(note, name)
        for name in calls
    ]
    every = asyncio.gather(worker.call(block, gate), *made)
    await asyncio.sleep(0)
    gate.set()
    await every
    return order


async def test_calls_run_in_the_order_in_which_they_were_made(worker, gate):
    names = [f"call {n}" for n in range(10)]
    assert await ran(worker, gate, names) == names


async def test_housekeeping_lets_the_others_pass(worker, gate):
    order = await ran(worker, gate, ["later 1", "call 1", "later 2", "call 2"])
    assert order == ["call 1", "call 2", "later 1", "later 2"]


async def test_housekeeping_does_not_starve(worker, gate):
    order = await ran(worker, gate, ["later 1", *(f"call {n}" for n in range(100))])
    assert order.index("later 1") < URGENT_STREAK_COUNT + 1


async def test_calls_that_wait_are_bounded(worker, gate):
    calls = [worker._submit(worker._urgent, lambda _: gate.wait(10)) for _ in range(2)]
    while len(worker._urgent) < WAITING_MAX_COUNT:
        calls.append(worker._submit(worker._urgent, lambda _: None))
    with pytest.raises(StoreUnavailable, match="wait for the disk"):
        await worker.call(lambda _: None)
    gate.set()
    await asyncio.gather(*calls)


async def test_an_error_of_a_call_reaches_its_caller_and_the_thread_goes_on(worker):
    with pytest.raises(StateError, match="no such table"):
        await worker.call(lambda connection: connection.execute("SELECT * FROM absent"))
    with pytest.raises(ZeroDivisionError):
        await worker.call(lambda _: 1 // 0)
    assert await worker.call(lambda _: 7) == 7


async def test_a_closed_worker_refuses_calls(worker):
    await asyncio.to_thread(worker.close)
    with pytest.raises(StoreUnavailable, match="closed"):
        await worker.call(lambda _: None)


async def test_it_is_busy_while_a_call_has_no_answer(worker, gate):
    assert not worker.is_busy
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await worker.call(block, gate)
    assert worker.is_busy
    gate.set()
    with pytest.raises(ZeroDivisionError):
        await worker.call(lambda _: 1 // 0)
    assert not worker.is_busy
