"""When a stream asks a server again that refused it for now."""

from __future__ import annotations

import asyncio
import logging
import re

from tests.client.peer import Peer
from tests.client.test_stream import streaming, take


async def test_a_server_that_is_not_ready_yet_is_asked_again() -> None:
    async def first(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.close(1012)

    async def second(peer: Peer) -> None:
        frame = await peer.expect("subscribe")
        await peer.send("error", code="store_unavailable", message="wait", ref=frame["ref"])

    async def third(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e", recovered=True)
        await peer.deliver(1)
        await peer.expect("ack")

    async with streaming([first, second, third], "t") as stream:
        assert await take(stream, 1) == [1]


async def test_a_server_that_names_a_time_is_not_asked_again_before(caplog) -> None:
    async def first(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.close(1012)

    async def second(peer: Peer) -> None:
        frame = await peer.expect("subscribe")
        refusal = {"code": "overloaded", "message": "full", "ref": frame["ref"]}
        await peer.send("error", **refusal, retry_after_ms=3_600_000)
        told.set()

    told = asyncio.Event()
    async with streaming([first, second], "t") as stream:
        waiting = asyncio.get_running_loop().create_task(anext(stream))
        said = asyncio.Event()

        def notice(record: logging.LogRecord) -> bool:
            if "full" in record.getMessage():
                said.set()
            return True

        caplog.handler.addFilter(notice)
        await told.wait()
        await asyncio.wait_for(said.wait(), 10)
        found = re.search(r"full; trying again in ([\d.]+) s", caplog.text)
        assert found is not None
        assert 3600 <= float(found[1]) <= 7200
        waiting.cancel()
