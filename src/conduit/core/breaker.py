"""Whether a store that does not answer is asked again: by one for all, after waits that grow.

CLOSED: whoever wants to asks. OPEN: since some asked in vain and nobody did with success, nobody asks until a
time; then one does for all (PROBING), and its answer says how it goes on. Several that ask in vain are
needed, so that one thing that cannot be read holds up nothing else.
"""

from __future__ import annotations

from enum import Enum, auto

# In a row, without a success in between.
FAILURES_MIN_COUNT = 4
# How long nobody asks: the first time, and at most.
WAIT_FIRST_S = 0.25
WAIT_MAX_S = 1.0


class State(Enum):
    """Who may ask."""

    CLOSED = auto()
    OPEN = auto()
    PROBING = auto()


class Breaker:
    """One for each thing that is asked. `now` is on one clock; a `roll` is a random number in [0, 1)."""

    __slots__ = ("_failed_count", "_wait_s", "opens_at", "state")

    def __init__(self) -> None:
        self.state = State.CLOSED
        self.opens_at = 0.0
        """Nobody may ask before."""
        self._failed_count = 0
        self._wait_s = WAIT_FIRST_S

    def ask(self, now: float) -> None:
        """Somebody asks; only from `opens_at` on. The others wait as if it would fail: its answer may never
        come."""
        if self.state is not State.CLOSED:
            self.state = State.PROBING
            self.opens_at = now + self._wait_s

    def succeeded(self) -> None:
        """There was an answer."""
        self.state = State.CLOSED
        self.opens_at = 0.0
        self._failed_count = 0
        self._wait_s = WAIT_FIRST_S

    def failed(self, now: float, roll: float) -> None:
        """There was none. Those that asked while it was CLOSED may fail when it is OPEN: that is no news."""
        self._failed_count += 1
        if self.state is State.OPEN or self._failed_count < FAILURES_MIN_COUNT:
            return
        if self.state is State.PROBING:
            self._wait_s = min(2 * self._wait_s, WAIT_MAX_S)
        self.state = State.OPEN
        # Servers that lose one store at one time do not come back to it at one time.
        self.opens_at = now + self._wait_s * (0.5 + roll / 2)
