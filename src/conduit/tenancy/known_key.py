"""One key as the registry has it, and whether a secret is its."""

from __future__ import annotations

import hmac
from collections.abc import Container

from msgspec.structs import replace

from conduit.core.access import KeyRecord
from conduit.tenancy.principal import Principal

# The end of what has none.
NEVER_MS = 1 << 62
# As long as those of secrets, and of none.
_NO_HASH = bytes(32)


class KnownKey:
    """One key, and who has signed in with it. Whether it is good now takes the same few comparisons of every
    key, so that nobody hears by the time what is wrong with one."""

    __slots__ = (
        "ends_at_ms",
        "former_ends_at_ms",
        "former_hash",
        "is_used",
        "principals",
        "record",
        "used_at_ms",
    )

    def __init__(self, record: KeyRecord) -> None:
        self.record = record
        # As it was noted last; the record has what the store had when it changed.
        self.used_at_ms = record.last_used_at_ms
        self.is_used = False
        """Whether it was used, as it was before the last change, and that is not noted yet."""
        self.ends_at_ms = NEVER_MS if record.expires_at_ms is None else record.expires_at_ms
        if record.revoked_at_ms is not None:
            self.ends_at_ms = 0
        self.former_hash = record.former_hash or _NO_HASH
        self.former_ends_at_ms = record.former_until_ms or 0
        # By the hash of the secret, of which there are two while it is rotated, and the tenant acted for.
        self.principals: dict[tuple[bytes, str], Principal] = {}

    def is_known_by(self, proof: bytes, now_ms: int) -> bool:
        """Whether it is good, and this the hash of one of its secrets that is."""
        is_secret = hmac.compare_digest(self.record.secret_hash, proof)
        is_former = hmac.compare_digest(self.former_hash, proof)
        is_former_good = now_ms < self.former_ends_at_ms
        is_good = now_ms < self.ends_at_ms
        return is_good & (is_secret | (is_former & is_former_good))

    def end_in(self, gone: Container[str]) -> None:
        """These tenants are gone: nobody is in them, or acts for them, any more."""
        ended = [place for place, each in self.principals.items() if each.tenant in gone]
        for place in ended:
            self.principals[place].end()
            # Its own key goes itself, and until then stands for nobody who is not over.
            if self.principals[place].tenant != self.record.tenant:
                del self.principals[place]

    def look_at_bounds(self, changed: Container[str]) -> None:
        """These tenants may have other limits now; also for those who act for them."""
        for each in self.principals.values():
            if each.tenant in changed:
                each.look_at_bounds()

    @property
    def shown(self) -> KeyRecord:
        """The record, with when it was used last."""
        if self.used_at_ms == self.record.last_used_at_ms:
            return self.record
        return replace(self.record, last_used_at_ms=self.used_at_ms)

    def take_used(self) -> bool:
        """Whether somebody has used it since this was asked last."""
        used = [principal for principal in self.principals.values() if principal.is_used]
        for principal in used:
            principal.is_used = False
        was_used, self.is_used = self.is_used, False
        return was_used or bool(used)
