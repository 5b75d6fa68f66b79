"""Nodes that are processes of their own, which tell what they do as lines on stdout."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.wait import DEADLINE_S

ROOT = Path(__file__).parents[2]


class Process:
    """A node, and what it has told so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []

    async def says(self, line: str) -> None:
        """Until it tells that; all before it is in `lines`."""
        async with asyncio.timeout(DEADLINE_S):
            while self.lines[-1:] != [line]:
                await self.next()

    async def next(self) -> str:
        """The next line."""
        assert self._process.stdout is not None
        read = await self._process.stdout.readline()
        assert read, self.lines
        self.lines.append(read.decode().strip())
        return self.lines[-1]

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def end(self) -> None:
        """SIGTERM, and wait."""
        if self._process.returncode is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
        await self.has_ended()

    async def has_ended(self) -> None:
        """Wait for its end, and read what it has told."""
        told, _ = await asyncio.wait_for(self._process.communicate(), DEADLINE_S)
        self.lines += told.decode().splitlines()


@asynccontextmanager
async def process(module: str, *args: str) -> AsyncIterator[Process]:
    """A module of these tests that runs with these arguments."""
    command = [sys.executable, "-m", f"tests.cluster.{module}", *args]
    started = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    made = Process(started)
    try:
        yield made
    finally:
        await made.end()
