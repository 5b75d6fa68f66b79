"""When the next messages are due. Pure: the caller reads the clock."""

from __future__ import annotations


class Pace:
    """An open loop: message n is due at n / rate after the start, however slow the server is.

    What became due while a request was on its way goes together in the next one, so that order is
    kept and one slow answer does not lower the rate. Without a rate everything is due at once.
    In either case at most `most` go together.
    """

    def __init__(self, rate: float | None, most: int, now: float) -> None:
        self._rate = rate
        self._most = most
        self._start = now
        self._sent_count = 0
        self.behind_s = 0.0
        """How late the latest message was."""

    def wait_s(self, now: float) -> float:
        """How long until the next message is due; 0 if it is."""
        if self._rate is None:
            return 0.0
        return max(0.0, self._start + self._sent_count / self._rate - now)

    def due_count(self, now: float) -> int:
        """How many are due and may go together; at least one once `wait_s` is 0."""
        if self._rate is None:
            return self._most
        due_count = int((now - self._start) * self._rate) + 1 - self._sent_count
        return max(1, min(due_count, self._most))

    def send(self, count: int, now: float) -> None:
        """So many go now."""
        if self._rate is not None:
            due_at = self._start + self._sent_count / self._rate
            self.behind_s = max(self.behind_s, now - due_at)
        self._sent_count += count

    def starve(self, for_s: float) -> None:
        """There was nothing to send for so long: the schedule moves, it does not catch up."""
        self._start += for_s
