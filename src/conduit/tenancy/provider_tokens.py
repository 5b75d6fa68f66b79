"""Tokens of an identity provider: signed with one of its keys, for us, and with what they may do in a claim.

What was checked with the keys is remembered until it expires or the keys change. Why tokens are refused is
told in the log, by reason and seldom: those who send them are not told.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from conduit.errors import InvalidRequest
from conduit.grants import Grant
from conduit.identity_provider import IdentityProvider
from conduit.names import check_tenant
from conduit.tenancy.claims import (
    CREDENTIAL_MAX_BYTES,
    SKEW_MS,
    Claims,
    Refused,
    as_in_token,
    check_token_grants,
    is_subject,
    refused,
)
from conduit.tenancy.compact import object_of, take_apart
from conduit.tenancy.jwks import KEY_ID_MAX_CHARS
from conduit.tenancy.keyring import Keyring
from conduit.tenancy.remembered import Remembered
from conduit.tenancy.signatures import holds

# The last second of the year 9999: later ones cannot be told as a date.
MOMENT_MAX_S = 253_402_300_799
# Between two log lines about one reason.
REPEAT_MS = 60_000

# RFC 9068 has a type for access tokens, and most providers say JWT or nothing. Others are for other things:
# a logout, an event, a proof of possession.
_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
# What each reason means to who runs the server and the provider.
_REASONS = {
    "size": f"more than {CREDENTIAL_MAX_BYTES} bytes",
    "form": "no JWT in its compact form",
    "header": "a header with crit, b64, another typ, or no kid",
    "algorithm": "signed with an algorithm that is not in CONDUIT_JWT_ALGORITHMS, or not the key's",
    "unknown_key": "signed with a key that is not at CONDUIT_JWKS_URL",
    "signature": "the signature is wrong",
    "issuer": "iss is not CONDUIT_JWT_ISSUER",
    "audience": "aud has no CONDUIT_JWT_AUDIENCE",
    "times": "exp is missing, or a time is no number",
    "expired": "expired",
    "not_yet": "nbf or iat is in the future: compare the clocks",
    "tenant": "the claim of CONDUIT_JWT_TENANT_CLAIM is missing, or no name of a tenant",
    "unknown_tenant": "the claim of CONDUIT_JWT_TENANT_CLAIM names no tenant of this server",
    "scopes": "the claim of CONDUIT_JWT_SCOPES_CLAIM is missing, or no list of scopes for tokens",
    "subject": "sub or jti is no printable text of at most 255 characters",
}
# Those that anybody can cause, or that come with time: no sign that something is set wrongly.
_USUAL = frozenset({"size", "form", "header", "signature", "expired"})

logger = logging.getLogger(__name__)


class ProviderTokens:
    """Checks them. Moments are ms since the epoch, UTC. The keyring is started before and closed after
    by whoever made it."""

    def __init__(self, provider: IdentityProvider, keyring: Keyring) -> None:
        self._provider = provider
        self._keyring = keyring
        self._generation = keyring.generation
        self._remembered: Remembered[Claims] = Remembered()
        # Reason → when it was told, and how often it came up since.
        self._told: dict[str, tuple[int, int]] = {}

    @property
    def generation(self) -> int:
        """See `Keyring.generation`."""
        return self._keyring.generation

    def verify(self, token: str, now_ms: int) -> Claims:
        """What it says, if it counts now. Raises Unauthenticated, which does not say why; and Unavailable, to
        be asked again after `retry_after_s`, if its key is not known yet."""
        try:
            return self._verified(token, now_ms)
        except Refused as error:
            self.tell(error.reason, now_ms)
            raise refused() from None

    def _verified(self, token: str, now_ms: int) -> Claims:
        if len(token) > CREDENTIAL_MAX_BYTES:
            raise Refused("size")
        generation = self._keyring.generation
        if generation != self._generation:
            self._generation = generation
            self._remembered.clear()
        claims = self._remembered.get(token)
        if claims is None:
            claims = self._read(token, now_ms)
            self._remembered.put(token, claims)
        if now_ms >= claims.expires_at_ms:
            self._remembered.forget(token)
            raise Refused("expired")
        return claims

    def _read(self, token: str, now_ms: int) -> Claims:
        parts = take_apart(token)
        key_id, algorithm = self._header(object_of(parts.header))
        key = self._keyring.key(key_id, algorithm)
        if not holds(algorithm, key, parts.signed, parts.signature):
            raise Refused("signature")
        # Not before: what nobody has signed is not worth reading.
        return self._claims(object_of(parts.payload), now_ms)

    def _header(self, header: Mapping[str, Any]) -> tuple[str, str]:
        """The id of the key, and the algorithm. `jwk`, `jku`, `x5u`, `x5c` are not looked at."""
        kind = header.get("typ", "JWT")
        # What must be understood is not (RFC 7515, section 4.1.11): of b64 it would be what is signed.
        if "crit" in header or "b64" in header:
            raise Refused("header")
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise Refused("header")
        algorithm, key_id = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in self._provider.algorithms:
            raise Refused("algorithm")
        if not isinstance(key_id, str) or not 1 <= len(key_id) <= KEY_ID_MAX_CHARS:
            raise Refused("header")
        return key_id, algorithm

    def _claims(self, said: Mapping[str, Any], now_ms: int) -> Claims:
        if said.get("iss") != self._provider.issuer:
            raise Refused("issuer")
        if not _is_for(said.get("aud"), self._provider.audience):
            raise Refused("audience")
        expires_at_s = _moment(said.get("exp"))
        for name in ("nbf", "iat"):
            if name in said and _moment(said[name]) * 1_000 > now_ms + SKEW_MS:
                raise Refused("not_yet")
        subject, token_id = said.get("sub"), said.get("jti")
        if not all(text is None or is_subject(text) for text in (subject, token_id)):
            raise Refused("subject")
        return Claims(
            tenant=_tenant(said.get(self._provider.tenant_claim)),
            grants=_grants(said.get(self._provider.scopes_claim)),
            expires_at_ms=int(expires_at_s * 1_000),
            key_id=None,
            token_id=token_id,
            subject=subject,
            issued_at_ms=int(_moment(said["iat"]) * 1_000) if "iat" in said else None,
        )

    def tell(self, reason: str, now_ms: int) -> None:
        """Have the log say that one was refused, and why."""
        told_at, count = self._told.get(reason, (None, 0))
        count += 1
        # The clock may have been set back.
        if told_at is None or not 0 <= now_ms - told_at < REPEAT_MS:
            level = logging.INFO if reason in _USUAL else logging.WARNING
            text = "tokens of the identity provider refused: %d: %s"
            logger.log(level, text, count, _REASONS[reason])
            told_at, count = now_ms, 0
        self._told[reason] = told_at, count


def _is_for(audience: object, ours: str) -> bool:
    """RFC 7519, section 4.1.3: one, or a list of them."""
    if isinstance(audience, list):
        return all(isinstance(each, str) for each in audience) and ours in audience
    return audience == ours


def _moment(value: object) -> float:
    """RFC 7519, section 2: seconds, perhaps with a fraction. True is 1 to Python, and no moment."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused("times")
    if not 0 <= value <= MOMENT_MAX_S:
        raise Refused("times")
    return value


def _tenant(value: object) -> str:
    try:
        return check_tenant(msgspec.convert(value, str))
    except (InvalidRequest, msgspec.ValidationError):
        raise Refused("tenant") from None


def _grants(value: object) -> tuple[Grant, ...]:
    try:
        return as_in_token(check_token_grants(msgspec.convert(value, list[Grant])))
    except (InvalidRequest, msgspec.ValidationError):
        raise Refused("scopes") from None
