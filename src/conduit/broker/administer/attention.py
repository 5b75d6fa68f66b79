"""Which durable subscriptions somebody should look at, and which tenants are near what they may use.

Looked at when somebody asks, no more often than each LOOK_INTERVAL_S, more rarely where there are very many,
in steps between which others have their turns. All of it is in memory: no store is asked. That a lag grows is
seen by what it was at a look a minute before.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable
from heapq import heappush, heapreplace
from itertools import islice

import msgspec

from conduit.broker.administer.quotas import Quota, fullest, near_bounds
from conduit.broker.allowances import Allowances
from conduit.broker.clock import Clock
from conduit.broker.deliver.lags import Lag, Lags
from conduit.broker.deliver.owned import Owned
from conduit.core.message import SubscriptionRecord

LOOK_INTERVAL_S = 10.0
# Of very many so many in each second: half a percent of a core. But all of them so often.
LOOKED_AT_PER_S = 4_000
LOOK_INTERVAL_MAX_S = 60.0
# What is older than so many intervals is looked at again before it is told, which is waited for so long.
STALE_INTERVALS_COUNT = 2
LOOK_WAIT_S = 2.0
# Subscriptions whose lags are looked at in one turn of the loop.
STEP_COUNT = 1_000
# The same of tenants and their bounds.
TENANTS_STEP_COUNT = 200
# What is told of one tenant, or of all together.
TROUBLED_MAX_COUNT = 20
# From one mark to the next; growth is that since the one before the last.
MARK_INTERVAL_S = 60.0
# What grew in less time than that may be a burst, and in more it says nothing of now.
GROWTH_MIN_S = MARK_INTERVAL_S - LOOK_INTERVAL_S
GROWTH_MAX_S = 3 * MARK_INTERVAL_S
# Growth of a lag that is called so: so many messages at least, and this part of what it was.
GROWTH_MIN_COUNT = 100
GROWTH_MIN_PART = 0.1

TROUBLES = ("full", "slow", "absent", "paused")
"""The worst first."""

logger = logging.getLogger(__name__)


class Troubled(msgspec.Struct, frozen=True, kw_only=True):
    """One durable subscription with something unsettled."""

    tenant: str
    name: str
    trouble: str
    """`full`: so much waits for another attempt that nothing new is handed out; `slow`: its lag grows
    although somebody is attached; `absent`: nobody is; `paused`."""
    lag: int
    grown_count: int | None
    """By so much more than `grown_in_s` ago; None: that is not known."""
    grown_in_s: float | None
    subscriber_count: int
    pending_retry_count: int


class Attended(msgspec.Struct, frozen=True):
    """What there was at the last look."""

    subscriptions: list[Troubled] = []
    """The worst first."""
    counts: dict[str, int] = {}
    """Trouble → how many subscriptions have it, those above among them."""
    quotas: list[Quota] = []
    age_s: float | None = None
    """How long ago that look began; None: there was none yet."""
    interval_s: float = LOOK_INTERVAL_S
    """From one look to the next."""

    @property
    def is_fresh(self) -> bool:
        """Whether it may be told without another look."""
        return self.age_s is not None and self.age_s <= STALE_INTERVALS_COUNT * self.interval_s


class Attention:
    """`of` says what was seen last, for one tenant or all."""

    def __init__(self, owned: Owned, lags: Lags, allowances: Allowances, clock: Clock) -> None:
        self._owned = owned
        self._lags = lags
        self._allowances = allowances
        self._clock = clock
        self._seen: dict[str | None, Attended] | None = None
        self._seen_at = 0.0
        # Tenants that have gone since the look began that is under way.
        self._gone: set[str] = set()
        self._looking: asyncio.Task[None] | None = None
        self._look_at = 0.0
        # When each lag was marked before the last time, and last; see `Lag.marks`.
        self._marked_at: tuple[float, float] | None = None

    def of(self, tenant: str | None) -> Attended:
        """As of the last look; another one begins if that is due."""
        now = self._clock.now()
        self._begin(now)
        if self._seen is None:
            return Attended()
        seen = self._seen.get(tenant, Attended())
        quotas = seen.quotas
        if tenant is not None:
            quotas = near_bounds([self._allowances.of(tenant)], now)
        age_s, interval_s = round(now - self._seen_at, 3), self._interval_s()
        return msgspec.structs.replace(seen, quotas=quotas, age_s=age_s, interval_s=interval_s)

    async def looked(self) -> None:
        """Wait for a look, LOOK_WAIT_S at most, if the last one is too old."""
        if not self.of(None).is_fresh and self._looking is not None:
            await asyncio.wait([self._looking], timeout=LOOK_WAIT_S)

    def forget(self, tenant: str) -> None:
        """It is gone: the next one of its name has none of it."""
        if self._looking is not None:
            self._gone.add(tenant)
        if self._seen is not None:
            _forget(self._seen, tenant)

    async def close(self) -> None:
        """End a look that is under way. Idempotent."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    def _begin(self, now: float) -> None:
        """Look, if that is due."""
        if self._looking is None and now >= self._look_at:
            self._look_at = now + self._interval_s()
            self._gone.clear()
            self._looking = asyncio.get_running_loop().create_task(self._look(now))

    def _interval_s(self) -> float:
        interval_s = len(self._lags.by_id) / LOOKED_AT_PER_S
        return min(max(interval_s, LOOK_INTERVAL_S), LOOK_INTERVAL_MAX_S)

    async def _look(self, now: float) -> None:
        try:
            seen = await self._look_at_all(now)
            for tenant in self._gone:
                _forget(seen, tenant)
            self._seen, self._seen_at = seen, now
        except Exception:
            logger.exception("the subscriptions could not be looked at")
        finally:
            self._looking = None

    async def _look_at_all(self, now: float) -> dict[str | None, Attended]:
        found: defaultdict[str | None, _Worst] = defaultdict(_Worst)
        of_all = found[None]
        is_marking = self._marked_at is None or now - self._marked_at[1] >= MARK_INTERVAL_S
        records = iter(self._owned.everything())
        while some := list(islice(records, STEP_COUNT)):
            for record in some:
                lag = self._lags.by_id.get(record.subscription_id)
                if lag is None or not lag.is_known:
                    continue
                count = lag.count
                if count:
                    self._look_at_one(record, lag, now, (found[record.tenant], of_all))
                if is_marking:
                    lag.marks = (lag.marks[1], count)
            await asyncio.sleep(0)
        if is_marking:
            self._marked_at = (now if self._marked_at is None else self._marked_at[1], now)
        quotas = await self._near_bounds()
        seen = {whose: Attended(some.told(), dict(some.counts)) for whose, some in found.items()}
        seen[None] = msgspec.structs.replace(seen[None], quotas=quotas)
        return seen

    async def _near_bounds(self) -> list[Quota]:
        """Of all tenants."""
        near: list[Quota] = []
        tenants = iter(self._allowances.bounded())
        while some := list(islice(tenants, TENANTS_STEP_COUNT)):
            near = fullest([*near, *near_bounds(some, self._clock.now())])
            await asyncio.sleep(0)
        return near

    def _look_at_one(
        self, record: SubscriptionRecord, lag: Lag, now: float, everybody: tuple[_Worst, _Worst]
    ) -> None:
        """`everybody`: its tenant's, and all."""
        running, count = self._owned.find_running(record), lag.count
        group = None if running is None else running.group
        if group is not None and group.is_full:
            trouble = "full"
        elif record.paused:
            trouble = "paused"
        elif group is None or not group.subscribers:
            trouble = "absent"
        elif _is_much(*self._growth(lag, now), count):
            trouble = "slow"
        else:
            return
        for whose in everybody:
            whose.counts[trouble] += 1
        if not any(whose.is_worse(trouble, count) for whose in everybody):
            return
        grown_count, grown_in_s = self._growth(lag, now)
        one = Troubled(
            tenant=record.tenant,
            name=record.name,
            trouble=trouble,
            lag=count,
            grown_count=grown_count,
            grown_in_s=grown_in_s,
            subscriber_count=0 if group is None else len(group.subscribers),
            pending_retry_count=lag.open_count if group is None else group.pending.count,
        )
        for whose in everybody:
            whose.keep(one)

    def _growth(self, lag: Lag, now: float) -> tuple[int | None, float | None]:
        """Since the mark before the last, or the last if the lag was not known before, or nobody has asked
        for long; None if it was not known then either: none at all is not nothing."""
        for at, count in zip(self._marked_at or (), lag.marks, strict=False):
            if count is not None and now - at <= GROWTH_MAX_S:
                return lag.count - count, round(now - at, 3)
        return None, None


def _forget(seen: dict[str | None, Attended], tenant: str) -> None:
    gone, every = seen.pop(tenant, Attended()), seen[None]
    counts = Counter(every.counts)
    counts.subtract(gone.counts)
    seen[None] = Attended(
        [one for one in every.subscriptions if one.tenant != tenant],
        {trouble: count for trouble, count in counts.items() if count},
        [quota for quota in every.quotas if quota.tenant != tenant],
    )


def _is_much(grown_count: int | None, grown_in_s: float | None, count: int) -> bool:
    if grown_count is None or grown_in_s is None or grown_in_s < GROWTH_MIN_S:
        return False
    least = max(GROWTH_MIN_COUNT, GROWTH_MIN_PART * (count - grown_count))
    return grown_count >= least


class _Worst:
    """Of one tenant, or of all, while they are looked at: of each trouble how many there are (`counts`), and
    those with the largest lags."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        # Trouble → heap of lag, a number that no other has, and what is told.
        self._kept: defaultdict[str, list[tuple[int, int, Troubled]]] = defaultdict(list)

    def is_worse(self, trouble: str, lag: int) -> bool:
        """Than one of those that would be told."""
        kept = self._kept[trouble]
        return len(kept) < TROUBLED_MAX_COUNT or lag > kept[0][0]

    def keep(self, one: Troubled) -> None:
        """Instead of the least bad one, if that is less bad."""
        if self.is_worse(one.trouble, one.lag):
            kept, item = self._kept[one.trouble], (one.lag, -self.counts[one.trouble], one)
            if len(kept) < TROUBLED_MAX_COUNT:
                heappush(kept, item)
            else:
                heapreplace(kept, item)

    def told(self) -> list[Troubled]:
        """See `worst`."""
        return worst(one for kept in self._kept.values() for _, _, one in kept)


def worst(some: Iterable[Troubled]) -> list[Troubled]:
    """So many of these as are told: of each trouble some, so that none hides another; the worst first."""
    by_trouble: dict[str, list[Troubled]] = {}
    for one in sorted(some, key=lambda each: (-each.lag, each.tenant, each.name)):
        by_trouble.setdefault(one.trouble, []).append(one)
    share = max(1, TROUBLED_MAX_COUNT // len(TROUBLES))
    first = [one for each in by_trouble.values() for one in each[:share]]
    rest = [one for each in by_trouble.values() for one in each[share:]]
    rest.sort(key=_badness)
    return sorted(first + rest[: TROUBLED_MAX_COUNT - len(first)], key=_badness)


def _badness(one: Troubled) -> tuple[int, int]:
    # A node of another version may know one more.
    known = one.trouble in TROUBLES
    return TROUBLES.index(one.trouble) if known else len(TROUBLES), -one.lag
