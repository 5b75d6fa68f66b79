"""A progress bar on stderr, if that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Show = Callable[[int, int | None], None]
"""Takes how many are done, and of how many if that is known."""


@contextmanager
def progress(label: str, *, wanted: bool = True) -> Iterator[Show]:
    """Gives the function that shows progress, and lets notes stand above it; unless it is `wanted` on a
    terminal, that does nothing and rich is not loaded."""
    if not (wanted and sys.stderr.isatty()):
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        # What is on stdout is data, and goes where stdout goes.
        redirect_stdout=False,
    )
    with bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
