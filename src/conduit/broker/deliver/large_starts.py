"""Starts with many positions: few are worked on at a time, and one that waits is kept as small as it came.

Ten thousand positions are 220 KB in a frame, some 2 MB when they are decoded, and more with what they mean.
So whoever sends many of them waits in a line, and what waits in it is bounded or counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import TypeVar

import msgspec

from conduit.broker.waiting import Slots
from conduit.core.seats import Seats
from conduit.errors import Overloaded
from conduit.names import is_pattern
from conduit.protocol.codec import encode_json
from conduit.protocol.frames import StartAt, StartSpec

T = TypeVar("T")

# Positions that are looked at in one turn of the loop; a start with more is a large one.
STEP_COUNT = 250
# Large starts that are worked on at once. One of them may wait for the store.
AT_ONCE_COUNT = 4
# Those that wait as they are. It is one request each, so whoever asks gets an answer at once.
WAITING_MAX_COUNT = 32
# For its turn one waits no longer: nothing else of its connection is read meanwhile, not even that it ends.
WAIT_MAX_S = 20.0
# Who waited that long may come again after this.
RETRY_AFTER_S = 5.0


def has_many(spec: StartSpec | None) -> bool:
    """Whether it names more positions than one turn of the loop looks at."""
    return isinstance(spec, StartAt) and len(spec.positions or ()) > STEP_COUNT


def is_large(pattern: str, spec: StartSpec | None) -> bool:
    """Whether it is many positions: those that it names, or one number in all topics of a pattern."""
    is_everywhere = isinstance(spec, StartAt) and spec.seq is not None and is_pattern(pattern)
    return is_everywhere or has_many(spec)


async def in_steps(items: Iterable[T], count: int = STEP_COUNT) -> AsyncIterator[list[T]]:
    """So many at a time; others have their turns in between, if these are more."""
    each: Iterator[T] = iter(items)
    is_first = True
    while some := list(islice(each, count)):
        if not is_first:
            await asyncio.sleep(0)
        is_first = False
        yield some


class Packed:
    """The start of a `subscribe` until it is its turn: as text if it is large."""

    __slots__ = ("_spec", "_text")

    def __init__(self, pattern: str, spec: StartSpec | None) -> None:
        self._text = encode_json(spec) if is_large(pattern, spec) else b""
        self._spec = None if self._text else spec

    @property
    def size_bytes(self) -> int:
        """What it takes while it waits; 0 if it need not wait."""
        return len(self._text)

    def drop(self) -> None:
        """Nobody will ask for it any more."""
        self._text = b""

    def unpack(self) -> StartSpec | None:
        """The start, once: it is its turn."""
        if not self._text:
            return self._spec
        spec = msgspec.json.decode(self._text, type=StartAt)
        self._text = b""
        return spec


class LargeStarts:
    """The line of those that wait; one per node, in which tenants take turns."""

    def __init__(self) -> None:
        self._slots = Slots(AT_ONCE_COUNT)
        self._waiting = Seats(WAITING_MAX_COUNT)

    @asynccontextmanager
    async def packed(self, tenant: str, start: Packed) -> AsyncIterator[None]:
        """The turn of a start that waits packed, and is counted by whoever keeps it. Raises Overloaded if it
        does not come within WAIT_MAX_S."""
        if not start.size_bytes:
            yield
            return
        try:
            async with asyncio.timeout(WAIT_MAX_S):
                await self._slots.acquire(tenant)
        except TimeoutError:
            start.drop()
            raise Overloaded(
                "too many starts with many positions came before this one; nothing was done",
                retry_after_s=RETRY_AFTER_S,
            ) from None
        try:
            yield
        finally:
            self._slots.release()

    @asynccontextmanager
    async def unpacked(
        self, tenant: str, pattern: str, spec: StartSpec | None
    ) -> AsyncIterator[None]:
        """The turn of one that waits as it is. Raises Overloaded if too many do."""
        if not is_large(pattern, spec):
            yield
            return
        if not self._waiting.is_free_for(tenant):
            raise Overloaded("too many starts with many positions wait for their turn")
        with self._waiting.taken(tenant):
            await self._slots.acquire(tenant)
        try:
            yield
        finally:
            self._slots.release()
