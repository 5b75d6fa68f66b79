"""`/api/route`: which nodes things are at, for operators"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated

from fastapi import Query, Response
from pydantic import Field

from conduit.cluster.subscribers import DURABLE
from conduit.errors import InvalidRequest, Unavailable
from conduit.names import SUBSCRIPTION_SCHEMA, TOPIC_SCHEMA, check_subscription, check_topic
from conduit.protocol.node_records import RouteAnswer, SubscriptionRoute, TopicNode, TopicRoute
from conduit.server.context import Context
from conduit.server.rest.access import Watching
from conduit.server.rest.inputs import QueryModel, Shared, Text
from conduit.server.rest.replies import answers, reply
from conduit.server.rest.routing import routes

NO_NODE = "no node takes subscriptions: none has a lease that is not draining"
_NOBODY: Mapping[str, int] = {}

router = routes("/api/route", "nodes")


class RouteQuery(QueryModel):
    """What to look for: one of them, or both."""

    subscription: Text | None = Field(
        None,
        description="The name of a durable subscription, which need not exist.",
        json_schema_extra=SUBSCRIPTION_SCHEMA,
    )
    topic: Text | None = Field(
        None,
        description="The name of a topic, which need not exist.",
        json_schema_extra=TOPIC_SCHEMA,
    )


@router.get("", responses=answers(RouteAnswer, "invalid_name", "invalid_topic"))
async def get_route(
    shared: Shared, caller: Watching, query: Annotated[RouteQuery, Query()]
) -> Response:
    """Look which node has a durable subscription, and which nodes are told of a topic's messages."""
    if query.subscription is None and query.topic is None:
        raise InvalidRequest("name a subscription, or a topic", field="subscription")
    subscription = topic = None
    with suppress(Unavailable):
        # Who is where is known without the store as well.
        await shared.broker.news.catch_up()
    if query.subscription is not None:
        name = check_subscription(query.subscription)
        subscription = _subscription(shared, caller.tenant, name)
    if query.topic is not None:
        topic = _topic(shared, caller.tenant, check_topic(query.topic))
    return reply(RouteAnswer(subscription, topic))


def _subscription(shared: Context, tenant: str, name: str) -> SubscriptionRoute:
    exists = shared.broker.subscriptions.has(tenant, name)
    if shared.exchange is not None:
        node, reason = shared.exchange.placement.owner_of(tenant, name), NO_NODE
    else:
        reason = not_placed(shared) or ""
        node = None if reason else shared.node.name
    return SubscriptionRoute(name, exists, node, None if node is not None else reason)


def not_placed(shared: Context) -> str | None:
    """Why durable subscriptions are not where the ring says; None if they are, or there is one node alone."""
    if shared.exchange is not None:
        return None
    if shared.meeting is not None:
        return (
            "without a database each node has its own log and its own subscriptions: this is how it is at"
            f" node {shared.node.name}; ask the others themselves"
        )
    if shared.asking.others():
        return "without INTERNAL_SECRET it is at the node at which somebody has attached to it last"
    return None


def _topic(shared: Context, tenant: str, name: str) -> TopicRoute:
    [own_count] = shared.own_state.subscribers(tenant, [name])
    nodes = {shared.node.name: TopicNode(shared.node.name, own_count)} if own_count else {}
    by, wanting = "log", _NOBODY
    if shared.exchange is not None:
        by = "links" if shared.exchange.registry is None else "redis"
        wanting = shared.exchange.interest.wanting(tenant, name)
    elif shared.meeting is not None:
        by, wanting = "redis", shared.meeting.registry.by_name.wanting(tenant, name)
    for other, count in wanting.items():
        nodes[other] = TopicNode(other, count % DURABLE if count else None)
    exists = shared.broker.topics.find(tenant, name) is not None
    return TopicRoute(name, exists, by, [nodes[each] for each in sorted(nodes)])
