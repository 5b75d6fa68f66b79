"""The bar of a run on a terminal: which part of it, how far, and the rate of now."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Show = Callable[[str, float, float, int], None]
"""Takes the part, seconds done and of how many, and how many messages there were so far."""

# Between two rates: it is drawn by the process that measures nothing.
RATE_EVERY_S = 1.0


@contextmanager
def bar() -> Iterator[Show]:
    """On stderr, if that is a terminal; elsewhere nothing is shown, and rich is not loaded."""
    if not sys.stderr.isatty():
        yield lambda _part, _done_s, _total_s, _count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    shown = Progress(
        TextColumn("{task.description:9}"),
        BarColumn(),
        TextColumn("{task.fields[time]}  {task.fields[rate]}"),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        # Drawing takes from the cores that are measured.
        refresh_per_second=4,
    )
    last = [time.monotonic(), 0]
    rate = [""]

    def show(part: str, done_s: float, total_s: float, count: int) -> None:
        now = time.monotonic()
        if now - last[0] >= RATE_EVERY_S:
            rate[0] = f"{(count - last[1]) / (now - last[0]):,.0f}/s"
            last[:] = [now, count]
        completed = min(max(done_s, 0.0), total_s)
        at = f"{completed:.0f}/{total_s:.0f} s"
        shown.update(
            task, description=part, completed=completed, total=total_s, time=at, rate=rate[0]
        )

    with shown:
        task = shown.add_task("starting", total=None, time="", rate="")
        yield show
