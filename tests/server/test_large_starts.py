"""A start with many positions that waits for its turn, over a socket that is not read meanwhile."""

from __future__ import annotations

import json

from conduit.broker.deliver import large_starts
from conduit.broker.deliver.large_starts import AT_ONCE_COUNT, STEP_COUNT
from tests.server import ways
from tests.server.peer import TEXT, frame
from tests.server.port import open_port


def subscribe_frame() -> bytes:
    positions = {f"gone.{number}": {"seq": 2} for number in range(STEP_COUNT + 1)}
    said = {"type": "subscribe", "topic": "gone.*", "start": {"positions": positions}}
    return frame(TEXT, json.dumps(said).encode())


async def test_who_waits_is_not_silent_and_is_told_if_that_was_too_long(monkeypatch):
    async with open_port() as port:
        slots = port.broker._room.starts.line._slots
        for _ in range(AT_ONCE_COUNT):
            await slots.acquire()
        raw = await ways.opened(port)
        (session,) = port.context.sessions
        await raw.send(subscribe_frame())
        await port.until(lambda: session.start_bytes)
        for number in range(100):
            session.check(float(number))
        assert not session.closing
        slots.release()
        await raw.hear("subscribed")
        await slots.acquire()
        monkeypatch.setattr(large_starts, "WAIT_MAX_S", 0.0)
        await raw.send(subscribe_frame())
        error = await raw.hear("error")
        assert (error["code"], error["retry_after_ms"]) == ("overloaded", 5_000)
        await raw.tell(type="heartbeat")
        await raw.hear("heartbeat_ack")
        session.abort()
        raw.socket.close()
