"""`/api/tenants`: for the operator; `/api/tenant`: for who looks after one"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec
from fastapi import Path, Query, Response
from pydantic import Field

from conduit.cluster.inquiries import USAGE, Question, TenantUse
from conduit.core.access import TenantRecord
from conduit.limits import NO_LIMITS
from conduit.names import TENANT_SCHEMA
from conduit.protocol.codec import format_time
from conduit.protocol.records import TenantAnswer, TenantList, Usage
from conduit.server.rest.access import From, Managing, Operating, whole
from conduit.server.rest.inputs import NO_QUERY, Body, Page, Shared, cut_page, decode_cursor
from conduit.server.rest.keys import LimitsChange, required
from conduit.server.rest.replies import answers, fails, reply
from conduit.server.rest.routing import routes

router = routes("/api/tenants", "tenants")
own = routes("/api", "tenants")

TenantName = Annotated[
    str, Path(alias="name", description="A tenant's name.", json_schema_extra=TENANT_SCHEMA)
]


class NewTenant(Body):
    """Limits that are left out are none."""

    name: str = Field(json_schema_extra=TENANT_SCHEMA)
    limits: LimitsChange = LimitsChange()


class ChangedTenant(Body):
    """What to change of a tenant."""

    limits: LimitsChange


async def show(shared: Shared, *some: TenantRecord) -> list[TenantAnswer]:
    """Tenants as they are answered; other nodes are asked for what only they know of them."""
    question = Question(names=[record.name for record in some])
    others = await shared.asking.all(USAGE, question)
    # Of each tenant what the other nodes say.
    elsewhere = [*zip(*others.said.values(), strict=True)] or [()] * len(some)
    unanswered_count = len(others.unanswered)
    return [
        await _shown(shared, record, said, unanswered_count)
        for record, said in zip(some, elsewhere, strict=True)
    ]


async def _shown(
    shared: Shared, record: TenantRecord, elsewhere: Iterable[TenantUse], unanswered_count: int
) -> TenantAnswer:
    usage = msgspec.structs.asdict(await shared.broker.usage_of(record.name))
    for use in elsewhere:
        usage["connections"] += use.connections
        usage["pending_retries"] += use.pending_retries
    key_count = required(shared).registry.key_count(record.name)
    return TenantAnswer(
        name=record.name,
        created_at=format_time(record.created_at_ms),
        limits=record.limits,
        usage=Usage(**usage, keys=key_count, unanswered_count=unanswered_count),
    )


@own.get("/tenant", dependencies=[NO_QUERY], responses=answers(TenantAnswer))
async def get_own_tenant(shared: Shared, caller: Managing) -> Response:
    """Look at the caller's own tenant, and at what it uses; for an operator, at the one that it names."""
    record = required(shared).registry.tenant(whole(caller).tenant)
    [shown] = await show(shared, record)
    return reply(shown)


@router.get("", responses=answers(TenantList))
async def list_tenants(
    shared: Shared, _caller: Operating, query: Annotated[Page, Query()]
) -> Response:
    """List all tenants by name."""
    after = decode_cursor("tenants", query.cursor) or ""
    registry = required(shared).registry
    await registry.catching_up.caught_up()
    records = registry.tenants()
    some = [record for record in records if record.name > after][: query.limit + 1]
    page, following = cut_page(some, query.limit, "tenants", lambda record: record.name)
    return reply(TenantList(await show(shared, *page), following))


@router.post(
    "",
    status_code=201,
    dependencies=[NO_QUERY],
    responses=answers(TenantAnswer, "invalid_name", "tenant_exists", "limit_reached", status=201),
)
async def create_tenant(
    shared: Shared, caller: Operating, origin: From, body: NewTenant
) -> Response:
    """Create a tenant."""
    given = body.limits.over(NO_LIMITS)
    async with shared.audit.if_unsure(caller, origin, "tenant.create", body.name, body.name):
        record = await required(shared).accounts.create_tenant(body.name, given)
    limits = msgspec.to_builtins(record.limits)
    await shared.audit.done_to(record.name, caller, origin, "tenant.create", limits=limits)
    [shown] = await show(shared, record)
    return reply(shown, 201)


@router.get("/{name}", dependencies=[NO_QUERY], responses=answers(TenantAnswer, "tenant_not_found"))
async def get_tenant(shared: Shared, _caller: Operating, name: TenantName) -> Response:
    """Look at one tenant, and at what it uses."""
    registry = required(shared).registry
    record = await registry.catching_up.find(lambda: registry.tenant(name))
    [shown] = await show(shared, record)
    return reply(shown)


@router.patch(
    "/{name}", dependencies=[NO_QUERY], responses=answers(TenantAnswer, "tenant_not_found")
)
async def change_tenant(
    shared: Shared, caller: Operating, origin: From, name: TenantName, body: ChangedTenant
) -> Response:
    """Change a tenant's limits; they count at once."""
    tenancy = required(shared)
    async with shared.audit.if_unsure(caller, origin, "tenant.change", name, name):
        record = await tenancy.accounts.change_tenant(name, body.limits.over)
    told = msgspec.to_builtins(record.limits)
    await shared.audit.done_to(name, caller, origin, "tenant.change", limits=told)
    [shown] = await show(shared, record)
    return reply(shown)


@router.delete(
    "/{name}",
    status_code=204,
    dependencies=[NO_QUERY],
    responses=fails("tenant_not_found", "tenant_not_empty", "forbidden"),
)
async def delete_tenant(
    shared: Shared, caller: Operating, origin: From, name: TenantName
) -> Response:
    """Delete a tenant that has no topics and no subscriptions, with its keys and dead letters."""
    async with shared.audit.if_unsure(caller, origin, "tenant.delete", name, name):
        await required(shared).accounts.delete_tenant(name)
    await shared.audit.done_to(name, caller, origin, "tenant.delete")
    return Response(status_code=204)
