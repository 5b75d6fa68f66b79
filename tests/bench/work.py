"""Loads for the tests: what `bench.loads` runs in a process of its own has to be a module's function."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, MutableSequence


def doubles(ready: Callable[[], None], number: int) -> int:
    """A good one."""
    ready()
    return number * 2


def tells_its_process(ready: Callable[[], None]) -> int:
    """Its process's id."""
    ready()
    return os.getpid()


def works(ready: Callable[[], None], before_s: float, after_s: float, idle_s: float) -> None:
    """Uses so much CPU before it is ready, and so much afterwards; then none for a while."""
    _burn(before_s)
    ready()
    _burn(after_s)
    time.sleep(idle_s)


def fails_at_once(_ready: Callable[[], None]) -> None:
    """Fails before it is ready."""
    raise ValueError("no good")


def fails_later(ready: Callable[[], None]) -> None:
    """Fails in what is measured."""
    ready()
    raise ValueError("no good")


def never_ready(_ready: Callable[[], None]) -> str:
    """Ends without being ready."""
    return "done"


def dies_at_once(_ready: Callable[[], None]) -> None:
    """Is killed before it is ready."""
    os.kill(os.getpid(), signal.SIGKILL)


def dies_later(ready: Callable[[], None]) -> None:
    """Is killed in what is measured."""
    ready()
    os.kill(os.getpid(), signal.SIGKILL)


def hangs(ready: Callable[[], None]) -> None:
    """Is ready, and does not come to an end."""
    ready()
    signal.pause()


def returns_what_cannot_be_sent(ready: Callable[[], None]) -> object:
    """Its result cannot be pickled."""
    ready()
    return lambda: None


def counts(ready: Callable[[], None], board: MutableSequence[int], index: int, value: int) -> None:
    """Writes a number where others see it."""
    ready()
    board[index] = value


def _burn(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
