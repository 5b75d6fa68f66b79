"""Up to when all that a client has said to its node is known at the owner of its subscription. Pure.

Acks may be on their way, or a link may be down that nobody knows to be down yet: so no attempt fails before
the client's node was asked after its deadline, and has said that all came. It is asked only when something
is to be judged.
"""

from __future__ import annotations

import math


class Heard:
    """Of one client. `now` is monotonic, in seconds."""

    __slots__ = ("_asked_at", "until")

    def __init__(self) -> None:
        self.until = -math.inf
        """What the client had said to its node by then is known."""
        # None: it is not being asked.
        self._asked_at: float | None = None

    def should_ask(self, now: float) -> bool:
        """Whether to ask now, because something is judged: then it is being asked."""
        if self._asked_at is not None or now <= self.until:
            return False
        self._asked_at = now
        return True

    def answered(self, *, is_heard: bool) -> None:
        """The client's node has answered, behind all that the client had said when it was asked, or later."""
        if is_heard and self._asked_at is not None:
            self.until = self._asked_at
        self._asked_at = None
