"""How long somebody waits for the store."""

import asyncio

import pytest

from conduit.broker.waiting import Deadline
from conduit.errors import Conflict, OutcomeUnknown, StoreUnavailable


async def test_who_waits_too_long_for_a_lock_is_told_that_nothing_was_asked_of_the_store():
    lock = asyncio.Lock()
    async with lock:
        with pytest.raises(StoreUnavailable):
            async with Deadline(0).holding(lock):
                raise AssertionError("somebody else has it")
    async with Deadline(60).holding(lock):
        assert lock.locked()
    assert not lock.locked()


async def test_work_that_takes_too_long_goes_on_and_whoever_waits_is_told_that_it_may_be_done():
    goes_on, done = asyncio.Event(), asyncio.Event()

    async def work() -> int:
        await goes_on.wait()
        done.set()
        raise Conflict("nobody looks any more")

    with pytest.raises(OutcomeUnknown):
        await Deadline(0).result(work())
    goes_on.set()
    await done.wait()


async def test_work_that_is_done_in_time_has_its_result_or_its_error():
    async def work(error: Exception | None) -> int:
        if error is not None:
            raise error
        return 7

    assert await Deadline(60).result(work(None)) == 7
    with pytest.raises(Conflict):
        await Deadline(60).result(work(Conflict("exists")))


async def test_waits_that_follow_each_other_share_one_deadline():
    deadline = Deadline(60)
    at = deadline.at
    async with deadline.holding(asyncio.Lock()):
        assert await deadline.result(asyncio.sleep(0, 1)) == 1
    assert deadline.at == at
    assert 0 < deadline.left_s <= 60
