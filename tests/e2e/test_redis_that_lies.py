"""What stands in Redis of a node, and is not by it."""

from __future__ import annotations

import json
from contextlib import ExitStack

import pytest

from tests.e2e.test_nodes_in_memory import Nodes, started
from tests.support.redis import RedisServer
from tests.support.wait import until

STORES = ["memory"]
CLUSTER = "conduit:{memory-0}"


@pytest.fixture
def redis():
    made = RedisServer()
    made.start()
    yield made
    made.remove()


def presence(redis: RedisServer, name: str) -> dict[str, object]:
    """What the node says of itself."""
    found = redis.ask("SMEMBERS", f"{CLUSTER}:nodes")
    said = [json.loads(redis.ask("GET", f"{CLUSTER}:node:{each}")) for each in found]
    return next(each for each in said if each["name"] == name)


def test_a_link_stays_whatever_stands_there_of_its_node(redis: RedisServer):
    with started(f"redis://{redis.place}/0") as nodes, ExitStack() as stack:
        client = nodes.subscriber(stack, 1, "t")
        nodes.wanted(0, "t", 1)
        other = presence(redis, "node-1") | {"incarnation": "ffff", "address": "127.0.0.1:1"}
        redis.ask("SET", f"{CLUSTER}:node:ffff", json.dumps(other))
        redis.ask("SADD", f"{CLUSTER}:nodes", "ffff")
        said = ["node-1", presence(redis, "node-1")["incarnation"], 0, None, True]
        redis.ask("PUBLISH", f"{CLUSTER}:said", json.dumps(said))
        # A beat may have begun before; the next one looks who is there.
        beats = nodes.metric(0, "conduit_registry_beat_total")
        until(lambda: nodes.metric(0, "conduit_registry_beat_total") > beats + 2)
        assert nodes.are_linked()
        nodes.apis[0].publish("t", "to the one that is linked")
        until(lambda: client.receive("message")["payload"] == "to the one that is linked")
        assert _made_count(nodes) == 2


def _made_count(nodes: Nodes) -> float:
    """Links, once at each side."""
    return sum(nodes.metric(at, "conduit_link_made_total") for at in range(len(nodes.servers)))
