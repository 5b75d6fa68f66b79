"""`/api/nodes/{id}/drain`: a node leaves the others, and comes back. Any node passes it on to the one that is
meant."""

from __future__ import annotations

from fastapi import Response

from conduit.cluster.leaving import Leaving
from conduit.errors import Conflict, NotFound, Unavailable
from conduit.protocol.draining import NodeDrain
from conduit.server.context import Context
from conduit.server.rest.access import From, Watching
from conduit.server.rest.inputs import NO_QUERY, Shared
from conduit.server.rest.nodes import NodeName
from conduit.server.rest.replies import answers, reply
from conduit.server.rest.routing import routes
from conduit.tenancy.audit import Origin
from conduit.tenancy.principal import Principal

router = routes("/api/nodes", "nodes")

_ANSWERS = answers(NodeDrain, "node_not_found", "conflict", "node_unreachable", "store_unavailable")


@router.post("/{id}/drain", dependencies=[NO_QUERY], responses=_ANSWERS)
async def drain_node(shared: Shared, caller: Watching, origin: From, name: NodeName) -> Response:
    """Have a node leave: its durable subscriptions go to the others, then its WebSockets are told to come
    back. It is answered when the others run what they can."""
    return await _order(shared, caller, origin, name, is_draining=True)


@router.delete("/{id}/drain", dependencies=[NO_QUERY], responses=_ANSWERS)
async def undrain_node(shared: Shared, caller: Watching, origin: From, name: NodeName) -> Response:
    """Have a node serve again. It is answered when the others know."""
    return await _order(shared, caller, origin, name, is_draining=False)


async def _order(
    shared: Context, caller: Principal, origin: Origin, name: str, *, is_draining: bool
) -> Response:
    view = next((each for each in shared.node.views() if each.id == name), None)
    if view is None:
        raise NotFound(f"no node {name!r} is known here", code="node_not_found")
    if shared.leaving is None:
        raise Conflict(
            "this server has its log for itself: no node could take what it has; stop it instead"
        )
    action = "node.drain" if is_draining else "node.undrain"
    async with shared.audit.if_unsure(caller, origin, action, name):
        if name == shared.node.name:
            found = await _here(shared.leaving, is_draining=is_draining)
        elif view.state == "down":
            raise Unavailable(f"node {name} is down", code="node_unreachable")
        else:
            found = await _there(shared, name, is_draining=is_draining)
    await shared.audit.done(caller, origin, action, name)
    return reply(found)


async def _here(leaving: Leaving, *, is_draining: bool) -> NodeDrain:
    return await (leaving.drain() if is_draining else leaving.undrain())


async def _there(shared: Context, name: str, *, is_draining: bool) -> NodeDrain:
    if shared.exchange is None:
        raise Unavailable(
            f"there are no links between nodes without INTERNAL_SECRET: ask node {name} itself",
            code="node_unreachable",
        )
    return await shared.exchange.neighbours.order(name, is_draining=is_draining)
