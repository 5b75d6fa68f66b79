"""What a token says, once it is believed; and the one answer to all that are not."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from conduit.core.access import TenantRecord
from conduit.errors import InvalidRequest, Unauthenticated
from conduit.grants import Grant, check_grants, within
from conduit.tenancy.principal import NOT_KNOWN

# A credential that is longer is none.
CREDENTIAL_MAX_BYTES = 8_192
SUBJECT_MAX_CHARS = 255


# How far the clock of an identity provider may be before ours.
SKEW_MS = 30_000


class Refused(Exception):
    """A token does not count. `reason` is a word of ours: it never repeats what the token holds."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a token stands for, and what it may do. Of `subscribe`, `subscriptions` is never None here: a
    token that names no durable subscription may use none."""

    tenant: str
    grants: tuple[Grant, ...]
    expires_at_ms: int
    """It counts before this moment."""
    key_id: str | None
    """Of the API key that made it; None: an identity provider did."""
    token_id: str | None
    """`jti`; always there in tokens of ours."""
    subject: str | None
    """`sub`: whom the token's maker means; at most 255 printable characters."""
    tenant_since_ms: int | None = None
    """When the tenant was made that is meant: another one may have its name by now. None: the maker, an
    identity provider, does not know."""
    issued_at_ms: int | None = None
    """`iat`, of a provider's token that has it."""

    def is_for(self, tenant: TenantRecord) -> bool:
        """Whether it was made for this tenant, and not for an earlier one of its name."""
        if self.tenant_since_ms is not None:
            return self.tenant_since_ms == tenant.created_at_ms
        issued_at_ms = self.issued_at_ms
        return issued_at_ms is None or issued_at_ms + SKEW_MS >= tenant.created_at_ms

    @property
    def actor(self) -> str:
        """As the audit log has it: the token, or of another's tokens whom they are about."""
        own = self.token_id if self.key_id is not None else self.subject or self.token_id
        return f"token:{own or 'unnamed'}"

    @property
    def patterns_bytes(self) -> int:
        """What of it can be long."""
        return sum(
            len(pattern)
            for grant in self.grants
            for pattern in (*(grant.topics or ()), *(grant.subscriptions or ()))
        )

    def is_within(self, rights: Sequence[Grant]) -> bool:
        """Whether it gives nothing that these do not give."""
        return all(within(grant, rights) for grant in self.grants)


def refused() -> Unauthenticated:
    """The error for every credential that does not count, whatever the reason."""
    return Unauthenticated(NOT_KNOWN)


def check_token_grants(grants: Sequence[Grant], field: str = "scopes") -> tuple[Grant, ...]:
    """Return what a token may give, or raise InvalidRequest that names the part of `field`."""
    checked = check_grants(grants, field)
    for index, grant in enumerate(checked):
        if grant.scope == "admin":
            raise InvalidRequest("a token cannot have admin", field=f"{field}.{index}.scope")
    return checked


def as_in_token(grants: Sequence[Grant]) -> tuple[Grant, ...]:
    """The same with what a token means by them: of `subscribe`, no durable subscription but those named."""
    return tuple(
        msgspec.structs.replace(each, subscriptions=())
        if each.scope == "subscribe" and each.subscriptions is None
        else each
        for each in grants
    )


def is_subject(text: object) -> bool:
    """Whether it can stand in a log and in the store."""
    # What is printable has neither a line's end nor half of a character.
    return isinstance(text, str) and 1 <= len(text) <= SUBJECT_MAX_CHARS and text.isprintable()
