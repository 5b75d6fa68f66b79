"""`/api/tokens` and `/api/tickets`: credentials for those who must not have a key, or cannot send one"""

from __future__ import annotations

from typing import Annotated

from fastapi import Response
from pydantic import Field

from conduit.errors import Forbidden
from conduit.protocol.codec import format_time
from conduit.protocol.records import TicketAnswer, TokenAnswer
from conduit.server.rest.access import Anybody
from conduit.server.rest.inputs import NO_QUERY, Body, Shared, Text
from conduit.server.rest.keys import Scopes, required
from conduit.server.rest.replies import answers, reply
from conduit.server.rest.routing import routes
from conduit.tenancy.tokens import Wanted

router = routes("/api", "tokens")

TTL_MAX_S = 86_400


class NewToken(Body):
    """What the token may do, which is within what the key may do; for how long; and for whom it is, which is
    kept in it."""

    scopes: Scopes
    ttl_s: Annotated[int, Field(ge=1, le=TTL_MAX_S)] | None = None
    subject: Text | None = None


class NewTicket(Body):
    """Nothing has to be said."""


@router.post(
    "/tokens",
    status_code=201,
    dependencies=[NO_QUERY],
    responses=answers(TokenAnswer, "forbidden", status=201),
)
async def create_token(shared: Shared, caller: Anybody, body: NewToken) -> Response:
    """Make a token of an API key, for a browser. It is good as long as `ttl_s` says (900), and no longer than
    the key."""
    tenancy = required(shared)
    if caller.is_page:
        raise Forbidden("a token would outlive the session: it is made with the API key itself")
    key = tenancy.registry.made_by(caller)
    wanted = Wanted(
        tenant=caller.tenant,
        tenant_since_ms=tenancy.registry.tenant(caller.tenant).created_at_ms,
        key_id=key.key_id,
        grants=tuple(body.scopes),
        ttl_s=body.ttl_s,
        subject=body.subject,
        key_expires_at_ms=caller.expires_at_ms,
    )
    token, claims = tenancy.tokens.mint(wanted, key.grants, shared.wall_ms())
    return reply(TokenAnswer(token, format_time(claims.expires_at_ms)), 201)


@router.post(
    "/tickets",
    status_code=201,
    dependencies=[NO_QUERY],
    responses=answers(TicketAnswer, "forbidden", "limit_reached", status=201),
)
async def create_ticket(shared: Shared, caller: Anybody, body: NewTicket) -> Response:
    """Make a ticket for one WebSocket, `/ws?ticket=…`, within 60 seconds, with the caller's rights."""
    ticket, expires_at_ms = await required(shared).ticketing.give(caller)
    return reply(TicketAnswer(ticket, format_time(expires_at_ms)), 201)
