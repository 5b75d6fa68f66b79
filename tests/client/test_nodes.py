"""What is sent for nodes, and what comes of the answers."""

from __future__ import annotations

import pytest

from conduit.client import ApiError, NodeDrain, NodeRates, RingNode, SubscriptionRoute, TopicNode
from tests.client.peer import Frame, answer, problem
from tests.client.test_access import said

RATES = {
    "messages_per_sec": 1523.4,
    "deliveries_per_sec": 18280.8,
    "acks_per_sec": 0.0,
    "redeliveries_per_sec": 0.0,
    "dead_letters_per_sec": 0.0,
}
THIS: Frame = {
    "id": "east-2",
    "incarnation": "01a228b1-e211-704b-a6d2-c456de57377f",
    "address": "east-2:8080",
    "version": "0.1.0",
    "state": "up",
    "lease_age_s": 0.312,
    "started_at": "2026-11-29T19:04:36.469Z",
    "is_this": True,
    "connections": 14,
    "owned_subscriptions": 3,
    "rates": RATES,
    "links": [],
    "loop_lag_s": 0.0012,
    "phase": "serving",
    "unanswered": None,
}
OTHER: Frame = THIS | {
    "id": "east-1",
    "is_this": False,
    "connections": None,
    "owned_subscriptions": None,
    "rates": None,
    "links": None,
    "unanswered": "there is no link to node east-1",
}


async def test_nodes_come_in_pages_and_each_says_whether_it_is_the_one_that_answers() -> None:
    found, lines, _ = await said(
        lambda client: client.nodes.find(),
        answer(200, {"nodes": [OTHER], "next": "c1"}),
        answer(200, {"nodes": [THIS], "next": None}),
    )
    assert lines == ["GET /api/nodes?limit=100", "GET /api/nodes?limit=100&cursor=c1"]
    assert [(node.id, node.is_this) for node in found] == [("east-1", False), ("east-2", True)]
    assert found[0].rates is None
    assert found[1].rates == NodeRates(**RATES)


async def test_one_is_asked_for_by_its_name() -> None:
    node, lines, _ = await said(lambda client: client.nodes.get("a/b"), answer(200, THIS))
    assert (node.state, lines) == ("up", ["GET /api/nodes/a%2Fb"])
    with pytest.raises(ApiError) as raised:
        await said(lambda client: client.nodes.get("x"), problem(404, "node_not_found"))
    assert raised.value.code == "node_not_found"


ROUTE: Frame = {
    "subscription": {"name": "s", "exists": True, "node": "east-1", "reason": None},
    "topic": {
        "name": "t",
        "exists": True,
        "by": "redis",
        "nodes": [{"id": "east-1", "subscribers": None}, {"id": "east-2", "subscribers": 3}],
    },
}


async def test_a_route_is_asked_for_by_subscription_topic_or_both() -> None:
    found, lines, _ = await said(
        lambda client: client.nodes.route(subscription="s", topic="t"), answer(200, ROUTE)
    )
    assert lines == ["GET /api/route?subscription=s&topic=t"]
    assert found.subscription == SubscriptionRoute("s", True, "east-1", None)
    assert found.topic is not None
    assert found.topic.nodes == [TopicNode("east-1", None), TopicNode("east-2", 3)]
    found, lines, _ = await said(
        lambda client: client.nodes.route(topic="t"), answer(200, ROUTE | {"subscription": None})
    )
    assert (lines, found.subscription) == (["GET /api/route?topic=t"], None)


RING: Frame = {
    "nodes": [{"id": "east-1", "share": 0.25}, {"id": "east-2", "share": 0.75}],
    "places": [[5, 1], [9, 0], [12, 1]],
    "size": 4_294_967_296,
    "reason": None,
}


async def test_the_ring_is_asked_for() -> None:
    found, lines, _ = await said(lambda client: client.nodes.ring(), answer(200, RING))
    assert lines == ["GET /api/ring"]
    assert (found.nodes[1], found.places[0]) == (RingNode("east-2", 0.75), [5, 1])


async def test_figures_are_of_all_nodes_or_of_the_one_that_is_named() -> None:
    figures = {"messages_per_sec": 1.5, "nodes": ["a", "b"], "unanswered": []}
    found, lines, _ = await said(lambda client: client.stats(), answer(200, figures))
    assert (found, lines) == (figures, ["GET /api/stats"])
    _, lines, _ = await said(lambda client: client.stats(node="a b"), answer(200, figures))
    assert lines == ["GET /api/stats?node=a+b"]
    with pytest.raises(ApiError) as raised:
        await said(lambda client: client.stats(node="c"), problem(503, "node_unreachable"))
    assert raised.value.retryable


async def test_a_node_is_drained_and_serves_again() -> None:
    drained = {
        "id": "a/b",
        "state": "draining",
        "phase": "alone",
        "connections": 1,
        "owned_subscriptions": 2,
        "problem": "no other node is up",
    }
    found, lines, _ = await said(lambda client: client.nodes.drain("a/b"), answer(200, drained))
    assert found == NodeDrain(**drained)
    assert lines == ["POST /api/nodes/a%2Fb/drain"]
    drained |= {"state": "up", "phase": "serving", "problem": None}
    found, lines, _ = await said(lambda client: client.nodes.undrain("a/b"), answer(200, drained))
    assert (found.phase, lines) == ("serving", ["DELETE /api/nodes/a%2Fb/drain"])
    with pytest.raises(ApiError) as raised:
        await said(lambda client: client.nodes.drain("x"), problem(503, "node_unreachable"))
    assert raised.value.code == "node_unreachable"
