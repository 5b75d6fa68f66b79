"""What each tenant, and each key with limits of its own, may use, and what it uses now.

Whoever does something for a tenant often has its `Allowance` at hand: a topic does, and a connection. What is
bounded is counted as it comes and goes, never when somebody asks. The allowance of a tenant that has nothing,
and no limits of its own, is forgotten with the last who has it at hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol
from weakref import WeakValueDictionary

from msgspec.structs import asdict, replace

from conduit.core.bucket import Bucket
from conduit.core.message import NewMessage
from conduit.core.retries import Tally
from conduit.errors import LimitReached, RateLimited
from conduit.limits import NO_LIMITS, TenantLimits

# Who may publish nothing at all is told to come again after this.
RETRY_AFTER_MAX_S = 3_600.0

_KINDS = {
    "topics": "topics",
    "subscriptions": "durable subscriptions",
    "connections": "WebSocket connections",
}


class Count:
    """How many of one kind there are, and how many there may be."""

    __slots__ = ("_coming_count", "_limit", "_whose", "count", "max_count")

    def __init__(self, limit: str, whose: str) -> None:
        self._limit = limit
        self._whose = whose
        # Those that are being made: they count too.
        self._coming_count = 0
        self.count = 0
        self.max_count: int | None = None

    def check(self, more_count: int) -> None:
        """Raise LimitReached if so many more are too many."""
        max_count = self.max_count
        if max_count is not None and self.count + self._coming_count + more_count > max_count:
            raise LimitReached(
                f"{self._whose} has as many {_KINDS[self._limit]} as it may: {max_count}",
                limit=self._limit,
            )

    @contextmanager
    def coming(self, more_count: int) -> Iterator[None]:
        """So many more count meanwhile. Raises LimitReached."""
        self.check(more_count)
        self._coming_count += more_count
        try:
            yield
        finally:
            self._coming_count -= more_count


class Meter:
    """What counts for a tenant and for a key alike: KEY_LIMITS.

    Ask for `is_metered` before a publish; without limits of its rate nothing else is to be done.
    """

    __slots__ = (
        "__weakref__",
        "_publish_bytes",
        "_publishes",
        "connections",
        "is_metered",
        "limits",
        "message_max_bytes",
        "whose",
    )

    def __init__(self, whose: str) -> None:
        self.whose = whose
        self.limits = NO_LIMITS
        self.is_metered = False
        """Whether `admit_publish` may refuse."""
        self.message_max_bytes: int | None = None
        """The largest payload of a message; None: there is no bound but that of the server."""
        self.connections = Count("connections", whose)
        self._publishes: Bucket | None = None
        self._publish_bytes: Bucket | None = None

    def set_limits(self, limits: TenantLimits, now: float) -> None:
        """From now on these hold. A rate that stays as it was goes on where it is."""
        self.limits = limits
        self._publishes = _bucket(self._publishes, limits.publishes_per_s, now)
        self._publish_bytes = _bucket(self._publish_bytes, limits.publish_bytes_per_s, now)
        self.is_metered = self._publishes is not None or self._publish_bytes is not None
        self.message_max_bytes = limits.message_bytes
        self.connections.max_count = limits.connections

    def admit_publish(self, count: int, size_bytes: int, now: float) -> None:
        """So many messages are about to be published, with so many bytes of payloads, keys and headers
        together (`size_of` in publish/admission.py). Raises RateLimited; then nothing was taken of either
        rate."""
        publishes = self._publishes
        if publishes is not None and (wait_s := publishes.take(count, now)):
            raise self._too_fast("publishes_per_s", publishes.rate, "messages", wait_s)
        of_bytes = self._publish_bytes
        if of_bytes is not None and (wait_s := of_bytes.take(size_bytes, now)):
            if publishes is not None:
                publishes.put_back(count)
            raise self._too_fast("publish_bytes_per_s", of_bytes.rate, "bytes", wait_s)

    def take_back(self, count: int, size_bytes: int) -> None:
        """What was admitted just now is not published: somebody else refuses it."""
        if self._publishes is not None:
            self._publishes.put_back(count)
        if self._publish_bytes is not None:
            self._publish_bytes.put_back(size_bytes)

    def check_message(self, size_bytes: int, field: str = "payload") -> None:
        """Raise LimitReached `payload_too_large` if a message may not have so large a payload."""
        max_bytes = self.message_max_bytes
        if max_bytes is not None and size_bytes > max_bytes:
            raise LimitReached(
                f"payload has {size_bytes} bytes; a message of {self.whose} may have {max_bytes}",
                code="payload_too_large",
                field=field,
                limit="message_bytes",
            )

    def enter(self) -> None:
        """A WebSocket is opened. Raises LimitReached; else call `leave` once, when it is closed."""
        self.connections.check(1)
        self.connections.count += 1

    def leave(self) -> None:
        """The end of one `enter`."""
        self.connections.count -= 1

    def _too_fast(self, limit: str, rate: int, what: str, wait_s: float) -> RateLimited:
        return RateLimited(
            f"{self.whose} may publish {rate} {what} in a second, and has; nothing was stored",
            limit=limit,
            retry_after_s=min(wait_s, RETRY_AFTER_MAX_S),
        )


class Held(Protocol):
    """Who may have gone no further because of a limit."""

    def freed(self) -> None:
        """Look again, at the end of the turn."""


class Pending(Tally):
    """Deliveries of a tenant that wait for their next attempt, in all subscriptions that run here."""

    __slots__ = ("_held", "_max_count")

    def __init__(self) -> None:
        super().__init__()
        self._max_count: int | None = None
        self._held: dict[Held, None] = {}

    @property
    def is_full(self) -> bool:
        """Whether there are as many as there may be."""
        return self._max_count is not None and self.count >= self._max_count

    def add(self, change: int) -> None:
        """See `Tally.add`."""
        super().add(change)
        if self._held and not self.is_full:
            self._free()

    def bound(self, max_count: int | None) -> None:
        """There may be so many from now on."""
        self._max_count = max_count
        self._free()

    def wait(self, who: Held) -> None:
        """Have it told when there is room again."""
        if self.is_full:
            self._held[who] = None

    def leave(self, who: Held) -> None:
        """It does not wait any more. Idempotent."""
        self._held.pop(who, None)

    def _free(self) -> None:
        held, self._held = self._held, {}
        for who in held:
            who.freed()


class Allowance(Meter):
    """One tenant's."""

    __slots__ = (
        "bounds_messages",
        "coming_bytes",
        "pending",
        "stored_bytes",
        "stored_max_bytes",
        "subscriptions",
        "tenant",
        "topics",
    )

    def __init__(self, tenant: str) -> None:
        super().__init__("this tenant")
        self.tenant = tenant
        self.topics = Count("topics", self.whose)
        self.subscriptions = Count("subscriptions", self.whose)
        self.pending = Pending()
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
        both = (self._own.message_max_bytes, self.tenant.message_max_bytes)
        return min((each for each in both if each is not None), default=None)

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


class DeadLetterLimits(NamedTuple):
    """`own`: of tenants with limits of their own; `default`: of all others."""

    own: dict[str, int]
    default: int | None


AnyMeter = Meter | KeyMeter
"""What the edges ask."""


class Allowances:
    """Those of all tenants and keys. `defaults` hold where a tenant has no limit of its own."""

    def __init__(self, defaults: TenantLimits, now: float) -> None:
        self._defaults = defaults
        self._begun_at = now
        self._by_tenant: WeakValueDictionary[str, Allowance] = WeakValueDictionary()
        # Of these, those that stay although nobody has them at hand: those with limits of their own.
        self._own: dict[str, Allowance] = {}
        # By key id: those with limits.
        self._keys: dict[str, KeyMeter] = {}

    def of(self, tenant: str) -> Allowance:
        """The one of this tenant. Keep it as long as something of it counts there."""
        allowance = self._by_tenant.get(tenant)
        if allowance is None:
            allowance = self._by_tenant[tenant] = Allowance(tenant)
            allowance.set_limits(self._defaults, self._begun_at)
        return allowance

    def set_limits(self, tenant: str, limits: TenantLimits, now: float) -> None:
        """These hold for the tenant from now on, and where it has none the default ones. What it has beyond
        them stays. Call it with NO_LIMITS when the tenant is gone."""
        allowance = self.of(tenant)
        allowance.set_limits(_over(self._defaults, limits), now)
        if limits == NO_LIMITS:
            self._own.pop(tenant, None)
        else:
            self._own[tenant] = allowance

    def dead_letters(self) -> DeadLetterLimits:
        """How many dead letters each tenant may have."""
        limits = {tenant: each.limits.dead_letters for tenant, each in self._own.items()}
        own = {tenant: count for tenant, count in limits.items() if count is not None}
        return DeadLetterLimits(own, self._defaults.dead_letters)

    def set_key_limits(self, tenant: str, key_id: str, limits: TenantLimits, now: float) -> None:
        """These hold for the key from now on, beside those of its tenant. Call it with NO_LIMITS when the
        key is gone."""
        if limits == NO_LIMITS:
            self._keys.pop(key_id, None)
            return
        meter = self._keys.get(key_id)
        if meter is None:
            meter = self._keys[key_id] = KeyMeter(self.of(tenant))
        meter.set_limits(limits, now)

    def meter(self, tenant: str, key_id: str | None = None) -> AnyMeter:
        """What whoever signed in with this key, or otherwise, is asked for; ask again when that changes."""
        return self._keys.get(key_id or "") or self.of(tenant)


def _over(defaults: TenantLimits, own: TenantLimits) -> TenantLimits:
    """Each limit as the tenant has it, or else the default."""
    given = {name: value for name, value in asdict(own).items() if value is not None}
    return replace(defaults, **given)


def _bucket(before: Bucket | None, rate: int | None, now: float) -> Bucket | None:
    if rate is None:
        return None
    return before if before is not None and before.rate == rate else Bucket(rate, now)
