"""Two servers on one PostgreSQL that know nothing of each other but what the log says."""

import json
from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

import pytest

from tests.support.http import Api
from tests.support.server import RunningServer, running_server
from tests.support.wait import until
from tests.support.ws import WsClient, payloads

_numbers = count(1)
STORES = ["postgres"]


class Pair(NamedTuple):
    here: RunningServer
    there: RunningServer

    @property
    def apis(self) -> tuple[Api, Api]:
        return Api(self.here.url), Api(self.there.url)


@pytest.fixture
def pair(cluster) -> Iterator[Pair]:
    url = cluster.create_database(f"pair_{next(_numbers)}")
    with running_server(DATABASE_URL=url) as here, running_server(DATABASE_URL=url) as there:
        for server in (here, there):
            api = Api(server.url)
            until(lambda api=api: api.get("/health").json["store"]["servers"] == 2)
        yield Pair(here, there)


@pytest.mark.parametrize("pattern", ["orders.eu", "orders.*"])
@pytest.mark.parametrize(
    "more", [{"ack": "auto"}, {"subscription": "s"}], ids=["ephemeral", "durable"]
)
def test_what_is_published_at_one_comes_to_the_subscribers_of_the_other(pair, pattern, more):
    here, there = pair.apis
    here.create_topic("orders.eu")
    with WsClient(pair.there.ws_url) as client:
        client.subscribe(pattern, **more)
        for n in range(20):
            api = (here, there)[n % 3 == 0]
            assert api.publish("orders.eu", n)["seq"] == n + 1
        assert payloads(client.messages(20)) == [*range(20)]
        here.publish("orders.eu", "the last")
        assert payloads(client.messages(1)) == ["the last"]


def test_what_is_made_at_one_is_there_at_the_other_at_once(pair):
    here, there = pair.apis
    for n in range(10):
        here.create_topic(f"t{n}")
        assert there.topic(f"t{n}")["last_seq"] == 0
        assert here.publish(f"t{n}", n)["seq"] == 1
        assert there.topic(f"t{n}")["message_count"] == 1
        assert len(there.get(f"/api/topics/t{n}/messages").json["messages"]) == 1
        assert there.publish(f"t{n}", n)["seq"] == 2
        assert here.post("/api/subscriptions", {"name": f"s{n}", "topic": f"t{n}"}).status == 201
        assert there.subscription(f"s{n}")["topic"] == f"t{n}"
        assert there.delete(f"/api/topics/t{n}").status == 204
        assert here.get(f"/api/topics/t{n}").status == 404
    assert there.get("/api/topics/nowhere").status == 404


def test_one_idempotency_key_is_one_message(pair):
    here, there = pair.apis
    here.create_topic("t")
    first = here.publish("t", 1, idempotency_key="k")
    again = there.publish("t", 1, idempotency_key="k")
    assert (again["message_id"], again["seq"], again["duplicate"]) == (first["message_id"], 1, True)
    other = there.post("/api/publish", {"topic": "t", "payload": 2, "idempotency_key": "k"})
    assert (other.status, other.json["code"]) == (409, "idempotency_conflict")
    assert there.publish("t", 3)["seq"] == 2


def test_what_is_purged_at_one_is_gone_at_the_other_and_its_subscribers_are_told(pair):
    here, there = pair.apis
    here.create_topic("t")
    body = {"name": "s", "topic": "t", "start": "earliest"}
    assert there.post("/api/subscriptions", body).status == 201
    for n in range(10):
        (here, there)[n % 2].publish("t", n)
    done = here.post("/api/topics/t/purge", {}).json
    assert (done["purged_count"], done["through_seq"], done["next"]) == (10, 10, None)
    assert there.get("/api/topics/t/messages").json["messages"] == []
    assert there.publish("t", "new")["seq"] == 11
    with WsClient(pair.there.ws_url) as client:
        client.subscribe("t", subscription="s")
        gap = client.receive("gap")
        assert (gap["from_seq"], gap["to_seq"], gap["reason"]) == (1, 10, "retention")
        assert payloads(client.messages(1)) == ["new"]


def test_a_client_resumes_at_the_other_where_it_was(pair):
    here, there = pair.apis
    epoch = here.create_topic("t")["epoch"]
    # It knows more than the server that it comes to.
    there.topic("t")
    here.publish_many("t", [*range(5)])
    with WsClient(pair.there.ws_url) as client:
        reply = client.subscribe("t", start={"seq": 6, "epoch": epoch})
        assert reply["recovered"] is True
        assert there.publish("t", "new")["seq"] == 6
        frames = client.messages(1)
        assert [frame["seq"] for frame in frames] == [6], json.dumps(frames)
