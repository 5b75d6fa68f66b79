"""How late what is due is done, at worst, over the last few seconds."""

from __future__ import annotations


class Lateness:
    """The worst of each whole second, of the running second and the `window_s - 1` before it. Constant
    memory."""

    def __init__(self, window_s: int = 10) -> None:
        self._worst_s = [0.0] * window_s
        self._seconds = [-1] * window_s

    def add(self, late_s: float, now: float) -> None:
        """Something was done so much too late, at `now`, which never goes back; early is not late."""
        second = int(now)
        at = second % len(self._worst_s)
        if self._seconds[at] != second:
            self._seconds[at], self._worst_s[at] = second, 0.0
        self._worst_s[at] = max(self._worst_s[at], late_s)

    def worst_s(self, now: float) -> float:
        """The worst of the window that ends at `now`; 0 if nothing was late."""
        begin = int(now) - len(self._worst_s) + 1
        pairs = zip(self._seconds, self._worst_s, strict=True)
        return max((late_s for second, late_s in pairs if second >= begin), default=0.0)
