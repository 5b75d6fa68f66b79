"""`/api/audit`: what was done, by whom"""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import Query, Response
from pydantic import Field

from conduit.core.access import AuditEntry
from conduit.protocol.codec import format_time
from conduit.protocol.records import AuditAnswer, AuditList
from conduit.server.rest.access import Managing, whole
from conduit.server.rest.inputs import Page, Shared, Text, Time, decode_cursor, encode_cursor
from conduit.server.rest.replies import answers, reply
from conduit.server.rest.routing import routes

router = routes("/api/audit", "audit")


class AuditQuery(Page):
    """Which entries to list."""

    from_time: Time | None = Field(None, description="At this time or later.")
    to_time: Time | None = Field(None, description="Before this time.")
    actor: Text | None = Field(None, description="Who did it, such as `key:a1B2c3D4`.")
    action: Text | None = Field(None, description="What was done, such as `topic.delete`.")


def show(entry: AuditEntry) -> AuditAnswer:
    """The entry as it is answered."""
    return AuditAnswer(
        id=entry.entry_id,
        at=format_time(entry.at_ms),
        tenant=entry.tenant,
        actor=entry.actor,
        action=entry.action,
        target=entry.target,
        address=entry.address,
        request_id=entry.request_id,
        detail=json.loads(entry.detail),
    )


@router.get("", responses=answers(AuditList))
async def list_audit(
    shared: Shared, caller: Managing, query: Annotated[AuditQuery, Query()]
) -> Response:
    """List what was done, the newest first: in the caller's tenant; to an operator that names none in
    `X-Conduit-Tenant`, in all. A page may be empty although `next` goes on."""
    is_operator = caller.may("admin")
    from_ms = query.from_time
    if not is_operator and shared.tenancy is not None:
        # What was done in one of the same name before is not this one's.
        since_ms = shared.tenancy.registry.tenant(caller.tenant).created_at_ms
        from_ms = max(from_ms or 0, since_ms)
    page = await shared.broker.store.audit_page(
        None if is_operator and not caller.is_acting else whole(caller).tenant,
        from_ms=from_ms,
        to_ms=query.to_time,
        actor=query.actor,
        action=query.action,
        before_id=decode_cursor("audit", query.cursor),
        limit=query.limit,
    )
    following = None if page.reached_id is None else encode_cursor("audit", page.reached_id)
    return reply(AuditList([show(entry) for entry in page], following))
