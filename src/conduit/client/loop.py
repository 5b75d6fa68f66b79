"""`async for` over a stream, which knows what the loop has left behind.

The variable of a loop refers to a delivery until the next one comes, which on a quiet topic may be hours
away: one that was not settled would be kept from timing out although nobody has it in mind any more. Who
asks for the next one has no use for the variable, so a delivery to which nothing else refers is left to time
out. One that is in a list, or that a task works on, has more references.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Awaitable, Callable

from conduit.client.delivery import Delivery
from conduit.client.holds import Holds


class Loop:
    """The iterator of one loop; the stream itself may have several."""

    def __init__(self, following: Callable[[], Awaitable[Delivery]], holds: Holds) -> None:
        self._following = following
        self._holds = holds
        self._last: weakref.ref[Delivery] | None = None

    def __aiter__(self) -> Loop:
        return self

    async def __anext__(self) -> Delivery:
        """See `Stream.__anext__`."""
        if self._last is not None and _reference_count(self._last) <= _ALONE_COUNT:
            self._leave(is_left=True)
        try:
            delivery = await self._following()
        except BaseException:
            # The loop ends, and its variable may be used after it.
            self._leave(is_left=False)
            raise
        self._last = weakref.ref(delivery)
        return delivery

    def _leave(self, *, is_left: bool) -> None:
        delivery = self._last() if self._last is not None else None
        if delivery is not None:
            self._holds.leave(delivery, is_left=is_left)


def _reference_count(reference: weakref.ref[Delivery]) -> int:
    """How many references there are, the two that are made here included."""
    one = reference()
    return sys.getrefcount(one)


class _Probe(Delivery):
    def __init__(self) -> None:
        """Nothing: it is only referred to."""


def _alone_count() -> int:
    """What is counted of one that a single variable refers to; that differs between versions of Python."""
    variable = _Probe()
    return _reference_count(weakref.ref(variable))


_ALONE_COUNT = _alone_count()
