"""What authentication is made of, in its order."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from conduit.core.access import KeyRecord
from conduit.errors import ConfigError, Conflict, OutcomeUnknown
from conduit.grants import Grant
from conduit.identity_provider import IdentityProvider
from conduit.names import DEFAULT_TENANT
from conduit.redaction import MASK
from conduit.storage.base import Store
from conduit.tenancy.accounts import Accounts, KeySpec, WithSecret
from conduit.tenancy.audit import Audit, Origin
from conduit.tenancy.keyring import Keyring
from conduit.tenancy.keys import PEPPER_BYTES
from conduit.tenancy.meters import Meters
from conduit.tenancy.page_sessions import PageSessions
from conduit.tenancy.principal import Principal
from conduit.tenancy.provider_tokens import ProviderTokens
from conduit.tenancy.registry import Registry, WallClock
from conduit.tenancy.ticketing import Ticketing, Turns
from conduit.tenancy.tickets import Tickets
from conduit.tenancy.tokens import Tokens
from conduit.tenancy.verifier import Verifier

# Where nothing else is set.
TOKEN_TTL_MAX_S = 86_400
# How long a server waits for the first key of another one, which has its file already.
OTHER_WITHIN_S = 5.0
OTHER_ASKED_EVERY_S = 0.1
# Facts of the store.
PEPPER = "key_pepper"
PEPPER_CHECK = "key_pepper_check"
_CHECK_LABEL = b"conduit: which pepper it is"


class AuthOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is set of it, as plain values."""

    default_key: str | None = None
    pepper: str | None = None
    token_max_ttl_s: int = TOKEN_TTL_MAX_S
    provider: IdentityProvider | None = None

    def __repr__(self) -> str:
        return f"AuthOptions(default_key={MASK!r}, pepper={MASK!r}, …)"


class Tenancy(NamedTuple):
    """All of it, begun; `close` ends it."""

    registry: Registry
    accounts: Accounts
    tokens: Tokens
    ticketing: Ticketing
    pages: PageSessions
    keyring: Keyring | None = None
    """Of an identity provider."""

    async def close(self) -> None:
        """End it; the store is closed after that."""
        if self.keyring is not None:
            await self.keyring.close()
        await self.registry.close()


async def open_tenancy(
    store: Store,
    clock: WallClock,
    options: AuthOptions,
    turns: Turns,
    meters: Meters | None = None,
) -> Tenancy:
    """Learn keys and tenants from the store, which is open; tickets are made in `turns`. Raises
    StoreUnavailable, ConfigError."""
    pepper = await _find_pepper(store, options.pepper)
    registry = Registry(store, clock, pepper, default_key=options.default_key, meters=meters)
    tokens = Tokens(pepper, options.token_max_ttl_s)
    keyring = provider = None
    if options.provider is not None:
        keyring = Keyring(options.provider)
        provider = ProviderTokens(options.provider, keyring)
    verifier = Verifier(registry, tokens, provider)
    registry.tokens = verifier
    await registry.start()
    if keyring is not None:
        keyring.start()
    pages = PageSessions(registry, clock, pepper)
    ticketing = Ticketing(registry, verifier, Tickets(store, pepper), pages, clock, turns)
    accounts = Accounts(store, registry, clock, pepper, secrets.choice)
    return Tenancy(registry, accounts, tokens, ticketing, pages, keyring)


async def _find_pepper(store: Store, given: str | None) -> bytes:
    """The one that is set, or the one that the store keeps, made when it is first asked for. Which of both it
    is cannot change, and neither can the first: the keys that there are would be worth nothing."""
    check = await store.fact(PEPPER_CHECK)
    if given is None:
        if check is not None:
            raise ConfigError(
                ["CONDUIT_KEY_PEPPER is not set, and the keys in this database were made with one."]
            )
        return await store.first_fact(PEPPER, os.urandom(PEPPER_BYTES))
    if check is None and await store.fact(PEPPER) is not None:
        raise ConfigError(
            [
                "CONDUIT_KEY_PEPPER is set, and the keys in this database were made without one: unset it. "
                "It has to be set before the first key is made."
            ]
        )
    pepper = hashlib.sha256(given.encode()).digest()
    ours = hmac.digest(pepper, _CHECK_LABEL, "sha256")
    if await store.first_fact(PEPPER_CHECK, ours) != ours:
        raise ConfigError(
            [
                "CONDUIT_KEY_PEPPER is not the one that the keys in this database were made with: "
                "set that one. Without it every key has to be made anew."
            ]
        )
    return pepper


async def make_admin_key(store: Store, clock: WallClock, pepper: str | None) -> WithSecret:
    """One more key for the operator, in a store that no server uses. Raises ConfigError, Unavailable."""
    found = await _find_pepper(store, pepper)
    registry = Registry(store, clock, found)
    await registry.refresh()
    accounts = Accounts(store, registry, clock, found, secrets.choice)
    spec = KeySpec("admin key made on the database", (Grant(scope="admin"),))
    made = await accounts.make_key(DEFAULT_TENANT, "store", spec)
    by = Principal(DEFAULT_TENANT, "store", ())
    await Audit(store, clock).done(
        by, Origin(), "key.create", made.record.key_id, name=made.record.name
    )
    return made


async def make_first_key(
    tenancy: Tenancy, path: Path | None, show: Callable[[str], None]
) -> KeyRecord | None:
    """If there is no key at all, one for the operator: into the file, which must not exist, or else shown.

    Of several servers that start at once on one store, one makes it, whether they have one file or each its
    own. Raises OSError, before it is made."""
    registry = tenancy.registry
    if registry.has_keys:
        return None
    try:
        if path is None:
            made = await _make_first(tenancy)
            show(made.text)
            return made.record
        return await _make_first_in(tenancy, path)
    except (Conflict, FileExistsError):
        # Who has the file may be about to make it.
        for _ in range(round(OTHER_WITHIN_S / OTHER_ASKED_EVERY_S)):
            await registry.refresh()
            if registry.has_keys:
                return None
            await asyncio.sleep(OTHER_ASKED_EVERY_S)
        raise


async def _make_first_in(tenancy: Tenancy, path: Path) -> KeyRecord:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)

    def keep(text: str) -> None:
        os.write(descriptor, f"{text}\n".encode())
        os.fsync(descriptor)

    try:
        return (await _make_first(tenancy, keep)).record
    except OutcomeUnknown:
        # The file may hold a key that counts.
        raise
    except Exception:
        os.unlink(path)
        raise
    finally:
        os.close(descriptor)


async def _make_first(tenancy: Tenancy, keep: Callable[[str], None] | None = None) -> WithSecret:
    spec = KeySpec("first admin key", (Grant(scope="admin"),))
    return await tenancy.accounts.make_key(DEFAULT_TENANT, "server", spec, keep, is_first=True)
