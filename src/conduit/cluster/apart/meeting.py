"""This node among others that share no log with it: who they are is said in Redis, what they store over
links.

There are no leases. A node says in Redis every second that it is there, for five, and where it is reached; it
is one of those that are dealt with as long as it is seen there, or there is a link to it
(core/acquainted.py). So when Redis goes, everything goes on with the nodes that were there; only those that
begin meanwhile are not found.

What is stored at one node is told to those that want it, whole, and appended to their logs (copying.py). What
is dropped on the way is lost for them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence

from conduit.broker.broker import Broker
from conduit.broker.topics import Topic
from conduit.cluster.answering import Answering
from conduit.cluster.apart import topics
from conduit.cluster.apart.copying import Copying
from conduit.cluster.apart.topics import TopicFinder
from conduit.cluster.comparing import Comparing
from conduit.cluster.links.channels import Channel, ChannelUser
from conduit.cluster.links.handshake import Identity
from conduit.cluster.links.link import Link
from conduit.cluster.links.links import Links
from conduit.cluster.links.requests import Asked
from conduit.cluster.registry.claiming import WAIT_S, holder
from conduit.cluster.registry.registry import Registry
from conduit.cluster.roster import NodeView
from conduit.cluster.subscribers import DURABLE, Subscribers
from conduit.cluster.telling import Telling
from conduit.core.acquainted import Acquainted
from conduit.core.members import Member, Node
from conduit.core.message import NewMessage
from conduit.core.wants import Wants
from conduit.errors import ConfigError, InvalidRequest

# In Redis all of them are one cluster; those on PostgreSQL have names of their own.
CLUSTER_ID = "memory"
# Between two lines about what could not be sent.
TELL_INTERVAL_S = 60.0
# What nodes that share no log cannot do while they do not hear each other, in words for the log.
WITHOUT_LINK = "nothing that is published at one comes to the subscribers of the other"
WITHOUT_REDIS = (
    "Nodes that are linked go on, and send each other everything; those that start meanwhile are not"
    " found"
)

logger = logging.getLogger(__name__)


class Meeting:
    """Make it when the broker has started, before anybody subscribes; `start` it, and `stop` it in the end.
    It is what links are for, and who watches them."""

    def __init__(
        self, broker: Broker, own: Member, secrets: Sequence[str], redis_url: str, database: int
    ) -> None:
        """`database` is the number in the URL: channels of Redis are the same in all of them."""
        self._broker = broker
        self._acquainted = Acquainted()
        self._is_looking = False
        self._own, self._redis_url = own, redis_url
        self._cluster_id = f"{CLUSTER_ID}-{database}"
        self.registry = Registry(
            redis_url, self._cluster_id, own, self._changed, meanwhile=WITHOUT_REDIS
        )
        identity = Identity(own.name, own.incarnation)
        self.links = Links(identity, secrets, self, self, broker.turn)
        self.answering: Answering | None = None
        """What answers what others ask of this node."""
        self.comparing: Comparing | None = None
        """What looks whether others have the same settings."""
        self.links.without, self.links.own_address = WITHOUT_LINK, own.address
        # Of this node; a bound is on what others keep of it.
        self._wants = Wants(max_count=1 << 31)
        self._subscribers = Subscribers()
        self.copying = Copying(broker, self._is_wanted)
        self._finder = TopicFinder(broker.topics, self._linked)
        self.telling = Telling(broker.turn, self.registry.by_name, self, tells_retention=True)
        self._tell_at = float("-inf")

    async def claim(self) -> None:
        """Look whether the name of this node is free, before `start`. Raises ConfigError if another node that
        lives has it; without an answer of Redis it is free. Waits for seconds at most."""
        found = await holder(self._redis_url, self._cluster_id, self._own)
        if found is None:
            return
        raise ConfigError(
            [
                f"NODE_ID: {found.name} is the name of another node, at {found.address}, which says in Redis"
                " every second that it is there: give each node a NODE_ID of its own, or stop that one. The"
                f" name is free as soon as it has stopped, and {WAIT_S:g} s after it was killed. Two clusters"
                " on one Redis need different database numbers in REDIS_URL."
            ]
        )

    async def start(self) -> None:
        """Say that this node is there, link with others, and tell them of what is committed here. Waits for
        nobody."""
        router = self._broker.router
        router.on_count, router.on_durable = self._subscribers.changed, self._subscribers.durable
        self._subscribers.begin(self._set_interest)
        self._broker.news.find_topics = self._finder.find
        # From now on this says who is there, and not Redis alone.
        self.registry.nodes_changed(())
        self.links.start()
        await self.registry.start()
        self._broker.tell_others(self._forward)

    async def stop(self) -> None:
        """Tell and take nothing any more, say goodbye, and end the links. What was published is to be
        answered before."""
        self._broker.tell_others(None)
        self._broker.news.find_topics = None
        self.copying.close()
        await self.registry.close()
        await self.links.stop()

    # What there is to see -------------------------------------------------------------------------

    def views(self) -> list[NodeView]:
        """The other nodes, by name."""
        return [
            NodeView(
                id=member.name,
                incarnation=member.incarnation,
                address=member.address,
                version=member.version,
                # Nobody says it there.
                protocol=0,
                number=1,
                state="up",
                started_at_ms=member.since_ms,
                lease_age_s=None,
                has_left=False,
            )
            for member in self._acquainted.nodes
        ]

    # What is wanted here, and told ----------------------------------------------------------------

    def _set_interest(self, tenant: str, subscription: str, pattern: str, count: int) -> None:
        self._wants.put((tenant, subscription, pattern), count)
        self.registry.set_interest(tenant, subscription, pattern, count)

    def _is_wanted(self, tenant: str, topic: str) -> bool:
        return self._wants.count(tenant, topic) is not None

    def _forward(self, topic: Topic, messages: Sequence[NewMessage], first_seq: int) -> int:
        """See `outcome.Forward`: what has come from others is not told again."""
        coming = self.copying.coming
        if coming:
            messages = [each for each in messages if each.message_id not in coming]
            if not messages:
                return 0
        return self.telling.forward(topic, messages, first_seq) % DURABLE

    def send_hint(self, names: Iterable[str], body: bytes) -> int:
        """See `telling.Sender`."""
        names = tuple(names)
        sent_count = self.links.send_hint(names, body)
        now = asyncio.get_running_loop().time()
        if sent_count < len(names) and now >= self._tell_at:
            self._tell_at = now + TELL_INTERVAL_S
            missed = ", ".join(name for name in names if self.links.to(name) is None)
            logger.warning(
                "messages are lost for subscribers at other nodes (%s): conduit_hint_dropped_total counts on",
                f"there is no link to {missed}" if missed else "too much waits to be sent",
            )
        return sent_count

    # Who is there ---------------------------------------------------------------------------------

    def _changed(self) -> None:
        """Who is seen or linked has changed; it is looked at after this turn, since links may be just
        closing."""
        if not self._is_looking:
            self._is_looking = True
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self._is_looking = False
        self._acquainted.look(self.registry.nodes()[1:])
        nodes = self._acquainted.nodes
        self.registry.nodes_changed(nodes)
        self.links.set_live(nodes)

    def _linked(self) -> list[Link]:
        found = (self.links.to(member.name) for member in self._acquainted.nodes)
        return [link for link in found if link is not None]

    # Of the links ---------------------------------------------------------------------------------

    def link_up(self, node: Identity) -> None:
        """See `ports.Watcher.link_up`."""
        self._acquainted.link_up(Node(node.name, node.incarnation))
        if self.comparing is not None:
            self.comparing.link_up(node)

    def link_down(self, node: Identity, why: str) -> None:
        """See `ports.Watcher.link_down`."""
        self._acquainted.link_down(Node(node.name, node.incarnation))
        self._changed()

    def on_hint(self, node: Identity, body: bytes) -> None:
        """See `ports.Service.on_hint`."""
        self.copying.heard(body)

    def on_request(self, node: Identity, asked: Asked) -> None:
        """See `ports.Service.on_request`."""
        if self.answering is not None and self.answering.serve(asked):
            return
        if asked.kind != topics.KIND:
            raise InvalidRequest(f"this version answers no {asked.kind!r}")
        topics.answer(self._broker.topics, asked)

    def on_channel(self, node: Identity, channel: Channel, kind: str, body: bytes) -> ChannelUser:
        """See `ports.Service.on_channel`."""
        raise InvalidRequest(f"nodes that share no log have no channels for {kind!r}")
