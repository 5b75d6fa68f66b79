"""Three servers on one PostgreSQL that tell each other over links what they store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count

import pytest

from tests.support.http import Api
from tests.support.nodes import SECRET, Cluster, has_link, node
from tests.support.redis import RedisServer
from tests.support.server import RunningServer, running_server
from tests.support.wait import until
from tests.support.ws import WsClient, payloads

COUNT = 3
_numbers = count(1)
STORES = ["postgres"]


@pytest.fixture
def cluster_url(cluster) -> str:
    return cluster.create_database(f"linked_{next(_numbers)}")


@pytest.fixture
def linked(cluster_url) -> Iterator[Cluster]:
    with ExitStack() as stack:
        made = [
            stack.enter_context(running_server(**node(cluster_url, f"node-{n}", SECRET)))
            for n in range(COUNT)
        ]
        found = Cluster(made)
        until(lambda: found.links_up() == COUNT * (COUNT - 1))
        yield found


def test_every_subscriber_gets_everything_in_one_order_wherever_it_is_published(linked):
    linked.apis[0].create_topic("orders.eu")
    with ExitStack() as stack:
        clients = [
            stack.enter_context(WsClient(linked.servers[n % COUNT].ws_url)) for n in range(6)
        ]
        for n, client in enumerate(clients):
            client.subscribe("orders.*" if n % 2 else "orders.eu", ack="auto")
        total = 300
        for n in range(total):
            linked.apis[n % COUNT].publish("orders.eu", n)
        frames = [client.messages(total) for client in clients]
    assert all([frame["seq"] for frame in some] == [*range(1, total + 1)] for some in frames)
    assert all(payloads(some) == payloads(frames[0]) for some in frames)
    heard = [linked.metric(n, "conduit_hint_heard_message_total") for n in range(COUNT)]
    assert sum(heard) == total * (COUNT - 1)


def test_a_topic_that_was_just_made_is_heard_of_with_its_first_message(linked):
    with WsClient(linked.servers[1].ws_url) as client:
        client.subscribe("new.>", ack="auto")
        for n in range(20):
            linked.apis[0].create_topic(f"new.t{n}")
            linked.apis[0].publish(f"new.t{n}", n)
        assert sorted(payloads(client.messages(20))) == [*range(20)]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    made = RedisServer()
    made.start()
    yield made
    made.remove()


def test_with_redis_nodes_are_told_of_what_they_want_and_receipts_count_all_subscribers(
    cluster_url, redis
):
    with ExitStack() as stack:
        made = [
            stack.enter_context(
                running_server(**node(cluster_url, f"n{n}", SECRET), REDIS_URL=redis.url)
            )
            for n in range(3)
        ]
        found = Cluster(made)
        until(lambda: found.links_up() == 6)
        here = found.apis[0]
        here.create_topic("orders.eu")
        clients = [stack.enter_context(WsClient(server.ws_url)) for server in made]
        clients[0].subscribe("orders.eu", ack="auto")
        clients[1].subscribe("orders.*", ack="auto")
        until(lambda: here.publish("orders.eu", "first")["subscribers"] == 2)
        # All that was told before has been heard when this has.
        here.publish("orders.eu", "mark")
        while "mark" not in payloads(clients[1].messages(1)):
            pass
        heard = [found.metric(n, "conduit_hint_heard_message_total") for n in (1, 2)]
        for n in range(50):
            assert here.publish("orders.eu", n)["subscribers"] == 2
        assert payloads(clients[1].messages(50)) == [*range(50)]
        after = [found.metric(n, "conduit_hint_heard_message_total") for n in (1, 2)]
        assert [b - a for a, b in zip(heard, after, strict=True)] == [50, 0]
        # Without Redis all are told again, and publishing goes on.
        redis.kill()
        for n in range(50, 100):
            here.publish("orders.eu", n)
        assert payloads(clients[1].messages(50)) == [*range(50, 100)]
        redis.start()
        until(lambda: here.publish("orders.eu", "last")["subscribers"] == 2)


def test_a_link_that_is_lost_is_made_again_and_nothing_is_missed_meanwhile(linked):
    linked.apis[0].create_topic("t")
    with WsClient(linked.servers[0].ws_url) as client:
        client.subscribe("t", ack="auto")
        linked.servers[2].kill()
        for n in range(10):
            linked.apis[1].publish("t", n)
        linked.servers[2].start()
        until(lambda: linked.links_up() == COUNT * (COUNT - 1))
        for n in range(10, 20):
            linked.apis[2].publish("t", n)
        assert payloads(client.messages(20)) == [*range(20)]


def test_with_another_secret_a_node_is_told_nothing_and_misses_nothing(cluster_url):
    other = "of-others-9876543210"
    with (
        running_server(**node(cluster_url, "a", SECRET)) as one,
        running_server(**node(cluster_url, "b", other)) as two,
    ):
        api = Api(one.url)
        until(lambda: len(api.get("/api/nodes").json["nodes"]) == 2)
        api.create_topic("t")
        with WsClient(two.ws_url) as client:
            client.subscribe("t", ack="auto")
            api.publish("t", 1)
            assert payloads(client.messages(1)) == [1]
        assert not has_link(api)
        for server, other_name in ((one, "b"), (two, "a")):
            detail = until(lambda server=server: missing(server))
            assert detail.startswith(f"There is no link to {other_name} for ")
            assert "the proof is wrong: this node has another INTERNAL_SECRET" in detail
        for server in (one, two):
            assert SECRET not in server.log_text()
            assert other not in server.log_text()


def missing(server: RunningServer) -> str | None:
    """What it says of a link that it misses, when it does."""
    detail = Api(server.url).get("/health").json["cluster"]["detail"]
    return detail if "no link to" in detail else None


def test_that_linked_nodes_have_other_settings_is_said_at_both(cluster_url, redis):
    with (
        running_server(**node(cluster_url, "a", SECRET), REDIS_URL=redis.url) as one,
        running_server(**node(cluster_url, "b", SECRET)) as two,
    ):
        one.logged("at node b REDIS_URL is not set, and at this one database 0")
        two.logged("at node a REDIS_URL is database 0, and at this one not set")
        assert "ENABLE_AUTH is" not in one.log_text()


def test_while_the_secret_is_changed_nodes_with_both_link_with_those_of_before(cluster_url):
    secrets = f"the-new-one-0123456789 {SECRET}"
    with (
        running_server(**node(cluster_url, "a", secrets)) as one,
        running_server(**node(cluster_url, "b", secrets)),
        running_server(**node(cluster_url, "c", secrets)),
    ):
        until(lambda: has_link(Api(one.url)))
