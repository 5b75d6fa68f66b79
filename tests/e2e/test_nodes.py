"""Servers on one PostgreSQL as nodes: who is there, who lives, and whose name is whose."""

from __future__ import annotations

import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from itertools import count
from typing import Any

import pytest

from tests.support.http import Api, accepted
from tests.support.server import RunningServer, ServerError, running_server
from tests.support.wait import DEADLINE_S, until
from tests.support.ws import WsClient

_numbers = count(1)
# What only a node itself knows.
OWN = ("connections", "owned_subscriptions", "rates", "links")
HOST = socket.gethostname()
# As long as a lease is taken to be one.
PROLONGED = "UPDATE conduit.nodes SET lease_until = clock_timestamp() + interval '5.9 s'"
# Longer than a lease lasts.
STOPPED_S = 6.0


@pytest.fixture
def url(cluster) -> str:
    return cluster.create_database(f"nodes_{next(_numbers)}")


def node(url: str, name: str, **more: str) -> AbstractContextManager[RunningServer]:
    return running_server(DATABASE_URL=url, NODE_ID=name, **more)


@pytest.fixture
def pair(url) -> Iterator[tuple[RunningServer, RunningServer]]:
    """Nodes `a` and `b`, which know each other."""
    with node(url, "a") as a, node(url, "b") as b:
        for server in (a, b):
            until(lambda server=server: states(server) == {"a": "up", "b": "up"})
        yield a, b


def nodes(server: RunningServer) -> dict[str, Any]:
    """Those that it knows, by name."""
    page = accepted(Api(server.url).get("/api/nodes"))
    assert page["next"] is None
    return {each["id"]: each for each in page["nodes"]}


def states(server: RunningServer) -> dict[str, str]:
    return {name: each["state"] for name, each in nodes(server).items()}


def metrics(server: RunningServer) -> dict[str, float]:
    text = Api(server.url).get("/metrics").body.decode()
    found = re.findall(r"^conduit_(node\S+) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


def refused(url: str, name: str) -> str:
    """The log of a server that does not start."""
    with pytest.raises(ServerError) as raised, node(url, name):
        pass
    assert str(raised.value).startswith("exited with 2\n")
    return str(raised.value)


# Who is there -------------------------------------------------------------------------------------


def test_two_nodes_see_each_other_and_each_says_what_it_does_itself(pair):
    a, b = pair
    Api(b.url).create_topic("t")
    with WsClient(b.ws_url) as client:
        client.subscribe("t", subscription="s")
        for server, own, other in ((a, "a", "b"), (b, "b", "a")):
            found = nodes(server)
            for each in found.values():
                assert each["state"] == "up"
                assert 0 <= each["lease_age_s"] < DEADLINE_S
            assert (found[own]["is_this"], found[other]["is_this"]) == (True, False)
            assert [found[other][field] for field in OWN] == [None] * len(OWN)
            assert found[own]["connections"] >= 1
            assert found[own]["owned_subscriptions"] == (own == "b")
            assert found[own]["address"] == f"{HOST}:{server.port}"
            one = accepted(Api(server.url).get(f"/api/nodes/{other}"))
            assert one["incarnation"] == found[other]["incarnation"]
            assert metrics(server)['nodes{state="up"}'] == 2
            assert metrics(server)["node_lease_held"] == 1
    unknown = Api(a.url).get("/api/nodes/c")
    assert (unknown.status, unknown.code) == (404, "node_not_found")


@pytest.mark.parametrize("database", ["", "sqlite:///conduit.db"])
def test_without_a_database_for_several_there_is_one_node(database):
    with running_server(DATABASE_URL=database, NODE_ADDR="example:80") as server:
        (only,) = nodes(server).values()
        assert (only["id"], only["state"], only["address"]) == (HOST, "up", "example:80")
        assert (only["lease_age_s"], only["is_this"]) == (None, True)
        assert metrics(server).keys() == {
            f'nodes{{state="{s}"}}' for s in ("up", "draining", "down", "left")
        }


def test_a_node_that_stops_has_left_at_once_and_its_name_is_free(url, pair):
    a, b = pair
    assert b.terminate()[0] == 0
    until(lambda: states(a)["b"] == "down", 2.0)
    a.logged("node b has left")
    with node(url, "b") as again:
        assert states(again)["b"] == "up"
        assert "without a lease" not in again.log_text()


def test_a_node_that_stood_still_is_down_for_the_others_and_comes_back_as_the_same(pair):
    a, b = pair
    before = nodes(a)["b"]["incarnation"]
    b.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    until(lambda: states(a)["b"] == "down", STOPPED_S)
    time.sleep(max(0.0, began + STOPPED_S - time.monotonic()))
    assert nodes(a)["b"]["lease_age_s"] > STOPPED_S - 2
    b.send_signal(signal.SIGCONT)
    until(lambda: states(a)["b"] == "up")
    assert nodes(a)["b"]["incarnation"] == before
    until(lambda: metrics(b)["node_lease_held"] == 1)
    assert metrics(b)["node_lease_lost_total"] == 1
    assert metrics(a)["node_lease_lost_total"] == 0


def test_when_the_database_was_away_for_longer_than_a_lease_the_nodes_have_theirs_again(cluster):
    # Stopping the one that all tests share would be noticed by others.
    own = type(cluster)()
    with ExitStack() as stack:
        stack.callback(own.remove)
        own.start()
        a = stack.enter_context(node(own.create_database(), "a"))
        own.kill()
        until(lambda: metrics(a)["node_lease_held"] == 0)
        assert states(a) == {"a": "down"}
        own.start()
        until(lambda: states(a) == {"a": "up"})
        assert metrics(a)["node_lease_lost_total"] == 1


# Whose name is whose ------------------------------------------------------------------------------


def test_a_name_that_a_living_node_has_is_refused(url):
    with node(url, "a") as a:
        before = nodes(a)["a"]
        log = refused(url, "a")
        problem = (
            f"NODE_ID: a is the name of another node, at {HOST}:{a.port}, which renews its lease"
        )
        assert f"\nerror: {problem}: give each node a NODE_ID of its own, or stop that one." in log
        assert "Traceback" not in log
        # The first one has noticed nothing.
        assert nodes(a)["a"]["incarnation"] == before["incarnation"]
        assert metrics(a)["node_lease_lost_total"] == 0
        assert states(a) == {"a": "up"}


def test_after_a_kill_a_node_of_the_same_name_serves_while_it_waits_whether_the_other_one_lives(
    url, cluster
):
    with node(url, "a") as a:
        api = Api(a.url)
        api.create_topic("t")
        before = nodes(a)["a"]["incarnation"]
        a.kill()
        # So that it is not over when a slow machine has started the next one.
        cluster.sql(PROLONGED, url.rpartition("/")[2])
        starting = threading.Thread(target=a.start)
        starting.start()
        # It answers before it is ready.
        until(lambda: is_unavailable(a))
        assert api.publish("t", 1)["seq"] == 1
        assert states(a) == {"a": "down"}
        starting.join()
        assert api.get("/health/ready").status == 200
        until(lambda: states(a) == {"a": "up"})
        found = nodes(a)["a"]
        assert found["incarnation"] != before
        a.logged("start 2 of that name")


def is_unavailable(server: RunningServer) -> bool:
    """Whether it says that it has not got its name yet."""
    try:
        answer = Api(server.url).get("/health/ready")
    except OSError:
        return False
    return (answer.status, answer.code) == (503, "unavailable")


def test_two_servers_on_one_machine_need_no_names(url):
    with running_server(DATABASE_URL=url) as a, running_server(DATABASE_URL=url) as b:
        for server, name in ((a, HOST), (b, f"{HOST}-{b.port}")):
            assert accepted(Api(server.url).get("/health"))["node_id"] == name
            until(lambda server=server: set(states(server)) == {HOST, f"{HOST}-{b.port}"})
            server.logged(f"this node is {name} at {HOST}:{server.port}")


def test_a_node_whose_name_was_taken_while_it_stood_still_ends_in_order(url):
    with node(url, "a") as first, node(url, "b") as b:
        first.send_signal(signal.SIGSTOP)
        until(lambda: states(b)["a"] == "down")
        with node(url, "a") as second:
            until(lambda: states(b)["a"] == "up")
            first.send_signal(signal.SIGCONT)
            assert first.wait()[0] == 2
            problem = f"NODE_ID: a is the name of another node, at {HOST}:{second.port}"
            first.logged(f"\nerror: {problem}")
            assert "Traceback" not in first.log_text()
            # The second one goes on.
            assert states(b) == {"a": "up", "b": "up"}
            assert nodes(b)["a"]["address"] == f"{HOST}:{second.port}"
