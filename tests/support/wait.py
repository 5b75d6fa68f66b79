"""Waiting for a fact, with a bounded deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
# For what must happen: far beyond what it takes on a busy machine with a slow disk, and below the minute
# that tests say for what must not happen while they run.
DEADLINE_S = 30.0
POLL_S = 0.02


def until(fact: Callable[[], T], within_s: float = DEADLINE_S) -> T:
    """Ask until the answer is true, and return it; AssertionError after `within_s`."""
    deadline = time.monotonic() + within_s
    while not (answer := fact()):
        assert time.monotonic() < deadline, f"not true in {within_s} s: last answer {answer!r}"
        time.sleep(POLL_S)
    return answer


async def until_true(fact: Callable[[], T], within_s: float = DEADLINE_S) -> T:
    """The same while the loop runs."""
    deadline = time.monotonic() + within_s
    while not (answer := fact()):
        assert time.monotonic() < deadline, f"not true in {within_s} s: last answer {answer!r}"
        await asyncio.sleep(POLL_S)
    return answer
