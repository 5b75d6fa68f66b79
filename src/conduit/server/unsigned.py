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
        # Of one that is gone the system does not know the address any more.
        self._keys: dict[Waiting, str] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, who: Waiting) -> None:
        """One more; `remove` follows."""
        address = self._keys[who] = who.address
        self._addresses.setdefault(address, {})[who] = None
        if len(self._keys) > self._max_count:
            most = max(self._addresses.values(), key=len)
            next(iter(most)).turn_away()

    def remove(self, who: Waiting) -> None:
        """It has signed in, or is gone. Idempotent."""
        address = self._keys.pop(who, None)
        if address is None:
            return
        waiting = self._addresses[address]
        del waiting[who]
        if not waiting:
            del self._addresses[address]
