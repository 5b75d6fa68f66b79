"""A node that leaves the others in order, by an operator or by a signal, and comes back: real servers."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPException
from itertools import count

import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.http import Api, accepted
from tests.support.nodes import NAMES, Cluster, linked_servers, owned_by, taken, taken_by_any
from tests.support.server import running_server
from tests.support.wait import DEADLINE_S, until
from tests.support.ws import NoFrame, WsClient, payloads

STORES = ["postgres"]
_numbers = count(1)


@pytest.fixture
def cluster_url(cluster) -> str:
    return cluster.create_database(f"draining_{next(_numbers)}")


@pytest.fixture
def linked(cluster_url) -> Iterator[Cluster]:
    with linked_servers(cluster_url, *NAMES) as found:
        yield found


def drain(api: Api, name: str) -> dict[str, object]:
    return accepted(api.post(f"/api/nodes/{name}/drain"))


def undrain(api: Api, name: str) -> dict[str, object]:
    return accepted(api.delete(f"/api/nodes/{name}/drain"))


def states(api: Api) -> list[str]:
    return [node["state"] for node in api.get("/api/nodes").json["nodes"]]


def owned_count(api: Api) -> int:
    nodes = api.get("/api/nodes").json["nodes"]
    return next(each["owned_subscriptions"] for each in nodes if each["is_this"])


def phase(api: Api) -> str:
    return api.get("/health").json["phase"]


def test_a_drained_nodes_subscriptions_run_elsewhere_and_who_is_elsewhere_notices_nothing(linked):
    leaving, asked, other = linked.apis
    name = owned_by(NAMES[0])
    asked.create_topic("t")
    with WsClient(linked.servers[1].ws_url) as one, WsClient(linked.servers[2].ws_url) as two:
        for client in (one, two):
            client.subscribe("t", subscription=name, max_in_flight=2)
        for n in range(8):
            asked.publish("t", n)
        acked = taken(one, 2) + taken(two, 2)
        # Of these each has two more, which it does not ack.
        out = one.messages(2) + two.messages(2)
        assert sorted(acked + payloads(out)) == [*range(8)]
        answer = drain(asked, NAMES[0])
        assert answer == {
            "id": NAMES[0],
            "state": "draining",
            "phase": answer["phase"],
            "connections": answer["connections"],
            "owned_subscriptions": 0,
            "problem": None,
        }
        assert answer["phase"] in ("lingering", "closing", "drained")
        # All know when it is answered.
        for api in linked.apis:
            assert states(api) == ["draining", "up", "up"]
        assert owned_count(leaving) == 0
        until(lambda: owned_count(asked) + owned_count(other) == 1)
        # What was out and not acked comes again, and no attempt of it has failed.
        again = [client.receive("message") for client in (one, one, two, two)]
        assert sorted(payloads(again)) == sorted(payloads(out))
        assert {frame.get("failures", 0) for frame in again} == {0}
        for client, frame in zip((one, one, two, two), again, strict=True):
            client.ack(frame)
        other.publish("t", 8)
        assert taken_by_any([one, two], 1) == [8]
        until(lambda: other.subscription(name)["lag"] == 0)
    entries = asked.get("/api/audit").json["entries"]
    assert [(each["action"], each["target"]) for each in entries] == [("node.drain", NAMES[0])]


def test_clients_of_a_drained_node_are_told_to_come_back_and_go_on_elsewhere(linked):
    leaving, asked, _ = linked.apis
    asked.create_topic("t")
    names = [owned_by(owner) for owner in NAMES[:2]]
    with WsClient(linked.servers[0].ws_url) as client, WsClient(linked.servers[0].ws_url) as idle:
        for name in names:
            client.subscribe("t", subscription=name)
        client.subscribe("t")
        asked.publish("t", 1)
        for name in names:
            client.ack(client.receive("message", subscription=name), subscription=name)
        drain(asked, NAMES[0])
        for each in (client, idle):
            assert each.closed()[0] == 1012
            closing = each.receive("closing")
            assert (closing["reason"], closing["reconnect_after_ms"] > 0) == ("restart", True)
    until(lambda: phase(leaving) == "drained")
    ready = leaving.get("/health/ready")
    assert (ready.status, ready.code) == (503, "draining")
    assert "drained" in ready.json["detail"]
    assert linked.metric(0, "conduit_ready") == 0
    assert linked.metric(0, "conduit_node_draining") == 1
    asked.publish("t", 2)
    # Who comes all the same is served; what it subscribes to runs elsewhere.
    with WsClient(linked.servers[0].ws_url) as back, WsClient(linked.servers[2].ws_url) as away:
        for client, name in zip((back, away), names, strict=True):
            client.subscribe("t", subscription=name)
            assert taken(client, 1) == [2]
        leaving.publish("t", 3)
        assert taken(back, 1) == taken(away, 1) == [3]
        assert owned_count(leaving) == 0
    assert linked.servers[0].terminate()[0] == 0
    until(lambda: states(asked) == ["down", "up", "up"])


def test_a_node_that_serves_again_gets_back_what_is_its_own(linked):
    leaving, asked, _ = linked.apis
    name = owned_by(NAMES[0])
    asked.create_topic("t")
    with WsClient(linked.servers[1].ws_url) as client:
        client.subscribe("t", subscription=name)
        drain(leaving, NAMES[0])
        assert owned_count(leaving) == 0
        asked.publish("t", 1)
        assert taken(client, 1) == [1]
        assert undrain(asked, NAMES[0])["phase"] == "serving"
        assert states(asked) == ["up", "up", "up"]
        assert leaving.get("/health/ready").status == 200
        until(lambda: owned_count(leaving) == 1)
        asked.publish("t", 2)
        assert taken(client, 1) == [2]
        # Both are as true when they are said again.
        assert undrain(asked, NAMES[0])["state"] == "up"
        actions = [each["action"] for each in asked.get("/api/audit").json["entries"]]
        assert sorted(actions) == ["node.drain", "node.undrain", "node.undrain"]


def test_after_a_signal_all_runs_elsewhere_while_load_balancers_have_not_noticed(cluster_url):
    with linked_servers(cluster_url, *NAMES, CONDUIT_DRAIN_DELAY_S="3") as linked:
        leaving, asked, _ = linked.apis
        name = owned_by(NAMES[0])
        asked.create_topic("t")
        with WsClient(linked.servers[0].ws_url) as client:
            client.subscribe("t", subscription=name)
            linked.servers[0].send_signal(signal.SIGTERM)
            until(lambda: phase(leaving) == "lingering")
            assert leaving.get("/health/ready").code == "shutting_down"
            assert (states(asked), owned_count(leaving)) == (["draining", "up", "up"], 0)
            # The socket stays meanwhile, and new ones are served.
            asked.publish("t", 1)
            assert taken(client, 1) == [1]
            with WsClient(linked.servers[0].ws_url) as late:
                late.subscribe("t")
                refused = asked.delete(f"/api/nodes/{NAMES[0]}/drain")
                assert (refused.status, refused.code) == (503, "shutting_down")
            assert client.closed()[0] == 1012
        code, took_s = linked.servers[0].wait()
        assert (code, took_s < 10) == (0, True)
        assert "Traceback" not in linked.servers[0].log_text()


def test_when_all_nodes_are_stopped_at_once_all_end_in_time(linked):
    linked.apis[0].create_topic("t")
    names = [owned_by(owner) for owner in NAMES]
    with ExitStack() as stack:
        clients = [stack.enter_context(WsClient(server.ws_url)) for server in linked.servers]
        for client in clients:
            for name in names:
                client.subscribe("t", subscription=name)
        linked.apis[0].publish_many("t", [*range(100)])
        for server in linked.servers:
            server.send_signal(signal.SIGTERM)
        for client in clients:
            assert client.closed()[0] == 1012
    for server in linked.servers:
        code, took_s = server.wait()
        assert (code, took_s < 10) == (0, True)
        assert "Traceback" not in server.log_text()


def test_with_a_drain_delay_sockets_are_closed_when_it_is_over_and_not_if_it_is_undone(cluster_url):
    with linked_servers(cluster_url, *NAMES[:2], CONDUIT_DRAIN_DELAY_S="2") as linked:
        leaving, asked = linked.apis
        name = owned_by(NAMES[0], of=NAMES[:2])
        asked.create_topic("t")
        with WsClient(linked.servers[0].ws_url) as client:
            client.subscribe("t", subscription=name)
            assert drain(asked, NAMES[0])["phase"] == "lingering"
            undrain(asked, NAMES[0])
            client.nothing(3.0, "closing")
            assert drain(asked, NAMES[0])["phase"] == "lingering"
            asked.publish("t", 1)
            assert taken(client, 1) == [1]
            assert client.closed()[0] == 1012
        until(lambda: phase(leaving) == "drained")


def test_two_operators_at_once_are_both_told_what_holds(linked):
    leaving, *asked = linked.apis
    with ThreadPoolExecutor(8) as threads:
        same = list(threads.map(lambda api: drain(api, NAMES[0]), linked.apis * 2))
        assert {each["state"] for each in same} == {"draining"}
        path = f"/api/nodes/{NAMES[0]}/drain"
        for _ in range(5):
            orders = [
                threads.submit(api.post if is_draining else api.delete, path)
                for api in linked.apis
                for is_draining in (True, False)
            ]
            answers = [each.result() for each in orders]
            # Whoever was overruled while he waited is told so.
            assert {each.status for each in answers} <= {200, 409}
            assert {each.code for each in answers if each.status == 409} <= {"conflict"}
            assert any(each.status == 200 for each in answers)
        undrain(asked[0], NAMES[0])
    for api in linked.apis:
        assert states(api) == ["up", "up", "up"]
    assert (phase(leaving), leaving.get("/health/ready").status) == ("serving", 200)


def test_the_last_that_is_up_goes_on_until_another_one_is(cluster_url):
    with linked_servers(cluster_url, *NAMES[:2]) as linked:
        first, last = linked.apis
        name = owned_by(NAMES[0], of=NAMES[:2])
        last.create_topic("t")
        drain(last, NAMES[0])
        with WsClient(linked.servers[1].ws_url) as client:
            client.subscribe("t", subscription=name)
            answer = drain(first, NAMES[1])
            assert (answer["phase"], answer["state"]) == ("alone", "draining")
            assert "no other node is up" in str(answer["problem"])
            assert last.get("/health/ready").code == "draining"
            last.publish("t", 1)
            assert taken(client, 1) == [1]
            undrain(last, NAMES[0])
            assert client.closed()[0] == 1012
            until(lambda: phase(last) == "drained")
            assert owned_count(last) == 0


def test_who_cannot_be_reached_or_is_not_there_is_not_drained(linked):
    asked = linked.apis[1]
    missing = asked.post("/api/nodes/nobody/drain")
    assert (missing.status, missing.code) == (404, "node_not_found")
    linked.servers[0].kill()
    until(lambda: linked.links_up_of(1) == 1)
    gone = asked.post(f"/api/nodes/{NAMES[0]}/drain")
    assert (gone.status, gone.code) == (503, "node_unreachable")
    until(lambda: states(asked)[0] == "down")
    assert asked.delete(f"/api/nodes/{NAMES[0]}/drain").code == "node_unreachable"


def test_a_server_that_has_its_log_for_itself_is_not_drained():
    with running_server(DATABASE_URL="sqlite:///conduit.db", NODE_ID="alone") as server:
        api = Api(server.url)
        for answer in (api.post("/api/nodes/alone/drain"), api.delete("/api/nodes/alone/drain")):
            assert (answer.status, answer.code) == (409, "conflict")
            assert "stop it instead" in answer.json["detail"]
        assert "phase" not in api.get("/health").json
        assert api.get("/health/ready").status == 200


# Rolling restarts ---------------------------------------------------------------------------------


class Publishing:
    """Publishes at whichever node answers, until it is stopped; with keys, so that it may repeat itself."""

    def __init__(self, apis: list[Api]) -> None:
        self._apis = apis
        self.acked: list[int] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Publishing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(DEADLINE_S)

    def _run(self) -> None:
        for number in count():
            if self._is_over.is_set():
                return
            for attempt in count(number):
                if self._publish(self._apis[attempt % len(self._apis)], number):
                    self.acked.append(number)
                    break
                if self._is_over.wait(0.05):
                    return

    def _publish(self, api: Api, number: int) -> bool:
        body = {"topic": "t", "payload": number, "idempotency_key": f"k{number}"}
        try:
            return api.post("/api/publish", body).status == 200
        except (OSError, HTTPException):
            return False


class Consuming:
    """A durable subscriber that comes back when it is told to, to the next node."""

    def __init__(self, urls: list[str], at: int, name: str) -> None:
        self._urls = urls
        self._at = at
        self._name = name
        self.got: list[int] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join(DEADLINE_S)

    def _run(self) -> None:
        while not self._is_over.is_set():
            try:
                with WsClient(self._urls[self._at % len(self._urls)]) as client:
                    client.subscribe("t", subscription=self._name)
                    self._take(client)
            except (AssertionError, OSError, EOFError, ConnectionClosed):
                # Closed, or nobody is there now.
                self._at += 1
                self._is_over.wait(0.1)

    def _take(self, client: WsClient) -> None:
        while not self._is_over.is_set():
            try:
                message = client.receive("message", 0.2)
            except NoFrame:
                continue
            self.got.append(message["payload"])
            client.ack(message)


def test_a_rolling_restart_of_all_nodes_loses_nothing(linked):
    linked.apis[0].create_topic("t")
    urls = [server.ws_url for server in linked.servers]
    names = [owned_by(owner) for owner in NAMES]
    for name in names:
        body = {"name": name, "topic": "t", "max_in_flight": 5}
        accepted(linked.apis[0].post("/api/subscriptions", body), 201)
    consumers = [Consuming(urls, at, name) for at, name in enumerate(names)]
    with ExitStack() as stack:
        publishing = stack.enter_context(Publishing(linked.apis))
        for consumer in consumers:
            consumer.start()
            stack.callback(consumer.stop)
        until(lambda: all(consumer.got for consumer in consumers))
        for at, (server, name) in enumerate(zip(linked.servers, NAMES, strict=True)):
            if at != 1:
                # One of them by the signal alone.
                drain(linked.apis[at - 1], name)
            assert server.terminate()[0] == 0
            assert "Traceback" not in server.log_text()
            server.start()
            until(lambda: linked.links_up() == 6)
        before = len(publishing.acked)
        until(lambda: len(publishing.acked) > before + 20)
        publishing.__exit__()
        for consumer in consumers:
            until(lambda consumer=consumer: {*consumer.got} >= {*publishing.acked})
    for consumer in consumers:
        # What was out at a node that left comes again, and an ack that was confirmed is never forgotten.
        assert len(consumer.got) - len({*consumer.got}) <= 5 * len(NAMES)
