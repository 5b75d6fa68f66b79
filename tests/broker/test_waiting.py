"""How long somebody waits for the store."""

import asyncio

from conduit.broker.waiting import Deadline


async def test_a_deadline_does_not_move_and_has_nothing_left_when_it_has_passed():
    deadline, passed = Deadline(60), Deadline(0)
    at = deadline.at
    await asyncio.sleep(0)
    assert deadline.at == at
    assert 0 < deadline.left_s <= 60
    assert passed.left_s == 0
