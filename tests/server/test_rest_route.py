"""Where things are, of nodes that share no log; of others see tests/e2e/test_cluster_answers.py."""

from __future__ import annotations

from conduit.cluster.apart.meeting import Meeting
from conduit.cluster.subscribers import DURABLE
from conduit.core.members import Node
from conduit.names import DEFAULT_TENANT as T
from tests.server.rest_kit import running_api
from tests.support.registries import member


async def test_without_a_database_a_node_speaks_for_itself_and_counts_others_as_redis_tells():
    async with running_api() as api:
        meeting = Meeting(
            api.bench.broker, member("node-1"), ["a-secret-of-nodes"], "redis://127.0.0.1:1", 0
        )
        api.context.meeting, api.context.node.others = meeting, meeting.views
        await api.topic("t")
        await api.bench.subscribe("t", subscription="s")
        found = await api.get("/api/route", subscription="s", topic="t")
        subscription, topic = found["subscription"], found["topic"]
        assert (subscription["exists"], subscription["node"]) == (True, None)
        assert "each node has its own log" in subscription["reason"]
        assert "node-1" in subscription["reason"]
        assert (topic["by"], topic["nodes"]) == ("redis", [{"id": "node-1", "subscribers": 1}])
        # Of the first nobody knows yet what it wants.
        interest, known = meeting.registry._others.interest, Node("n3", "y")
        interest.set_nodes([Node("n2", "x"), known])
        interest.begin(known, 1)
        interest.load(known, [((T, "", "t"), 2), ((T, "durable", "t"), DURABLE + 1)])
        interest.end(known, 1)
        topic = (await api.get("/api/route", topic="t"))["topic"]
        assert topic["nodes"] == [
            {"id": "n2", "subscribers": None},
            {"id": "n3", "subscribers": 3},
            {"id": "node-1", "subscribers": 1},
        ]
