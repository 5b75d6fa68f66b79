"""Tokens for browsers: a part of what an API key may do, for a while, signed by this server.

A JWT (RFC 7519) with one header, byte for byte, and one way to write what it says, so that nothing in it is
for a reader to choose. The secret is made of the pepper of the keys. It counts as long as its key does, and
for nothing that the key may not do any more.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable, Sequence

import msgspec

from conduit.errors import Forbidden, InvalidRequest
from conduit.grants import Grant, within
from conduit.names import check_tenant, check_text
from conduit.tenancy.claims import (
    CREDENTIAL_MAX_BYTES,
    SUBJECT_MAX_CHARS,
    Claims,
    Refused,
    as_in_token,
    check_token_grants,
    is_subject,
    refused,
)
from conduit.tenancy.compact import put_together, take_apart, text_of
from conduit.tenancy.keys import is_key_id
from conduit.tenancy.remembered import Remembered
from conduit.tenancy.signatures import OWN_ALGORITHM, holds, own_key, sign

DEFAULT_TTL_S = 900
# How far the clock of the server that made it may be before ours.
IAT_SKEW_MS = 30_000

ISSUER = "conduit"
AUDIENCE = "conduit"
# A type of its own: no other JWT passes for one, and it passes for no other (RFC 8725, section 3.11).
_HEADER = b'{"alg":"HS256","typ":"conduit+jwt"}'
_BEGINNING = text_of(_HEADER) + "."
_LABEL = b"conduit tokens, version 1"
_ID_BYTES = 12
_ID = re.compile(r"[A-Za-z0-9_-]{16}")

Rights = Callable[[str, str], tuple[Grant, ...] | None]
"""What the key of this id may do now for this tenant. None: it is not known, revoked or expired, or may do
nothing there. Of the same tuple a token is asked once."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A token to be made for the key `key_id`, which acts for `tenant`."""

    tenant: str
    key_id: str
    grants: tuple[Grant, ...]
    ttl_s: int | None = None
    """None: DEFAULT_TTL_S, or the most if that is less."""
    subject: str | None = None
    tenant_since_ms: int = 0
    """When the tenant was made."""
    key_expires_at_ms: int | None = None


class _Payload(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    iss: str
    aud: str
    iat: int
    exp: int
    jti: str
    key: str
    tenant: str
    since: int
    scopes: tuple[Grant, ...]
    sub: str | None = None


class _Known:
    """A token whose signature holds, and the rights that it was within when it was asked last."""

    __slots__ = ("claims", "rights")

    def __init__(self, claims: Claims) -> None:
        self.claims = claims
        self.rights: tuple[Grant, ...] | None = None


class Tokens:
    """Makes and checks them. Moments are ms since the epoch, UTC. Pure but for the ids that it draws."""

    def __init__(self, pepper: bytes, max_ttl_s: int) -> None:
        # One secret for one use (RFC 5869 with one block): neither does a key's hash sign, nor the reverse.
        self._key = own_key(hmac.digest(pepper, _LABEL, "sha256"))
        self._max_ttl_s = max_ttl_s
        self._decode = msgspec.json.Decoder(_Payload).decode
        self._remembered: Remembered[_Known] = Remembered()

    @staticmethod
    def is_own(token: str) -> bool:
        """Whether it says that it is one of these. What says something else cannot be one."""
        return token.startswith(_BEGINNING)

    def mint(self, wanted: Wanted, rights: Sequence[Grant], now_ms: int) -> tuple[str, Claims]:
        """A token, and what it says. `rights`: what the key may do for the tenant.

        Raises InvalidRequest (`ttl_s`, `scopes`, `subject`), Forbidden for what the key may not do, and
        Unauthenticated if the key has just expired.
        """
        payload = self._payload(wanted, now_ms)
        claims = _claims(payload)
        for grant in claims.grants:
            if not within(grant, rights):
                raise Forbidden(f"the key may not give {grant.scope} for this: it has less itself")
        text = put_together(_HEADER, msgspec.json.encode(payload))
        token = f"{text}.{text_of(sign(OWN_ALGORITHM, self._key, text.encode()))}"
        if len(token) > CREDENTIAL_MAX_BYTES:
            raise InvalidRequest(
                f"the token would have {len(token)} bytes, and may have {CREDENTIAL_MAX_BYTES}: "
                "use fewer or shorter patterns",
                field="scopes",
            )
        return token, claims

    def verify(self, token: str, now_ms: int, rights_of: Rights) -> Claims:
        """What it says, if it counts now; else Unauthenticated, which does not say why."""
        try:
            return self._verified(token, now_ms, rights_of)
        except Refused:
            raise refused() from None

    def _verified(self, token: str, now_ms: int, rights_of: Rights) -> Claims:
        if len(token) > CREDENTIAL_MAX_BYTES:
            raise Refused("size")
        known = self._remembered.get(token)
        if known is None:
            known = _Known(self._read(token, now_ms))
            self._remembered.put(token, known)
        claims = known.claims
        if now_ms >= claims.expires_at_ms:
            self._remembered.forget(token)
            raise Refused("expired")
        rights = rights_of(claims.key_id or "", claims.tenant)
        if rights is None:
            raise Refused("key")
        if rights is not known.rights:
            if not claims.is_within(rights):
                raise Refused("rights")
            known.rights = rights
        return claims

    def _read(self, token: str, now_ms: int) -> Claims:
        if not self.is_own(token):
            raise Refused("type")
        parts = take_apart(token)
        if not holds(OWN_ALGORITHM, self._key, parts.signed, parts.signature):
            raise Refused("signature")
        try:
            payload = self._decode(parts.payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Refused("form") from None
        # Written as `mint` writes it, which leaves no room for names that are there twice and the like.
        if msgspec.json.encode(payload) != parts.payload:
            raise Refused("form")
        self._check(payload, now_ms)
        try:
            return _claims(payload)
        except InvalidRequest:
            raise Refused("claims") from None

    def _check(self, payload: _Payload, now_ms: int) -> None:
        if (payload.iss, payload.aud) != (ISSUER, AUDIENCE):
            raise Refused("issuer")
        # Also if the bound was lowered since. A second for the fractions that both moments leave out.
        if not 1 <= payload.exp - payload.iat <= self._max_ttl_s + 1:
            raise Refused("ttl")
        if payload.iat * 1_000 > now_ms + IAT_SKEW_MS:
            raise Refused("not_yet")
        if not (_ID.fullmatch(payload.jti) and is_key_id(payload.key)):
            raise Refused("claims")

    def _payload(self, wanted: Wanted, now_ms: int) -> _Payload:
        ttl_s = min(DEFAULT_TTL_S, self._max_ttl_s) if wanted.ttl_s is None else wanted.ttl_s
        if not 1 <= ttl_s <= self._max_ttl_s:
            raise InvalidRequest(f"ttl_s must be 1 to {self._max_ttl_s}", field="ttl_s")
        # Not earlier than asked for: whole seconds are what every reader of a JWT understands.
        expires_at_s = -(-now_ms // 1_000) + ttl_s
        if wanted.key_expires_at_ms is not None:
            expires_at_s = min(expires_at_s, wanted.key_expires_at_ms // 1_000)
        if expires_at_s * 1_000 <= now_ms:
            raise refused()
        return _Payload(
            iss=ISSUER,
            aud=AUDIENCE,
            iat=now_ms // 1_000,
            exp=expires_at_s,
            jti=secrets.token_urlsafe(_ID_BYTES),
            key=wanted.key_id,
            tenant=wanted.tenant,
            since=wanted.tenant_since_ms,
            scopes=wanted.grants,
            sub=wanted.subject,
        )


def _claims(payload: _Payload) -> Claims:
    """Raises InvalidRequest for what a token may not say."""
    check_tenant(payload.tenant, "tenant")
    if payload.sub is not None and not is_subject(payload.sub):
        check_text(payload.sub, "subject", SUBJECT_MAX_CHARS)
        raise InvalidRequest("subject must be printable, and not empty", field="subject")
    return Claims(
        tenant=payload.tenant,
        grants=as_in_token(check_token_grants(payload.scopes)),
        expires_at_ms=payload.exp * 1_000,
        key_id=payload.key,
        token_id=payload.jti,
        subject=payload.sub,
        tenant_since_ms=payload.since,
    )
