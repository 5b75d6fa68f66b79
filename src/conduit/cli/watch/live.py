"""The view on a terminal: it asks, draws, and does what keys say, until it is told to end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.text import Text

from conduit.cli.watch.asking import Asking, requests_per_min
from conduit.cli.watch.frame import How, frame
from conduit.cli.watch.keyboard import keys
from conduit.cli.watch.tables import SORTS

INTERVAL_MIN_S, INTERVAL_MAX_S = 0.5, 60.0
INTERVALS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
# Between two pictures while nothing new comes: clocks go on.
TICK_S = 1.0


class View:
    """One view. `run` ends when somebody presses `q`, and gives the terminal back however it ends."""

    def __init__(self, asking: Asking, url: str, interval_s: float, sort: str) -> None:
        self._asking = asking
        self._url = url
        self._interval_s = interval_s
        self._sort = sort
        self._is_paused = False
        self._is_over = False
        self._wanted = True
        self._changed = asyncio.Event()

    async def run(self, now: Callable[[], float]) -> None:
        """Cancel safe."""
        loop = asyncio.get_running_loop()
        console = Console()
        live = Live(console=console, screen=True, auto_refresh=False, redirect_stderr=False)
        loop.add_signal_handler(signal.SIGWINCH, self._changed.set)
        try:
            with live, keys(self._press):
                self._draw(live, now())
                next_s = loop.time()
                while not self._is_over:
                    if self._wanted or (not self._is_paused and loop.time() >= next_s):
                        self._wanted = False
                        next_s = loop.time() + self._interval_s
                        await self._look(live, now)
                    self._draw(live, now())
                    await self._wait(next_s - loop.time())
        finally:
            loop.remove_signal_handler(signal.SIGWINCH)

    async def _look(self, live: Live, now: Callable[[], float]) -> None:
        """Ask; keys work and the clock goes on while the server takes its time."""
        task = asyncio.get_running_loop().create_task(self._asking.look())
        task.add_done_callback(lambda _task: self._changed.set())
        try:
            while not task.done() and not self._is_over:
                await self._wait(TICK_S)
                self._draw(live, now())
        finally:
            # Nothing, if it has ended; and nothing of it is left if the picture cannot be drawn.
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    async def _wait(self, at_most_s: float) -> None:
        """Until something has changed, or a clock on the screen has."""
        try:
            async with asyncio.timeout(
                max(0.01, min(at_most_s, TICK_S)) if not self._is_paused else TICK_S
            ):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    def _draw(self, live: Live, now: float) -> None:
        size = live.console.size
        how = How(
            self._url,
            size.width,
            size.height,
            self._interval_s,
            self._sort,
            self._is_paused,
            requests_per_min(self._interval_s),
        )
        picture = Text(no_wrap=True, overflow="crop", end="")
        for number, line in enumerate(frame(self._asking.seen, how, now)):
            picture.append("\n" if number else "")
            for text, style in line:
                picture.append(text, style)
        live.update(picture, refresh=True)

    def _press(self, key: str) -> None:
        match key:
            case "q" | "Q":
                self._is_over = True
            case "p" | " ":
                self._is_paused = not self._is_paused
                self._wanted = not self._is_paused
            case "s":
                self._sort = SORTS[(SORTS.index(self._sort) + 1) % len(SORTS)]
            case "r":
                self._wanted = True
            case "+" | "-":
                self._interval_s = stepped(self._interval_s, 1 if key == "+" else -1)
            case _:
                return
        self._changed.set()


def stepped(interval_s: float, step: int) -> float:
    """The next longer or shorter interval."""
    if step > 0:
        return next((each for each in INTERVALS if each > interval_s), INTERVAL_MAX_S)
    return next((each for each in reversed(INTERVALS) if each < interval_s), INTERVAL_MIN_S)
