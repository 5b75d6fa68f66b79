"""The control endpoints for nodes that share a log."""

from __future__ import annotations

from collections.abc import AsyncIterator

from conduit.client.models import Node, Route
from conduit.client.pages import pages
from conduit.client.rest import Rest, address
from conduit.protocol.node_records import NodeList

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
