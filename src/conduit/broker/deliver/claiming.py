"""Waiting for a durable subscription that another node has: until it is given up, or the lease is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from conduit.broker.waiting import Deadline
from conduit.errors import OwnedElsewhere

# Between two claims of what another node has.
CLAIM_AGAIN_S = 0.2
# For what is asked over HTTP. Who leaves in order stores what it has before, for 2.3 s at most; a lease lasts
# for three.
CLAIM_WAIT_MAX_S = 5.0

T = TypeVar("T")


async def when_free(work: Callable[[], Awaitable[T]], until: Deadline) -> T:
    """`work()`, which claims a subscription, again and again as long as another node has it. Raises
    OwnedElsewhere if one has it at `until`, and what else `work` raises at once."""
    while True:
        try:
            return await work()
        except OwnedElsewhere:
            if not until.left_s:
                raise
        await asyncio.sleep(CLAIM_AGAIN_S)
