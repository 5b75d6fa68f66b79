"""`/api/nodes`: who shares the log, for operators"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from conduit.cluster.roster import NodeView
from conduit.errors import NotFound
from conduit.names import NODE_SCHEMA
from conduit.protocol.codec import format_time
from conduit.protocol.records import NodeAnswer, NodeLink, NodeList, NodeRates
from conduit.server.context import Context
from conduit.server.rest.access import Watching
from conduit.server.rest.inputs import NO_QUERY, Page, Shared, cut_page, decode_cursor
from conduit.server.rest.replies import answers, reply

router = APIRouter(prefix="/api/nodes", tags=["nodes"])

NodeName = Annotated[
    str, Path(alias="id", description="A node's name, `NODE_ID`.", json_schema_extra=NODE_SCHEMA)
]


def show(shared: Context, view: NodeView) -> NodeAnswer:
    """The node as it is answered: what only a node itself knows is there of this one."""
    is_this = view.id == shared.node.name
    return NodeAnswer(
        id=view.id,
        incarnation=view.incarnation,
        address=view.address,
        version=view.version,
        state=view.state,
        lease_age_s=None if view.lease_age_s is None else round(view.lease_age_s, 3),
        started_at=format_time(view.started_at_ms),
        is_this=is_this,
        connections=shared.connection_count if is_this else None,
        owned_subscriptions=shared.broker.running_count if is_this else None,
        rates=_rates(shared) if is_this else None,
        links=_links(shared) if is_this else None,
    )


def _links(shared: Context) -> list[NodeLink]:
    if shared.links is None:
        return []
    return [
        NodeLink(
            view.name,
            view.state,
            round(view.for_s, 3),
            view.round_trip_s,
            view.queue_bytes,
            view.last_error,
        )
        for view in shared.links.views()
    ]


def _rates(shared: Context) -> NodeRates:
    rates = shared.broker.stats.rates(shared.broker.clock.now())
    return NodeRates(
        messages_per_sec=rates.published,
        deliveries_per_sec=rates.delivered,
        acks_per_sec=rates.acked,
        redeliveries_per_sec=rates.redelivered,
        dead_letters_per_sec=rates.dead_lettered,
    )


@router.get("", responses=answers(NodeList))
async def list_nodes(
    shared: Shared, _caller: Watching, query: Annotated[Page, Query()]
) -> Response:
    """List the nodes that share the log, by id, as the one that answers knows them; it marks itself."""
    after = decode_cursor("nodes", query.cursor) or ""
    views = [view for view in shared.node.views() if view.id > after][: query.limit + 1]
    page, following = cut_page(views, query.limit, "nodes", lambda view: view.id)
    return reply(NodeList([show(shared, view) for view in page], following))


@router.get("/{id}", dependencies=[NO_QUERY], responses=answers(NodeAnswer, "node_not_found"))
async def get_node(shared: Shared, _caller: Watching, name: NodeName) -> Response:
    """Look at one node."""
    for view in shared.node.views():
        if view.id == name:
            return reply(show(shared, view))
    raise NotFound(f"no node {name!r} is known here", code="node_not_found")
