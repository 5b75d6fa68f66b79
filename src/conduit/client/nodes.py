"""The control endpoints for nodes that share a log."""

from __future__ import annotations

from collections.abc import AsyncIterator

from conduit.client.models import Node, Route
from conduit.client.pages import pages
from conduit.client.rest import Rest, address, decode
from conduit.protocol.draining import NodeDrain
from conduit.protocol.node_records import NodeList, RingAnswer

PAGE_COUNT = 100


class Nodes:
    """`/api/nodes` and `/api/route`: for keys with the scope `admin`. Each answer is what one node knows, the
    one that was asked: `is_this` is true of it."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def find(self) -> AsyncIterator[Node]:
        """All nodes, by id; those that are down for an hour."""
        async for page in pages(self._rest, address("nodes"), NodeList, {"limit": PAGE_COUNT}):
            for node in page.nodes:
                yield node

    async def get(self, node_id: str) -> Node:
        """One node. Raises ApiError `node_not_found`."""
        return await self._rest.get(address("nodes", node_id), Node)

    async def route(self, *, subscription: str | None = None, topic: str | None = None) -> Route:
        """Which node has this durable subscription, and which nodes are told of the messages of this topic.
        Raises ApiError `invalid_request` if neither is named."""
        query = {"subscription": subscription, "topic": topic}
        return await self._rest.get(address("route"), Route, query)

    async def ring(self) -> RingAnswer:
        """The hash ring: which node has how much of the durable subscriptions."""
        return await self._rest.get(address("ring"), RingAnswer)

    async def drain(self, node_id: str) -> NodeDrain:
        """Have a node leave: it is not ready any more, what it runs goes to the others, and its WebSockets
        are told to come back. Returns when the others run what they can. Raises ApiError `node_not_found`;
        `node_unreachable` if the node that was asked has no link to it; `conflict` if it has its log for
        itself, or somebody has undone it meanwhile."""
        return await self._rest.post(address("nodes", node_id, "drain"), NodeDrain)

    async def undrain(self, node_id: str) -> NodeDrain:
        """Have it serve again. Raises as `drain`, and `shutting_down` if it stops."""
        return decode(
            await self._rest.send("DELETE", address("nodes", node_id, "drain")), NodeDrain
        )
