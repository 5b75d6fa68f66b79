"""What this node and the others say to each other, over links: of messages that were stored, of subscribers
whose durable subscription runs elsewhere, and of what each of them does.

Who there is to speak with is told by the leases (membership.py); a link that is up makes a node one of those
that are told of messages: of all, or if there is a registry (Redis) of what they want. That only makes
things earlier: without links each node finds what others store in the log. A durable subscription of another
node cannot be had without a link to that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

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
from conduit.cluster.reach import Reach
from conduit.cluster.sign_outs import SignOuts
from conduit.cluster.subscribing import KIND
from conduit.cluster.telling import Telling, everybody
from conduit.errors import InvalidRequest
from conduit.storage.nodes import NodeRecord

if TYPE_CHECKING:
    from conduit.cluster.registry.registry import Registry

# A look just before the time would be followed by another one.
LATE_S = 0.01

logger = logging.getLogger(__name__)


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
        self._live: Sequence[NodeRecord] = ()
        self._reach = Reach()
        self._out: frozenset[str] = frozenset()
        # When the next node may be out of reach.
        self._look_at: asyncio.TimerHandle | None = None
        self.links = Links(own, secrets, self, self, broker.turn)
        self.answering: Answering | None = None
        """What tells others what this node does."""
        self.comparing: Comparing | None = None
        """What looks whether others have the same settings."""
        self.sign_outs: SignOuts | None = None
        """What asks others which sessions were signed out."""
        self.elsewhere = elsewhere
        broker.ownership.is_meant = elsewhere.is_owner
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
        self._live = ()
        self._look()
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
        self._live = live
        self._look()

    def lease_held(self, term: int) -> None:
        """Links depend on no lease: who has lost his is told of messages as well."""

    def lease_lost(self) -> None:
        """See `lease_held`."""

    # Of the links ---------------------------------------------------------------------------------

    def link_up(self, node: Identity) -> None:
        """See `ports.Watcher.link_up`."""
        self._linked = {**self._linked, node.name: 0}
        self._broker.know_others(len(self._linked))
        self._look()
        self.elsewhere.look_again()
        if self.comparing is not None:
            self.comparing.link_up(node)
        if self.sign_outs is not None:
            self.sign_outs.link_up(node)

    def link_down(self, node: Identity, why: str) -> None:
        """See `ports.Watcher.link_down`."""
        self._linked = {name: 0 for name in self._linked if name != node.name}
        self._broker.know_others(len(self._linked))
        self._look()

    def _look(self) -> None:
        """Who is out of reach, and so has nothing that could be had here."""
        now = self.links.now()
        others = [node.incarnation for node in self._live if node.name != self._own.name]
        links = [self.links.to(node.name) for node in self._live]
        linked = {link.peer.incarnation for link in links if link is not None}
        self._reach.know(others, linked, now)
        out = self._reach.out(now)
        names = frozenset(node.name for node in self._live if node.incarnation in out)
        self._tell_of(names)
        if self._live and self.elsewhere.set_nodes(self._live, names):
            self.handing_over.look()
            self._broker.subscriptions.share(self.placement.ring, self._own.name)
        if self._look_at is not None:
            self._look_at.cancel()
        wait_s = self._reach.next_in_s(now)
        loop = asyncio.get_running_loop()
        self._look_at = None if wait_s is None else loop.call_later(wait_s + LATE_S, self._look)

    def _tell_of(self, out: frozenset[str]) -> None:
        for name in sorted(out - self._out):
            logger.warning(
                "node %s is up and cannot be reached: durable subscriptions that it should have run here"
                " meanwhile, or wherever else they can be had, unless they run there; `conduit node get %s`"
                " says why there is no link",
                name,
                name,
            )
        for name in sorted(self._out - out):
            logger.info("node %s is not out of reach any more", name)
        self._out = out

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
            return self.guests.accept(node.name, channel, body)
        raise InvalidRequest(f"this version has no channels for {kind!r}")
