"""The ring, as one node has it; with others see tests/e2e/test_cluster_answers.py."""

from __future__ import annotations

from conduit.cluster.apart.meeting import Meeting
from conduit.core.ring import SIZE, VIRTUAL_NODES_COUNT, Ring
from tests.server.rest_kit import running_api
from tests.support.registries import member


async def test_one_node_alone_has_all_of_the_ring():
    async with running_api() as api:
        found = await api.get("/api/ring")
        name = api.context.node.name
        assert found["nodes"] == [{"id": name, "share": 1.0}]
        assert (found["size"], found["reason"]) == (SIZE, None)
        assert found["places"] == [[at, 0] for at, _ in Ring([name]).places()]
        assert len(found["places"]) == VIRTUAL_NODES_COUNT


async def test_where_nothing_is_by_the_ring_it_says_so():
    async with running_api() as api:
        meeting = Meeting(
            api.bench.broker, member("node-1"), ["a-secret-of-nodes"], "redis://127.0.0.1:1", 0
        )
        api.context.meeting, api.context.node.others = meeting, meeting.views
        found = await api.get("/api/ring")
        assert (found["nodes"], found["places"]) == ([], [])
        assert "each node has its own log" in found["reason"]


async def test_a_node_says_how_late_its_loop_is():
    async with running_api() as api:
        api.bench.broker.stats.loop_lateness.add(0.25, api.bench.broker.clock.now())
        (node,) = (await api.get("/api/nodes"))["nodes"]
        assert node["loop_lag_s"] == 0.25
