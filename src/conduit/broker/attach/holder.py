"""What a share that is away needs of its connection, and how it stands."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

from conduit.broker.attach.room import Peer
from conduit.broker.deliver.subscriber import Removal

if TYPE_CHECKING:
    from conduit.broker.attach.away import Away


class State(enum.Enum):
    """Of a share; see away.py."""

    ATTACHING = enum.auto()
    AWAY = enum.auto()
    LOST = enum.auto()
    LEAVING = enum.auto()
    FLUSHING = enum.auto()
    ENDED = enum.auto()


# Those in which the client gets what comes.
PASSING_ON = frozenset({State.AWAY, State.FLUSHING})


class Holder(Protocol):
    """The connection."""

    peer: Peer
    """The client."""

    async def come_here(self, away: Away) -> None:
        """Attach it here, if it is LOST still. Raises ConduitError."""

    def away_over(self, away: Away) -> None:
        """Nothing of it is on its way any more."""

    def away_ended(self, away: Away, why: Removal) -> None:
        """It is no more."""
