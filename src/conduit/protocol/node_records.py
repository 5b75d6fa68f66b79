"""What is answered over HTTP about nodes: as in records.py."""

from __future__ import annotations

import msgspec


class NodeRates(msgspec.Struct, frozen=True):
    """Events in a second, as means of the last ten seconds."""

    messages_per_sec: float
    deliveries_per_sec: float
    acks_per_sec: float
    redeliveries_per_sec: float
    dead_letters_per_sec: float


class NodeLink(msgspec.Struct, frozen=True):
    """The link of a node to another one.

    `state`: `up`; `dialing`, if this node tries to make it; `awaited`, if the other one has to.
    """

    id: str
    """Of the other one."""
    state: str
    for_s: float
    """How long it has been so."""
    round_trip_s: float | None
    """Of the last ping."""
    queue_bytes: int
    """What waits to be sent."""
    last_error: str | None
    """Why there was no link when there was none last."""


class NodeAnswer(msgspec.Struct, frozen=True):
    """One node. What only a node itself knows is null, with the reason in `unanswered`, if it has not said it
    within a second.

    `state`: `up`; `draining`, if it takes nothing new; `down`, if it has no lease. Without a database that
    several may share there are no leases: those that are listed are up.
    """

    id: str
    """Its name, `NODE_ID`."""
    incarnation: str
    """Another one for each start of the process."""
    address: str
    version: str
    state: str
    lease_age_s: float | None
    """How long ago its lease was renewed, which happens each second; of one that has left, how long ago that
    was. Null: it had none yet, or needs none."""
    started_at: str
    is_this: bool
    """Whether it is the one that answers."""
    connections: int | None
    owned_subscriptions: int | None
    """Durable subscriptions that run there."""
    rates: NodeRates | None
    links: list[NodeLink] | None
    """To the other live nodes, by their ids; none where the cluster has no INTERNAL_SECRET."""
    unanswered: str | None = None
    """Why these four are null."""
    loop_lag_s: float | None = None
    """How long something that was due has waited for its turn there: the longest of the last ten seconds.
    Null with those, and of a version that does not say it."""
    phase: str | None = None
    """How far it is in leaving or coming back, as in `NodeDrain`. Null with those, where no node can leave,
    and of a version that does not say it."""


class NodeList(msgspec.Struct, frozen=True):
    """A page of nodes, by id. Those that are down are listed for an hour."""

    nodes: list[NodeAnswer]
    next: str | None


class RingNode(msgspec.Struct, frozen=True):
    """A node on the ring, and how much of it it has: of 1."""

    id: str
    share: float


class RingAnswer(msgspec.Struct, frozen=True):
    """The consistent-hash ring that says which node has which durable subscription, as the node has it that
    answers.

    `places`: pairs of a place on a ring of `size` places and the index of a node in `nodes`, which has what
    lies before it, back to the place before. Empty, with the `reason`, where nothing is by the ring.
    """

    nodes: list[RingNode]
    places: list[list[int]]
    size: int
    reason: str | None


class SubscriptionRoute(msgspec.Struct, frozen=True):
    """Where a durable subscription is. `exists`: whether there is one; where it would be is known anyway.
    Nodes without a database have each its own: then `exists` is of the node that answers."""

    name: str
    exists: bool
    node: str | None
    """The node that the ring has for it."""
    reason: str | None
    """Why that is null."""


class TopicNode(msgspec.Struct, frozen=True):
    """A node that is told of the messages of a topic."""

    id: str
    subscribers: int | None
    """How many it has; null: that is not known here, and it is told of everything."""


class TopicRoute(msgspec.Struct, frozen=True):
    """Where messages of a topic go that are published at the node which answers: to its own subscribers, and
    to other nodes.

    `by`: `redis`, which knows what nodes want; `links`, where all that are linked are told of everything; or
    `log`, in which the other nodes find them. Nodes without a database have each its own topics: `exists` is
    of the node that answers.
    """

    name: str
    exists: bool
    by: str
    nodes: list[TopicNode]


class RouteAnswer(msgspec.Struct, frozen=True):
    """Which nodes things are at, as the node knows that answers. What was not asked for is null."""

    subscription: SubscriptionRoute | None
    topic: TopicRoute | None
