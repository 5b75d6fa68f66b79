"""Tenants and keys that come, change and go: what an operator, or a tenant's own manager, may do to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from conduit.core.access import KeyRecord, TenantRecord
from conduit.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    LimitReached,
    OutcomeUnknown,
    StoreUnavailable,
)
from conduit.grants import Grant, check_grants, within
from conduit.limits import KEY_LIMITS, NO_LIMITS, TenantLimits, check_limits
from conduit.names import DEFAULT_TENANT, check_line, check_tenant
from conduit.protocol.codec import format_time
from conduit.redaction import MASK
from conduit.storage.access import AccessStore
from conduit.tenancy.keys import Choose, first_id, hash_of, make_key
from conduit.tenancy.principal import Principal
from conduit.tenancy.registry import Registry, WallClock

NAME_MAX_CHARS = 100
# Of one tenant, revoked ones that are still listed included.
KEYS_MAX_COUNT = 1_000
TENANTS_MAX_COUNT = 100_000
# How long a secret is good beside the one that has replaced it.
OVERLAP_S = 24 * 3_600
OVERLAP_MAX_S = 30 * 24 * 3_600
# How often a change is made anew that others have overtaken.
TRIES_COUNT = 3


Changes = Callable[[KeyRecord], Mapping[str, Any]]
"""Fields of a key that are to be others, from what it is."""


Over = Callable[[TenantLimits], TenantLimits]
"""Limits that are to be others, from what they are."""


class WithSecret(NamedTuple):
    """A key, and its secret, which is shown and not kept."""

    record: KeyRecord
    text: str

    def __repr__(self) -> str:
        return f"WithSecret(record={self.record!r}, text={MASK!r})"


class KeySpec(msgspec.Struct, frozen=True):
    """What a new key is to be."""

    name: str
    grants: Sequence[Grant]
    expires_at_ms: int | None = None
    limits: TenantLimits = NO_LIMITS


class KeyChange(msgspec.Struct):
    """What is to be another; UNSET stays as it is."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    grants: Sequence[Grant] | msgspec.UnsetType = msgspec.UNSET
    expires_at_ms: int | msgspec.UnsetType | None = msgspec.UNSET
    limits: TenantLimits | Over | msgspec.UnsetType = msgspec.UNSET
    """All of them; or what they become, of what they are then: other changes may come at the same time."""


class Accounts:
    """Changes tenants and keys: in the store, then in the registry, so that they count when this returns."""

    def __init__(
        self,
        store: AccessStore,
        registry: Registry,
        clock: WallClock,
        pepper: bytes,
        choose: Choose,
    ) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock
        self._pepper = pepper
        self._choose = choose
        self._changing_tenant = asyncio.Lock()

    # Keys -----------------------------------------------------------------------------------------

    async def create_key(self, by: Principal, spec: KeySpec) -> WithSecret:
        """A key of the caller's tenant. It gives nothing that the caller does not have, for no longer, and
        within its limits. Raises InvalidRequest, Unauthenticated, Forbidden, LimitReached, Unavailable."""
        by = await self._as_now(by)
        grants = check_grants(spec.grants)
        _check_gives(by, grants)
        _check_lasts(by, spec.expires_at_ms)
        _check_bounds(by, spec.limits)
        if self._registry.key_count(by.tenant) >= KEYS_MAX_COUNT:
            raise LimitReached(f"the tenant has as many keys as it may: {KEYS_MAX_COUNT}")
        return await self.make_key(
            by.tenant, by.actor, msgspec.structs.replace(spec, grants=grants)
        )

    async def make_key(
        self,
        tenant: str,
        actor: str,
        spec: KeySpec,
        keep: Callable[[str], None] | None = None,
        *,
        is_first: bool = False,
    ) -> WithSecret:
        """As `create_key`, for the server itself: with whatever rights. `keep` has the secret before the key
        counts, and may raise. `is_first`: raises Conflict if another server has made the first key
        meanwhile."""
        now_ms = self._clock.wall_ms()
        self._check(spec.name, spec.limits, spec.expires_at_ms)
        key_id = first_id(self._pepper, self._registry.revision) if is_first else None
        new = make_key(self._choose, key_id)
        if keep is not None:
            keep(new.text)
        record = KeyRecord(
            key_id=new.key_id,
            tenant=tenant,
            name=spec.name,
            grants=tuple(spec.grants),
            secret_hash=hash_of(self._pepper, new.text.encode()),
            created_at_ms=now_ms,
            created_by=actor,
            limits=spec.limits,
            expires_at_ms=spec.expires_at_ms,
        )
        return WithSecret(await self._put(record), new.text)

    async def change_key(self, by: Principal, key_id: str, change: KeyChange) -> KeyRecord:
        """Raises InvalidRequest, Unauthenticated, Forbidden, NotFound `key_not_found`, Conflict,
        Unavailable."""
        by = await self._as_now(by)
        given = {
            name: getattr(change, name)
            for name in KeyChange.__struct_fields__
            if getattr(change, name) is not msgspec.UNSET
        }
        if "grants" in given:
            given["grants"] = check_grants(given["grants"])
            _check_gives(by, given["grants"])
        self._check(given.get("name"), None, given.get("expires_at_ms"))

        def changes(record: KeyRecord) -> Mapping[str, Any]:
            if not given.keys().isdisjoint(("grants", "expires_at_ms")):
                _check_lasts(by, given.get("expires_at_ms", record.expires_at_ms))
            if "limits" not in given:
                return given
            limits = given["limits"]
            limits = limits(record.limits) if callable(limits) else limits
            check_limits(limits, of_key=True)
            _check_bounds(by, limits)
            return {**given, "limits": limits}

        return await self._changed(by, key_id, changes)

    async def rotate_key(self, by: Principal, key_id: str, overlap_s: float) -> WithSecret:
        """A new secret; the one before is good for so long. An older one that still was is not any more.
        Who has a secret for a while gets none that is good for longer. Raises as `change_key` does."""
        if not 0 <= overlap_s <= OVERLAP_MAX_S:
            raise InvalidRequest(f"overlap_s must be 0 to {OVERLAP_MAX_S}", field="overlap_s")
        by = await self._as_now(by)
        new = make_key(self._choose, key_id)
        secret_hash = hash_of(self._pepper, new.text.encode())
        until_ms = self._clock.wall_ms() + round(overlap_s * 1000)

        def rotated(record: KeyRecord) -> Mapping[str, Any]:
            # Whoever has the new secret has all that the key is.
            _check_lasts(by, record.expires_at_ms)
            _check_bounds(by, record.limits)
            return {
                "secret_hash": secret_hash,
                "former_hash": record.secret_hash,
                "former_until_ms": until_ms,
            }

        return WithSecret(await self._changed(by, key_id, rotated), new.text)

    async def revoke_key(self, by: Principal, key_id: str) -> KeyRecord:
        """It is good no more, at once. Idempotent."""
        record = self._own(by, key_id)
        if record.revoked_at_ms is not None:
            return record
        now_ms = self._clock.wall_ms()
        return await self._changed(by, key_id, lambda _record: {"revoked_at_ms": now_ms})

    async def _as_now(self, by: Principal) -> Principal:
        """Who asks, as it is by now: another server may have revoked or reduced its key, or deleted its
        tenant, and what it gives would outlast that. Raises Unauthenticated, Unavailable."""
        await self._registry.refresh()
        return self._registry.renewed(by) if by.is_over else by

    def _own(self, by: Principal, key_id: str) -> KeyRecord:
        """A key that the caller may change: one that gives no more than the caller has."""
        record = self._registry.key(by.tenant, key_id)
        _check_gives(by, record.grants)
        return record

    async def _changed(self, by: Principal, key_id: str, changes: Changes) -> KeyRecord:
        for _ in range(TRIES_COUNT):
            record = self._own(by, key_id)
            if record.revoked_at_ms is not None:
                raise Conflict(f"key {key_id!r} is revoked")
            changed = msgspec.structs.replace(record, **changes(record))
            try:
                return await self._put(changed)
            except Conflict:
                # Somebody else was first, perhaps on another server.
                await self._registry.refresh()
        raise Conflict(f"key {key_id!r} is being changed by others")

    async def _put(self, record: KeyRecord) -> KeyRecord:
        stored = await self._store.key_put(record, record.revision)
        self._registry.learn(stored)
        return stored

    def _check(
        self, name: str | None, limits: TenantLimits | None, expires_at_ms: int | None
    ) -> None:
        if name is not None:
            check_line(name, "name", NAME_MAX_CHARS)
        if limits is not None:
            check_limits(limits, of_key=True)
        if expires_at_ms is not None and expires_at_ms <= self._clock.wall_ms():
            raise InvalidRequest("expires_at is over already", field="expires_at")

    # Tenants --------------------------------------------------------------------------------------

    async def create_tenant(self, name: str, limits: TenantLimits) -> TenantRecord:
        """Raises InvalidRequest, Conflict `tenant_exists`, LimitReached, Unavailable."""
        check_tenant(name)
        check_limits(limits)
        if len(self._registry.tenants()) >= TENANTS_MAX_COUNT:
            raise LimitReached(f"there are as many tenants as there may be: {TENANTS_MAX_COUNT}")
        now_ms = self._clock.wall_ms()
        await self._store.tenant_create(
            TenantRecord(name=name, created_at_ms=now_ms, limits=limits)
        )
        await self._learn()
        return self._registry.tenant(name)

    async def change_tenant(self, name: str, limits: TenantLimits | Over) -> TenantRecord:
        """With these limits in place of those before, or with what they become, one change of this server
        after the other. Raises InvalidRequest, NotFound, Unavailable."""
        async with self._changing_tenant:
            await self._registry.refresh()
            before = self._registry.tenant(name).limits
            after = limits(before) if callable(limits) else limits
            check_limits(after)
            await self._store.tenant_update(name, after)
            await self._learn()
            return self._registry.tenant(name)

    async def delete_tenant(self, name: str) -> None:
        """With its keys and dead letters. Raises NotFound, Conflict `tenant_not_empty`, Forbidden."""
        if name == DEFAULT_TENANT:
            raise Forbidden(f"tenant {DEFAULT_TENANT!r} is always there")
        await self._registry.catching_up.find(lambda: self._registry.tenant(name))
        await self._store.tenant_delete(name, self._clock.wall_ms())
        await self._learn()

    async def _learn(self) -> None:
        """What was done just now. Raises OutcomeUnknown: it was."""
        try:
            await self._registry.refresh()
        except StoreUnavailable as error:
            raise OutcomeUnknown(
                "the change is stored, and this server could not read it back: look whether it counts"
            ) from error


def _check_gives(by: Principal, grants: Sequence[Grant]) -> None:
    """Nobody gives, or takes, what he does not have."""
    for grant in grants:
        if not within(grant, by.grants):
            what = " for all topics" if grant.topics is None else " for these topics"
            raise Forbidden(
                f"the key or token does not give {grant.scope}{'' if grant.scope == 'admin' else what}: what "
                "it does not give, it cannot give to others, or change"
            )


def _check_lasts(by: Principal, expires_at_ms: int | None) -> None:
    """Nobody gives for longer than he has it himself: an end would be none."""
    # A session gives what its key gives.
    until_ms = by.source.expires_at_ms
    if until_ms is not None and (expires_at_ms is None or expires_at_ms > until_ms):
        raise Forbidden(
            f"the key or secret that asks is good until {format_time(until_ms)}: it gives nothing that is "
            "good for longer; give an expires_at that is not later, or use a key without an end"
        )


def _check_bounds(by: Principal, limits: TenantLimits) -> None:
    """Nobody gives more than his own limits are. Those of an operator, who sets the tenants', bind nobody."""
    if by.may("admin"):
        return
    for name in KEY_LIMITS:
        own, given = getattr(by.limits, name), getattr(limits, name)
        if own is not None and (given is None or given > own):
            raise Forbidden(
                f"the key that asks has {name} {own}: it gives no key a higher one, or none; give "
                f"limits.{name} of {own} or less"
            )
