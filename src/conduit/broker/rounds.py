"""Work that one task does again and again: a round that fails is logged, and the next one tries again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from conduit.broker.turn import log_failure
from conduit.errors import Unavailable

logger = logging.getLogger(__name__)


class Rounds:
    """`start` it, and `stop` it: what a round has begun by then is cancelled."""

    def __init__(
        self, name: str, pause_s: Callable[[], float], round_: Callable[[], Awaitable[None]]
    ) -> None:
        """`pause_s` says how long to wait before the next round; `name` is for the log."""
        self._name = name
        self._pause_s = pause_s
        self._round = round_
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin the rounds; the first one comes after a pause."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """End the rounds. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        told = ""
        while True:
            await asyncio.sleep(self._pause_s())
            try:
                await self._round()
                told = ""
            except Exception as error:  # noqa: BLE001 - a task root: the next round tries again
                # A store that cannot be used says the same each time, and the proofs say how long.
                if not isinstance(error, Unavailable) or str(error) != told:
                    log_failure(logger, f"{self._name} failed; the next one tries again", error)
                told = str(error)
