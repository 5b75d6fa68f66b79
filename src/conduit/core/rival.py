"""Another process that has the name which this one wants: whether it lives, or was killed and its lease is
not over yet.

Times are seconds of a clock that does not go back.
"""

from __future__ import annotations

from enum import Enum, auto

# Who lives renews its lease every second: after so long without a renewal it seems not to.
WAIT_S = 1.5


class Verdict(Enum):
    """What is known of it by now."""

    UNKNOWN = auto()
    SILENT = auto()
    """It has not renewed its lease for WAIT_S. It may still."""
    ALIVE = auto()
    """It has renewed its lease, or a third one has come: this does not change any more."""


class Rival:
    """One is made when the name is found taken; `seen` is told each time it is found so."""

    __slots__ = ("_began_at", "_is_alive", "_said")

    def __init__(self, now: float) -> None:
        self._began_at = now
        self._said: tuple[str, int] | None = None
        self._is_alive = False

    def seen(self, incarnation: str, lease_until: int, now: float) -> Verdict:
        """This incarnation has the name until then, by whatever clock."""
        said = incarnation, lease_until
        if self._said is not None and said != self._said:
            self._is_alive = True
        self._said = said
        if self._is_alive:
            return Verdict.ALIVE
        return Verdict.UNKNOWN if now < self._began_at + WAIT_S else Verdict.SILENT
