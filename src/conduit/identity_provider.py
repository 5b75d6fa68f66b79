"""An identity provider whose tokens count: what can be said of one, and what is wrong with it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

import msgspec

CLAIM_NAME_MAX_CHARS = 255
URL_MAX_CHARS = 2_048


class Family(NamedTuple):
    """The keys that an algorithm is for: the JWK's `kty`, and its `crv` where one is needed."""

    kind: str
    curve: str | None


_RSA = Family("RSA", None)
_ED25519 = Family("OKP", "Ed25519")
# Those that can be pinned. None of them has a secret that the provider would have to share: with HS256 the
# public key of another algorithm, which everybody has, could pass for one (RFC 8725, section 2.1).
ALGORITHMS = {
    "RS256": _RSA,
    "RS384": _RSA,
    "RS512": _RSA,
    "PS256": _RSA,
    "PS384": _RSA,
    "PS512": _RSA,
    "ES256": Family("EC", "P-256"),
    "ES384": Family("EC", "P-384"),
    "ES512": Family("EC", "P-521"),
    "EdDSA": _ED25519,
    "Ed25519": _ED25519,
}


class IdentityProvider(msgspec.Struct, frozen=True, kw_only=True):
    """Whose tokens count, and where in them it says what they are good for."""

    jwks_url: str
    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    tenant_claim: str
    scopes_claim: str
    max_age_s: float
    """Keys that were fetched longer ago do not count."""


def check_url(url: str) -> str:
    """Return the address of a JWKS unchanged, or raise ValueError, which does not repeat it."""
    if len(url) > URL_MAX_CHARS or not (url.isascii() and url.isprintable()) or " " in url:
        raise ValueError(f"must be an address of at most {URL_MAX_CHARS} printable characters")
    try:
        parts = urlsplit(url)
        # Reading it is what checks it.
        _ = parts.port
    except ValueError:
        raise ValueError("must be an address such as https://id.example/jwks.json") from None
    if not parts.hostname or parts.fragment:
        raise ValueError("must be an address such as https://id.example/jwks.json")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must have no user and no password: what is public needs none")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts)):
        # Who can change the answer on its way can sign in as anybody.
        raise ValueError("must begin with https://, unless it is on this machine")
    return url


def _is_loopback(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def algorithms(text: str) -> tuple[str, ...]:
    """The names in a list with commas, or ValueError."""
    names = tuple(dict.fromkeys(filter(None, (name.strip() for name in text.split(",")))))
    unknown = [name for name in names if name not in ALGORITHMS]
    if unknown or not names:
        raise ValueError(f"must be one or more of {', '.join(ALGORITHMS)}, with commas between")
    return names


def check_claim_name(name: str) -> str:
    """Return the name of a claim unchanged, or raise ValueError."""
    if not 1 <= len(name) <= CLAIM_NAME_MAX_CHARS or not name.isprintable():
        raise ValueError(f"must be 1 to {CLAIM_NAME_MAX_CHARS} printable characters")
    return name
