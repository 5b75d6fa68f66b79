"""How it stands with a guest.

state        means
-----------  ----------------------------------------------------------------------------------------
SUBSCRIBING  the store is asked; what the client asks meanwhile is kept, and is no more than a window
ATTACHED     deliveries go, verbs come
LEAVING      it has unsubscribed, and some of what it asked before has no answer yet
GONE         the channel has ended, and the store is asked which deliveries its last acks mean
OVER         all that it had out is given back
"""

from __future__ import annotations

import enum


class State(enum.Enum):
    """Of a guest; see above."""

    SUBSCRIBING = enum.auto()
    ATTACHED = enum.auto()
    LEAVING = enum.auto()
    GONE = enum.auto()
    OVER = enum.auto()
