"""Who is told to come back, when, and what becomes of who does not go."""

from __future__ import annotations

import asyncio

import pytest

from conduit.server import farewell
from conduit.server.farewell import CLOSING_SLICE_COUNT, RECONNECT_AFTER_MS, Farewell


class Session:
    """Goes when it is told to, unless it is stubborn."""

    def __init__(self, sessions: set[Session], *, is_stubborn: bool = False) -> None:
        self._sessions = sessions
        self._is_stubborn = is_stubborn
        self.told: list[int] = []
        self.is_aborted = False
        sessions.add(self)

    def announce_restart(self, reconnect_after_ms: int) -> None:
        self.told.append(reconnect_after_ms)
        if not self._is_stubborn:
            self._sessions.discard(self)

    def abort(self) -> None:
        self.is_aborted = True
        self._sessions.discard(self)


async def test_all_are_told_in_slices_and_each_to_come_back_at_another_time():
    sessions: set[Session] = set()
    made = [Session(sessions) for _ in range(2 * CLOSING_SLICE_COUNT + 1)]
    closing = asyncio.get_running_loop().create_task(Farewell(sessions).close_all(5.0, 1.0))
    await asyncio.sleep(0)
    assert sum(bool(each.told) for each in made) == CLOSING_SLICE_COUNT
    await closing
    times = [each.told for each in made]
    assert all(len(some) == 1 for some in times)
    assert len({some[0] for some in times}) > CLOSING_SLICE_COUNT
    assert all(RECONNECT_AFTER_MS[0] <= some[0] <= RECONNECT_AFTER_MS[1] for some in times)
    assert not any(each.is_aborted for each in made)


async def test_who_does_not_go_is_told_once_and_dropped():
    sessions: set[Session] = set()
    stubborn = Session(sessions, is_stubborn=True)
    await Farewell(sessions).close_all(0.05, 0.1)
    assert (len(stubborn.told), stubborn.is_aborted, sessions) == (1, True, set())


async def test_who_comes_meanwhile_goes_when_the_server_stops_and_stays_when_the_node_is_drained(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(farewell, "DRAINED_WITHIN_S", 0.1)
    for is_drained in (True, False):
        sessions: set[Session] = set()
        Session(sessions, is_stubborn=True)
        waving = Farewell(sessions)
        work = waving.close_those_there() if is_drained else waving.close_all(0.1, 0.1)
        closing = asyncio.get_running_loop().create_task(work)
        await asyncio.sleep(0)
        late = Session(sessions)
        await closing
        assert (late.told == [], late in sessions) == (is_drained, is_drained)
