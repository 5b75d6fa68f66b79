"""Bounds that no test with default settings would reach, and what happens at each."""

import time

import pytest

from tests.support.http import Api
from tests.support.raw import RawHttp
from tests.support.server import running_server
from tests.support.wait import until
from tests.support.ws import WsClient, payloads

LOW = {
    "CONDUIT_RETENTION_INTERVAL_S": "0.1",
    "CONDUIT_IDEMPOTENCY_WINDOW_S": "2",
    "CONDUIT_MAX_BATCH_COUNT": "5",
    "CONDUIT_MAX_BATCH_BYTES": "5000",
    "CONDUIT_MAX_PAYLOAD_BYTES": "2000",
    "CONDUIT_MAX_HEADERS_BYTES": "2000",
    "CONDUIT_DEAD_LETTER_MAX_COUNT": "3",
    "CONDUIT_EPHEMERAL_DEAD_LETTER_MAX_COUNT": "2",
    "CONDUIT_RETENTION_MAX_MESSAGES": "10",
}


@pytest.fixture(scope="module", params=["", "sqlite:///low.db"], ids=["memory", "sqlite"])
def low(request):
    """A server with low limits."""
    with running_server(DATABASE_URL=request.param, **LOW) as server:
        yield server


@pytest.fixture
def low_api(low):
    return Api(low.url)


def test_an_idempotency_key_is_forgotten_after_its_window(low_api, topic):
    low_api.create_topic(topic)
    began = time.monotonic()
    first = low_api.publish(topic, 1, idempotency_key="k")
    assert low_api.publish(topic, 1, idempotency_key="k")["seq"] == first["seq"]
    anew = until(
        lambda: not (now := low_api.publish(topic, 1, idempotency_key="k"))["duplicate"] and now
    )
    assert anew["seq"] == 2
    assert time.monotonic() - began >= 2


@pytest.mark.parametrize("database", ["", "sqlite:///low.db"], ids=["memory", "sqlite"])
def test_beyond_their_count_the_oldest_idempotency_keys_are_forgotten_and_it_is_said(database):
    with running_server(DATABASE_URL=database, CONDUIT_IDEMPOTENCY_MAX_COUNT="3") as server:
        api = Api(server.url)
        api.create_topic("t")

        def duplicates(*keys):
            return [api.publish("t", key, idempotency_key=key)["duplicate"] for key in keys]

        assert duplicates("a", "b", "c") == [False, False, False]
        assert duplicates("a", "b", "c") == [True, True, True]
        assert duplicates("d", "b", "c", "d") == [False, True, True, True]
        assert duplicates("a") == [False]
        until(lambda: "\nconduit_forgotten_key_total 2.0\n" in api.get("/metrics").body.decode())
        until(lambda: server.log_text().count("CONDUIT_IDEMPOTENCY_MAX_COUNT (3)") == 1)
        if database:
            server.restart()
            assert duplicates("c", "d", "a", "b") == [True, True, True, False]
        else:
            assert api.get("/health").json["store"]["max_keys"] == 3


def test_a_batch_over_its_count_is_refused_whole(low_api, topic):
    low_api.create_topic(topic)
    messages = [{"topic": topic, "payload": number} for number in range(6)]
    refused = low_api.post("/api/publish/batch", {"messages": messages})
    assert refused.status in (400, 413, 429)
    assert refused.json["code"] in ("limit_reached", "payload_too_large", "invalid_request")
    assert low_api.browse(topic) == []
    assert low_api.post("/api/publish/batch", {"messages": messages[:5]}).status == 200


def test_a_batch_over_its_bytes_is_413(low_api, topic):
    low_api.create_topic(topic)
    messages = [{"topic": topic, "payload": "x" * 1200} for _ in range(5)]
    refused = low_api.post("/api/publish/batch", {"messages": messages})
    assert (refused.status, refused.code) == (413, "payload_too_large")


def test_headers_over_the_limit_are_431(low):
    with RawHttp(low.port) as client:
        client.send(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 3000 + b"\r\n\r\n")
        assert client.answer()[0] == 431


def test_the_oldest_dead_letters_leave_when_there_are_too_many(low, low_api, topic):
    with WsClient(low.ws_url) as ws:
        ws.subscribe(topic)
        ws.subscribe(topic, subscription=topic)
        for number in range(6):
            low_api.publish(topic, number)
            for _ in range(2):
                message = ws.receive("message")
                name = (
                    {"subscription": message["subscription"]} if "subscription" in message else {}
                )
                ws.request("reject", message_id=message["message_id"], **name)
    until(lambda: payloads(low_api.dead_letters(subscription=topic)) == [5, 4, 3])
    until(lambda: payloads(low_api.dead_letters(topic=topic, subscription="")) == [5, 4])
    assert low_api.subscription(topic)["dead_count"] == 3


def test_the_retention_of_all_topics_holds_for_a_topic_without_its_own(low_api, topic):
    low_api.create_topic(topic)
    for number in range(30):
        low_api.publish(topic, number)
    until(lambda: payloads(low_api.browse(topic)) == list(range(20, 30)))


@pytest.mark.parametrize(
    "bound", [{"CONDUIT_MEMORY_MAX_MESSAGES": "20"}, {"CONDUIT_MEMORY_MAX_BYTES": "4000"}], ids=str
)
def test_a_full_memory_store_drops_the_oldest_and_says_so_to_whoever_wants_them(bound):
    with running_server(CONDUIT_RETENTION_INTERVAL_S="0.1", **bound) as server:
        api = Api(server.url)
        epoch = api.create_topic("t")["epoch"]
        for number in range(1, 201):
            api.publish("t", f"{number:0100}")
        until(lambda: 1 <= len(api.browse("t")) <= 40)
        with WsClient(server.ws_url) as ws:
            assert ws.subscribe("t", start={"seq": 1, "epoch": epoch})["recovered"] is False
            gap = ws.receive("gap")
            assert (gap["from_seq"], gap["reason"]) == (1, "retention")
            frames = ws.messages(200 - gap["to_seq"])
            assert [frame["seq"] for frame in frames] == list(range(gap["to_seq"] + 1, 201))


def test_connections_over_the_limit_are_turned_away_and_the_others_go_on():
    with running_server(CONDUIT_MAX_CONNECTIONS="5") as server:
        clients = [WsClient(server.ws_url) for _ in range(5)]
        with RawHttp(server.port) as sixth:
            sixth.send(b"GET /api/topics HTTP/1.1\r\nHost: x\r\n\r\n")
            line = sixth.received.readline()
            assert line == b"" or line.split()[1] in (b"429", b"503"), line
        for path in ("/health", "/health/ready", "/metrics"):
            assert Api(server.url).get(path).status == 200
        for client in clients:
            client.barrier()
        clients.pop().close()
        until(lambda: Api(server.url).get("/api/topics").status == 200)
        for client in clients:
            client.close()


def test_probes_have_room_where_keys_are_asked_for():
    key = "0123456789abcdef"
    with running_server(
        CONDUIT_MAX_CONNECTIONS="5", ENABLE_AUTH="true", DEFAULT_API_KEY=key
    ) as server:
        # They never sign in, and none of them can be displaced.
        clients = [WsClient(server.ws_url) for _ in range(5)]
        api = Api(server.url)
        assert api.request("GET", "/api/topics", None, {"x-api-key": key}).status == 503
        for headers in ({}, {"x-api-key": key}, {"x-api-key": "wrong"}):
            assert api.request("GET", "/health", None, headers).json == {"status": "ok"}
            assert api.request("GET", "/health/ready", None, headers).status == 200
            assert api.request("GET", "/metrics", None, headers).status in (401, 403)
        for client in clients:
            client.close()


def test_where_a_request_comes_from_is_not_read_from_its_headers(tmp_path):
    """`X-Forwarded-For` is whatever somebody sends, also from the machine itself."""
    path = tmp_path / "key"
    with running_server(ENABLE_AUTH="true", CONDUIT_ADMIN_KEY_FILE=str(path)) as server:
        key = {"x-api-key": path.read_text().strip()}
        forged = {
            **key,
            "x-forwarded-for": "203.0.113.9",
            "x-forwarded-proto": "https",
            "forwarded": "for=203.0.113.9",
        }
        api = Api(server.url)
        assert api.request("POST", "/api/topics", b'{"name":"t"}', key).status == 201
        assert api.request("DELETE", "/api/topics/t", None, forged).status == 204
        entries = api.request("GET", "/api/audit?action=topic.delete", None, key).json["entries"]
        assert [entry["address"] for entry in entries] == ["127.0.0.1"]
