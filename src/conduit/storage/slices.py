"""Work on very much that lets others have their turns of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

T = TypeVar("T")

# Taken at once: a millisecond of what is done with them.
SLICE_COUNT = 1_000


async def in_slices(items: Sequence[T], max_count: int | None = None) -> AsyncIterator[Sequence[T]]:
    """All of them, so many at a time (SLICE_COUNT); in between anything may happen."""
    size = max_count or SLICE_COUNT
    for start in range(0, len(items), size):
        if start:
            await asyncio.sleep(0)
        yield items[start : start + size]
