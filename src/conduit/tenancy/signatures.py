"""Signatures of bytes, and the keys for them, by joserfc; nothing else calls it.

What is signed is read in `compact.py`: of joserfc neither the parser of tokens is used, whose JSON may have
names twice, nor its choice of keys and algorithms. It is loaded when it is needed first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conduit.tenancy.claims import Refused
from conduit.tenancy.compact import bytes_of

if TYPE_CHECKING:
    from joserfc.jwk import Key

# What providers have (NIST SP 800-131A asks for the first), and what takes no longer than it should.
RSA_MIN_BITS = 2_048
RSA_MAX_BITS = 8_192
OWN_ALGORITHM = "HS256"

# What of a JWK makes the public key (RFC 7518, sections 6.2 and 6.3; RFC 8037, section 2); the rest of it is
# not given to joserfc.
_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_MEMBER_MAX_CHARS = 2 * RSA_MAX_BITS // 8
# 64 bits: with a larger one, checking a signature costs as much as making it. All use 65537.
_EXPONENT_MAX_CHARS = 11


def own_key(secret: bytes) -> Key:
    """The key for tokens of ours."""
    from joserfc.jwk import OctKey

    return OctKey.import_key(secret)


def public_key(jwk: dict[str, Any]) -> Key | None:
    """The public key of a JWK, which has a kind and a curve of `ALGORITHMS`; None if it is not whole, or too
    small or too large."""
    from joserfc.jwk import import_key

    kind = jwk.get("kty")
    if not isinstance(kind, str) or kind not in _MEMBERS:
        return None
    members = _members(jwk, _MEMBERS[kind])
    if members is None:
        return None
    try:
        if kind == "RSA" and not RSA_MIN_BITS <= _bits(str(members["n"])) <= RSA_MAX_BITS:
            return None
        return import_key({**members, "kty": kind})
    except (ValueError, Refused):
        return None


def _bits(number: str) -> int:
    return int.from_bytes(bytes_of(number), "big").bit_length()


def _members(jwk: dict[str, Any], names: tuple[str, ...]) -> dict[str, str | list[str]] | None:
    """These of it, all of them texts of a sound length."""
    found: dict[str, str | list[str]] = {}
    for name in names:
        value: object = jwk.get(name)
        most = _EXPONENT_MAX_CHARS if name == "e" else _MEMBER_MAX_CHARS
        if not isinstance(value, str) or not 1 <= len(value) <= most:
            return None
        found[name] = value
    return found


def sign(algorithm: str, key: Key, text: bytes) -> bytes:
    """The signature of these bytes."""
    from joserfc.jws import JWSRegistry

    return JWSRegistry.algorithms[algorithm].sign(text, key)


def holds(algorithm: str, key: Key, text: bytes, signature: bytes) -> bool:
    """Whether it is the signature of these bytes. `algorithm` is one that the key is for."""
    from joserfc.jws import JWSRegistry

    return JWSRegistry.algorithms[algorithm].verify(text, signature, key)
