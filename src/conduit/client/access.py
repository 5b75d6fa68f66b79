"""The control endpoints for who may do what: keys, tenants, tokens, tickets, and what was done."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import TypedDict, Unpack

import msgspec

from conduit.client.models import AuditEntry, Key, Tenant
from conduit.client.pages import pages
from conduit.client.rest import Rest, address, decode
from conduit.client.text import time_text
from conduit.errors import InvalidRequest
from conduit.grants import Grant, Scope
from conduit.limits import TenantLimits
from conduit.names import check_tenant
from conduit.protocol.records import (
    AuditList,
    KeyCreated,
    KeyList,
    TenantList,
    TicketAnswer,
    TokenAnswer,
)

PAGE_COUNT = 100

Scopes = Sequence[Grant | Scope]
"""Rights: `"publish"` for all topics, or a Grant with patterns."""


class Limits(TypedDict, total=False):
    """Bounds by their names; those of TenantLimits. What is left out stays as it is, or is no bound at first;
    None takes a bound away."""

    publishes_per_s: int | None
    publish_bytes_per_s: int | None
    deliveries_per_s: int | None
    connections: int | None
    subscriptions: int | None
    topics: int | None
    stored_bytes: int | None
    message_bytes: int | None
    dead_letters: int | None
    pending_retries: int | None


class KeyChanges(TypedDict, total=False):
    """What of a key may change; what is left out stays as it is. `expires_at` None: never."""

    name: str
    scopes: Scopes
    expires_at: datetime | str | None
    limits: TenantLimits | Limits


class Keys:
    """`/api/keys`"""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def find(self) -> AsyncIterator[Key]:
        """All keys of the tenant, by id; those that were revoked lately, too."""
        async for page in pages(self._rest, address("keys"), KeyList, {"limit": PAGE_COUNT}):
            for key in page.keys:
                yield key

    async def get(self, key_id: str) -> Key:
        """One key. Raises ApiError `key_not_found`."""
        return await self._rest.get(address("keys", key_id), Key)

    async def create(
        self,
        name: str,
        scopes: Scopes,
        *,
        expires_at: datetime | str | None = None,
        ttl_s: int | None = None,
        limits: TenantLimits | Limits | None = None,
    ) -> KeyCreated:
        """Create a key, which is good until `expires_at`, or for `ttl_s`, or without end. The key itself is
        `key` of the answer: this is the only time that it is told."""
        body: dict[str, object] = {"name": name, "scopes": _grants(scopes)}
        if expires_at is not None:
            body["expires_at"] = time_text(expires_at, "expires_at")
        if ttl_s is not None:
            body["ttl_s"] = ttl_s
        if limits is not None:
            body["limits"] = limits
        return await self._rest.post(address("keys"), KeyCreated, body)

    async def change(self, key_id: str, **changes: Unpack[KeyChanges]) -> Key:
        """Change a key; it stays the same to whoever has it. Raises ApiError `key_not_found`."""
        body: dict[str, object] = {**changes}
        if "scopes" in changes:
            body["scopes"] = _grants(changes["scopes"])
        if changes.get("expires_at") is not None:
            body["expires_at"] = time_text(changes["expires_at"], "expires_at")
        return decode(await self._rest.send("PATCH", address("keys", key_id), body), Key)

    async def rotate(self, key_id: str, *, overlap_s: int | None = None) -> KeyCreated:
        """Give a key a new secret, which is in the answer. The one before is good for `overlap_s` more; None
        is the server's default, a day."""
        body = {} if overlap_s is None else {"overlap_s": overlap_s}
        return await self._rest.post(address("keys", key_id, "rotate"), KeyCreated, body)

    async def revoke(self, key_id: str) -> None:
        """End a key for good; within seconds its connections are closed."""
        await self._rest.send("DELETE", address("keys", key_id))


class Tenants:
    """`/api/tenants`: for keys with the scope `admin`."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def find(self) -> AsyncIterator[Tenant]:
        """All tenants, by name."""
        async for page in pages(self._rest, address("tenants"), TenantList, {"limit": PAGE_COUNT}):
            for tenant in page.tenants:
                yield tenant

    async def get(self, name: str) -> Tenant:
        """One tenant, with what it may use and what it uses. Raises ApiError `tenant_not_found`."""
        return await self._rest.get(address("tenants", name), Tenant)

    async def create(self, name: str, limits: TenantLimits | Limits | None = None) -> Tenant:
        """Create a tenant. Raises ApiError `tenant_exists`."""
        check_tenant(name)
        body: dict[str, object] = {"name": name}
        if limits is not None:
            body["limits"] = limits
        return await self._rest.post(address("tenants"), Tenant, body)

    async def change(self, name: str, **limits: Unpack[Limits]) -> Tenant:
        """Change what it may use. Raises ApiError `tenant_not_found`."""
        body = {"limits": limits}
        return decode(await self._rest.send("PATCH", address("tenants", name), body), Tenant)

    async def delete(self, name: str) -> None:
        """Delete a tenant and revoke its keys. Raises ApiError `tenant_not_empty` while it has topics or
        subscriptions."""
        await self._rest.send("DELETE", address("tenants", name))


class Tokens:
    """`/api/tokens`"""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def create(
        self, scopes: Scopes, ttl_s: int | None = None, *, subject: str | None = None
    ) -> TokenAnswer:
        """A token for a browser, with no more rights than the key has that asks for it, for `ttl_s`, or for
        the server's default, 15 minutes. `subject`: whom it is for, which is kept in it."""
        body: dict[str, object] = {"scopes": _grants(scopes)}
        if ttl_s is not None:
            body["ttl_s"] = ttl_s
        if subject is not None:
            body["subject"] = subject
        return await self._rest.post(address("tokens"), TokenAnswer, body)


class Tickets:
    """`/api/tickets`"""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def create(self) -> TicketAnswer:
        """A ticket: it opens one WebSocket where no header can be set, within a minute."""
        return await self._rest.post(address("tickets"), TicketAnswer, {})


async def entries(
    rest: Rest,
    *,
    from_time: datetime | str | None,
    to_time: datetime | str | None,
    actor: str | None,
    action: str | None,
) -> AsyncIterator[AuditEntry]:
    """See `AsyncConduit.audit`."""
    query = {
        "from_time": time_text(from_time, "from_time"),
        "to_time": time_text(to_time, "to_time"),
        "actor": actor,
        "action": action,
        "limit": PAGE_COUNT,
    }
    async for page in pages(rest, address("audit"), AuditList, query):
        for entry in page.entries:
            yield entry


def _grants(scopes: Scopes) -> list[Grant]:
    """Raises InvalidRequest for what is no scope."""
    wanted = [{"scope": each} if isinstance(each, str) else each for each in scopes]
    try:
        return msgspec.convert(wanted, list[Grant])
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"scopes: {error}", field="scopes") from None
