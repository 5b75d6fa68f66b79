from __future__ import annotations

import asyncio

from conduit.client.inbox import HOLD_MAX_S, HOLD_MS, Holds, Inbox
from tests.client.test_resume import message


def test_what_waits_is_extended_once_per_half_of_its_new_time() -> None:
    holds, waiting = Holds(), [message(1), message(2)]
    assert holds.due(waiting, 0.0) == waiting
    assert holds.due(waiting, 1.0) == []
    assert holds.due(waiting, HOLD_MS / 2000 + 0.1) == waiting


def test_what_was_never_extended_is_not_held() -> None:
    holds = Holds()
    holds.due([message(1)], 0.0)
    assert holds.is_held(message(1))
    assert not holds.is_held(message(2))
    assert not holds.is_held(message(1, attempt=2))


def test_what_was_taken_is_forgotten() -> None:
    holds = Holds()
    holds.due([message(1)], 0.0)
    holds.due([], 1.0)
    assert not holds.is_held(message(1))


def test_an_application_that_does_not_move_loses_its_hold_in_the_end() -> None:
    holds = Holds()
    now, extended = 0.0, 0
    while now < HOLD_MAX_S * 2:
        extended += len(holds.due([message(1)], now))
        now += 1.0
    assert extended <= HOLD_MAX_S / (HOLD_MS / 2000) + 1


async def test_an_inbox_shows_what_waits_and_drops_it() -> None:
    inbox = Inbox(2)
    await inbox.put(message(1))
    await inbox.put(ValueError())
    assert inbox.messages() == [message(1)]
    blocked = asyncio.ensure_future(inbox.put(message(2)))  # noqa: TID251 - awaited below
    inbox.drop()
    await blocked
    assert await inbox.get() == message(2)
    assert inbox.empty()
