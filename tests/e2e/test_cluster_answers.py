"""What is asked of one server of several is answered for all, and names those that are not in the answer."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any

import pytest

from tests.support.access import Guarded, Signed, guarded_server, id_of
from tests.support.http import accepted
from tests.support.nodes import SECRET, Cluster, node
from tests.support.redis import RedisServer
from tests.support.server import running_server
from tests.support.wait import until
from tests.support.ws import WsClient

NAMES = ("a", "b")
OWN = ("connections", "owned_subscriptions", "rates", "links")

_numbers = count(1)


@contextmanager
def linked(url: str, **more: str) -> Iterator[Cluster]:
    """Nodes `a` and `b`, linked."""
    with ExitStack() as stack:
        made = [
            stack.enter_context(running_server(**node(url, name, SECRET), **more)) for name in NAMES
        ]
        found = Cluster(made)
        until(lambda: found.links_up() == 2)
        yield found


@pytest.fixture
def url(cluster) -> str:
    return cluster.create_database(f"answers_{next(_numbers)}")


@pytest.fixture
def pair(url) -> Iterator[Cluster]:
    with linked(url) as found:
        yield found


def stats(found: Cluster, at: int = 0, **query: str) -> dict[str, Any]:
    return accepted(found.apis[at].get("/api/stats", **query))


def at_owner(found: Cluster, subscription: str) -> int:
    """Which of them has the subscription."""
    route = accepted(found.apis[0].get("/api/route", subscription=subscription))
    return NAMES.index(route["subscription"]["node"])


@contextmanager
def standing_still(found: Cluster) -> Iterator[None]:
    """Node `b` does, for less than its lease lasts: one whose lease has ended is down, and is not asked."""
    found.servers[1].send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        found.servers[1].send_signal(signal.SIGCONT)
        until(lambda: stats(found)["nodes"] == list(NAMES))


def test_who_is_attached_is_told_with_the_node_of_each_wherever_it_is_asked(pair):
    pair.apis[0].create_topic("t")
    with WsClient(pair.servers[0].ws_url) as one, WsClient(pair.servers[1].ws_url) as two:
        one.subscribe("t", subscription="s")
        two.subscribe("t", subscription="s")
        for api in pair.apis:
            found = accepted(api.get("/api/subscriptions/s/subscribers"))
            assert (found["count"], found["by_node"]) == (2, {"a": 1, "b": 1})
            assert sorted(each["node"] for each in found["subscribers"]) == ["a", "b"]


def test_all_nodes_have_the_same_ring(pair):
    one, other = (accepted(api.get("/api/ring")) for api in pair.apis)
    assert one == other
    assert [node["id"] for node in one["nodes"]] == list(NAMES)
    assert round(sum(node["share"] for node in one["nodes"]), 3) == 1
    assert len(one["places"]) == 300


# Figures ------------------------------------------------------------------------------------------


def test_stats_are_sums_at_every_node_and_of_one_node_where_that_is_named(pair):
    here, there = pair.apis
    here.create_topic("t")
    with WsClient(pair.servers[0].ws_url) as one, WsClient(pair.servers[1].ws_url) as two:
        one.subscribe("t", ack="auto")
        two.subscribe("t", ack="auto")
        for n in range(3):
            here.publish("t", n)
        there.publish("t", 3)
        one.messages(4)
        two.messages(4)
        for at in (0, 1):
            seen = until(lambda at=at: is_counted(stats(pair, at)))
            assert (seen["total_messages"], seen["total_deliveries"]) == (4, 8)
            assert (seen["active_subscribers"], seen["active_topics"]) == (2, 1)
            assert (seen["nodes"], seen["unanswered"], seen["unanswered_count"]) == (
                ["a", "b"],
                [],
                0,
            )
            assert seen["connections"] >= 2
            of_a, of_b = (stats(pair, at, node=name) for name in NAMES)
            assert (of_a["total_messages"], of_b["total_messages"]) == (3, 1)
            assert (of_a["active_subscribers"], of_b["active_subscribers"]) == (1, 1)
            assert (of_a["nodes"], of_b["nodes"]) == (["a"], ["b"])
    for path in ("/api/stats", "/api/stats/history"):
        unknown = here.get(path, node="c")
        assert (unknown.status, unknown.code) == (404, "node_not_found")


def is_counted(seen: dict[str, Any]) -> dict[str, Any] | None:
    """Rates are brought up to date each second."""
    return seen if seen["messages_per_sec"] > 0 and seen["deliveries_per_sec"] > 0 else None


def test_a_backlog_is_counted_once_and_goes_when_the_consumer_comes_wherever_that_is_asked(pair):
    here, there = pair.apis
    here.create_topic("t")
    for name in ("one", "two", "three"):
        here.post("/api/subscriptions", {"name": name, "topic": "t", "ack": "auto"})
    for n in range(5):
        (here, there)[n % 2].publish("t", n)
    for at in (0, 1):
        until(lambda at=at: stats(pair, at)["backlog"] == 15)
    with WsClient(pair.servers[at_owner(pair, "two")].ws_url) as client:
        client.subscribe("t", subscription="two", ack="auto")
        client.messages(5)
        for at in (0, 1):
            until(lambda at=at: stats(pair, at)["backlog"] == 10)
    each = [stats(pair, 0, node=name)["backlog"] for name in NAMES]
    assert sum(each) == 10


def test_the_history_is_of_all_nodes_and_says_of_how_many_each_point_is(pair):
    def both() -> bool:
        history = accepted(pair.apis[0].get("/api/stats/history"))
        assert (history["nodes"], history["unanswered"]) == (["a", "b"], [])
        return any(sample["node_count"] == 2 for sample in history["samples"])

    until(both)
    one = accepted(pair.apis[0].get("/api/stats/history", node="b", limit=1))
    assert [sample["node_count"] for sample in one["samples"]] == [1]


# Who does not answer ------------------------------------------------------------------------------


def test_a_node_that_stands_still_is_named_in_what_it_is_missing_from(pair):
    here = pair.apis[0]
    here.create_topic("t")
    with standing_still(pair):
        seen = stats(pair)
    assert (seen["nodes"], seen["unanswered"], seen["unanswered_count"]) == (["a"], ["b"], 1)
    with standing_still(pair):
        found = accepted(here.get("/api/nodes"))["nodes"][1]
    assert [found[field] for field in OWN] == [None] * len(OWN)
    assert found["unanswered"]
    with standing_still(pair):
        topic = accepted(here.get("/api/topics/t"))
    assert topic["unanswered_count"] == 1


def test_a_node_that_does_not_answer_or_is_down_has_no_figures(pair):
    here = pair.apis[0]
    pair.servers[1].send_signal(signal.SIGSTOP)
    silent = here.get("/api/stats", node="b")
    assert (silent.status, silent.code) == (503, "node_unreachable")
    pair.servers[1].send_signal(signal.SIGCONT)
    pair.servers[1].terminate()
    until(lambda: stats(pair)["nodes"] == ["a"] and not stats(pair)["unanswered"])
    down = here.get("/api/stats/history", node="b")
    assert (down.status, down.code) == (503, "node_unreachable")
    assert "it is down" in down.json["detail"]


def test_without_a_secret_the_others_are_named_and_not_asked(url):
    settings = [node(url, name, SECRET) for name in NAMES]
    for each in settings:
        del each["INTERNAL_SECRET"]
    with running_server(**settings[0]) as one, running_server(**settings[1]) as two:
        found = Cluster([one, two])
        until(lambda: stats(found)["unanswered"] == ["b"])
        listed = accepted(found.apis[0].get("/api/dlq/jobs"))
        assert (listed["jobs"], listed["nodes"], listed["unanswered"]) == ([], ["a"], ["b"])
        of_b = accepted(found.apis[0].get("/api/nodes/b"))
        assert "INTERNAL_SECRET" in of_b["unanswered"]
        route = accepted(found.apis[0].get("/api/route", subscription="s", topic="t"))
        assert route["subscription"]["node"] is None
        assert "INTERNAL_SECRET" in route["subscription"]["reason"]
        assert route["topic"] == {"name": "t", "exists": False, "by": "log", "nodes": []}


# Nodes, routes and lists --------------------------------------------------------------------------


def test_every_node_says_of_all_what_they_do(pair):
    with WsClient(pair.servers[1].ws_url) as client:
        client.subscribe("t")
        for api in pair.apis:
            found = {each["id"]: each for each in accepted(api.get("/api/nodes"))["nodes"]}
            assert [each["unanswered"] for each in found.values()] == [None, None]
            assert found["b"]["connections"] >= 1
            assert found["b"]["rates"]["messages_per_sec"] == 0
            assert [link["id"] for link in found["b"]["links"]] == ["a"]
            assert accepted(api.get("/api/nodes/a"))["owned_subscriptions"] == 0


def test_all_nodes_say_the_same_of_where_a_subscription_is(pair):
    owners = set()
    for n in range(20):
        routes = [accepted(api.get("/api/route", subscription=f"s{n}")) for api in pair.apis]
        assert routes[0] == routes[1]
        assert routes[0]["topic"] is None
        assert not routes[0]["subscription"]["exists"]
        owners.add(routes[0]["subscription"]["node"])
    assert owners == {"a", "b"}
    pair.servers[1].terminate()
    until(lambda: {at_owner(pair, f"s{n}") for n in range(20)} == {0})


def test_without_redis_every_linked_node_is_told_of_a_topic(pair):
    with WsClient(pair.servers[0].ws_url) as client:
        client.subscribe("t")
        route = accepted(pair.apis[0].get("/api/route", topic="t"))["topic"]
    told = [{"id": "a", "subscribers": 1}, {"id": "b", "subscribers": None}]
    assert route == {"name": "t", "exists": True, "by": "links", "nodes": told}


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    made = RedisServer()
    made.start()
    yield made
    made.remove()


def test_with_redis_only_nodes_with_subscribers_are(url, redis):
    with linked(url, REDIS_URL=redis.url) as found, WsClient(found.servers[1].ws_url) as client:
        client.subscribe("t.>")

        def nodes(topic: str) -> list[Any]:
            route = accepted(found.apis[0].get("/api/route", topic=topic))["topic"]
            assert route["by"] == "redis"
            return route["nodes"]

        until(lambda: nodes("u.x") == [])
        until(lambda: nodes("t.x") == [{"id": "b", "subscribers": 1}])


def test_what_is_asked_of_a_route_is_checked(pair):
    for query, code in (
        ({}, "invalid_request"),
        ({"subscription": "a b"}, "invalid_name"),
        ({"topic": "t.*"}, "invalid_topic"),
        ({"node": "a"}, "unknown_field"),
    ):
        refused = pair.apis[0].get("/api/route", **query)
        assert (refused.status, refused.code) == (400, code)


def test_topics_count_the_subscribers_of_all_nodes(pair):
    here, there = pair.apis
    here.create_topic("t.x")
    with WsClient(pair.servers[0].ws_url) as one, WsClient(pair.servers[1].ws_url) as two:
        one.subscribe("t.x")
        two.subscribe("t.*")
        two.subscribe("t.x", subscription="s")
        for api in pair.apis:
            assert accepted(api.get("/api/topics/t.x"))["subscriber_count"] == 3
            [listed] = accepted(api.get("/api/topics"))["topics"]
            assert listed["subscriber_count"] == 3
            assert "unanswered_count" not in listed
        made = accepted(there.post("/api/topics", {"name": "t.y"}), 201)
        assert made["subscriber_count"] == 1
        changed = accepted(here.patch("/api/topics/t.y", {"retention": {"max_messages": 9}}))
        assert changed["subscriber_count"] == 1


@pytest.mark.parametrize("act", ["redrive", "discard"])
def test_a_job_for_dead_letters_is_found_and_cancelled_at_any_node(pair, act):
    here = pair.apis[0]
    here.create_topic("t")
    here.post("/api/subscriptions", {"name": "s", "topic": "t"})
    at = at_owner(pair, "s")
    with WsClient(pair.servers[at].ws_url) as client:
        client.subscribe("t", subscription="s")
        for n in range(20):
            here.publish("t", n)
        for frame in client.messages(20):
            client.request("reject", message_id=frame["message_id"])
    until(lambda: len(accepted(here.get("/api/dlq"))["dead_letters"]) == 20)
    started = pair.apis[at].post(f"/api/dlq/{act}", {"topic": "t", "rate_per_s": 0.1})
    job = f"/api/dlq/jobs/{accepted(started, started.status)['id']}"
    other = pair.apis[1 - at]
    running = accepted(other.get(job))
    assert (running["action"], running["state"]) == (act, "running")
    assert running["which"]["topic"] == "t"
    for api in pair.apis:
        listed = accepted(api.get("/api/dlq/jobs"))
        assert [each["id"] for each in listed["jobs"]] == [running["id"]]
        assert (
            {each["node"] for each in listed["jobs"]} == {running["node"]} <= set(listed["nodes"])
        )
        assert (len(listed["nodes"]), listed["unanswered_count"]) == (2, 0)
    assert accepted(other.delete(job))["state"] == "cancelled"
    assert accepted(pair.apis[at].get(job))["state"] == "cancelled"
    again = other.delete(job)
    assert (again.status, again.code) == (409, "conflict")
    for api in pair.apis:
        missing = api.get("/api/dlq/jobs/0190a0a0-5bf7-7c3e-8a4e-2f1d3c4b5a69")
        assert (missing.status, missing.code) == (404, "job_not_found")


# Tenants ------------------------------------------------------------------------------------------


@contextmanager
def guarded_pair(url: str) -> Iterator[tuple[Guarded, str]]:
    """Nodes that ask for keys: the first as its operator has it, and the address of the second."""
    with (
        guarded_server(**node(url, "a", SECRET)) as one,
        running_server(**node(url, "b", SECRET), ENABLE_AUTH="true") as two,
    ):
        until(lambda: accepted(one.operator.get("/api/stats"))["nodes"] == ["a", "b"])
        yield one, two.url


def test_a_tenant_and_a_key_that_were_made_at_one_node_are_good_at_the_other_at_once(url):
    with guarded_pair(url) as (a, url_of_b):
        for number in range(3):
            name = f"acme-{number}"
            made = a.create_tenant(name)
            acting = Signed(url_of_b, a.operator.key, name)
            assert accepted(acting.get("/api/keys"))["keys"][0]["id"] == id_of(made.key)
            key = a.create_key(name)["key"]
            ids = [each["id"] for each in accepted(acting.get("/api/keys"))["keys"]]
            assert set(ids) == {id_of(made.key), id_of(key)}
            tenants = accepted(Signed(url_of_b, a.operator.key).get("/api/tenants"))["tenants"]
            assert name in [each["name"] for each in tenants]
            with Signed(url_of_b, key).socket() as client:
                client.subscribe("t")
            assert Signed(url_of_b, a.create_key(name)["key"]).get("/api/topics").status == 200
            rotated = accepted(acting.post(f"/api/keys/{id_of(key)}/rotate", {}))
            assert a.signed(rotated["key"]).get("/api/topics").status == 200


def test_a_tenant_is_told_its_own_figures_of_all_nodes_and_nothing_of_nodes(url):
    with guarded_pair(url) as (a, url_of_b):
        acme, blue = a.create_tenant("acme"), a.create_tenant("blue")
        for api in (acme, blue):
            api.create_topic("t")
        acme_at_b = Signed(url_of_b, acme.key)
        for _ in range(3):
            acme.publish("t", 1)
        acme_at_b.publish("t", 1)
        for _ in range(7):
            blue.publish("t", 1)
        with acme_at_b.socket() as client:
            client.subscribe("t")
            for api in (acme, acme_at_b):
                seen = accepted(api.get("/api/stats"))
                assert (seen["total_messages"], seen["active_topics"]) == (4, 1)
                assert (seen["connections"], seen["active_subscribers"]) == (1, 1)
                assert seen["unanswered_count"] == 0
                assert not {"nodes", "unanswered"} & seen.keys()
                assert accepted(api.get("/api/topics/t"))["subscriber_count"] == 1
            for path in ("/api/stats", "/api/stats/history"):
                refused = acme.get(path, node="b")
                assert (refused.status, refused.code) == (403, "forbidden")
            assert acme.get("/api/route", topic="t").status == 403
            # An operator is told of all, or of one of them, also at one node.
            everything = accepted(a.operator.get("/api/stats"))
            assert everything["total_messages"] >= 11
            acting = a.acting("acme")
            assert accepted(acting.get("/api/stats"))["total_messages"] == 4
            assert accepted(acting.get("/api/stats", node="b"))["total_messages"] == 1
            usage = accepted(a.operator.get("/api/tenants/acme"))["usage"]
            assert usage["connections"] == 1
            assert "unanswered_count" not in usage
            [listed] = [
                each
                for each in accepted(a.operator.get("/api/tenants"))["tenants"]
                if each["name"] == "acme"
            ]
            assert listed["usage"]["connections"] == 1
