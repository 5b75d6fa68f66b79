"""Events per second over the last few seconds."""

from __future__ import annotations


class RateWindow:
    """Counts per whole second, of the running second and the `window_s - 1` before it.

    Constant memory and time: a second that begins clears at most `window_s` buckets.
    """

    def __init__(self, window_s: int = 10) -> None:
        """`window_s` is at least 2: the running second alone is too short to divide by."""
        self._buckets = [0] * window_s
        self._second = 0
        self._total = 0

    def add(self, count: int, now: float) -> None:
        """Record `count` events at `now`, which never goes back."""
        second = int(now)
        if second != self._second:
            self._advance(second)
        self._buckets[second % len(self._buckets)] += count
        self._total += count

    def per_second(self, now: float) -> float:
        """The mean rate of the window, which ends at `now`; its length grows within the second."""
        second = int(now)
        if second != self._second:
            self._advance(second)
        return self._total / (len(self._buckets) - 1 + now - second)

    def _advance(self, second: int) -> None:
        """Clear the buckets of the seconds that begin with this call."""
        window_s = len(self._buckets)
        for begun in range(max(self._second + 1, second - window_s + 1), second + 1):
            self._total -= self._buckets[begun % window_s]
            self._buckets[begun % window_s] = 0
        self._second = second
