"""What was refused: told in the log, seldom, by cause."""

from __future__ import annotations

import logging

from conduit.errors import ConduitError, OutcomeUnknown, StateError, StoreUnavailable

# Between two log lines about one cause.
WARNING_INTERVAL_S = 60.0
# Causes that are told apart at a time.
CAUSES_MAX_COUNT = 50
# Of a reason: it may repeat what a client sent.
REASON_MAX_CHARS = 500

logger = logging.getLogger(__name__)


class Causes:
    """Each is told at once when it comes up, with how many there were, then at most once in
    WARNING_INTERVAL_S. `what` was refused: a word for the log."""

    def __init__(self, what: str) -> None:
        self._what = what
        # Code and cause → since the last line about it: how many, and the newest reason.
        self._untold: dict[tuple[str, str], tuple[int, str]] = {}
        self._told_at: dict[tuple[str, str], float] = {}

    def add(self, error: ConduitError) -> None:
        """One was refused with this."""
        # What a store says is the same each time; other reasons have numbers in them.
        cause = (
            error.code,
            error.detail if isinstance(error, StoreUnavailable | StateError) else "",
        )
        known = self._untold.keys() | self._told_at.keys()
        if len(known) >= CAUSES_MAX_COUNT and cause not in known:
            cause = (error.code, "")
        count, _ = self._untold.get(cause, (0, ""))
        self._untold[cause] = count + 1, error.detail[:REASON_MAX_CHARS]

    def tick(self, now: float) -> None:
        """Tell what is due. Call it every second."""
        for cause, told_at in [*self._told_at.items()]:
            if now >= told_at + WARNING_INTERVAL_S:
                del self._told_at[cause]
        for cause in [*self._untold]:
            if cause not in self._told_at:
                count, reason = self._untold.pop(cause)
                self._told_at[cause] = now
                logger.warning(
                    "%s %s with %s: %d, the last because: %s",
                    self._what,
                    # It may have been done.
                    "answered" if cause[0] == OutcomeUnknown.code else "refused",
                    cause[0],
                    count,
                    _in_one_line(reason),
                )


def _in_one_line(text: str) -> str:
    """The text without what would begin a line of its own, or change a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
