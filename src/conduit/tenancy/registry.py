"""All tenants and keys in memory, and who a credential stands for.

The store has the truth. Once a second it is asked what has changed since, so that a key that another server
has revoked is refused here within two seconds, and its connections end with the next look at them.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Protocol

from msgspec.structs import replace

from conduit.core.access import KeyRecord, TenantRecord
from conduit.errors import ConduitError, Forbidden, NotFound, Unauthenticated
from conduit.limits import NO_LIMITS
from conduit.storage.access import AccessStore
from conduit.tenancy.catching_up import CatchingUp
from conduit.tenancy.claims import CREDENTIAL_MAX_BYTES
from conduit.tenancy.default_key import default_record
from conduit.tenancy.keys import hash_of, id_of
from conduit.tenancy.known_key import KnownKey
from conduit.tenancy.meters import Meter, Meters, NoMeters
from conduit.tenancy.principal import NOT_KNOWN, Principal

REFRESH_INTERVAL_S = 1.0
# `last_used_at` is written so often.
USED_INTERVAL_S = 60.0
# How long a key that was revoked or has expired is still listed.
ENDED_MAX_AGE_S = 30 * 24 * 3_600
# Keys that are looked at in one turn of the loop.
SLICE_COUNT = 1_000

logger = logging.getLogger(__name__)


class WallClock(Protocol):
    """What the time is."""

    def wall_ms(self) -> int:
        """Milliseconds since the epoch, UTC."""


class TokenVerifier(Protocol):
    """Knows tokens; see `tokens.py`."""

    def verify(self, token: bytes, now_ms: int) -> Principal:
        """Whom it stands for. Raises Unauthenticated, Unavailable."""

    def renewed(self, principal: Principal, now_ms: int) -> Principal:
        """The same one, as its key is now. Raises Unauthenticated."""


class Registry:
    """Checks credentials. `meters` is told of the limits of tenants and keys.

    Everything but `start`, `refresh` and `close` is without waiting.
    """

    def __init__(
        self,
        store: AccessStore,
        clock: WallClock,
        pepper: bytes,
        *,
        default_key: str | None = None,
        meters: Meters | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._pepper = pepper
        self._meters = meters or NoMeters()
        self._tenants: dict[str, TenantRecord] = {}
        self._keys: dict[str, KnownKey] = {}
        # The same by tenant.
        self._of_tenants: dict[str, dict[str, KnownKey]] = {}
        self._revision = 0
        self._default = None if default_key is None else default_record(pepper, default_key)
        self.default = None if self._default is None else self._default_principal(self._default)
        """Who has the default key, if there is one."""
        # What an unknown key is compared with: a revoked one.
        self._no_key = KnownKey(replace(default_record(pepper, ""), revoked_at_ms=0))
        self.tokens: TokenVerifier | None = None
        self.on_gone: Callable[[str], None] = lambda _tenant: None
        """Called as it is learned that a tenant was deleted: the next of its name has nothing of it."""
        self.catching_up = CatchingUp(self.refresh)
        """For those who would be told that they are not known."""
        self._refreshing = asyncio.Lock()
        self._running: asyncio.Task[None] | None = None
        self._is_stale = False

    # Life -----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Learn what the store has, and go on learning. Raises StoreUnavailable."""
        await self.refresh()
        self._running = asyncio.get_running_loop().create_task(self._run(), name="registry")

    async def close(self) -> None:
        """Stop, and note when keys were used last."""
        await self.catching_up.close()
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self._running = None
            try:
                await self._note_used()
            except ConduitError as error:
                logger.warning("when keys were used last is not stored: %s", error.detail)

    async def refresh(self) -> None:
        """Ask the store what has changed. Raises StoreUnavailable."""
        async with self._refreshing:
            changes = await self._store.access_since(self._revision)
            if changes.revision < self._revision:
                # The store is an earlier copy of itself: what it says now is all.
                self._forget_all()
                changes = await self._store.access_since(0)
            self._learn_tenants(changes.tenants)
            for key in changes.keys:
                self._learn_key(key)
            self._revision = changes.revision

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        used_at = loop.time() + USED_INTERVAL_S
        while True:
            await asyncio.sleep(REFRESH_INTERVAL_S)
            try:
                await self.refresh()
                self._is_stale = False
                if loop.time() >= used_at:
                    used_at = loop.time() + USED_INTERVAL_S
                    await self._note_used()
                    self.forget_ended(self._clock.wall_ms() - ENDED_MAX_AGE_S * 1000)
            except ConduitError as error:
                if not self._is_stale:
                    self._is_stale = True
                    logger.warning(
                        "changes of keys and tenants are not seen: %s; those known are used",
                        error.detail,
                    )
            except Exception:  # the root of a task
                logger.exception("changes of keys and tenants could not be read")

    async def _note_used(self) -> None:
        now_ms = self._clock.wall_ms()
        used: dict[str, int] = {}
        for some in _slices(self._keys):
            for key_id in some:
                key = self._keys.get(key_id)
                if key is not None and key.take_used():
                    used[key_id] = key.used_at_ms = now_ms
            await asyncio.sleep(0)
        if used:
            await self._store.keys_used(used)

    # What is known --------------------------------------------------------------------------------

    def _forget_all(self) -> None:
        for key_id, key in self._keys.items():
            self._meters.set_key_limits(key.record.tenant, key_id, NO_LIMITS)
            for principal in key.principals.values():
                principal.end()
        for name in self._tenants:
            self._meters.set_limits(name, NO_LIMITS)
        self._keys.clear()
        self._of_tenants.clear()
        self._tenants.clear()

    def _learn_tenants(self, records: Iterable[TenantRecord]) -> None:
        changed: set[str] = set()
        gone: set[str] = set()
        for record in records:
            before = self._tenants.pop(record.name, None)
            if record.deleted_at_ms is not None:
                gone.add(record.name)
                self._meters.set_limits(record.name, NO_LIMITS)
                continue
            if before is not None and before.created_at_ms != record.created_at_ms:
                # It was deleted and made anew since the last look.
                gone.add(record.name)
            changed.add(record.name)
            self._tenants[record.name] = record
            self._meters.set_limits(record.name, record.limits)
        if gone or changed:
            # All of them in one look at the keys: an operator's may act in any tenant.
            for key in self._keys.values():
                key.end_in(gone)
                key.look_at_bounds(changed)
        for name in gone:
            self.on_gone(name)
        if self.default is not None:
            self.default.look_at_bounds()

    def _learn_key(self, record: KeyRecord) -> None:
        before = self._keys.get(record.key_id)
        if before is not None:
            if before.record.revision >= record.revision:
                return
            for principal in before.principals.values():
                principal.end()
        if not record.is_of_a_former(self._tenants.get(record.tenant)):
            limits = NO_LIMITS if record.revoked_at_ms is not None else record.limits
            self._meters.set_key_limits(record.tenant, record.key_id, limits)
            key = self._keys[record.key_id] = KnownKey(record)
            if before is not None:
                key.used_at_ms = record.last_used_at_ms or before.used_at_ms
                key.is_used = before.take_used()
            self._of_tenants.setdefault(record.tenant, {})[record.key_id] = key
        elif before is not None:
            self._forget(record)

    def forget_ended(self, before_ms: int) -> None:
        """Forget keys that were revoked, or have expired, before then, as the store does."""
        ended = [key.record for key in self._keys.values() if key.record.ended_before(before_ms)]
        for record in ended:
            self._forget(record)

    def _forget(self, record: KeyRecord) -> None:
        self._meters.set_key_limits(record.tenant, record.key_id, NO_LIMITS)
        del self._keys[record.key_id]
        keys = self._of_tenants[record.tenant]
        del keys[record.key_id]
        if not keys:
            del self._of_tenants[record.tenant]

    def learn(self, record: KeyRecord) -> None:
        """A key as it was just stored: it counts at once."""
        self._learn_key(record)

    def tenant(self, name: str) -> TenantRecord:
        """Raises NotFound `tenant_not_found`."""
        record = self._tenants.get(name)
        if record is None:
            raise NotFound(f"tenant {name!r} does not exist", code="tenant_not_found")
        return record

    def tenants(self) -> list[TenantRecord]:
        """All of them, by name."""
        return [self._tenants[name] for name in sorted(self._tenants)]

    def key(self, tenant: str, key_id: str) -> KeyRecord:
        """Raises NotFound `key_not_found`, also for one of another tenant."""
        key = self._keys.get(key_id)
        if key is None or key.record.tenant != tenant:
            raise NotFound(f"key {key_id!r} does not exist", code="key_not_found")
        return key.shown

    def keys(self, tenant: str) -> list[KeyRecord]:
        """Those of a tenant, by id."""
        keys = self._of_tenants.get(tenant, {})
        return [keys[key_id].shown for key_id in sorted(keys)]

    def key_count(self, tenant: str) -> int:
        """How many it has, revoked ones that are still listed included."""
        return len(self._of_tenants.get(tenant, ()))

    def has_admin(self) -> bool:
        """Whether there is a key of an operator that is good."""
        now_ms = self._clock.wall_ms()
        return any(
            key.record.is_good(now_ms) and any(each.scope == "admin" for each in key.record.grants)
            for key in self._keys.values()
        )

    @property
    def revision(self) -> int:
        """Up to which change of the store it knows all."""
        return self._revision

    @property
    def has_keys(self) -> bool:
        """Whether there is any key, good or not."""
        return bool(self._keys)

    # Who it is ------------------------------------------------------------------------------------

    def authenticate(self, credential: bytes) -> Principal:
        """Whom a key or token stands for. Raises Unauthenticated; Unavailable if that cannot be said now."""
        if len(credential) > CREDENTIAL_MAX_BYTES:
            raise Unauthenticated(NOT_KNOWN)
        key_id = id_of(credential)
        if key_id is not None:
            return self._with_key(key_id, hash_of(self._pepper, credential))
        if self.default is not None and hmac.compare_digest(
            self.default.proof, hash_of(self._pepper, credential)
        ):
            return self.default
        if self.tokens is not None and credential.startswith(b"ey"):
            return self.tokens.verify(credential, self._clock.wall_ms())
        raise Unauthenticated(NOT_KNOWN)

    def renewed(self, principal: Principal) -> Principal:
        """Who signed in so, as the key is now; for those who do not keep the credential. Raises as
        `authenticate` does."""
        now_ms = self._clock.wall_ms()
        if principal.is_expired(now_ms):
            raise Unauthenticated(NOT_KNOWN)
        if principal.is_token:
            if self.tokens is None:
                raise Unauthenticated(NOT_KNOWN)
            return self.tokens.renewed(principal, now_ms)
        if principal.key_id is None:
            return principal.over(principal.source)
        return principal.over(self.by_proof(principal.key_id, principal.proof, principal.tenant))

    def by_proof(self, key_id: str, proof: bytes, tenant: str) -> Principal:
        """Who has signed in with the secret that has this hash, in this tenant. Raises as `renewed` does."""
        return self.acting_for(self._with_key(key_id, proof), tenant)

    def good_key(self, key_id: str) -> KeyRecord:
        """The key, if it may be used now: for tokens that it has made. Raises Unauthenticated."""
        if self._default is not None and key_id == self._default.key_id:
            return self._default
        key = self._keys.get(key_id)
        if key is None or not key.record.is_good(self._clock.wall_ms()):
            raise Unauthenticated(NOT_KNOWN)
        return key.record

    def made_by(self, caller: Principal, what: str = "tokens are made") -> KeyRecord:
        """The key of somebody who wants something made of it. Raises Forbidden if that is no key."""
        if caller.source is self.default and self._default is not None:
            return self._default
        if caller.is_token or caller.key_id is None:
            raise Forbidden(f"{what} with an API key, and not with a token")
        return self.good_key(caller.key_id)

    def meter(self, tenant: str, key: KeyRecord | None) -> Meter | None:
        """What counts for who acts in a tenant with a key, or a token that it has made."""
        # What an operator does in another tenant counts there.
        key_id = key.key_id if key is not None and tenant == key.tenant else None
        return self._meters.meter(tenant, key_id)

    def acting_for(self, principal: Principal, name: str, *, is_named: bool = False) -> Principal:
        """The operator's, in another tenant; `is_named`: or in its own, which it has named. Raises NotFound
        `tenant_not_found`, and Unauthenticated if it is not an operator's."""
        tenant = self.tenant(name)
        key = self._keys.get(principal.key_id or "")
        is_own = tenant.name == principal.tenant
        if key is None or (is_own and not is_named):
            return principal
        if not principal.may("admin"):
            raise Unauthenticated(NOT_KNOWN)
        # No tenant is called so: in its own it is two.
        place = (principal.proof, f"={tenant.name}" if is_own else tenant.name)
        acting = key.principals.get(place)
        if acting is None or acting.is_over:
            acting = self._principal(key.record, principal.proof, tenant.name)
            acting.is_acting = True
            key.principals[place] = acting
        return acting

    def _with_key(self, key_id: str, proof: bytes) -> Principal:
        key = self._keys.get(key_id, self._no_key)
        if not key.is_known_by(proof, self._clock.wall_ms()):
            raise Unauthenticated(NOT_KNOWN)
        record = key.record
        place = (proof, record.tenant)
        principal = key.principals.get(place)
        if principal is None:
            principal = key.principals[place] = self._principal(record, proof, record.tenant)
        principal.is_used = True
        return principal

    def _principal(self, record: KeyRecord, proof: bytes, tenant: str) -> Principal:
        """Who signs in with a key; with the secret before the last rotation no longer than that is good."""
        ends = [record.expires_at_ms]
        if proof != record.secret_hash:
            ends.append(record.former_until_ms)
        principal = Principal(
            tenant,
            f"key:{record.key_id}",
            record.grants,
            key_id=record.key_id,
            expires_at_ms=min((end for end in ends if end is not None), default=None),
        )
        principal.proof, principal.limits = proof, record.limits
        principal.meter = self.meter(tenant, record)
        principal.look_at_bounds()
        return principal

    def _default_principal(self, record: KeyRecord) -> Principal:
        principal = Principal(record.tenant, record.created_by, record.grants)
        principal.proof = record.secret_hash
        principal.meter = self.meter(record.tenant, None)
        principal.look_at_bounds()
        return principal


def _slices(keys: dict[str, KnownKey]) -> Iterator[list[str]]:
    names = iter([*keys])
    while some := list(islice(names, SLICE_COUNT)):
        yield some
