"""An owner with its guests, and the other side of their channels, over real links."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from conduit.cluster import subscribing
from conduit.cluster.guests import Guests
from conduit.cluster.links.channels import Channel, ChannelUser
from conduit.cluster.links.handshake import Identity
from conduit.cluster.links.link import Link
from conduit.cluster.subscribing import Asks, Joiner, Opening, Said
from conduit.errors import ConduitError
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import ClientFrame, Subscribe
from tests.broker.kit import Bench, Peer, running_broker
from tests.cluster.links.kit import Node, Recorder, linked, meet, nodes, until

encode = msgspec.json.encode


class Edge:
    """The user of a channel at the client's node. It gives credit back unless `takes` is false."""

    def __init__(self) -> None:
        self.takes = True
        self.is_heard = True
        self.stands_still = False
        """Nothing of what comes is answered until `go_on`."""
        self.peer = Peer()
        self.subscription_id = 0
        self.welcomes: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.failure: ConduitError | None = None
        self.ends: list[tuple[str, str]] = []
        self.probe_count = self.held_bytes = self.came_bytes = 0
        self.channel: Channel | None = None
        self._joiner = Joiner()
        self._unanswered_count = 0

    def on_frame(self, body: bytes) -> None:
        assert self.channel is not None
        self.came_bytes += len(body)
        if self.takes:
            self.channel.take(len(body))
        else:
            self.held_bytes += len(body)
        whole = self._joiner.add(body)
        if whole is not None:
            self._hear(whole[0], whole[1])

    def _hear(self, kind: int, data: bytes) -> None:
        if kind == Said.WELCOME:
            self.subscription_id, _, frame = subscribing.decode_welcome(data)
            peer = Peer()
            peer.write(frame)
            self.welcomes += peer.frames
        elif kind == Said.FRAMES:
            self.peer.write(data)
        elif kind == Said.ANSWER:
            peer = Peer()
            peer.write(data)
            self.answers += peer.frames
        elif kind == Said.FAILED:
            self.failure = subscribing.decode_failed(data)
        else:
            self.probe_count += 1
            self._unanswered_count += 1
            if not self.stands_still:
                self.go_on()

    def go_on(self) -> None:
        """Answer what was asked."""
        self.stands_still = False
        for _ in range(self._unanswered_count):
            self.say(Asks.HEARD if self.is_heard else Asks.UNHEARD, b"")
        self._unanswered_count = 0

    def on_credit(self) -> None:
        """There is room for more verbs."""

    def on_close(self, code: str, text: str) -> None:
        self.ends.append((code, text))

    def take(self) -> None:
        """Read on, and all that waits."""
        assert self.channel is not None
        self.takes = True
        held, self.held_bytes = self.held_bytes, 0
        self.channel.take(held)

    def say(self, kind: Asks, data: bytes) -> None:
        assert self.channel is not None
        for body in subscribing.parts(kind, data):
            assert self.channel.send(body)

    def ask(self, frame: ClientFrame) -> None:
        """What a client would send."""
        self.say(Asks.VERB, encode(frame))

    @property
    def seqs(self) -> list[int]:
        return self.peer.seqs

    @property
    def ids(self) -> list[str]:
        """Of the messages, in the order in which they came."""
        return [frame["message_id"] for frame in self.peer.of("message")]


class Owning(Recorder):
    """What links are for, at the owner."""

    guests: Guests

    def on_channel(self, node: Identity, channel: Channel, kind: str, body: bytes) -> ChannelUser:
        assert kind == subscribing.KIND
        return self.guests.accept("other", channel, body)


class Cluster:
    """A node of clients, and the owner of all subscriptions."""

    def __init__(self, edge: Node, owner: Node, bench: Bench, guests: Guests) -> None:
        self.edge = edge
        self.owner = owner
        self.bench = bench
        self.guests = guests
        self.is_owner = True

    @property
    def link(self) -> Link:
        return self.edge.link_to(self.owner)

    def open(self, *, incarnation: str = "", takes: bool = True, **fields: Any) -> Edge:
        """Subscribe."""
        user = Edge()
        user.takes = takes
        fields = {"topic": "t", "subscription": "s", **fields}
        opening = Opening(incarnation or self.owner.own.incarnation, T, encode(Subscribe(**fields)))
        body = subscribing.encode_opening(opening)
        user.channel = self.link.open(subscribing.KIND, body, user)
        return user

    async def attach(self, **fields: Any) -> Edge:
        """The same, until it is subscribed."""
        user = self.open(**fields)
        await until(lambda: user.welcomes)
        return user

    async def publish(self, count: int, topic: str = "t") -> None:
        await self.bench.publish_many(topic, count)

    async def flush(self) -> None:
        await self.bench.flush()


@asynccontextmanager
async def a_cluster(store: Any = None, **options: Any) -> AsyncIterator[Cluster]:
    async with running_broker(store, **options) as bench, nodes("edge", "owner") as (edge, owner):
        made: list[Cluster] = []
        guests = Guests(bench.broker, owner.own, lambda _tenant, _name: made[0].is_owner)
        recorder = owner.recorder = Owning()
        recorder.guests = guests
        owner.links.service = recorder
        made.append(Cluster(edge, owner, bench, guests))
        meet(edge, owner)
        await linked(edge, owner)
        try:
            yield made[0]
        finally:
            await guests.close()
