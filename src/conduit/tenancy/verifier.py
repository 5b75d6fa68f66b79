"""Whom a token stands for: what it says, as somebody with rights in a tenant of this server.

Of a token of ours these are also its key's, as they are now. So whoever has a token is looked at again when
the key or the tenant was changed, without a list of all tokens.
"""

from __future__ import annotations

from collections import OrderedDict

from conduit.core.access import KeyRecord, TenantRecord
from conduit.errors import NotFound, Unauthenticated
from conduit.grants import Grant
from conduit.limits import NO_LIMITS
from conduit.tenancy.claims import Claims, refused
from conduit.tenancy.principal import Principal
from conduit.tenancy.provider_tokens import ProviderTokens
from conduit.tenancy.registry import Registry
from conduit.tenancy.remembered import REMEMBERED_MAX_BYTES, REMEMBERED_MAX_COUNT
from conduit.tenancy.tokens import Tokens


class TokenPrincipal(Principal):
    """One who has a token. `is_over` as soon as the registry has another record of its key or tenant, or the
    `provider` that it is of has other keys."""

    __slots__ = ("_generation", "_is_ended", "_key", "_place", "_provider", "_registry", "claims")

    def __init__(
        self,
        claims: Claims,
        registry: Registry,
        key: KeyRecord | None,
        place: TenantRecord,
        provider: ProviderTokens | None,
    ) -> None:
        self._is_ended = False
        self._provider = provider
        self._generation = None if provider is None else provider.generation
        self._registry = registry
        self._key = key
        self._place = place
        super().__init__(
            claims.tenant,
            claims.actor,
            claims.grants,
            key_id=claims.key_id,
            expires_at_ms=claims.expires_at_ms,
            is_token=True,
        )
        self.claims = claims
        self.limits = NO_LIMITS if key is None else key.limits
        self.meter = registry.meter(claims.tenant, key)
        self.look_at_bounds()

    @property
    def is_over(self) -> bool:
        """See `Principal.is_over`."""
        return self._is_ended or not self._is_current()

    @is_over.setter
    def is_over(self, is_over: bool) -> None:
        self._is_ended = is_over

    def _is_current(self) -> bool:
        if self._provider is not None and self._provider.generation != self._generation:
            return False
        try:
            key = None if self._key is None else self._registry.good_key(self._key.key_id)
            return key is self._key and self._registry.tenant(self.tenant) is self._place
        except (Unauthenticated, NotFound):
            return False


class Verifier:
    """See `TokenVerifier`. `provider` None: no tokens of others count."""

    def __init__(
        self, registry: Registry, tokens: Tokens, provider: ProviderTokens | None = None
    ) -> None:
        self._registry = registry
        self._tokens = tokens
        self._provider = provider
        # By the identity of the claims, which a token that is remembered keeps. Their bytes are those of the
        # claims' patterns: a token may have so many that 10,000 principals take 200 MiB.
        self._principals: OrderedDict[int, TokenPrincipal] = OrderedDict()
        self._bytes = 0

    def verify(self, token: bytes, now_ms: int) -> Principal:
        """Whom it stands for; of the same token the same one, as long as nothing has changed.

        Raises Unauthenticated, which does not say why, and Unavailable.
        """
        # Whatever it is, it is text of one kind, and what is not ASCII is refused.
        text = token.decode("latin-1")
        if Tokens.is_own(text):
            return self._principal(self._tokens.verify(text, now_ms, self._rights), now_ms)
        if self._provider is None:
            raise refused()
        return self._principal(self._provider.verify(text, now_ms), now_ms)

    def renewed(self, principal: Principal, now_ms: int) -> Principal:
        """The same one, as key and tenant are now. Raises Unauthenticated."""
        if not isinstance(principal, TokenPrincipal):
            raise refused()
        return self.admitted(principal.claims, now_ms)

    def admitted(self, claims: Claims, now_ms: int) -> Principal:
        """Who was told of by these claims, which came of a token before: for those who keep no token. Raises
        Unauthenticated."""
        if now_ms >= claims.expires_at_ms:
            raise refused()
        if claims.key_id is None:
            if self._provider is None:
                raise refused()
        else:
            rights = self._rights(claims.key_id, claims.tenant)
            if rights is None or not claims.is_within(rights):
                raise refused()
        return self._principal(claims, now_ms)

    def _principal(self, claims: Claims, now_ms: int) -> Principal:
        # Whoever is in there has the claims, so that no others have their identity.
        known = self._principals.get(id(claims))
        if known is not None and not known.is_over:
            self._principals.move_to_end(id(claims))
            return known
        try:
            place = self._registry.tenant(claims.tenant)
        except NotFound:
            if self._provider is not None and claims.key_id is None:
                self._provider.tell("unknown_tenant", now_ms)
            raise refused() from None
        if not claims.is_for(place):
            raise refused()
        if claims.key_id is None:
            made = TokenPrincipal(claims, self._registry, None, place, self._provider)
        else:
            key = self._registry.good_key(claims.key_id)
            made = TokenPrincipal(claims, self._registry, key, place, None)
        self._keep(made)
        return made

    def _keep(self, made: TokenPrincipal) -> None:
        if self._principals.pop(id(made.claims), None) is None:
            self._bytes += made.claims.patterns_bytes
        self._principals[id(made.claims)] = made
        while len(self._principals) > REMEMBERED_MAX_COUNT or self._bytes > REMEMBERED_MAX_BYTES:
            _, first = self._principals.popitem(last=False)
            self._bytes -= first.claims.patterns_bytes

    def _rights(self, key_id: str, tenant: str) -> tuple[Grant, ...] | None:
        """See `Rights`. In another tenant than its own a key may do something if it is an operator's."""
        try:
            key = self._registry.good_key(key_id)
        except Unauthenticated:
            return None
        is_there = key.tenant == tenant or any(each.scope == "admin" for each in key.grants)
        return key.grants if is_there else None
