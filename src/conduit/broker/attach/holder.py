"""What a share that is away needs of its connection, and how it stands."""

from __future__ import annotations

import enum
from typing import Protocol, TypeVar

from conduit.broker.attach.room import Peer
from conduit.broker.deliver.subscriber import Removal
from conduit.errors import ConduitError

Share = TypeVar("Share", contravariant=True)


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


class Holder(Protocol[Share]):
    """The connection."""

    peer: Peer
    """The client."""

    async def come_here(self, away: Share) -> None:
        """Attach it here, if it is LOST still. Raises ConduitError."""

    def away_over(self, away: Share) -> None:
        """Nothing of it is on its way any more."""

    def away_ended(self, away: Share, why: Removal) -> None:
        """It is no more."""


def removal_for(error: ConduitError) -> Removal:
    """Why it is no more, by what a subscribe is refused with."""
    return Removal.TOPIC_DELETED if error.code == "topic_not_found" else Removal.DELETED
