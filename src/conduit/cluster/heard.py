"""Whether all that a client has said to its node is known at the owner of its subscription. Pure.

Acks may be on their way, or a link may be down that nobody knows to be down yet: so no attempt fails before
the client's node says that all came. It is asked only when something is to be judged.
"""

from __future__ import annotations

import math

from conduit.core.policy import PUT_OFF_S

# How long it counts that the client's node has passed on all that it had of the client: what is put off for
# that is judged after PUT_OFF_S (core/policy.py) and a sweep or two.
HEARD_S = PUT_OFF_S + 0.5
# Older than that, it is asked again whenever something is judged.
FRESH_S = 0.1


class Heard:
    """Of one client. `now` is monotonic, in seconds."""

    __slots__ = ("_at", "_is_asking")

    def __init__(self) -> None:
        # When the client's node was known to have passed on all, and whether it is being asked.
        self._at = -math.inf
        self._is_asking = False

    def should_ask(self, now: float) -> bool:
        """Whether to ask now, because something is judged: then it is being asked."""
        if self._is_asking or now - self._at <= FRESH_S:
            return False
        self._is_asking = True
        return True

    def answered(self, now: float, *, is_heard: bool) -> None:
        """The client's node has answered."""
        self._is_asking = False
        self._at = now if is_heard else -math.inf

    def holds(self, now: float) -> bool:
        """Whether it counts that all was passed on."""
        return now - self._at <= HEARD_S
