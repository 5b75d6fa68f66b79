"""The keys of an identity provider: from the document that it publishes (RFC 7517) to those that can be used.

A key counts for the algorithms that are pinned and that it is for, and by its id. All others are left out:
those for encryption, of other kinds, too small, without an id, with one that is there already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from conduit.identity_provider import ALGORITHMS
from conduit.tenancy.claims import Refused
from conduit.tenancy.compact import object_of
from conduit.tenancy.signatures import public_key

if TYPE_CHECKING:
    from joserfc.jwk import Key

JWKS_KEYS_MAX_COUNT = 100
KEY_ID_MAX_CHARS = 255


class BadJwks(Exception):
    """The document is none that keys can be taken of. The text is ours and repeats nothing of it."""


class Jwks(msgspec.Struct, frozen=True, eq=False):
    """The keys of one document, by their id and the algorithm that a token names."""

    keys: dict[tuple[str, str], Key]
    digest: bytes
    """Of the document: the same keys come from the same one."""
    left_out: dict[str, int]
    """Why keys were left out, in words of ours, and how many."""

    @property
    def count(self) -> int:
        """How many keys can be used."""
        return len({key_id for key_id, _ in self.keys})

    def has(self, key_id: str) -> bool:
        """Whether a key of this id is there, for whatever algorithm."""
        return any(key_id == known for known, _ in self.keys)


NO_KEYS = Jwks({}, b"", {})


def read_jwks(document: bytes, algorithms: Sequence[str]) -> Jwks:
    """Raises BadJwks."""
    try:
        members = object_of(document).get("keys")
    except Refused:
        raise BadJwks("it is not a JSON object that can be used") from None
    if not isinstance(members, list):
        raise BadJwks("it has no list of keys")
    if len(members) > JWKS_KEYS_MAX_COUNT:
        raise BadJwks(f"it has more than {JWKS_KEYS_MAX_COUNT} keys")
    keys: dict[tuple[str, str], Key] = {}
    left_out: Counter[str] = Counter()
    seen: set[str] = set()
    for member in members:
        reason = _add(member, algorithms, keys, seen)
        if reason is not None:
            left_out[reason] += 1
    return Jwks(keys, sha256(document).digest(), dict(left_out))


def _add(
    jwk: object, algorithms: Sequence[str], keys: dict[tuple[str, str], Key], seen: set[str]
) -> str | None:
    """Add one key for each algorithm that it is for, or return why not."""
    if not isinstance(jwk, dict):
        return "no object"
    if not _is_for_signatures(jwk):
        return "not for signatures"
    key_id = jwk.get("kid")
    if not isinstance(key_id, str) or not 1 <= len(key_id) <= KEY_ID_MAX_CHARS:
        return "no id"
    usable = [name for name in algorithms if _is_for(jwk, name)]
    if not usable:
        return "no pinned algorithm"
    if "d" in jwk:
        # Who publishes this has signed for everybody.
        return "private"
    if key_id in seen:
        return "id is there already"
    key = public_key(jwk)
    if key is None:
        return "not whole, or too small or large"
    seen.add(key_id)
    keys.update(dict.fromkeys(((key_id, name) for name in usable), key))
    return None


def _is_for_signatures(jwk: dict[str, Any]) -> bool:
    operations = jwk.get("key_ops", ["verify"])
    return (
        jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    )


def _is_for(jwk: dict[str, Any], algorithm: str) -> bool:
    family = ALGORITHMS[algorithm]
    if jwk.get("kty") != family.kind:
        return False
    if family.curve is not None and jwk.get("crv") != family.curve:
        return False
    return bool(jwk.get("alg", algorithm) == algorithm)
