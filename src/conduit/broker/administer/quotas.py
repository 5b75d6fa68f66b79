"""Which tenants have nearly as much as they may have, and so will be refused something soon."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import nlargest

import msgspec

from conduit.broker.allowances import Allowance

# What is told: from this part of a bound on.
NEAR_PART = 0.8
QUOTAS_MAX_COUNT = 20


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """One bound of one tenant."""

    tenant: str
    limit: str
    """Its name, as in `TenantLimits`."""
    used: int
    max: int

    @property
    def part(self) -> float:
        """How much of it is used."""
        return self.used / self.max if self.max else 1.0


def near_bounds(some: Iterable[Allowance], now: float) -> list[Quota]:
    """Those of these tenants, the fullest first. The number of dead letters is not among them: only the store
    knows it, and beyond its bound the oldest go, and nothing is refused."""
    every = (quota for allowance in some for quota in _bounds(allowance, now))
    return fullest(quota for quota in every if quota.part >= NEAR_PART)


def fullest(some: Iterable[Quota]) -> list[Quota]:
    """So many as are told."""
    return nlargest(QUOTAS_MAX_COUNT, some, key=lambda quota: quota.part)


def _bounds(allowance: Allowance, now: float) -> Iterator[Quota]:
    limits = allowance.limits
    used = {
        "publishes_per_s": int(allowance.counts.rates(now).published),
        "connections": allowance.connections.count,
        "subscriptions": allowance.subscriptions.count,
        "topics": allowance.topics.count,
        "stored_bytes": allowance.stored_bytes,
        "pending_retries": allowance.pending.count,
    }
    for name, count in used.items():
        most = getattr(limits, name)
        if most is not None:
            yield Quota(tenant=allowance.tenant, limit=name, used=count, max=most)
