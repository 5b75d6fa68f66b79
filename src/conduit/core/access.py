"""The records of tenants, keys and what was done, that travel between the server and a store."""

from __future__ import annotations

import msgspec

from conduit.grants import Grant
from conduit.limits import NO_LIMITS, TenantLimits


class TenantRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant. `deleted_at_ms` is set once it is gone: it is still told to those who knew it."""

    name: str
    created_at_ms: int
    limits: TenantLimits = NO_LIMITS
    deleted_at_ms: int | None = None


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One API key without its secret. Hashes are keyed ones of the whole key as it was shown."""

    key_id: str
    """8 characters of base62; public."""
    tenant: str
    name: str
    grants: tuple[Grant, ...]
    secret_hash: bytes
    created_at_ms: int
    created_by: str
    """The actor, as the audit log has it."""
    limits: TenantLimits = NO_LIMITS
    expires_at_ms: int | None = None
    former_hash: bytes | None = None
    """Of the secret before the last rotation, which is good …"""
    former_until_ms: int | None = None
    """… until then."""
    revoked_at_ms: int | None = None
    last_used_at_ms: int | None = None
    """Within a minute."""
    revision: int = 0
    """Grows with each change but that of `last_used_at_ms`; the store gives it."""

    def is_good(self, now_ms: int) -> bool:
        """Whether it is neither revoked nor expired."""
        is_expired = self.expires_at_ms is not None and now_ms >= self.expires_at_ms
        return self.revoked_at_ms is None and not is_expired

    def ended_before(self, ms: int) -> bool:
        """Whether it was revoked, or has expired, before then."""
        ends = (self.revoked_at_ms, self.expires_at_ms)
        return any(end is not None and end < ms for end in ends)

    def is_of_a_former(self, tenant: TenantRecord | None) -> bool:
        """Whether it was a key of another tenant of this name, which is gone: this one does not see it."""
        is_older = tenant is None or self.created_at_ms < tenant.created_at_ms
        return self.revoked_at_ms is not None and is_older


class AccessChanges(msgspec.Struct, frozen=True):
    """What has changed of tenants and keys since a revision, and the revision that this is."""

    revision: int
    tenants: list[TenantRecord]
    keys: list[KeyRecord]


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that somebody did, or tried. `entry_id` is a UUIDv7: entries sort by time."""

    entry_id: str
    at_ms: int
    tenant: str
    """Of what it was done to; empty for what belongs to none, such as a sign-in with an unknown key."""
    actor: str
    """`key:ID`, `token:ID`, `default_api_key`, `anonymous`, `server`."""
    action: str
    """Noun and verb: `topic.delete`, `key.create`, `sign_in.fail`."""
    target: str
    """The name or id of what it was done to; empty for none."""
    address: str
    """The peer's IP address; empty if there is none."""
    request_id: str
    detail: str = "{}"
    """More, as a JSON object."""
