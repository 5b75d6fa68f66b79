"""What the broker needs from a store for dead letters: the part of the port that is about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from conduit.core.message import DeadLetter, DeadPlace

T = TypeVar("T")
U = TypeVar("U")

# What one call looks at, whether it matches or not: so many letters, and so much of what they hold, if that
# is looked at. It is a few milliseconds of a store's time; who looks for more asks again.
LOOK_MAX_COUNT = 1_000
LOOK_MAX_BYTES = 4 << 20

# What became of a dead letter that is gone; and of one that is there.
DROPPED, DISCARDED, FORGOTTEN = "dropped", "discarded", "forgotten"
DEAD, REDRIVEN = "dead", "redriven"


class Fate(NamedTuple):
    """What became of a delivery that died. All but its name is of its dead letter, if that is there; times in
    ms, and None if it was not redriven."""

    name: str
    attempts: int = 0
    reason: str = ""
    died_at_ms: int | None = None
    redriven_at_ms: int | None = None


# A subscription, and its Fate.
FateRow = tuple[str, str, int, str, int | None, int | None]


class DeadFilter(msgspec.Struct, frozen=True):
    """Which dead letters are meant; None does not restrict. Times in ms, `from` inclusive, `to` exclusive."""

    topic: str | None = None
    subscription: str | None = None
    reason: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    q: str | None = None
    """A substring of the payload, the key, the message id or the reason; case matters."""
    is_redriven: bool | None = None
    patterns: tuple[str, ...] | None = None
    """Of topics: of those that one of these has."""

    @property
    def is_search(self) -> bool:
        """Whether one that does not match may be looked at."""
        has_index = self.topic is None or self.subscription == ""
        rest = (self.reason, self.from_ms, self.to_ms, self.q, self.is_redriven, self.patterns)
        return not has_index or any(value is not None for value in rest)


class DeadGroup(msgspec.Struct):
    """Dead letters of one topic with one reason."""

    topic: str
    reason: str
    count: int
    redriven_count: int
    """Those of them that were redriven and did not die again since."""
    first_ms: int
    last_ms: int
    """When the first and the last of them died."""
    newest_id: str

    def add(self, other: DeadGroup) -> None:
        """Have what was found elsewhere of the same group."""
        self.count += other.count
        self.redriven_count += other.redriven_count
        self.first_ms = min(self.first_ms, other.first_ms)
        self.last_ms = max(self.last_ms, other.last_ms)
        self.newest_id = max(self.newest_id, other.newest_id)


class Found(list[T]):
    """What matches of the letters that one call has looked at, newest first."""

    reached_id: str | None = None
    """The last that it has looked at: go on below it. None if there is nothing below it."""

    def each(self, make: Callable[[T], U]) -> Found[U]:
        """What `make` makes of each."""
        made = Found(map(make, self))
        made.reached_id = self.reached_id
        return made


class DeadBounds(msgspec.Struct, frozen=True, kw_only=True):
    """How many dead letters are kept of each durable subscription, of all ephemeral subscribers of a topic
    together, and of a tenant. Bytes are those of payloads, keys and headers."""

    max_count: int = 100_000
    max_bytes: int = 1 << 30
    ephemeral_max_count: int = 1_000
    ephemeral_max_bytes: int = 16 << 20
    tenant_max_count: int | None = None
    """Of all of a tenant together; None: there is no such bound."""
    tenants: Mapping[str, int] = {}
    """The same of tenants that have a bound of their own."""

    def of_tenant(self, tenant: str) -> int | None:
        """How many are kept of all of this tenant."""
        return self.tenants.get(tenant, self.tenant_max_count)

    @property
    def has_tenants(self) -> bool:
        """Whether any tenant has a bound."""
        return bool(self.tenants) or self.tenant_max_count is not None


class DeadTally(NamedTuple):
    """How many dead letters there are: those that were redriven, and the others."""

    open_count: int
    redriven_count: int
    size_bytes: int


class DeadTenants(NamedTuple):
    """Who has dead letters that were not redriven."""

    most: list[tuple[str, int]]
    """Tenants with how many, those that have the most first."""
    tenant_count: int = 0
    """How many tenants that are, those that are not named included …"""
    open_count: int = 0
    """… and how many all of these have."""


NO_TENANTS = DeadTenants([])


class Loss(msgspec.Struct):
    """Dead letters that a store could not keep, or not with their messages. One of `subscription` and `topic`
    is empty: a durable subscription has all its topics together, and a topic all its ephemeral subscribers.
    Both are, where too many are affected to be told apart."""

    tenant: str
    subscription: str
    topic: str
    dropped_count: int = 0
    lost_count: int = 0
    """Those that were stored without their messages, which the log had lost."""


class DeadLetterStore(Protocol):
    """Deaths are stored with the progress that counts them as settled: `Store.settle`. For the rest, and for
    errors, see `Store`."""

    async def dead_list(
        self,
        tenant: str,
        which: DeadFilter,
        *,
        limit: int,
        before_id: str | None = None,
        max_bytes: int = LOOK_MAX_BYTES,
    ) -> Found[DeadLetter]:
        """Newest first by `dead_id`, up to `limit` of those below `before_id`. It looks at up to
        LOOK_MAX_COUNT letters with `max_bytes` of payloads, keys and headers together, or at one that has
        more. What `q` is looked for in has a reader of its own, and so has the rest; for each whoever calls
        lines up (`broker/administer/looking.py`)."""

    async def dead_places(
        self, tenant: str, which: DeadFilter, *, limit: int, before_id: str | None = None
    ) -> Found[DeadPlace]:
        """As `dead_list`, without the messages: what it costs does not follow from their size, unless `q` is
        looked for in them."""

    async def dead_groups(
        self, tenant: str, which: DeadFilter, *, before_id: str | None = None
    ) -> Found[DeadGroup]:
        """Those of LOOK_MAX_COUNT letters below `before_id` that match, by topic and reason, in any order. As
        `dead_places` in what it costs and in where it has come to."""

    async def dead_get(self, tenant: str, dead_id: str) -> DeadLetter | None:
        """One by its id."""

    async def dead_find(self, tenant: str, dead_ids: Sequence[str]) -> list[DeadPlace]:
        """Those that exist, in the order of their ids."""

    async def dead_of(self, subscription: str, topic_id: int, seq: int) -> DeadLetter | None:
        """The dead letter of one delivery, if any."""

    async def dead_tally(self, tenant: str, subscription: str | None) -> DeadTally:
        """How many there are of a durable subscription; None: of all of the tenant, those of ephemeral
        subscribers included. Counted as they come and go: what it costs does not follow from how many there
        are."""

    async def dead_tallies(self, tenant: str, subscriptions: Sequence[str]) -> dict[str, DeadTally]:
        """The same of several durable ones at once, by name; those that never had any may be left out."""

    async def dead_tenants(self, limit: int) -> DeadTenants:
        """Of all tenants, up to `limit` by name. Counted as `dead_tally`; what it costs follows from how many
        subscriptions have any."""

    async def dead_fates(
        self, topic_id: int, seq: int, subscriptions: Sequence[str]
    ) -> dict[str, Fate]:
        """What became of one message in several durable subscriptions, by name: those in which it never died
        are left out. Its dead letter is there (`dead`, or `redriven`); or it is gone: `dropped` (there were
        too many, or it was too old), or `discarded` (by `dead_delete`).

        Of one topic GONE_MAX_COUNT are remembered (`storage/dead.py`), those with the highest numbers; below
        these all that have no dead letter are `forgotten`, whatever it was. Letters that were redriven and
        are gone are not among them."""

    async def dead_delete(self, tenant: str, dead_ids: Sequence[str]) -> int:
        """Discard; returns how many existed."""

    async def dead_trim(self, before_ms: int, bounds: DeadBounds, limit: int) -> int:
        """Remove up to `limit` dead letters: those that died, or were redriven since, before `before_ms`, the
        oldest first; then what exceeds the bounds: first those that were redriven and are not all that is
        left of their messages, then the lowest by `dead_id`; of a tenant that has too many the lowest by
        `dead_id`, whatever they are. Returns how many."""

    async def dead_losses(self) -> list[Loss]:
        """What this process could not keep since it was last asked."""


def fates_of(rows: Iterable[FateRow], subscriptions: Sequence[str]) -> dict[str, Fate]:
    """What `dead_fates` answers, of a row for each. A row without a subscription is
    for all that have none of their own."""
    found = {row[0]: Fate(*row[1:]) for row in rows}
    everybody = found.pop("", None)
    if everybody is None:
        return found
    return {name: found.get(name, everybody) for name in subscriptions}
