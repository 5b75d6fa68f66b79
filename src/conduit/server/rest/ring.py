"""`/api/ring`: which node has how much of the ring, for operators"""

from __future__ import annotations

from fastapi import Response

from conduit.core.ring import SIZE, Ring
from conduit.protocol.node_records import RingAnswer, RingNode
from conduit.server.rest.access import Watching
from conduit.server.rest.inputs import NO_QUERY, Shared
from conduit.server.rest.replies import answers, reply
from conduit.server.rest.route import NO_NODE, not_placed
from conduit.server.rest.routing import routes

router = routes("/api/ring", "nodes")


@router.get("", dependencies=[NO_QUERY], responses=answers(RingAnswer))
async def get_ring(shared: Shared, _caller: Watching) -> Response:
    """Look at the hash ring that says which node has which durable subscription."""
    if (reason := not_placed(shared)) is not None:
        return reply(RingAnswer([], [], SIZE, reason))
    exchange = shared.exchange
    ring = Ring([shared.node.name]) if exchange is None else exchange.placement.ring
    shares = ring.shares()
    index = {name: at for at, name in enumerate(shares)}
    places = [[at, index[name]] for at, name in ring.places()]
    nodes = [RingNode(name, round(share, 6)) for name, share in shares.items()]
    return reply(RingAnswer(nodes, places, SIZE, None if nodes else NO_NODE))
