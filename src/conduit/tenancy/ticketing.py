"""Tickets as somebody with rights: what is kept with one, and whom it stands for when it is taken.

No credential is kept, but what it was known by: so a ticket is worth what its maker is worth when it is used.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from conduit.errors import Forbidden, LimitReached
from conduit.tenancy.claims import Claims, refused
from conduit.tenancy.page_sessions import PagePrincipal, PageSession, PageSessions
from conduit.tenancy.principal import Principal
from conduit.tenancy.registry import Registry, WallClock
from conduit.tenancy.tickets import Tickets
from conduit.tenancy.verifier import TokenPrincipal, Verifier

# Of one tenant, given by this server and not taken here yet: one tenant does not take the places of all.
# Where others take them, it is how many it may give in the time that a ticket is good.
UNUSED_MAX_COUNT = 5_000


class _Maker(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who has asked for a ticket: by a token, by a key, or with neither, which is the default key."""

    tenant: str
    since_ms: int = 0
    """When the tenant was made: another one may have its name by now."""
    key_id: str | None = None
    proof: bytes = b""
    claims: Claims | None = None
    page: PageSession | None = None
    """The session of a page in which it was asked for."""


_maker = msgspec.json.Decoder(_Maker).decode


class Turns(Protocol):
    """Few at once, of tenants in turn."""

    def taken(self, whose: Hashable) -> AbstractAsyncContextManager[None]:
        """One of them."""


class Ticketing:
    """Gives tickets to callers, and takes them."""

    def __init__(
        self,
        registry: Registry,
        verifier: Verifier,
        tickets: Tickets,
        pages: PageSessions,
        clock: WallClock,
        turns: Turns,
    ) -> None:
        self._registry = registry
        self._verifier = verifier
        self._tickets = tickets
        self._pages = pages
        self._clock = clock
        self._unused = _Unused()
        self._turns = turns

    async def give(self, caller: Principal) -> tuple[str, int]:
        """A ticket, and when it expires. Raises Forbidden, LimitReached, StoreUnavailable."""
        # Each is a commit: one who asks for very many must not hold up what others publish.
        async with self._turns.taken(caller.tenant):
            return await self._give(caller)

    async def _give(self, caller: Principal) -> tuple[str, int]:
        now_ms = self._clock.wall_ms()
        self._unused.forget_expired(now_ms)
        if self._unused.count(caller.tenant) >= UNUSED_MAX_COUNT:
            raise LimitReached(
                f"the tenant has {UNUSED_MAX_COUNT} tickets that nobody has used: those that are not used "
                "end within a minute"
            )
        if isinstance(caller, TokenPrincipal):
            maker = _Maker(caller.tenant, claims=caller.claims)
        elif caller.key_id is None and caller.source is not self._registry.default:
            raise Forbidden("there is no authentication, and no need of a ticket")
        else:
            since_ms = self._registry.tenant(caller.tenant).created_at_ms
            page = caller.session if isinstance(caller, PagePrincipal) else None
            maker = _Maker(caller.tenant, since_ms, caller.key_id, caller.proof, page=page)
        given = await self._tickets.give(msgspec.json.encode(maker), now_ms)
        self._unused.add(caller.tenant, *given)
        return given

    async def redeem(self, ticket: bytes) -> Principal:
        """Whose it is. Raises Unauthenticated, StoreUnavailable, and NotFound if the tenant is gone."""
        now_ms = self._clock.wall_ms()
        text = ticket.decode("latin-1")
        maker = _maker(await self._tickets.take(text, now_ms))
        self._unused.remove(text)
        # Its tenant or key may have been made elsewhere just before.
        return await self._registry.catching_up.find(lambda: self._whose(maker, now_ms))

    def _whose(self, maker: _Maker, now_ms: int) -> Principal:
        if maker.claims is not None:
            return self._verifier.admitted(maker.claims, now_ms)
        if self._registry.tenant(maker.tenant).created_at_ms != maker.since_ms:
            raise refused()
        source = self._source(maker)
        return source if maker.page is None else self._pages.admitted(maker.page, source)

    def _source(self, maker: _Maker) -> Principal:
        if maker.key_id is not None:
            return self._registry.by_proof(maker.key_id, maker.proof, maker.tenant)
        if self._registry.default is None or maker.proof != self._registry.default.proof:
            raise refused()
        return self._registry.default


class _Unused:
    """Tickets by what is no secret, with their tenants and ends; and how many each tenant has. All are good
    for as long, so the first end first."""

    def __init__(self) -> None:
        self._ends: OrderedDict[int, tuple[str, int]] = OrderedDict()
        self._counts: Counter[str] = Counter()

    def add(self, tenant: str, ticket: str, expires_at_ms: int) -> None:
        self._ends[hash(ticket)] = (tenant, expires_at_ms)
        self._counts[tenant] += 1

    def count(self, tenant: str) -> int:
        return self._counts[tenant]

    def remove(self, ticket: str) -> None:
        """If it is one of them."""
        self._remove(hash(ticket))

    def forget_expired(self, now_ms: int) -> None:
        while self._ends:
            first = next(iter(self._ends))
            if self._ends[first][1] > now_ms:
                return
            self._remove(first)

    def _remove(self, key: int) -> None:
        tenant, _ = self._ends.pop(key, (None, 0))
        if tenant is None:
            return
        self._counts[tenant] -= 1
        if not self._counts[tenant]:
            del self._counts[tenant]
