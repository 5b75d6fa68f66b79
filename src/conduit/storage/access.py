"""What a store keeps of tenants, keys, one-time tickets and what was done: the part of the port that says who
may do what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypedDict, Unpack

from conduit.core.access import AccessChanges, AuditEntry, KeyRecord, TenantRecord
from conduit.errors import Conflict, LimitReached, NotFound
from conduit.limits import TenantLimits
from conduit.storage.dead_letters import Found

# Those that are deleted and not forgotten yet are among them. All of them are in every server's memory.
TENANTS_MAX_COUNT = 10_000
# Of one tenant; those that are revoked and not forgotten yet are among them.
KEYS_MAX_COUNT = 10_000
TICKETS_MAX_COUNT = 100_000
# Expired tickets that go when a new one comes.
TICKETS_TRIMMED_COUNT = 100
# Entries of the audit log that one call looks at, whether they match or not.
AUDIT_LOOK_MAX_COUNT = 10_000
# Rows that one statement returns or changes.
ROWS_MAX_COUNT = 1_000


class AuditFilter(TypedDict, total=False):
    """Which entries are meant; None does not restrict. Times in ms, `from` inclusive, `to` exclusive."""

    from_ms: int | None
    to_ms: int | None
    actor: str | None
    action: str | None


class AccessStore(Protocol):
    """For errors, see `Store`. Changes of tenants and keys take effect one after the other, in the order of
    the calls; all else here lets others pass."""

    # Tenants and keys -----------------------------------------------------------------------------

    async def access_since(self, revision: int) -> AccessChanges:
        """The tenants and keys that were changed after this revision, deleted and revoked ones included, and
        the newest revision; 0: all. One cheap question if nothing was. Revisions are given in the order of
        the commits: who asks with the newest one that it was told misses nothing, and may be told something
        twice.

        An answer that is older than what was asked for is all there is: the store has lost changes."""

    async def tenant_create(self, record: TenantRecord) -> None:
        """Create it, in the place of one of its name that was deleted. Raises Conflict `tenant_exists`,
        LimitReached."""

    async def tenant_update(self, name: str, limits: TenantLimits) -> None:
        """Replace its limits. Raises NotFound `tenant_not_found`."""

    async def tenant_delete(self, name: str, now_ms: int) -> None:
        """Delete it, revoke its keys, then remove its dead letters in slices. What is asked for it from then
        on is NotFound `tenant_not_found`, also a new topic or subscription. A call that fails after the
        deletion leaves letters: they go before a tenant of the name is created. Raises NotFound
        `tenant_not_found`, Conflict `tenant_not_empty` if it has a topic or a subscription."""

    async def key_put(self, record: KeyRecord, expected: int) -> KeyRecord:
        """Store the whole row, `revision` and `last_used_at_ms` excepted, if the one that is there has the
        revision `expected` (0: if none is there) and the same tenant; returns it as it is stored, with its
        new revision. Raises Conflict `conflict`, NotFound `tenant_not_found`, LimitReached."""

    async def keys_used(self, used: Mapping[str, int]) -> None:
        """Key id → when it was used, if that is later than what is known. One commit and no new revision;
        unknown ids are ignored."""

    async def keys_trim(self, before_ms: int, limit: int) -> int:
        """Forget up to `limit` keys that were revoked or have expired before then, tenants that were deleted
        before then and have no keys left, and tickets that have expired before then; returns how many."""

    # One-time tickets -----------------------------------------------------------------------------

    async def ticket_put(
        self, ticket_hash: bytes, value: bytes, expires_at_ms: int, now_ms: int
    ) -> None:
        """Keep `value` until then, for the first who asks. Some of those that have expired go. Raises
        LimitReached; several servers at once may pass the limit by as many."""

    async def ticket_take(self, ticket_hash: bytes, now_ms: int) -> bytes | None:
        """The value, to one caller; None if there is none, it was taken, or it has expired."""

    # The audit log --------------------------------------------------------------------------------

    async def audit_add(self, entries: Sequence[AuditEntry]) -> None:
        """Add these in one commit. One that is there stays as it is: a call may be repeated."""

    async def audit_page(
        self,
        tenant: str | None,
        *,
        limit: int,
        before_id: str | None = None,
        **which: Unpack[AuditFilter],
    ) -> Found[AuditEntry]:
        """The newest first, by time and id, up to `limit` of those of the tenant (None: of all) that match.
        `actor` and `action` are looked for in AUDIT_LOOK_MAX_COUNT entries: go on with `reached_id` as
        `before_id`, also after an empty page, until it is None. Nothing is before an entry that is not
        there."""

    async def audit_trim(self, before_ms: int, limit: int) -> int:
        """Remove up to `limit` entries that are older, the oldest first; returns how many."""

    # Secrets of the log ---------------------------------------------------------------------------

    async def first_fact(self, name: str, value: bytes) -> bytes:
        """Keep the fact unless one of the name is there; returns what is there. Of several who ask at once
        all are told the same."""


def tenant_exists(name: str) -> Conflict:
    """There is one of this name."""
    return Conflict(f"tenant {name!r} exists", code="tenant_exists")


def tenant_not_empty(name: str) -> Conflict:
    """It has something that somebody has to delete before."""
    return Conflict(f"tenant {name!r} has topics or subscriptions", code="tenant_not_empty")


def tenant_not_found(name: str) -> NotFound:
    """There is none, or it is deleted."""
    return NotFound(f"tenant {name!r} does not exist", code="tenant_not_found")


def key_changed(key_id: str) -> Conflict:
    """Somebody was faster."""
    return Conflict(f"key {key_id!r} was changed meanwhile")


def too_many(what: str, max_count: int) -> LimitReached:
    """There are as many as there may be."""
    return LimitReached(f"there are {max_count} {what}, which is the limit")


async def changes_since(
    revision: int,
    newest: int,
    tenants_after: Callable[[int, str], Awaitable[list[tuple[int, TenantRecord]]]],
    keys_after: Callable[[int, str], Awaitable[list[KeyRecord]]],
) -> AccessChanges:
    """The answer of `access_since`, if `newest` was read before. The others are asked for pages: what was
    changed after a revision, or with it and has a later name or id, in this order, up to ROWS_MAX_COUNT."""
    changes = AccessChanges(newest, [], [])
    if newest == revision:
        return changes
    # What changes meanwhile has a later revision: it is told now, or the next time. Every name is after "".
    first = (revision if revision < newest else 0) + 1
    place = (first, "")
    while tenants := await tenants_after(*place):
        changes.tenants.extend(record for _, record in tenants)
        place = (tenants[-1][0], tenants[-1][1].name)
        if len(tenants) < ROWS_MAX_COUNT:
            break
    place = (first, "")
    while keys := await keys_after(*place):
        changes.keys.extend(keys)
        place = (keys[-1].revision, keys[-1].key_id)
        if len(keys) < ROWS_MAX_COUNT:
            break
    return changes


class AuditLook(NamedTuple):
    """What one call of `audit_page` asks for."""

    tenant: str | None
    limit: int
    before_id: str | None
    from_ms: int | None = None
    to_ms: int | None = None
    actor: str | None = None
    action: str | None = None

    @property
    def max_count(self) -> int:
        """How many entries it looks at, at most."""
        is_search = self.actor is not None or self.action is not None
        return AUDIT_LOOK_MAX_COUNT if is_search else self.limit

    def found(self, entries: Iterable[AuditEntry], low_id: str | None) -> Found[AuditEntry]:
        """The answer: those that match, newest first. `low_id`: the last that was looked at, None if there
        were fewer than `max_count`."""
        page = Found(entries)
        page.reached_id = page[-1].entry_id if page and len(page) == self.limit else low_id
        return page
