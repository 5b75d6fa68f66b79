"""`/api/nodes`: who shares the log, for operators"""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Response

from conduit.broker.stats import Rates
from conduit.cluster.asking import no_node
from conduit.cluster.inquiries import STATE, Question, State
from conduit.cluster.links.peers import LinkView
from conduit.cluster.roster import NodeView
from conduit.names import NODE_SCHEMA
from conduit.protocol.codec import format_time
from conduit.protocol.node_records import NodeAnswer, NodeLink, NodeList, NodeRates
from conduit.server.context import Context
from conduit.server.rest.access import Watching
from conduit.server.rest.inputs import NO_QUERY, Page, Shared, cut_page, decode_cursor
from conduit.server.rest.replies import answers, reply
from conduit.server.rest.routing import routes

router = routes("/api/nodes", "nodes")

NodeName = Annotated[
    str, Path(alias="id", description="A node's name, `NODE_ID`.", json_schema_extra=NODE_SCHEMA)
]


async def show(shared: Context, *views: NodeView) -> list[NodeAnswer]:
    """The nodes as they are answered: those that live are asked what only they know."""
    own_name = shared.node.name
    names = [view.id for view in views if view.state != "down" and view.id != own_name]
    answers = await shared.asking.each(names, STATE, Question())
    said = answers.said | {own_name: shared.own_state.state()}
    return [
        _shown(view, said.get(view.id), answers.unanswered.get(view.id, "it is down"), own_name)
        for view in views
    ]


def _shown(view: NodeView, state: State | None, unanswered: str, own_name: str) -> NodeAnswer:
    return NodeAnswer(
        id=view.id,
        incarnation=view.incarnation,
        address=view.address,
        version=view.version,
        state=view.state,
        lease_age_s=None if view.lease_age_s is None else round(view.lease_age_s, 3),
        started_at=format_time(view.started_at_ms),
        is_this=view.id == own_name,
        connections=None if state is None else state.connections,
        owned_subscriptions=None if state is None else state.owned_subscriptions,
        rates=None if state is None else _rates(state.rates),
        links=None if state is None else [_link(each) for each in state.links],
        unanswered=unanswered if state is None else None,
        loop_lag_s=None if state is None else state.loop_lag_s,
        phase=None if state is None else state.phase,
    )


def _link(view: LinkView) -> NodeLink:
    return NodeLink(
        view.name,
        view.state,
        round(view.for_s, 3),
        view.round_trip_s,
        view.queue_bytes,
        view.last_error,
    )


def _rates(rates: Rates) -> NodeRates:
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
    return reply(NodeList(await show(shared, *page), following))


@router.get("/{id}", dependencies=[NO_QUERY], responses=answers(NodeAnswer, "node_not_found"))
async def get_node(shared: Shared, _caller: Watching, name: NodeName) -> Response:
    """Look at one node."""
    for view in shared.node.views():
        if view.id == name:
            [shown] = await show(shared, view)
            return reply(shown)
    raise no_node(name)
