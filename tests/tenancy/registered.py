"""A registry and accounts over a store in memory, and a wall clock that is moved by hand."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from conduit.grants import Grant
from conduit.limits import TenantLimits
from conduit.storage.memory import MemoryStore
from conduit.tenancy.accounts import Accounts, KeySpec, WithSecret
from conduit.tenancy.meters import NoMeters
from conduit.tenancy.principal import Principal
from conduit.tenancy.registry import Registry
from tests.support.secrets import register

PEPPER = b"pepper of the tests registry, 32"
register(PEPPER.decode())
START_MS = 1_790_000_000_000
OPERATOR = Principal("default", "key:operator", [Grant(scope="admin")])


class HandClock:
    """A wall clock that goes when it is told."""

    def __init__(self) -> None:
        self.ms = START_MS

    def wall_ms(self) -> int:
        return self.ms

    def pass_s(self, seconds: float) -> None:
        self.ms += round(seconds * 1000)


class ToldMeters(NoMeters):
    """Remembers the limits that it was told."""

    def __init__(self) -> None:
        self.tenants: dict[str, TenantLimits] = {}
        self.keys: dict[str, TenantLimits] = {}

    def set_limits(self, tenant: str, limits: TenantLimits) -> None:
        self.tenants[tenant] = limits

    def set_key_limits(self, tenant: str, key_id: str, limits: TenantLimits) -> None:
        self.keys[key_id] = limits


class Kit(NamedTuple):
    store: MemoryStore
    clock: HandClock
    registry: Registry
    accounts: Accounts
    meters: ToldMeters

    async def key(self, *grants: Grant, by: Principal = OPERATOR, **spec: object) -> WithSecret:
        """A new key of the caller's tenant."""
        given = grants or (Grant(scope="publish"),)
        made = await self.accounts.create_key(by, KeySpec("a key", given, **spec))
        register(made.text)
        return made

    async def tenant(self, name: str, **limits: int) -> Principal:
        """A new tenant, and its manager."""
        await self.accounts.create_tenant(name, TenantLimits(**limits))
        scopes = ("publish", "subscribe", "manage")
        return Principal(name, f"key:{name}", [Grant(scope=scope) for scope in scopes])


def another(kit: Kit) -> Kit:
    """Another server on the same store; it learns what there is when it is told to refresh."""
    registry = Registry(kit.store, kit.clock, PEPPER)
    accounts = Accounts(kit.store, registry, kit.clock, PEPPER, secrets.choice)
    return Kit(kit.store, kit.clock, registry, accounts, ToldMeters())


@asynccontextmanager
async def running_kit(default_key: str | None = None) -> AsyncIterator[Kit]:
    store, clock, meters = MemoryStore(), HandClock(), ToldMeters()
    await store.open()
    registry = Registry(store, clock, PEPPER, default_key=default_key, meters=meters)
    await registry.refresh()
    accounts = Accounts(store, registry, clock, PEPPER, secrets.choice)
    yield Kit(store, clock, registry, accounts, meters)
    await registry.close()
    await store.close()
