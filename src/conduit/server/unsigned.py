"""Sockets that have not signed in: how many there may be, and who goes when there are more.

They cost what any socket costs, and anybody can open them. When there are too many, the address that has most
of them loses its oldest: so who opens very many gets in nobody's way but its own.
"""

from __future__ import annotations

from typing import Protocol

UNSIGNED_MAX_COUNT = 1_000


class Waiting(Protocol):
    """A socket whose `auth` frame has not come."""

    @property
    def address(self) -> str:
        """Whose it is."""

    def turn_away(self) -> None:
        """It has to go."""


class Unsigned:
    """Who waits, by address, in the order of coming."""

    def __init__(self, max_count: int = UNSIGNED_MAX_COUNT) -> None:
        self._max_count = max_count
        self._addresses: dict[str, dict[Waiting, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, who: Waiting) -> None:
        """One more; `remove` follows."""
        self._addresses.setdefault(who.address, {})[who] = None
        self._count += 1
        if self._count > self._max_count:
            most = max(self._addresses.values(), key=len)
            next(iter(most)).turn_away()

    def remove(self, who: Waiting) -> None:
        """It has signed in, or is gone. Idempotent."""
        waiting = self._addresses.get(who.address)
        if waiting is None or who not in waiting:
            return
        del waiting[who]
        self._count -= 1
        if not waiting:
            del self._addresses[who.address]
