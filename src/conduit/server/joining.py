"""The server as one node of several: what it is called, and that it ends if it may not be called so."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID, uuid4

from conduit import node_address
from conduit.cluster.exchange import Exchange
from conduit.cluster.hearing import Hearing
from conduit.cluster.links.handshake import Identity
from conduit.cluster.membership import Membership
from conduit.cluster.registry.registry import Registry
from conduit.cluster.subscribers import Subscribers
from conduit.cluster.this_node import ThisNode
from conduit.core.members import Member
from conduit.errors import ConduitError
from conduit.server.context import Context
from conduit.server.serving import Server
from conduit.server.workers.worker import Worker
from conduit.settings import Settings

# The fact of the store by which a registry tells clusters apart.
CLUSTER_ID = "cluster"

logger = logging.getLogger(__name__)


def make_node(
    settings: Settings, port: int, wall_ms: int, worker: Worker | None = None
) -> ThisNode:
    """The node as the settings have it, which listens on this port, or which this worker is. It knows of no
    others yet."""
    if worker is not None:
        name, another = worker.names(settings.node_id, port)
        return ThisNode(
            name,
            worker.place.address,
            wall_ms,
            other_name=None if settings.has_node_id else another,
        )
    address = node_address.advertised(settings.node_addr, socket.gethostname(), port)
    # Two servers on one machine have to differ, and none of them can be asked which is which.
    other_name = None if settings.has_node_id else f"{settings.node_id}-{port}"
    return ThisNode(settings.node_id, address, wall_ms, other_name=other_name)


async def link_others(
    context: Context, node: ThisNode, settings: Settings
) -> Callable[[], Awaitable[None]]:
    """Have this node hear of what others store; and link with them as soon as it has its name, if the cluster
    has a secret. Returns what ends that. Raises StoreUnavailable."""
    hearing = context.hearing = Hearing(context.broker)
    secrets = settings.internal_secrets
    subscribers = Subscribers()
    cluster_id = ""
    if secrets and settings.redis_url is not None:
        # All nodes of a log have the same, and no others: several clusters may use one Redis.
        id_ = await context.broker.store.first_fact(CLUSTER_ID, uuid4().bytes)
        cluster_id = str(UUID(bytes=id_))
        context.broker.router.on_count = subscribers.changed

    async def begin(membership: Membership) -> None:
        own = membership.node
        registry = None
        if settings.redis_url is not None:
            member = Member(
                name=own.name,
                incarnation=own.incarnation,
                address=own.address,
                version=own.version,
                since_ms=context.broker.clock.wall_ms(),
            )
            registry = Registry(settings.redis_url.get_secret_value(), cluster_id, member)
            subscribers.begin(registry.set_interest)
        identity = Identity(own.name, own.incarnation)
        exchange = Exchange(context.broker, identity, secrets, hearing, registry)
        context.exchange, context.links = exchange, exchange.links
        await exchange.start()
        membership.watch(exchange)
        exchange.nodes_changed(membership.live)

    async def end() -> None:
        context.links = None
        if context.exchange is not None:
            await context.exchange.stop()
        hearing.close()

    if secrets:
        node.on_settled = begin
    return end


async def serve_as(node: ThisNode, server: Server, listeners: Sequence[socket.socket]) -> None:
    """Serve until a signal, and be that node meanwhile. Raises ConfigError, when all is answered, if somebody
    alive has its name; OSError."""
    if node.membership is None:
        logger.info("this node is %s", node.name)
        await server.serve([*listeners])
        return
    loop = asyncio.get_running_loop()
    joined = loop.create_task(node.join(), name="node")
    joined.add_done_callback(lambda task: _ended(task, server))
    try:
        await server.serve([*listeners])
    finally:
        joined.cancel()
        (error,) = await asyncio.gather(joined, return_exceptions=True)
    if isinstance(error, Exception):
        raise error


def _ended(joined: asyncio.Task[None], server: Server) -> None:
    """The node is none of them any more: unless that is because it stops, it has to."""
    if joined.cancelled():
        return
    error = joined.exception()
    trace = None if isinstance(error, ConduitError) else error
    logger.error("this process must end: %s", error, exc_info=trace)
    server.stop("without a name")
