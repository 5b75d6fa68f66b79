"""`DEFAULT_API_KEY`: a key that no store has, of the tenant that is always there."""

from __future__ import annotations

from conduit.core.access import KeyRecord
from conduit.grants import Grant
from conduit.names import DEFAULT_TENANT
from conduit.tenancy.keys import ID_LENGTH, hash_of
from conduit.tenancy.principal import DEFAULT_KEY_ACTOR

GRANTS = (
    Grant(scope="publish"),
    Grant(scope="subscribe"),
    Grant(scope="manage"),
)


def default_record(pepper: bytes, key: str) -> KeyRecord:
    """The default key as a record, which no store has: with another key it has another id, so that tokens end
    that were made with the one before."""
    proof = hash_of(pepper, key.encode())
    return KeyRecord(
        key_id=proof.hex()[:ID_LENGTH],
        tenant=DEFAULT_TENANT,
        name="DEFAULT_API_KEY",
        grants=GRANTS,
        secret_hash=proof,
        created_at_ms=0,
        created_by=DEFAULT_KEY_ACTOR,
    )
