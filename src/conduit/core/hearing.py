"""What a subscriber was told, and when it is known to have heard it.

A frame that was written to a socket may never be read: the connection breaks, and nobody knows. Messages
are acked for that reason; a gap has no ack. But a client handles its frames in their order, so who settles a
delivery that was handed out after a gap has heard of the gap.

Which delivery was handed out before and which after is not kept. If `out_count` deliveries were out when the
gap was told, one of the next `out_count + 1` that leave the subscriber by what it sends was handed out after
it. So counting is enough: it may find out late, and never too early.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Hearing(Generic[T]):
    """Of one subscriber."""

    __slots__ = ("_settled_count", "told")

    def __init__(self) -> None:
        self._settled_count = 0
        # With the count of settled deliveries that proves it heard; both in ascending order.
        self.told: deque[tuple[int, list[T]]] = deque()
        """What was told and may not have been heard. Every ack looks at it: to be read only."""

    def tell(self, what: Sequence[T], out_count: int) -> None:
        """These were written to it now, in this order, while `out_count` deliveries were out with it."""
        if not what:
            return
        proof_count = self._settled_count + out_count + 1
        told: list[T] = []
        # Some of what was out then is settled, or with others: what proves this proves what came before.
        while self.told and self.told[-1][0] >= proof_count:
            earlier = self.told.pop()[1]
            earlier.extend(told)
            told = earlier
        told.extend(what)
        self.told.append((proof_count, told))

    def settle(self, count: int) -> list[T]:
        """So many deliveries that were out with it left it by what it sent; returns what it has heard."""
        self._settled_count += count
        heard: list[T] = []
        while self.told and self.told[0][0] <= self._settled_count:
            heard += self.told.popleft()[1]
        return heard
