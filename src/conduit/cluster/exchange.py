"""What this node and the others say to each other, over links: of messages that were stored, of subscribers
whose durable subscription runs elsewhere, and of what each of them does.

Who there is to speak with is told by the leases (membership.py); a link that is up makes a node one of those
that are told of messages: of all, or if there is a registry (Redis) of what they want. That only makes
things earlier: without links each node finds what others store in the log. A durable subscription of another
node cannot be had without a link to that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from conduit.broker.broker import Broker
from conduit.cluster.answering import Answering
from conduit.cluster.comparing import Comparing
from conduit.cluster.elsewhere import Elsewhere
from conduit.cluster.guests import Guests
from conduit.cluster.handing_over import HandingOver
from conduit.cluster.hearing import Hearing
from conduit.cluster.links.channels import Channel, ChannelUser
from conduit.cluster.links.handshake import Identity
from conduit.cluster.links.links import Links
from conduit.cluster.links.requests import Asked
from conduit.cluster.neighbours import Neighbours
from conduit.cluster.obliging import Obliging
from conduit.cluster.placement import Placement
from conduit.cluster.registry.registry import Registry
from conduit.cluster.subscribing import KIND
from conduit.cluster.telling import Telling, everybody
from conduit.errors import InvalidRequest
from conduit.storage.nodes import NodeRecord


class Exchange:
    """Make it when the node has its name; `start` it, tell it who lives, and `stop` it in the end. It is what
    links are for, and who watches them and the leases."""

    def __init__(
        self,
        broker: Broker,
        own: Identity,
        secrets: Sequence[str],
        hearing: Hearing,
        elsewhere: Elsewhere,
        registry: Registry | None = None,
    ) -> None:
        """`registry` knows which nodes want what; without it all are told everything."""
        self._broker = broker
        self._own = own
        self.registry = registry
        self._hearing = hearing
        # Name → 0: how many subscribers a node has is not known.
        self._linked: dict[str, int] = {}
        self.links = Links(own, secrets, self, self, broker.turn)
        self.answering: Answering | None = None
        """What tells others what this node does."""
        self.comparing: Comparing | None = None
        """What looks whether others have the same settings."""
        self.elsewhere = elsewhere
        self.guests = Guests(broker, own, elsewhere.is_owner)
        self.neighbours = Neighbours(own, self.links)
        self.handing_over = HandingOver(broker, elsewhere.is_owner, self.neighbours.have_all_look)
        self.obliging = Obliging(broker, own, elsewhere.is_owner)
        interest = everybody(self._everybody) if registry is None else registry.by_name
        self.interest = interest
        self.telling = Telling(broker.turn, interest, self.links)

    async def start(self) -> None:
        """Begin to link, to tell others of what is committed here, and to run durable subscriptions where the
        ring has them. Waits for nobody."""
        self.links.start()
        self.elsewhere.begin(self._own.name, self.links.to)
        if self.registry is not None:
            await self.registry.start()
        self._broker.tell_others(self.telling.forward)

    async def leave(self) -> None:
        """Serve other nodes no more: what their subscribers have out is given back. Before the progress is
        stored for the last time."""
        await self.handing_over.close()
        await self.neighbours.close()
        await self.obliging.close()
        await self.guests.close()

    async def stop(self) -> None:
        """Tell nobody any more, and end the links. `leave` comes before."""
        self._broker.tell_others(None)
        if self.registry is not None:
            await self.registry.close()
        await self.links.stop()

    @property
    def placement(self) -> Placement:
        """Which node has which durable subscription."""
        return self.elsewhere.placement

    def _everybody(self) -> Mapping[str, int]:
        return self._linked

    # Of the leases --------------------------------------------------------------------------------

    def nodes_changed(self, live: Sequence[NodeRecord]) -> None:
        """See `tenure.Watcher.nodes_changed`."""
        self.links.set_live(live)
        if self.registry is not None:
            self.registry.nodes_changed(live)
        if self.elsewhere.set_nodes(live):
            self.handing_over.look()
            self._broker.subscriptions.share(self.placement.ring, self._own.name)

    def lease_held(self, term: int) -> None:
        """Links depend on no lease: who has lost his is told of messages as well."""

    def lease_lost(self) -> None:
        """See `lease_held`."""

    # Of the links ---------------------------------------------------------------------------------

    def link_up(self, node: Identity) -> None:
        """See `ports.Watcher.link_up`."""
        self._linked = {**self._linked, node.name: 0}
        self._broker.know_others(len(self._linked))
        self.elsewhere.look_again()
        if self.comparing is not None:
            self.comparing.link_up(node)

    def link_down(self, node: Identity, why: str) -> None:
        """See `ports.Watcher.link_down`."""
        self._linked = {name: 0 for name in self._linked if name != node.name}
        self._broker.know_others(len(self._linked))

    def on_hint(self, node: Identity, body: bytes) -> None:
        """See `ports.Service.on_hint`."""
        self._hearing.heard(body)

    def on_request(self, node: Identity, asked: Asked) -> None:
        """See `ports.Service.on_request`."""
        if self.neighbours.knows(asked):
            self.neighbours.serve(asked)
        elif self.answering is None or not self.answering.serve(asked):
            self.obliging.serve(asked)

    def on_channel(self, node: Identity, channel: Channel, kind: str, body: bytes) -> ChannelUser:
        """See `ports.Service.on_channel`."""
        if kind == KIND:
            return self.guests.accept(channel, body)
        raise InvalidRequest(f"this version has no channels for {kind!r}")
