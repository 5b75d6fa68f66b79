"""Tickets as somebody with rights: what is kept with one, and whom it stands for when it is taken.

No credential is kept, but what it was known by: so a ticket is worth what its maker is worth when it is used.
"""

from __future__ import annotations

import msgspec

from conduit.errors import Forbidden
from conduit.tenancy.claims import Claims, refused
from conduit.tenancy.principal import Principal
from conduit.tenancy.registry import Registry, WallClock
from conduit.tenancy.tickets import Tickets
from conduit.tenancy.verifier import TokenPrincipal, Verifier


class _Maker(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who has asked for a ticket: by a token, by a key, or with neither, which is the default key."""

    tenant: str
    since_ms: int = 0
    """When the tenant was made: another one may have its name by now."""
    key_id: str | None = None
    proof: bytes = b""
    claims: Claims | None = None


_maker = msgspec.json.Decoder(_Maker).decode


class Ticketing:
    """Gives tickets to callers, and takes them."""

    def __init__(
        self, registry: Registry, verifier: Verifier, tickets: Tickets, clock: WallClock
    ) -> None:
        self._registry = registry
        self._verifier = verifier
        self._tickets = tickets
        self._clock = clock

    async def give(self, caller: Principal) -> tuple[str, int]:
        """A ticket, and when it expires. Raises Forbidden, LimitReached, StoreUnavailable."""
        if isinstance(caller, TokenPrincipal):
            maker = _Maker(caller.tenant, claims=caller.claims)
        elif caller.key_id is None and caller is not self._registry.default:
            raise Forbidden("there is no authentication, and no need of a ticket")
        else:
            since_ms = self._registry.tenant(caller.tenant).created_at_ms
            maker = _Maker(caller.tenant, since_ms, caller.key_id, caller.proof)
        return await self._tickets.give(msgspec.json.encode(maker), self._clock.wall_ms())

    async def redeem(self, ticket: bytes) -> Principal:
        """Whose it is. Raises Unauthenticated, StoreUnavailable, and NotFound if the tenant is gone."""
        now_ms = self._clock.wall_ms()
        maker = _maker(await self._tickets.take(ticket.decode("latin-1"), now_ms))
        if maker.claims is not None:
            return self._verifier.admitted(maker.claims, now_ms)
        if self._registry.tenant(maker.tenant).created_at_ms != maker.since_ms:
            raise refused()
        if maker.key_id is not None:
            return self._registry.by_proof(maker.key_id, maker.proof, maker.tenant)
        if self._registry.default is None or maker.proof != self._registry.default.proof:
            raise refused()
        return self._registry.default
