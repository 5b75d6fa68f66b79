"""Whether a node leaves the others, how far that is, and what may undo it.

state         means, and what it waits for
------------  --------------------------------------------------------------------------------------
SERVING       it is one of all: nothing
TELLING       the store and the other nodes are told that it takes nothing new: until both know
HANDING_OVER  its durable subscriptions are stored, and given to the others: until none of theirs is left
ALONE         no other node is up: subscriptions and sockets stay, until one is
LINGERING     load balancers get the time to notice that it is not ready
CLOSING       sockets are closed, with the word when to come back
DRAINED       all is elsewhere. It lives and answers, and serves who comes all the same: until it is told to
              stop, or to serve again
RETURNING     the store and the others are told that it is up again: until both know, and the others give
              back what is its own
ENDING        the process ends, and the server closes what is left. For good

event         comes when                                    leads from … to …
------------  --------------------------------------------  ----------------------------------------
DRAIN         an operator wants it to leave                 SERVING, RETURNING → TELLING
UNDRAIN       an operator wants it to stay                  all but SERVING → RETURNING, unless it stops
STOP          the process has a signal to end: nothing      SERVING, RETURNING → TELLING, ALONE → LINGERING
              undoes that
TOLD          the store and the others know                 TELLING → HANDING_OVER, RETURNING → SERVING
HANDED_OVER   nothing of others runs here                   HANDING_OVER → LINGERING
NOBODY        no other node is up                           HANDING_OVER, LINGERING → ALONE; when it stops
                                                            HANDING_OVER → LINGERING
SOMEBODY      another node is up                            ALONE → HANDING_OVER
LINGERED      its time is over                              LINGERING → CLOSING, unless it stops: then the
                                                            server says when
CLOSED        the sockets that were there are gone          CLOSING → DRAINED
END           the server closes all sockets now             all → ENDING, if it stops

Whatever is not here changes nothing: an order that comes twice, or what was done for a state that is over.
So two operators may want different things at once: the last one counts, and the first is told so.
"""

from __future__ import annotations

from enum import Enum, auto


class State(Enum):
    """Of a node; see above."""

    SERVING = auto()
    TELLING = auto()
    HANDING_OVER = auto()
    ALONE = auto()
    LINGERING = auto()
    CLOSING = auto()
    DRAINED = auto()
    RETURNING = auto()
    ENDING = auto()


class Event(Enum):
    """What may come; see above."""

    DRAIN = auto()
    UNDRAIN = auto()
    STOP = auto()
    TOLD = auto()
    HANDED_OVER = auto()
    NOBODY = auto()
    SOMEBODY = auto()
    LINGERED = auto()
    CLOSED = auto()
    END = auto()


STAYING = frozenset([State.SERVING, State.RETURNING])
"""The last word was that it stays."""
GIVEN = frozenset([State.ALONE, State.LINGERING, State.CLOSING, State.DRAINED, State.ENDING])
"""What others can run, they run."""

_TABLE: dict[Event, dict[State, State]] = {
    Event.DRAIN: dict.fromkeys(STAYING, State.TELLING),
    Event.UNDRAIN: dict.fromkeys(frozenset(State) - {State.SERVING, State.ENDING}, State.RETURNING),
    Event.STOP: {**dict.fromkeys(STAYING, State.TELLING), State.ALONE: State.LINGERING},
    Event.TOLD: {State.TELLING: State.HANDING_OVER, State.RETURNING: State.SERVING},
    Event.HANDED_OVER: {State.HANDING_OVER: State.LINGERING},
    Event.NOBODY: {State.HANDING_OVER: State.ALONE, State.LINGERING: State.ALONE},
    Event.SOMEBODY: {State.ALONE: State.HANDING_OVER},
    Event.LINGERED: {State.LINGERING: State.CLOSING},
    Event.CLOSED: {State.CLOSING: State.DRAINED},
    Event.END: {},
}
# The same while it stops.
_STOPPING: dict[Event, dict[State, State]] = {
    **_TABLE,
    Event.DRAIN: {},
    Event.UNDRAIN: {},
    Event.NOBODY: {State.HANDING_OVER: State.LINGERING},
    Event.LINGERED: {},
    Event.END: dict.fromkeys(State, State.ENDING),
}


class Departure:
    """See above. It begins as SERVING."""

    __slots__ = ("is_stopping", "state")

    def __init__(self) -> None:
        self.state = State.SERVING
        self.is_stopping = False
        """Whether the process ends: nothing undoes that."""

    def on(self, event: Event) -> bool:
        """Something has happened; returns whether it is in another state by that."""
        if event is Event.STOP:
            self.is_stopping = True
        table = _STOPPING if self.is_stopping else _TABLE
        before, self.state = self.state, table[event].get(self.state, self.state)
        return before is not self.state

    @property
    def stays(self) -> bool:
        """Whether the last word was that it stays."""
        return self.state in STAYING

    @property
    def is_given(self) -> bool:
        """Whether what others can run is theirs."""
        return self.state in GIVEN
