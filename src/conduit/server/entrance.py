"""Who may come in, when there are many: the bounds of connections, of all and of one address.

A full server is not out of reach: a newcomer takes the place of one that says nothing, and if all have
something to do, whoever asks for `/health` or `/metrics` is answered all the same, and nobody else.
"""

from __future__ import annotations

import asyncio
import enum
from collections import Counter
from typing import Protocol

from conduit.addresses import Addresses
from conduit.errors import ConduitError, LimitReached, Overloaded
from conduit.server import kernel

# Connections too many that are kept until they have said what they want; of more the oldest is dropped.
SPARE_MAX_COUNT = 128
# How long they have to say it.
SPARE_TIMEOUT_S = 2.0
# From this part of the bound on the sweep notes who could leave.
CROWDED_FROM = 0.9
# An HTTP connection that has been served and is idle for so long could leave.
IDLE_S = 5.0


class Excess(enum.Enum):
    """Why a connection is one too many; the value is one of `closings.REASONS`."""

    FULL = "full"
    ADDRESS = "address"

    def error(self) -> ConduitError:
        """What it is told. Made anew each time: an error that was raised knows who raised it."""
        if self is Excess.ADDRESS:
            return LimitReached("the address has as many connections as it may")
        return Overloaded("the server has as many connections as it may")


class Guest(Protocol):
    """An HTTP connection as the entrance sees it."""

    def displace(self) -> bool:
        """Leave, if it still says nothing and has nothing to get; returns whether it does."""

    def drop(self) -> None:
        """Leave at once."""


class Entrance:
    """Admits connections; whoever was admitted has to `leave`, also in becoming a WebSocket, which enters
    anew."""

    def __init__(
        self,
        max_count: int,
        max_count_per_address: int,
        trusted: str,
        spare_max_count: int = SPARE_MAX_COUNT,
    ) -> None:
        self._max_count = max_count
        self._max_count_per_address = max_count_per_address
        self._spare_max_count = spare_max_count
        self._addresses = Addresses(trusted)
        # Of those whose address is counted.
        self._keys: dict[object, str] = {}
        self._counts: Counter[str] = Counter()
        # Those that are too many, the oldest first.
        self._spares: dict[object, Guest] = {}
        # Who could leave, as the last sweep saw it; the last ones are the first to go.
        self._quiet: list[Guest] = []
        self.is_crowded = False

    @property
    def spare_count(self) -> int:
        """Connections that are too many and still there."""
        return len(self._spares)

    def admit(self, who: Guest, transport: asyncio.BaseTransport, count: int) -> Excess | None:
        """Let it in, or say why not: then nothing but a probe may be answered, and `leave` follows.

        `count` is of all that were admitted, with this one.
        """
        key = self._key(transport)
        if key is not None and self._counts[key] >= self._max_count_per_address:
            excess = Excess.ADDRESS
        elif count > self._max_count and not self._displace():
            excess = Excess.FULL
        else:
            self._enter(who, key)
            return None
        self._spares[who] = who
        if len(self._spares) > self._spare_max_count:
            self._spares.pop(next(iter(self._spares))).drop()
        return excess

    def enter(self, who: object, transport: asyncio.BaseTransport) -> None:
        """It is in already, as another that leaves now."""
        self._enter(who, self._key(transport))

    def leave(self, who: object) -> None:
        """It is gone. Idempotent."""
        self._spares.pop(who, None)
        key = self._keys.pop(who, None)
        if key is not None:
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]

    def begin_sweep(self, count: int) -> None:
        """What the last sweep has noted is old."""
        self.is_crowded = count >= self._max_count * CROWDED_FROM
        self._quiet.clear()

    def note_quiet(self, who: Guest) -> None:
        """For a while it has said nothing and has nothing to get."""
        self._quiet.append(who)

    def _displace(self) -> bool:
        """Whether somebody made room."""
        while self._quiet:
            if self._quiet.pop().displace():
                return True
        return False

    def _key(self, transport: asyncio.BaseTransport) -> str | None:
        peer = kernel.peer_of(transport)
        return None if peer is None else self._addresses.key(peer[0])

    def _enter(self, who: object, key: str | None) -> None:
        if key is not None:
            self._keys[who] = key
            self._counts[key] += 1
