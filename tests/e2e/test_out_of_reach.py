"""Nodes that live and cannot be reached by others: what they should have run runs elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count

import pytest

from tests.support.http import Api, accepted
from tests.support.nodes import SECRET, Cluster, node, owned_by, taken, taken_on_the_move
from tests.support.server import running_server
from tests.support.wait import until
from tests.support.ws import WsClient

NAMES = ["a", "b", "odd"]

_numbers = count(1)


@pytest.fixture
def url(cluster) -> str:
    return cluster.create_database(f"reach_{next(_numbers)}")


@pytest.fixture
def pair(url) -> Iterator[Cluster]:
    """`a` and `b`, which are linked."""
    with ExitStack() as stack:
        found = Cluster(
            [stack.enter_context(running_server(**node(url, name, SECRET))) for name in "ab"]
        )
        until(lambda: found.links_up() == 2)
        yield found


def nodes_up(api: Api) -> int:
    return sum(each["state"] == "up" for each in api.get("/api/nodes").json["nodes"])


def test_what_a_node_with_another_secret_should_run_is_served_all_the_same(url, pair):
    """It comes while there are subscribers; once it has the right secret, it has its share."""
    here = pair.apis[0]
    here.create_topic("t")
    name = owned_by("odd", of=NAMES)
    with WsClient(pair.servers[0].ws_url) as one, WsClient(pair.servers[1].ws_url) as two:
        one.subscribe("t", subscription=name, max_in_flight=1)
        two.subscribe("t", subscription=name, max_in_flight=1)
        odd_settings = node(url, "odd", "another-secret-of-nobody")
        with running_server(**odd_settings) as odd:
            until(lambda: route_to(here, name) == "odd")
            for n in range(4):
                here.publish("t", n)
            found = [taken_on_the_move(one, 1), taken_on_the_move(two, 1)]
            found += [taken_on_the_move(one, 1), taken_on_the_move(two, 1)]
            assert sorted(n for each in found for n in each) == [0, 1, 2, 3]
            for server, api in zip(pair.servers, pair.apis, strict=True):
                until(lambda of=server: "odd is up and cannot be reached" in of.log_text())
                until(lambda of=api: route_to(of, name) in ("a", "b"))
            odd.env["INTERNAL_SECRET"] = SECRET
            odd.restart()
            until(lambda: pair.links_up() == 4)
            until(lambda: route_to(pair.apis[1], name) == "odd")
            here.publish("t", 4)
            here.publish("t", 5)
            assert sorted(taken_on_the_move(one, 1) + taken_on_the_move(two, 1)) == [4, 5]


def route_to(api: Api, name: str) -> str | None:
    node_name: str | None = accepted(api.get("/api/route", subscription=name))["subscription"][
        "node"
    ]
    return node_name


def test_of_two_nodes_without_a_link_each_serves_what_the_other_one_has_not(url):
    names = NAMES[:2]
    with (
        running_server(**node(url, "a", SECRET)) as a,
        running_server(**node(url, "b", "another-secret-of-nobody")) as b,
    ):
        api = Api(a.url)
        until(lambda: nodes_up(api) == 2)
        api.create_topic("t")
        with WsClient(a.ws_url) as at_a, WsClient(b.ws_url) as at_b:
            mine, yours = owned_by("a", of=names), owned_by("b", of=names)
            a.logged("node b is up and cannot be reached")
            b.logged("node a is up and cannot be reached")
            at_a.subscribe("t", subscription=yours)
            at_b.subscribe("t", subscription=mine)
            api.publish("t", 1)
            assert (taken(at_a, 1), taken(at_b, 1)) == ([1], [1])
