"""The states of a cursor, and what may become of a delivery that is due again."""

from __future__ import annotations

from enum import Enum, auto


class State(Enum):
    """Where a cursor is; its table is in cursor.py."""

    LIVE = auto()
    TAIL = auto()
    CREDIT = auto()
    BEHIND = auto()
    FETCHING = auto()
    STALLED = auto()
    HELD = auto()
    CLOSED = auto()


class Handed(Enum):
    """What became of a delivery that is due again."""

    DONE = auto()
    READING = auto()
    """Its message is being read; what is new waits until then."""
    STALLED = auto()
    """Its message cannot be read for a while."""
    NO_CREDIT = auto()
