"""Nodes of this version and of one before it, while a cluster is upgraded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count

import pytest

from tests.support.former import VERSION
from tests.support.http import accepted
from tests.support.nodes import SECRET, Cluster, node, owned_by, taken, taken_on_the_move
from tests.support.server import running_server
from tests.support.wait import until
from tests.support.ws import Refused, WsClient

NAMES = ["new", "old"]

_numbers = count(1)


@pytest.fixture
def mixed(cluster) -> Iterator[Cluster]:
    """`new`, and `old`, which is of a version before."""
    url = cluster.create_database(f"versions_{next(_numbers)}")
    with ExitStack() as stack:
        new = stack.enter_context(running_server(**node(url, "new", SECRET)))
        old = stack.enter_context(
            running_server(**node(url, "old", SECRET), program="tests.support.former")
        )
        found = Cluster([new, old])
        until(lambda: found.links_up() == 2)
        yield found


def test_what_is_published_and_made_at_one_is_known_at_the_other(mixed):
    new, old = mixed.apis
    new.create_topic("of.new")
    old.create_topic("of.old")
    for api in mixed.apis:
        accepted(api.get("/api/topics/of.new"))
        accepted(api.get("/api/topics/of.old"))
    with WsClient(mixed.servers[0].ws_url) as at_new, WsClient(mixed.servers[1].ws_url) as at_old:
        at_new.subscribe("of.*", ack="auto")
        at_old.subscribe("of.*", ack="auto")
        for n in range(20):
            mixed.apis[n % 2].publish("of.new", n)
        for client in (at_new, at_old):
            assert [frame["payload"] for frame in client.messages(20)] == [*range(20)]
    versions = {each["id"]: each["version"] for each in new.get("/api/nodes").json["nodes"]}
    assert versions["old"] == VERSION != versions["new"]


def test_what_the_older_one_cannot_do_is_said_and_done_once_it_is_upgraded(mixed):
    new, old = mixed.servers
    name = owned_by("old", of=NAMES)
    mixed.apis[0].create_topic("t")
    with WsClient(old.ws_url) as client:
        client.subscribe("t", subscription=name)
        for n in range(4):
            mixed.apis[0].publish("t", n)
        assert taken(client, 2) == [0, 1]
    with WsClient(new.ws_url) as client:
        with pytest.raises(Refused, match="is of another version") as refused:
            client.subscribe("t", subscription=name)
        assert refused.value.code == "unavailable"
    answer = mixed.apis[0].post(f"/api/subscriptions/{name}/seek", {"start": "earliest"})
    assert answer.status == 503
    assert "nothing was done" in answer.json["detail"]
    assert accepted(mixed.apis[0].get("/api/stats"))["unanswered"] == ["old"]
    old.terminate()
    old.program = "conduit"
    old.start()
    until(lambda: mixed.links_up() == 2)
    with WsClient(new.ws_url) as client:
        client.subscribe("t", subscription=name)
        assert taken(client, 2) == [2, 3]
    assert accepted(mixed.apis[0].get("/api/stats"))["unanswered"] == []


def test_a_subscriber_of_the_newer_one_is_there_when_an_older_one_has_its_subscription(mixed):
    """It was served here as long as the older one was away; that one has it now, and is upgraded later."""
    new, old = mixed.servers
    name = owned_by("old", of=NAMES)
    mixed.apis[0].create_topic("t")
    old.terminate()
    with WsClient(new.ws_url) as client:
        until(lambda: accepted(mixed.apis[0].get("/api/stats"))["nodes"] == ["new"])
        client.subscribe("t", subscription=name)
        mixed.apis[0].publish("t", 1)
        assert taken(client, 1) == [1]
        old.start()
        until(lambda: mixed.links_up() == 2)
        mixed.apis[0].publish("t", 2)
        old.terminate()
        old.program = "conduit"
        old.start()
        mixed.apis[0].publish("t", 3)
        assert taken_on_the_move(client, 2) == [2, 3]
