"""Whether a peer takes what it is sent as fast as it must, judged by looks at what it has not taken yet."""

from __future__ import annotations

import msgspec


class Pace(msgspec.Struct, frozen=True):
    """So many bytes in each window of time, or all that there are."""

    window_s: float
    min_bytes_per_s: float


class Drain:
    """Looks at one connection, about once a second, while it has something to take.

    Where more was written than is counted, and so less seems to have been taken than before, the window
    begins anew. Who is sent ever more without reading is stopped by other bounds.
    """

    __slots__ = ("_since", "_taken_bytes")

    def __init__(self) -> None:
        self._since: float | None = None
        # When the window began.
        self._taken_bytes = 0

    def is_too_slow(self, written_bytes: int, unread_bytes: int, now: float, pace: Pace) -> bool:
        """Whether a whole window has passed in which less was taken than must be.

        `written_bytes` is a count that grows, from any beginning, `unread_bytes` what is not taken yet.
        """
        taken = written_bytes - unread_bytes - self._taken_bytes
        if self._since is None or taken < 0:
            self._begin(taken, now)
            return False
        passed_s = now - self._since
        if passed_s < pace.window_s:
            return False
        self._begin(taken, now)
        return taken < passed_s * pace.min_bytes_per_s

    def _begin(self, taken_bytes: int, now: float) -> None:
        self._since = now
        self._taken_bytes += taken_bytes
