"""Waiting for a fact, with a bounded deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_S = 0.02


def until(fact: Callable[[], T], within_s: float = 5.0) -> T:
    """Ask until the answer is true, and return it; AssertionError after `within_s`."""
    deadline = time.monotonic() + within_s
    while not (answer := fact()):
        assert time.monotonic() < deadline, f"not true in {within_s} s: last answer {answer!r}"
        time.sleep(POLL_S)
    return answer
