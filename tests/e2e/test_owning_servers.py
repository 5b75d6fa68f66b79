"""Durable subscriptions on three linked servers: each runs on one of them, and has subscribers on all."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count

import pytest

from conduit.core.ring import Ring
from tests.support.http import Api
from tests.support.nodes import SECRET, Cluster, node
from tests.support.server import running_server
from tests.support.wait import until
from tests.support.ws import NoFrame, WsClient, payloads

STORES = ["postgres"]
COUNT = 3
NAMES = [f"node-{n}" for n in range(COUNT)]
_numbers = count(1)


@pytest.fixture
def cluster_url(cluster) -> str:
    return cluster.create_database(f"owning_{next(_numbers)}")


@contextmanager
def servers(url: str, *names: str) -> Iterator[Cluster]:
    with ExitStack() as stack:
        made = [stack.enter_context(running_server(**node(url, name, SECRET))) for name in names]
        found = Cluster(made)
        until(lambda: found.links_up() == len(names) * (len(names) - 1))
        yield found


@pytest.fixture
def linked(cluster_url) -> Iterator[Cluster]:
    with servers(cluster_url, *NAMES) as found:
        yield found


def name_for(owner: int, *, of: list[str] = NAMES) -> str:
    """Of a subscription that this server owns."""
    ring = Ring(of)
    return next(f"s{n}" for n in range(1_000) if ring.owner(f"default/s{n}") == NAMES[owner])


def taken(client: WsClient, count: int, timeout: float = 10.0) -> list[int]:
    """So many messages come, are acked, and that is confirmed."""
    found = []
    for _ in range(count):
        message = client.receive("message", timeout)
        client.ack(message)
        found.append(message["payload"])
    return found


def test_subscribers_on_all_nodes_share_one_subscription(linked):
    name = name_for(0)
    linked.apis[1].create_topic("t")
    with ExitStack() as stack:
        clients = [stack.enter_context(WsClient(server.ws_url)) for server in linked.servers]
        for client in clients:
            client.subscribe("t", subscription=name, max_in_flight=10)
        for n in range(90):
            linked.apis[n % COUNT].publish("t", n)
        frames = [client.messages(10) for client in clients]
        # Nobody has room for more until something is acked.
        assert sorted(n for some in frames for n in payloads(some)) == [*range(30)]
        came = [[frame["message_id"] for frame in some] for some in frames]
        assert {api.subscription(name)["in_flight_count"] for api in linked.apis} == {30}
        assert {api.subscription(name)["subscribers"] for api in linked.apis} == {COUNT}
        for client, ids in zip(clients, came, strict=True):
            client.request("ack", message_ids=ids, subscription=name)
        until(lambda: {api.subscription(name)["lag"] for api in linked.apis} == {60})


def test_what_is_asked_of_any_node_is_done_where_the_subscription_runs(linked):
    name, asked = name_for(0), linked.apis[1]
    asked.create_topic("t")
    with WsClient(linked.servers[2].ws_url) as client:
        client.subscribe("t", subscription=name, max_attempts=1)
        assert asked.post(f"/api/subscriptions/{name}/pause").status == 200
        asked.publish("t", 1)
        client.nothing(0.3, "message")
        assert asked.post(f"/api/subscriptions/{name}/resume").status == 200
        (message,) = client.messages(1)
        client.request("reject", message_id=message["message_id"], reason="bad")
        until(lambda: len(asked.dead_letters(subscription=name)) == 1)
        (letter,) = asked.dead_letters(subscription=name)
        assert asked.post(f"/api/dlq/{letter['id']}/redrive").status == 200
        assert taken(client, 1) == [1]
        answer = asked.post(f"/api/subscriptions/{name}/seek", {"start": "earliest"})
        assert answer.status == 200
        assert taken(client, 1) == [1]
        assert asked.delete(f"/api/subscriptions/{name}").status == 204
        client.receive("unsubscribed")


@pytest.mark.parametrize("is_orderly", [True, False])
def test_when_the_owner_goes_its_subscribers_elsewhere_stay_and_miss_nothing(linked, is_orderly):
    name = name_for(0)
    api = linked.apis[1]
    api.create_topic("t")
    with WsClient(linked.servers[1].ws_url) as one, WsClient(linked.servers[2].ws_url) as two:
        one.subscribe("t", subscription=name, max_in_flight=1)
        two.subscribe("t", subscription=name, max_in_flight=1)
        for n in range(4):
            api.publish("t", n)
        assert sorted(taken(one, 1) + taken(two, 1)) == [0, 1]
        # Two more are out, and never acked: they come again, and no attempt has failed.
        out = sorted(payloads(one.messages(1) + two.messages(1)))
        assert out == [2, 3]
        if is_orderly:
            assert linked.servers[0].terminate()[0] == 0
        else:
            linked.servers[0].kill()
        began = time.monotonic()
        again = [one.receive("message", 10), two.receive("message", 10)]
        assert time.monotonic() - began < 5
        assert sorted(payloads(again)) == [2, 3]
        assert [frame.get("failures", 0) for frame in again] == [0, 0]
        one.ack(again[0])
        two.ack(again[1])
        for n in range(4, 10):
            api.publish("t", n)
        got: list[int] = []
        while len(got) < 6:
            for client in (one, two):
                try:
                    got += taken(client, 1, 0.1)
                except NoFrame:
                    continue
        assert sorted(got) == [*range(4, 10)]
        until(lambda: api.subscription(name)["lag"] == 0)


def test_an_owner_that_stood_still_hands_out_nothing_of_what_is_anothers_by_then(linked):
    name = name_for(0)
    api = linked.apis[1]
    api.create_topic("t")
    with WsClient(linked.servers[0].ws_url) as stale, WsClient(linked.servers[1].ws_url) as fresh:
        stale.subscribe("t", subscription=name, max_in_flight=1)
        for n in range(3):
            api.publish("t", n)
        assert payloads(stale.messages(1)) == [0]
        linked.servers[0].send_signal(signal.SIGSTOP)
        try:
            fresh.subscribe("t", subscription=name)
            came = [fresh.receive("message", 10)]
            assert payloads(came) == [0]
        finally:
            linked.servers[0].send_signal(signal.SIGCONT)
        # Of both, each is given what the other has not; and 0 is the fresh one's, whoever has had it before.
        fresh.ack(came[0])
        got = sorted(taken(fresh, 1) + taken(stale, 1))
        assert got == [1, 2]
        until(lambda: api.subscription(name)["lag"] == 0)


def test_a_node_that_joins_takes_its_share_and_clients_stay(cluster_url):
    with servers(cluster_url, *NAMES[:2]) as found:
        api = found.apis[0]
        name = name_for(2)
        api.create_topic("t")
        with WsClient(found.servers[0].ws_url) as client:
            client.subscribe("t", subscription=name, max_in_flight=1)
            api.publish("t", 1)
            assert taken(client, 1) == [1]
            with running_server(**node(cluster_url, NAMES[2], SECRET)) as third:
                last = Api(third.url)
                until(lambda: _owns(last) == 1)
                last.publish("t", 2)
                assert taken(client, 1) == [2]
            api.publish("t", 3)
            assert taken(client, 1) == [3]


def _owns(api: Api) -> int | None:
    nodes = api.get("/api/nodes").json["nodes"]
    return next(each["owned_subscriptions"] for each in nodes if each["is_this"])
