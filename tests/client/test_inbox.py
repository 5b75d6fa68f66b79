from __future__ import annotations

import asyncio

import pytest

from conduit.client.holds import Held
from conduit.client.inbox import Inbox
from tests.client.test_resume import message


async def test_an_inbox_that_is_emptied_lets_in_whoever_waits_for_room() -> None:
    inbox, second = Inbox(1), Held(message(2), 0.0)
    await inbox.put(Held(message(1), 0.0))
    blocked = asyncio.ensure_future(inbox.put(second))  # noqa: TID251 - awaited below
    inbox.drop()
    await blocked
    assert inbox.get_nowait() is second
    with pytest.raises(asyncio.QueueEmpty):
        inbox.get_nowait()
