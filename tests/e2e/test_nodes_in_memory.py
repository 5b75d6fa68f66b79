"""Servers without a database that find each other in Redis, and tell each other what they store, by links."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count

import pytest

from tests.support.http import Api
from tests.support.redis import RedisServer
from tests.support.redis_proxy import RedisProxy
from tests.support.server import RunningServer, free_port, running_server
from tests.support.wait import until
from tests.support.ws import WsClient, payloads

SECRET = "of-the-nodes-0123456789"
STORES = ["memory"]
_databases = count(0)


def settings(url: str, name: str, **more: str) -> dict[str, str]:
    """Of a node that the others reach, spelled as the seed's compose file has it."""
    port = free_port()
    return {
        "PORT": str(port),
        "REDIS_URL": url,
        "NODE_ID": name,
        "NODE_ADDR": f"127.0.0.1:{port}",
        "INTERNAL_SECRET": SECRET,
        **more,
    }


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """One for all tests, each of which has a database of its own there."""
    made = RedisServer()
    made.start()
    yield made
    made.remove()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """One that the test may kill."""
    made = RedisServer()
    made.start()
    yield made
    made.remove()


def database(redis: RedisServer) -> str:
    """Another one each time, so another cluster."""
    return f"redis://{redis.place}/{next(_databases)}"


@pytest.fixture
def url(redis) -> str:
    return database(redis)


class Nodes:
    """Servers, and what they say of themselves."""

    def __init__(self, servers: list[RunningServer]) -> None:
        self.servers = servers
        self.apis = [Api(server.url) for server in servers]

    def are_linked(self, *which: int) -> bool:
        """Whether each of these has a link to each other one, and knows of no more."""
        some = which or range(len(self.servers))
        return all(
            (health := self.cluster(at))["links"] == len(some) - 1 and health["nodes"] == len(some)
            for at in some
        )

    def cluster(self, at: int) -> dict[str, object]:
        return self.apis[at].get("/health").json["cluster"]

    def metric(self, at: int, name: str) -> float:
        text = self.apis[at].get("/metrics").body.decode()
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        return 0.0 if found is None else float(found[1])

    def subscriber(self, stack: ExitStack, at: int, topic: str, **more: object) -> WsClient:
        client = stack.enter_context(WsClient(self.servers[at].ws_url))
        client.subscribe(topic, **({"ack": "auto"} | more))
        return client

    def wanted(self, at: int, topic: str, subscribers: int) -> None:
        """Until this node knows of so many subscribers."""
        until(lambda: self.apis[at].publish(topic, "?")["subscribers"] == subscribers)


@contextmanager
def started(url: str, number: int = 2, **more: str) -> Iterator[Nodes]:
    """So many nodes, all linked."""
    with ExitStack() as stack:
        found = Nodes(
            [
                stack.enter_context(running_server(**settings(url, f"node-{n}", **more)))
                for n in range(number)
            ]
        )
        until(found.are_linked)
        yield found


@pytest.fixture(scope="module")
def nodes(redis) -> Iterator[Nodes]:
    """Two that stay. Use topics of your own."""
    with started(database(redis)) as found:
        yield found


def test_who_subscribes_at_one_node_gets_what_is_published_at_the_other(nodes):
    one, two = nodes.apis
    repeated, stored = "conduit_copy_repeated_message_total", "conduit_copy_stored_message_total"
    before = nodes.metric(0, repeated), nodes.metric(1, repeated), nodes.metric(1, stored)
    two.create_topic("orders.eu", max_messages=50)
    with ExitStack() as stack:
        here = nodes.subscriber(stack, 0, "orders.eu")
        there = nodes.subscriber(stack, 1, "orders.*")
        nodes.wanted(1, "orders.eu", 2)
        receipts = [two.publish("orders.eu", n, key="k", headers={"h": "x"}) for n in range(20)]
        ids = [each["message_id"] for each in receipts]
        frames = [_without_tries(client, 20) for client in (here, there)]
        for some in frames:
            assert payloads(some) == [*range(20)]
            assert [each["message_id"] for each in some] == ids
            assert {(each["key"], each["headers"]["h"]) for each in some} == {("k", "x")}
        assert {each["epoch"] for each in frames[0]} != {each["epoch"] for each in frames[1]}
        # And the other way, with the topic that the second node has made.
        assert one.topic("orders.eu")["retention"]["max_messages"] == 50
        nodes.wanted(0, "orders.eu", 2)
        one.publish("orders.eu", "back")
        came = _without_tries(here, 1) + _without_tries(there, 1)
        assert payloads(came) == ["back", "back"]
    # Each was stored once at each node, and nothing went round.
    after = nodes.metric(0, repeated), nodes.metric(1, repeated), nodes.metric(1, stored)
    more = [now - then for now, then in zip(after, before, strict=True)]
    assert more[:2] == [0, 0]
    assert more[2] >= 1


def _without_tries(client: WsClient, number: int) -> list[dict]:
    found: list[dict] = []
    while len(found) < number:
        found += [each for each in client.messages(1) if each["payload"] != "?"]
    return found


def test_only_nodes_with_subscribers_are_told_and_a_durable_one_counts_also_while_it_is_away(url):
    with started(url, 3) as nodes, ExitStack() as stack:
        here = nodes.apis[0]
        here.create_topic("jobs")
        with WsClient(nodes.servers[1].ws_url) as worker:
            worker.subscribe("jobs", subscription="w")
            nodes.wanted(0, "jobs", 1)
        nodes.wanted(0, "jobs", 0)
        for n in range(10):
            assert here.publish("jobs", n)["subscribers"] == 0
        worker = stack.enter_context(WsClient(nodes.servers[1].ws_url))
        worker.subscribe("jobs", subscription="w")
        assert payloads(_without_tries(worker, 10)) == [*range(10)]
        assert nodes.metric(2, "conduit_copy_heard_message_total") == 0
        # Deleted, it wants nothing any more.
        before = nodes.metric(1, "conduit_copy_heard_message_total")
        assert nodes.apis[1].delete("/api/subscriptions/w").status == 204
        until(lambda: _told(nodes) == 0)
        assert nodes.metric(1, "conduit_copy_heard_message_total") >= before


def _told(nodes: Nodes) -> float:
    before = nodes.metric(0, "conduit_hint_told_message_total")
    nodes.apis[0].publish("jobs", "?")
    return nodes.metric(0, "conduit_hint_told_message_total") - before


def test_a_topic_that_one_node_has_made_can_be_published_to_and_followed_at_another(nodes):
    one, two = nodes.apis
    one.create_topic("made.t", max_messages=7)
    assert two.publish("made.t", 1)["seq"] == 1
    assert two.topic("made.t")["retention"]["max_messages"] == 7
    batch = [{"topic": "made.u", "payload": 1}, {"topic": "made.t", "payload": 2}]
    assert two.post("/api/publish/batch", {"messages": batch}).code == "topic_not_found"
    one.create_topic("made.u", max_bytes=1000)
    assert two.post("/api/publish/batch", {"messages": batch}).status == 200
    one.create_topic("made.v")
    with WsClient(nodes.servers[1].ws_url) as client:
        client.subscribe("made.v", create=False)
    assert two.post("/api/publish", {"topic": "nowhere", "payload": 1}).code == "topic_not_found"


def test_health_and_the_start_say_that_nothing_is_made_up_for(nodes):
    health = nodes.cluster(0)
    assert (health["log"], health["recovery"], health["nodes"], health["links"]) == (
        "own",
        False,
        2,
        1,
    )
    assert "not made up for later" in health["detail"]
    assert health["registry"]["status"] == "ok"
    assert health["registry"]["answer_age_s"] < 10
    nodes.servers[0].logged("of this node alone")
    listed = nodes.apis[0].get("/api/nodes").json["nodes"]
    assert [(each["id"], each["state"], each["is_this"]) for each in listed] == [
        ("node-0", "up", True),
        ("node-1", "up", False),
    ]
    assert SECRET not in nodes.servers[0].log_text()


def test_without_redis_linked_nodes_go_on_and_a_flushed_one_is_filled_again(own_redis):
    with started(own_redis.url) as nodes, ExitStack() as stack:
        one, two = nodes.apis
        two.create_topic("t")
        client = nodes.subscriber(stack, 0, "t")
        nodes.wanted(1, "t", 1)
        own_redis.kill()
        until(lambda: nodes.cluster(1)["registry"]["status"] == "degraded")
        # Longer than anybody is believed without a sign of life.
        deadline = time.monotonic() + 8
        sent = 0
        while time.monotonic() < deadline:
            two.publish("t", sent)
            sent += 1
            time.sleep(0.05)
        assert payloads(_without_tries(client, sent)) == [*range(sent)]
        health = nodes.cluster(1)
        assert (health["nodes"], health["links"]) == (2, 1)
        assert "nobody listens there" in health["registry"]["detail"]
        assert two.get("/health/ready").status == 200
        assert nodes.metric(1, "conduit_registry_up") == 0
        # What is new is wanted at once, since all is told.
        new = nodes.subscriber(stack, 0, "u")
        two.create_topic("u")
        two.publish("u", "without")
        assert payloads(new.messages(1)) == ["without"]
        own_redis.start()
        own_redis.ask("FLUSHALL")
        until(lambda: all(nodes.cluster(n)["registry"]["status"] == "ok" for n in (0, 1)))
        until(lambda: two.publish("t", "?")["subscribers"] == 1)
        for _ in range(3):
            own_redis.ask("FLUSHALL")
            two.publish("t", "flushed")
        assert payloads(_without_tries(client, 3)) == ["flushed"] * 3
        until(lambda: two.publish("t", "?")["subscribers"] == 1)
        assert nodes.are_linked()
        assert nodes.metric(1, "conduit_registry_reconnect_total") >= 1
        assert one.get("/metrics").status == 200
        assert all("Traceback" not in server.log_text() for server in nodes.servers)


def test_a_node_that_is_killed_is_forgotten_and_found_again_when_it_comes_back(url):
    with started(url, 3) as nodes, ExitStack() as stack:
        client = nodes.subscriber(stack, 0, "t")
        nodes.apis[1].create_topic("t")
        nodes.wanted(1, "t", 1)
        nodes.servers[2].kill()
        until(lambda: nodes.are_linked(0, 1))
        nodes.apis[1].publish("t", "two")
        assert payloads(_without_tries(client, 1)) == ["two"]
        nodes.servers[2].start()
        until(nodes.are_linked)
        nodes.wanted(2, "t", 1)
        nodes.apis[2].publish("t", "three")
        assert payloads(_without_tries(client, 1)) == ["three"]
        code, _ = nodes.servers[2].terminate()
        assert code == 0
        until(lambda: nodes.are_linked(0, 1))


def test_what_is_forwarded_by_hand_is_stored_once_under_its_id(nodes):
    with ExitStack() as stack:
        client = nodes.subscriber(stack, 0, "by-hand")
        repeated = "conduit_copy_repeated_message_total"
        before = nodes.metric(0, repeated)
        id_ = "550e8400-e29b-41d4-a716-446655440000"
        body = {"topic": "by-hand", "message_id": id_, "payload": {"n": 1}}
        proof = {"X-Internal-Secret": SECRET}
        for _ in range(3):
            answer = nodes.apis[0].post("/internal/forward", body, **proof)
            assert answer.status == 200
        [frame] = client.messages(1)
        assert (frame["message_id"], frame["payload"]) == (id_, {"n": 1})
        until(lambda: nodes.metric(0, repeated) == before + 2)
        client.nothing(0.2, "message")
        answer = nodes.apis[0].post("/internal/forward", {"topic": "by-hand"}, **proof)
        assert (answer.status, answer.code) == (400, "invalid_request")
        assert nodes.apis[0].post("/internal/forward", body).status == 403


def test_nodes_of_other_databases_and_secrets_are_not_met(redis, url):
    other = database(redis)
    with started(url) as nodes, running_server(**settings(other, "far")) as far:
        strange = settings(url, "strange", INTERNAL_SECRET="of-other-nodes-0123456789")
        with running_server(**strange) as stranger:
            until(lambda: nodes.cluster(0)["nodes"] == 3)
            assert Api(far.url).get("/health").json["cluster"]["nodes"] == 1
            assert nodes.cluster(0)["links"] == 1
            assert Api(stranger.url).get("/health").json["cluster"]["links"] == 0


def test_without_names_two_on_one_machine_are_two_nodes(url):
    given = [settings(url, "") for _ in range(2)]
    with running_server(**given[0]) as one, running_server(**given[1]) as two:
        until(lambda: Nodes([one, two]).are_linked())
        names = {Api(each.url).get("/health").json["node_id"] for each in (one, two)}
        assert names == {f"{socket.gethostname()}-{each.port}" for each in (one, two)}


def test_a_node_that_only_redis_has_lost_stays_one_of_them(own_redis):
    with _way_to(own_redis) as way, ExitStack() as stack:
        one = stack.enter_context(running_server(**settings(own_redis.url, "node-0")))
        two = stack.enter_context(running_server(**settings(way.url, "node-1")))
        nodes = Nodes([one, two])
        until(nodes.are_linked)
        client = nodes.subscriber(stack, 1, "t")
        nodes.wanted(0, "t", 1)
        way.stop()
        # By then nobody sees it there any more.
        until(lambda: own_redis.ask("EXISTS", *_presences(own_redis)) == 1)
        until(lambda: nodes.cluster(1)["registry"]["trouble"] == "slow")
        assert nodes.are_linked()
        nodes.apis[0].publish("t", "to one that is not seen")
        nodes.apis[1].publish("t", "here")
        # Of what is published at two nodes nobody knows which comes first.
        came = payloads(_without_tries(client, 2))
        assert sorted(came) == ["here", "to one that is not seen"]
        # Neither seen nor linked it is gone.
        nodes.servers[1].kill()
        until(lambda: nodes.cluster(0)["nodes"] == 1)


def _presences(redis: RedisServer) -> list[str]:
    found = redis.ask("SMEMBERS", "conduit:{memory-0}:nodes")
    return [f"conduit:{{memory-0}}:node:{each}" for each in found] or ["none"]


def test_a_node_that_stood_still_is_found_again(url):
    with started(url) as nodes, ExitStack() as stack:
        client = nodes.subscriber(stack, 0, "t")
        nodes.wanted(1, "t", 1)
        nodes.servers[1].send_signal(signal.SIGSTOP)
        until(lambda: nodes.cluster(0)["nodes"] == 1)
        nodes.apis[0].publish("t", "alone")
        nodes.servers[1].send_signal(signal.SIGCONT)
        until(nodes.are_linked)
        nodes.wanted(1, "t", 1)
        nodes.apis[1].publish("t", "both")
        assert payloads(_without_tries(client, 2)) == ["alone", "both"]


@contextmanager
def _way_to(redis: RedisServer) -> Iterator[_Stoppable]:
    """A way to Redis that can be stopped, on a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    way = RedisProxy(redis.port)
    try:
        asyncio.run_coroutine_threadsafe(way.start(), loop).result(10)
        yield _Stoppable(way, loop)
    finally:
        asyncio.run_coroutine_threadsafe(way.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


class _Stoppable:
    """The way, as this thread sees it."""

    def __init__(self, way: RedisProxy, loop: asyncio.AbstractEventLoop) -> None:
        self._way, self._loop = way, loop
        self.url = way.url

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._way.stop)
