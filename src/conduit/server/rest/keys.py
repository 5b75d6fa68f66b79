"""`/api/keys`"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import Path, Query, Response
from pydantic import Field, PlainValidator, WithJsonSchema

from conduit.core.access import KeyRecord
from conduit.errors import Forbidden, InvalidRequest
from conduit.grants import GRANTS_MAX_COUNT, Grant
from conduit.limits import LIMIT_MAX, NO_LIMITS, TenantLimits
from conduit.names import KEY_ID_SCHEMA, LINE_PATTERN
from conduit.protocol.codec import format_time
from conduit.protocol.records import KeyAnswer, KeyCreated, KeyList
from conduit.server.rest.access import From, Managing, whole
from conduit.server.rest.inputs import (
    NO_QUERY,
    Body,
    Page,
    Shared,
    Time,
    cut_page,
    decode_cursor,
)
from conduit.server.rest.replies import answers, optional_time, reply
from conduit.server.rest.routing import routes
from conduit.tenancy.accounts import NAME_MAX_CHARS, OVERLAP_MAX_S, OVERLAP_S, KeyChange, KeySpec
from conduit.tenancy.opening import Tenancy
from conduit.tenancy.principal import Principal
from conduit.tenancy.registry import Registry

router = routes("/api", "keys")

TTL_MAX_S = 10 * 365 * 24 * 3_600


def _grants(value: object) -> list[Grant]:
    try:
        return msgspec.convert(value, list[Grant])
    except msgspec.ValidationError as error:
        raise ValueError(f"is not as it must be: {error}") from None


Scopes = Annotated[
    list[Grant],
    PlainValidator(_grants),
    # By reference: it is a record of the wire.
    WithJsonSchema(
        {
            "type": "array",
            "items": {"$ref": "#/components/schemas/Grant"},
            "minItems": 1,
            "maxItems": GRANTS_MAX_COUNT,
        }
    ),
]
Bound = Annotated[int, Field(ge=0, le=LIMIT_MAX)] | None
Name = Annotated[
    str,
    Field(min_length=1, max_length=NAME_MAX_CHARS, json_schema_extra={"pattern": LINE_PATTERN}),
]
Ttl = Annotated[float, Field(gt=0, le=TTL_MAX_S, allow_inf_nan=False)]
KeyId = Annotated[str, Path(alias="id", json_schema_extra=KEY_ID_SCHEMA)]


class LimitsChange(Body):
    """Bounds that are left out stay as they are; null takes one away."""

    publishes_per_s: Bound = None
    publish_bytes_per_s: Bound = None
    deliveries_per_s: Bound = None
    connections: Bound = None
    subscriptions: Bound = None
    topics: Bound = None
    stored_bytes: Bound = None
    message_bytes: Bound = None
    dead_letters: Bound = None
    pending_retries: Bound = None

    def over(self, base: TenantLimits) -> TenantLimits:
        """The bounds that were given, in place of those of `base`."""
        return msgspec.structs.replace(base, **self.model_dump(exclude_unset=True))


class NewKey(Body):
    """A key for the caller's tenant, with rights that the caller has. Without `expires_at` or `ttl_s` it is
    good until it is revoked."""

    name: Name
    scopes: Scopes
    expires_at: Time | None = None
    ttl_s: Ttl | None = None
    limits: LimitsChange = LimitsChange()


class ChangedKey(Body):
    """What is to be another; what is left out stays. `expires_at` null: it is good until it is revoked."""

    name: Name | None = None
    scopes: Scopes | None = None
    expires_at: Time | None = None
    limits: LimitsChange = LimitsChange()

    def change(self) -> KeyChange:
        """As the accounts take it."""
        change = KeyChange()
        if "limits" in self.model_fields_set:
            change.limits = self.limits.over
        if self.name is not None:
            change.name = self.name
        if self.scopes is not None:
            change.grants = self.scopes
        if "expires_at" in self.model_fields_set:
            change.expires_at_ms = self.expires_at
        return change


class Rotation(Body):
    """How long the secret before is good beside the new one."""

    overlap_s: float = Field(OVERLAP_S, ge=0, le=OVERLAP_MAX_S, allow_inf_nan=False)


def keeper(caller: Principal) -> Principal:
    """The caller, if it may look after the tenant's keys. A token may not: a key would outlive it. Raises
    Forbidden."""
    if caller.is_token:
        raise Forbidden("keys are looked after with an API key, and not with a token")
    return whole(caller)


def required(shared: Shared) -> Tenancy:
    """Keys and tenants. Raises Forbidden without authentication: they would mean nothing."""
    if shared.tenancy is None:
        raise Forbidden("there is no authentication: start the server with ENABLE_AUTH=true")
    return shared.tenancy


def fields(record: KeyRecord) -> dict[str, Any]:
    """The fields of a KeyAnswer."""
    return {
        "id": record.key_id,
        "name": record.name,
        "tenant": record.tenant,
        "scopes": list(record.grants),
        "limits": record.limits,
        "created_at": format_time(record.created_at_ms),
        "created_by": record.created_by,
        "expires_at": optional_time(record.expires_at_ms),
        "last_used_at": optional_time(record.last_used_at_ms),
        "revoked_at": optional_time(record.revoked_at_ms),
        "rotating_until": optional_time(_former_until_ms(record)),
    }


def _former_until_ms(record: KeyRecord) -> int | None:
    """A key that ends takes both of its secrets with it."""
    if record.former_until_ms is None or record.revoked_at_ms is not None:
        return None
    ends_at_ms = record.expires_at_ms
    return record.former_until_ms if ends_at_ms is None else min(record.former_until_ms, ends_at_ms)


@router.get("/keys", responses=answers(KeyList))
async def list_keys(shared: Shared, caller: Managing, query: Annotated[Page, Query()]) -> Response:
    """List the tenant's keys by id; revoked ones for 30 days."""
    tenant, registry = keeper(caller).tenant, required(shared).registry
    await registry.catching_up.caught_up()
    records = registry.keys(tenant)
    after = decode_cursor("keys", query.cursor) or ""
    some = [record for record in records if record.key_id > after][: query.limit + 1]
    page, following = cut_page(some, query.limit, "keys", lambda record: record.key_id)
    return reply(KeyList([KeyAnswer(**fields(record)) for record in page], following))


@router.post(
    "/keys",
    status_code=201,
    dependencies=[NO_QUERY],
    responses=answers(KeyCreated, "forbidden", "limit_reached", status=201),
)
async def create_key(shared: Shared, caller: Managing, origin: From, body: NewKey) -> Response:
    """Make a key. The answer has its secret, which is not shown again."""
    accounts = required(shared).accounts
    if body.expires_at is not None and body.ttl_s is not None:
        raise InvalidRequest("expires_at and ttl_s are two ends; give one of them", field="ttl_s")
    expires_at_ms = body.expires_at
    if body.ttl_s is not None:
        expires_at_ms = shared.wall_ms() + max(1, round(body.ttl_s * 1000))
    spec = KeySpec(body.name, body.scopes, expires_at_ms, body.limits.over(NO_LIMITS))
    async with shared.audit.if_unsure(caller, origin, "key.create", ""):
        made = await accounts.create_key(keeper(caller), spec)
    await shared.audit.done(caller, origin, "key.create", made.record.key_id, **_told(made.record))
    return reply(KeyCreated(**fields(made.record), key=made.text), 201)


@router.get("/keys/{id}", dependencies=[NO_QUERY], responses=answers(KeyAnswer, "key_not_found"))
async def get_key(shared: Shared, caller: Managing, key_id: KeyId) -> Response:
    """Look at one key."""
    record = await _find(required(shared).registry, keeper(caller).tenant, key_id)
    return reply(KeyAnswer(**fields(record)))


@router.patch(
    "/keys/{id}",
    dependencies=[NO_QUERY],
    responses=answers(KeyAnswer, "key_not_found", "forbidden", "conflict"),
)
async def change_key(
    shared: Shared, caller: Managing, origin: From, key_id: KeyId, body: ChangedKey
) -> Response:
    """Change a key; connections that use it have what it gives now within two seconds."""
    tenancy = required(shared)
    async with shared.audit.if_unsure(caller, origin, "key.change", key_id):
        record = await tenancy.accounts.change_key(keeper(caller), key_id, body.change())
    await shared.audit.done(caller, origin, "key.change", key_id, **_told(record))
    return reply(KeyAnswer(**fields(record)))


@router.post(
    "/keys/{id}/rotate",
    dependencies=[NO_QUERY],
    responses=answers(KeyCreated, "key_not_found", "forbidden", "conflict"),
)
async def rotate_key(
    shared: Shared, caller: Managing, origin: From, key_id: KeyId, body: Rotation
) -> Response:
    """Give a key a new secret. The one before is good for `overlap_s` more."""
    accounts = required(shared).accounts
    async with shared.audit.if_unsure(caller, origin, "key.rotate", key_id):
        made = await accounts.rotate_key(keeper(caller), key_id, body.overlap_s)
    detail = {"overlap_s": body.overlap_s}
    await shared.audit.done(caller, origin, "key.rotate", key_id, **detail)
    return reply(KeyCreated(**fields(made.record), key=made.text))


@router.delete(
    "/keys/{id}",
    dependencies=[NO_QUERY],
    responses=answers(KeyAnswer, "key_not_found", "forbidden"),
)
async def revoke_key(shared: Shared, caller: Managing, origin: From, key_id: KeyId) -> Response:
    """Revoke a key for good: it is refused at once, and its connections are closed within five seconds."""
    tenancy = required(shared)
    before = await _find(tenancy.registry, keeper(caller).tenant, key_id)
    async with shared.audit.if_unsure(caller, origin, "key.revoke", key_id):
        record = await tenancy.accounts.revoke_key(keeper(caller), key_id)
    if before.revoked_at_ms is None:
        await shared.audit.done(caller, origin, "key.revoke", key_id)
    return reply(KeyAnswer(**fields(record)))


async def _find(registry: Registry, tenant: str, key_id: str) -> KeyRecord:
    return await registry.catching_up.find(lambda: registry.key(tenant, key_id))


def _told(record: KeyRecord) -> dict[str, object]:
    """What the audit log has of a key."""
    return {
        "name": record.name,
        "scopes": msgspec.to_builtins(record.grants),
        "limits": msgspec.to_builtins(record.limits),
        "expires_at": optional_time(record.expires_at_ms),
    }
