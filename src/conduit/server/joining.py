"""The server as one node of several: what it is called, and that it ends if it may not be called so."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from conduit import node_address
from conduit.cluster.answering import Answering
from conduit.cluster.at_owner import AtOwner
from conduit.cluster.comparing import Comparing
from conduit.cluster.elsewhere import Elsewhere
from conduit.cluster.exchange import Exchange
from conduit.cluster.hearing import Hearing
from conduit.cluster.leaving import Leaving
from conduit.cluster.links.handshake import Identity
from conduit.cluster.membership import Membership
from conduit.cluster.owning import Owning
from conduit.cluster.sign_outs import SignOuts
from conduit.cluster.subscribers import Subscribers
from conduit.cluster.this_node import ThisNode
from conduit.core.members import Member
from conduit.errors import ConduitError
from conduit.server.alike import alike
from conduit.server.context import Context
from conduit.server.farewell import Farewell
from conduit.server.serving import Server
from conduit.server.workers.worker import Worker
from conduit.settings import Settings
from conduit.storage.nodes import Node, NodeStore

if TYPE_CHECKING:
    from conduit.cluster.registry.registry import Registry

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
    if other_name is not None and settings.meets_in_redis:
        # Nobody decides who has a name: it must be another one from the beginning.
        return ThisNode(other_name, address, wall_ms)
    return ThisNode(settings.node_id, address, wall_ms, other_name=other_name)


class Cluster:
    """The other nodes of the log, as this one is to them. `begin` when the broker has started and before
    anybody subscribes; then `leave` before the broker finishes, and `end` after that."""

    def __init__(self, context: Context, settings: Settings) -> None:
        self._context = context
        self._settings = settings
        self._secrets = settings.internal_secrets
        self._hearing = Hearing(context.broker)
        self._elsewhere = Elsewhere()
        self._subscribers = Subscribers()
        self._cluster_id = ""

    async def begin(self, node: ThisNode, nodes: NodeStore) -> None:
        """Hear of what others store; own durable subscriptions; and link as soon as the node has its name, if
        the cluster has a secret. Raises StoreUnavailable."""
        context, broker = self._context, self._context.broker
        context.hearing = self._hearing
        membership = node.share(nodes)
        sockets = Clients(context)
        leaving = Leaving(membership, broker, sockets, self._settings.drain_delay_s)
        context.leaving = leaving
        context.own_state.phase = lambda: leaving.phase
        # Who cannot reach the others has no other way to serve its clients than to take what these have.
        Owning(broker, membership, takes_over=not self._secrets)
        if not self._secrets:
            return
        broker.run_elsewhere(self._elsewhere)
        context.subscriptions = AtOwner(broker, self._elsewhere)
        broker.redrive = context.subscriptions.redrive
        node.on_settled = self._link
        if self._settings.redis_url is not None:
            # All nodes of a log have the same, and no others: several clusters may use one Redis.
            id_ = await broker.store.first_fact(CLUSTER_ID, uuid4().bytes)
            self._cluster_id = str(UUID(bytes=id_))
            broker.router.on_count = self._subscribers.changed

    async def leave(self) -> None:
        """Serve other nodes no more."""
        if self._context.leaving is not None:
            self._context.leaving.close()
        if self._context.exchange is not None:
            await self._context.exchange.leave()

    async def end(self) -> None:
        """Tell and hear nothing more."""
        self._context.links = None
        if self._context.exchange is not None:
            await self._context.exchange.stop()
        self._hearing.close()

    async def _link(self, membership: Membership) -> None:
        context, own = self._context, membership.node
        identity = Identity(own.name, own.incarnation)
        registry = self._registry(own)
        exchange = Exchange(
            context.broker, identity, self._secrets, self._hearing, self._elsewhere, registry
        )
        exchange.links.own_address = own.address
        context.own_state.settings = settings = alike(self._settings)
        exchange.answering = Answering(identity, context.own_state)
        exchange.comparing = Comparing(exchange.links, settings)
        exchange.sign_outs = SignOuts(exchange.links, context.own_state)
        context.exchange, context.links = exchange, exchange.links
        if context.leaving is not None:
            context.leaving.exchange = exchange
        exchange.neighbours.conduct = context.leaving
        await exchange.start()
        membership.watch(exchange)
        exchange.nodes_changed(membership.live)

    def _registry(self, own: Node) -> Registry | None:
        if self._settings.redis_url is None:
            return None
        # Not on top: it takes redis-py, which a server without Redis can do without.
        from conduit.cluster.registry.registry import Registry

        member = Member(
            name=own.name,
            incarnation=own.incarnation,
            address=own.address,
            version=own.version,
            since_ms=self._context.broker.clock.wall_ms(),
        )
        url = self._settings.redis_url.get_secret_value()
        registry = Registry(url, self._cluster_id, member)
        self._subscribers.begin(registry.set_interest)
        return registry


class Clients(Farewell):
    """See `leaving.Sockets`."""

    def __init__(self, context: Context) -> None:
        super().__init__(context.sessions)
        self._context = context

    @property
    def connection_count(self) -> int:
        """See `Sockets.connection_count`."""
        return self._context.connection_count


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
