"""What each tenant, and each key with limits of its own, may use, and what it uses now.

Whoever does something for a tenant often has its `Allowance` at hand: a topic does, and a connection. What is
bounded is counted as it comes and goes, never when somebody asks. The allowance of a tenant that has nothing,
and no limits of its own, is forgotten with the last who has it at hand.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from weakref import WeakValueDictionary, ref

import msgspec
from msgspec.structs import asdict, replace

from conduit.broker.clock import Clock
from conduit.broker.counts import MARK_INTERVAL_S, Counts
from conduit.broker.meters import Count, Meter
from conduit.broker.pacing import Deliveries, Pending, Timer
from conduit.core.message import NewMessage
from conduit.errors import LimitReached, RateLimited
from conduit.limits import NO_LIMITS, TenantLimits


class Allowance(Meter):
    """One tenant's."""

    __slots__ = (
        "backlog_count",
        "bounds_messages",
        "coming_bytes",
        "counts",
        "deliveries",
        "pending",
        "stored_bytes",
        "stored_max_bytes",
        "subscriptions",
        "tenant",
        "topics",
    )

    def __init__(self, tenant: str, now: float = 0.0) -> None:
        super().__init__("this tenant")
        self.tenant = tenant
        self.topics = Count("topics", self.whose)
        self.subscriptions = Count("subscriptions", self.whose)
        self.pending = Pending()
        self.deliveries: Deliveries | None = None
        """None: there is no limit of their rate."""
        self.counts = Counts(now)
        self.backlog_count = 0
        """Messages that its durable subscriptions have not settled, as far as that is known."""
        self.stored_bytes = 0
        """Of the messages in all its topics, as these have it."""
        self.coming_bytes = 0
        """Of those that are on their way into the log; counted while `stored_max_bytes` is set."""
        self.stored_max_bytes: int | None = None
        self.bounds_messages = False
        """Whether `check_message` or `check_stored_of` may refuse."""

    def set_limits(self, limits: TenantLimits, now: float) -> None:
        """See `Meter.set_limits`."""
        super().set_limits(limits, now)
        self.topics.max_count = limits.topics
        self.subscriptions.max_count = limits.subscriptions
        self.pending.bound(limits.pending_retries)
        self.stored_max_bytes = limits.stored_bytes
        self.bounds_messages = limits.stored_bytes is not None or limits.message_bytes is not None

    def usage(self, dead_letter_count: int) -> Usage:
        """What it has now; the store knows how many dead letters."""
        return Usage(
            connections=self.connections.count,
            subscriptions=self.subscriptions.count,
            topics=self.topics.count,
            stored_bytes=self.stored_bytes,
            dead_letters=dead_letter_count,
            pending_retries=self.pending.count,
        )

    def check_stored_of(self, messages: Iterable[NewMessage]) -> int:
        """How many bytes these have; 0 if there is no bound. Raises LimitReached if there is no room for
        them."""
        max_bytes = self.stored_max_bytes
        if max_bytes is None:
            return 0
        more_bytes = sum([message.size_bytes for message in messages])
        if self.stored_bytes + self.coming_bytes + more_bytes > max_bytes:
            raise LimitReached(
                f"the topics of {self.whose} may hold {max_bytes} bytes, and there is no room for"
                f" {more_bytes} more; nothing was stored. Shorten their retention, or delete some",
                limit="stored_bytes",
            )
        return more_bytes


class KeyMeter:
    """One key's, as a `Meter`: what it asks for counts for its tenant as well."""

    __slots__ = ("_own", "tenant")

    def __init__(self, tenant: Allowance) -> None:
        self.tenant = tenant
        self._own = Meter("this key")

    @property
    def is_metered(self) -> bool:
        """See `Meter.is_metered`."""
        return self._own.is_metered or self.tenant.is_metered

    @property
    def message_max_bytes(self) -> int | None:
        """See `Meter.message_max_bytes`."""
        own, of_tenant = self._own.message_max_bytes, self.tenant.message_max_bytes
        if own is None or of_tenant is None:
            return of_tenant if own is None else own
        return min(own, of_tenant)

    def set_limits(self, limits: TenantLimits, now: float) -> None:
        """The key's own; see `Meter.set_limits`."""
        self._own.set_limits(limits, now)

    def admit_publish(self, count: int, size_bytes: int, now: float) -> None:
        """See `Meter.admit_publish`. What either refuses is taken of neither."""
        self._own.admit_publish(count, size_bytes, now)
        try:
            self.tenant.admit_publish(count, size_bytes, now)
        except RateLimited:
            self._own.take_back(count, size_bytes)
            raise

    def check_message(self, size_bytes: int, field: str = "payload") -> None:
        """See `Meter.check_message`."""
        self._own.check_message(size_bytes, field)
        self.tenant.check_message(size_bytes, field)

    def enter(self) -> None:
        """See `Meter.enter`."""
        self._own.connections.check(1)
        self.tenant.enter()
        self._own.connections.count += 1

    def leave(self) -> None:
        """See `Meter.leave`."""
        self._own.leave()
        self.tenant.leave()


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant has now of what can be bounded, by the names of the limits."""

    connections: int
    subscriptions: int
    topics: int
    stored_bytes: int
    dead_letters: int
    pending_retries: int


class DeadLetterLimits(NamedTuple):
    """`own`: of tenants with limits of their own; `default`: of all others."""

    own: dict[str, int]
    default: int | None


AnyMeter = Meter | KeyMeter
"""What the edges ask."""


class Allowances:
    """Those of all tenants and keys. `defaults` hold where a tenant has no limit of its own."""

    def __init__(self, defaults: TenantLimits, clock: Clock) -> None:
        self._defaults = defaults
        self._clock = clock
        self.timer = Timer()
        self._by_tenant: WeakValueDictionary[str, Allowance] = WeakValueDictionary()
        # Of these, those that stay although nobody has them at hand: those with limits of their own.
        self._own: dict[str, Allowance] = {}
        # Those whose counts are still to be marked in this round, and how many at a time.
        self._to_mark: list[ref[Allowance]] = []
        self._mark_count = 1
        self._mark_at = clock.now() + MARK_INTERVAL_S
        # By key id: those with limits.
        self._keys: dict[str, KeyMeter] = {}

    def of(self, tenant: str) -> Allowance:
        """The one of this tenant. Keep it as long as something of it counts there."""
        allowance = self._by_tenant.get(tenant)
        if allowance is None:
            allowance = self._by_tenant[tenant] = Allowance(tenant, self._clock.now())
            self._set_limits(allowance, self._defaults)
        return allowance

    def bounded(self) -> list[Allowance]:
        """Those of tenants that have limits, their own or the default ones."""
        some = self._own if self._defaults == NO_LIMITS else self._by_tenant
        return list(some.values())

    def set_limits(self, tenant: str, limits: TenantLimits) -> None:
        """These hold for the tenant from now on, and where it has none the default ones. What it has beyond
        them stays. Call it with NO_LIMITS when the tenant is gone."""
        allowance = self.of(tenant)
        self._set_limits(allowance, _over(self._defaults, limits))
        if limits == NO_LIMITS:
            self._own.pop(tenant, None)
        else:
            self._own[tenant] = allowance

    def count_anew(self, tenant: str) -> None:
        """The tenant is gone: what was done for it is not counted for the next one of its name."""
        allowance = self._by_tenant.get(tenant)
        if allowance is not None:
            # Those subscribers that are still to leave are taken off as they do.
            there_count = allowance.counts.subscriber_count
            allowance.counts = Counts(self._clock.now())
            allowance.counts.subscriber_count = there_count

    def tick(self, now: float) -> None:
        """Mark the counts of some of them; call it every second."""
        if now >= self._mark_at:
            self._mark_at = now + MARK_INTERVAL_S
            self._to_mark = list(self._by_tenant.valuerefs())
            self._mark_count = len(self._to_mark) // MARK_INTERVAL_S + 1
        for each in self._to_mark[-self._mark_count :]:
            allowance = each()
            if allowance is not None:
                allowance.counts.mark(now)
        del self._to_mark[-self._mark_count :]

    def _set_limits(self, allowance: Allowance, limits: TenantLimits) -> None:
        allowance.set_limits(limits, self._clock.now())
        before, rate = allowance.deliveries, limits.deliveries_per_s
        if before is None or before.rate != rate:
            paced = None if rate is None else Deliveries(rate, self._clock, self.timer)
            allowance.deliveries = paced
            if before is not None:
                before.free()

    def dead_letters(self) -> DeadLetterLimits:
        """How many dead letters each tenant may have."""
        limits = {tenant: each.limits.dead_letters for tenant, each in self._own.items()}
        own = {tenant: count for tenant, count in limits.items() if count is not None}
        return DeadLetterLimits(own, self._defaults.dead_letters)

    def set_key_limits(self, tenant: str, key_id: str, limits: TenantLimits) -> None:
        """These hold for the key from now on, beside those of its tenant. Call it with NO_LIMITS when the
        key is gone."""
        if limits == NO_LIMITS:
            self._keys.pop(key_id, None)
            return
        meter = self._keys.get(key_id)
        if meter is None:
            meter = self._keys[key_id] = KeyMeter(self.of(tenant))
        meter.set_limits(limits, self._clock.now())

    def meter(self, tenant: str, key_id: str | None = None) -> AnyMeter:
        """What whoever signed in with this key, or otherwise, is asked for; ask again when that changes."""
        return self._keys.get(key_id or "") or self.of(tenant)


def _over(defaults: TenantLimits, own: TenantLimits) -> TenantLimits:
    """Each limit as the tenant has it, or else the default."""
    given = {name: value for name, value in asdict(own).items() if value is not None}
    return replace(defaults, **given)
