"""Thousands of WebSocket connections that do what none should, against a real server with authentication.

    python -m tests.fuzz.sockets --connections 20000 [--seed N]

A well-behaved neighbour of another tenant publishes and receives meanwhile. Prints the seed, and at the end
one line of JSON; the exit code is 1 if the server died, logged an error, kept memory, or the neighbour missed
or saw something.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import json
import secrets
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.fuzz.neighbour import Neighbour
from tests.fuzz.stories import End, Story, Storyteller
from tests.support.access import Guarded, Signed, expired, furnish, guarded_server, revoked
from tests.support.http import accepted
from tests.support.wait import until

AT_ONCE_COUNT = 40
READ_S = 0.3
# How long the server may take to end a connection that it has to.
END_S = 20.0
# Before memory is measured for the first time: code that is loaded, buffers that are made once.
WARM_COUNT = 300
# After so many what they have made is deleted.
ROUND_COUNT = 2_000
# What may be left of all connections, once what they made is deleted.
LEFT_MAX_MIB = 16.0
SETTLED_WITHIN_S = 60.0
# So much of the log of the attacker's own tenant is kept.
KEPT_COUNT = 50


class Fuzz:
    """One run against one server."""

    def __init__(self, guarded: Guarded, seed: int) -> None:
        self._guarded = guarded
        self._port = guarded.server.port
        calm, wild = guarded.create_tenant("calm"), guarded.create_tenant("wild")
        self.calm, self.wild = calm, wild
        self.calm_names = furnish(calm, "calm")
        self.wild_names = furnish(wild, "wild")
        calm.create_topic("steady")
        self.clear()
        self.tally: collections.Counter[str] = collections.Counter()
        self._teller = Storyteller(seed, self._keys(), self.calm_names, self.wild_names)

    def _keys(self) -> list[str]:
        guarded = self._guarded
        assert self.wild.key is not None
        scopes = [guarded.create_key("wild", scope)["key"] for scope in ("publish", "subscribe")]
        narrow = guarded.create_key("wild", topics=["nothing.>"])["key"]
        gone = [expired(guarded, "wild"), revoked(guarded, "wild")]
        return [self.wild.key] * 4 + [*scopes, narrow, *gone]

    async def run(self, count: int) -> None:
        """So many connections, AT_ONCE_COUNT at a time."""
        left = iter(range(count))

        async def worker() -> None:
            for _ in left:
                await self._connection(self._teller.story())

        await asyncio.gather(*(worker() for _ in range(AT_ONCE_COUNT)))

    async def _connection(self, story: Story) -> None:
        self.tally["connections"] += 1
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        received = bytearray()
        reading = asyncio.gather(_read(reader, received))
        try:
            with contextlib.suppress(OSError):
                for piece in story.pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                await self._end(story.end, writer, reading)
        finally:
            writer.transport.abort()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        self._count(bytes(received))

    async def _end(
        self, end: End, writer: asyncio.StreamWriter, reading: asyncio.Future[Any]
    ) -> None:
        if end is End.ABORT:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        elif end is End.HALF:
            writer.write_eof()
            # Who sends no more is answered, and then let go.
            await asyncio.wait_for(asyncio.shield(reading), END_S)
        elif end is End.READ:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(reading), READ_S)

    def _count(self, received: bytes) -> None:
        status = received[9:12].decode(errors="replace")
        self.tally[f"status {status or 'none'}"] += 1
        for kind in (b'"authenticated"', b'"error"', b'"published"', b'"subscribed"', b'"message"'):
            self.tally[kind.decode().strip('"')] += kind in received
        # Nothing of the other tenant may come, but what the client has named itself.
        assert b"calm-payload" not in received
        for number in range(3):
            assert (
                f"{self.calm_names.topic.partition('.')[0]}-payload-{number}".encode()
                not in received
            )

    def clear(self) -> None:
        """Delete all that the connections have made; what they name is there again."""
        for kind in ("subscriptions", "topics"):
            while found := accepted(self.wild.get(f"/api/{kind}?limit=500"))[kind]:
                for each in found:
                    answer = self.wild.delete(f"/api/{kind}/{quote(each['name'], safe='')}")
                    assert answer.status in (204, 404), answer
        job = accepted(self.wild.post("/api/dlq/discard", {"rate_per_s": 10_000}))
        until(lambda: accepted(self.wild.get(f"/api/dlq/jobs/{job['id']}"))["state"] == "done")
        names = self.wild_names
        self.wild.create_topic(names.topic, max_messages=KEPT_COUNT)
        body = {"name": names.subscription, "topic": names.topic, "max_in_flight": 10}
        accepted(self.wild.post("/api/subscriptions", body), 201)


async def _read(reader: asyncio.StreamReader, received: bytearray) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            if len(received) < 1 << 20:
                received += data


def rss_mib(pid: int) -> float:
    """What the process has in memory for itself."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) / 1024


def is_settled(operator: Signed) -> bool:
    """Whether no WebSocket is open but the neighbour's."""
    metrics = operator.get("/metrics").body.decode()
    (line,) = (line for line in metrics.splitlines() if line.startswith("conduit_websockets "))
    return float(line.split()[1]) <= 2


def _let_go(pid: int, mib: float) -> None:
    """Wait until the process has no more than that, for a while."""
    with contextlib.suppress(AssertionError):
        until(lambda: rss_mib(pid) <= mib, SETTLED_WITHIN_S)


async def fuzz(guarded: Guarded, count: int, seed: int) -> dict[str, Any]:
    """Run it; what came of it."""
    fuzzing = Fuzz(guarded, seed)
    pid, calm = guarded.server.pid, fuzzing.calm
    assert calm.key is not None
    async with Neighbour(guarded.server.ws_url, calm.key, "steady") as neighbour:
        await fuzzing.run(min(WARM_COUNT, count // 2))
        await asyncio.to_thread(fuzzing.clear)
        before = rss_mib(pid)
        began = time.monotonic()
        left_count = count - min(WARM_COUNT, count // 2)
        while left_count > 0:
            await fuzzing.run(min(left_count, ROUND_COUNT))
            left_count -= ROUND_COUNT
            # What is stored in memory is no leak.
            await asyncio.to_thread(fuzzing.clear)
        took_s = time.monotonic() - began
        assert guarded.server.alive
        peak = rss_mib(pid)
        await asyncio.to_thread(until, lambda: is_settled(guarded.operator), SETTLED_WITHIN_S)
        await asyncio.to_thread(_let_go, pid, before + LEFT_MAX_MIB)
        left = rss_mib(pid)
    latencies = sorted(neighbour.latencies_s)
    found = {
        "seed": seed,
        "seconds": round(took_s, 1),
        **fuzzing.tally,
        "neighbour_count": neighbour.count,
        "neighbour_p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1000, 1),
        "rss_before_mib": round(before, 1),
        "rss_then_mib": round(peak, 1),
        "rss_after_mib": round(left, 1),
    }
    assert left <= before + LEFT_MAX_MIB, found
    log = guarded.server.log_text()
    assert '"level": "error"' not in log
    assert "Traceback" not in log
    assert not [key for key in fuzzing._teller._keys if key in log]
    return found


def main() -> int:
    """Run the long form."""
    parser = argparse.ArgumentParser(description="WebSocket connections that do what none should.")
    parser.add_argument("--connections", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with guarded_server() as guarded:
        found = asyncio.run(fuzz(guarded, options.connections, options.seed))
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
