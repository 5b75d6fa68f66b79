"""Which tests start processes: those with the mark `process`, and no others.

The mark comes by itself where it can be seen that a test needs it. A test that starts a process without
the mark fails, so that `make test-fast`, which leaves the marked ones out, starts none.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

E2E = Path(__file__).parents[1] / "e2e"
# A test with one of these marks, or that asks for one of these fixtures, starts a process.
MARKS = {"e2e", "crash"}
FIXTURES = {"cluster", "pgbouncer", "redis_server", "own_redis"}
# The audit events of what starts processes.
EVENTS = {
    "subprocess.Popen",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
}
# What may start one without an event: multiprocessing, and uvloop's loop.
SILENT = (
    (BaseProcess, "start"),
    (asyncio, "create_subprocess_exec"),
    (asyncio, "create_subprocess_shell"),
)


def mark(items: Sequence[pytest.Item]) -> None:
    """Give `process` to the tests of which it is clear that they need it, and `e2e` to a folder's."""
    for item in items:
        if E2E in item.path.parents:
            item.add_marker("e2e")
        marks = {mark.name for mark in item.iter_markers()}
        if MARKS & marks or FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("process")


class Guard:
    """A plugin that fails tests that start a process without the mark."""

    def __init__(self) -> None:
        self._unmarked: pytest.Item | None = None

    def install(self) -> None:
        """Watch from now on, for as long as the interpreter runs: audit hooks stay."""
        sys.addaudithook(self._audit)
        for owner, name in SILENT:
            setattr(owner, name, self._guarded(name, getattr(owner, name)))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._unmarked = None if item.get_closest_marker("process") else item
        try:
            return (yield)
        finally:
            self._unmarked = None

    def _audit(
        self, event: str, args: tuple[object, ...], events: Collection[str] = EVENTS
    ) -> None:
        # Bound here, as there are no globals any more at the interpreter's end.
        if event in events:
            self._refuse(f"{event} {args}")

    def _guarded(self, name: str, start: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            self._refuse(f"{name} {args}")
            return start(*args, **kwargs)

        return guarded

    def _refuse(self, what: str) -> None:
        if self._unmarked is not None:
            raise AssertionError(
                f"{self._unmarked.nodeid} starts a process ({what[:200]}): mark it with"
                " @pytest.mark.process, so that `make test-fast` leaves it out"
            )
