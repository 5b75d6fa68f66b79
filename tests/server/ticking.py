"""A clock by which the same is done in each turn of the loop, however fast the machine is."""

from __future__ import annotations

from conduit.server.intake import SHARE_MAX_S

# A connection's share of a turn is over after so many looks: one for each piece or request.
LOOKS_COUNT = 4


class Ticking:
    """It goes on whenever it is read."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        # A little more, for the share must be over with the last look however the sum is rounded.
        self.now_s += SHARE_MAX_S / LOOKS_COUNT * 1.000001
        return self.now_s
