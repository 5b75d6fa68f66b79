"""Bad input over HTTP: malformed, unknown, oversize, half sent, too much; nobody else is hurt."""

import contextlib
import gzip
import json

import pytest

from tests.support.http import Api
from tests.support.raw import RawHttp
from tests.support.server import running_server

STORES = ["sqlite"]


@pytest.fixture
def raw(server):
    with RawHttp(server.port) as client:
        yield client


def publish_request(topic, payload=b"1", extra=b""):
    body = b'{"topic":"%b","payload":%b}' % (topic.encode(), payload)
    return b"POST /api/publish HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n%b" % (
        extra,
        len(body),
        body,
    )


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"key": 5}, "key"),
        ({"headers": ["a"]}, "headers"),
        ({"headers": {"a": 1}}, "headers"),
        ({"idempotency_key": 7}, "idempotency_key"),
        ({"topic": ["x"]}, "topic"),
    ],
    ids=str,
)
def test_a_wrong_field_of_a_publish_is_refused_and_named(api, topic, change, field):
    api.create_topic(topic)
    refused = api.post("/api/publish", {"topic": topic, "payload": 1, **change})
    assert refused.status == 400
    assert refused.code in ("unknown_field", "invalid_request")
    assert refused.json["field"].startswith(field)
    assert api.browse(topic) == []


@pytest.mark.parametrize(
    "bad", ["a b", "a..b", ".a", "a.", "a/b", "ä", "a*", ">", "x" * 256, "a\n"]
)
def test_a_bad_topic_name_is_refused_by_publish_and_create(api, bad):
    for answer in (
        api.post("/api/publish", {"topic": bad, "payload": 1}),
        api.post("/api/topics", {"name": bad}),
    ):
        assert (answer.status, answer.code) == (400, "invalid_topic")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/topics", {"name": "x", "colour": "red"}),
        ("/api/publish/batch", {"messages": [], "colour": "red"}),
        ("/api/subscriptions", {"name": "x", "topic": "x", "colour": "red"}),
        ("/api/dlq/redrive", {"colour": "red"}),
    ],
)
def test_an_unknown_field_is_named_by_every_endpoint(api, path, body):
    refused = api.post(path, body)
    assert (refused.status, refused.code) == (400, "unknown_field")
    assert refused.json["field"] == "colour"


@pytest.mark.parametrize(
    "path", ["/api/publish", "/api/publish/batch", "/api/topics", "/api/subscriptions"]
)
@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"{]", b"{'a': 1}", b"hello"], ids=str)
def test_malformed_json_is_refused_by_every_endpoint(api, path, body):
    refused = api.request("POST", path, body, {"content-type": "application/json"})
    assert (refused.status, refused.code) == (400, "malformed_json")


@pytest.mark.parametrize(
    "path", ["/api/publish", "/api/topics", "/api/subscriptions", "/api/dlq/redrive"]
)
def test_an_oversize_body_is_413_by_its_length_alone(server, path):
    with RawHttp(server.port) as client:
        client.send(
            b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n" % path.encode()
        )
        status, headers, body = client.answer()
        assert status == 413
        assert json.loads(body)["code"] == "payload_too_large"
        assert headers["connection"].lower() == "close"


@pytest.mark.parametrize("path", ["/api/publish", "/api/publish/batch", "/api/topics"])
def test_an_oversize_chunked_body_is_413(server, path):
    with RawHttp(server.port) as client:
        client.send(
            b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % path.encode()
        )
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        with contextlib.suppress(OSError):
            for _ in range(160):
                client.send(chunk)
        assert client.answer()[0] == 413


def test_a_chunked_publish_is_taken(api, raw, topic):
    api.create_topic(topic)
    body = json.dumps({"topic": topic, "payload": [1, 2]}).encode()
    raw.send(b"POST /api/publish HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for start in range(0, len(body), 7):
        part = body[start : start + 7]
        raw.send(b"%x\r\n%b\r\n" % (len(part), part))
    raw.send(b"0\r\n\r\n")
    status, _, answer = raw.answer()
    assert (status, json.loads(answer)["seq"]) == (200, 1)


def test_what_is_not_http_is_400_and_the_connection_closes(raw):
    raw.send(b"\x16\x03\x01 this is TLS\r\n\r\n")
    status, _, body = raw.answer()
    assert status == 400
    assert json.loads(body)["error"]
    assert raw.ended()


def test_a_flood_of_headers_is_431(raw):
    raw.send(b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X-Flood: 0123456789abcdef\r\n" * 2000)
    status, _, body = raw.answer()
    assert status == 431
    assert json.loads(body)["code"] == "headers_too_large"


def test_one_endless_header_is_431(raw):
    raw.send(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 40_000)
    assert raw.answer()[0] == 431


def test_two_lengths_or_both_framings_are_refused(server, api, topic):
    api.create_topic(topic)
    for framing in (
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: five\r\n",
    ):
        with RawHttp(server.port) as client:
            client.send(b"POST /api/publish HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n0\r\n\r\n")
            assert client.answer()[0] == 400, framing


# One connection, many requests ------------------------------------------------------------------


def test_pipelined_requests_are_answered_in_order(api, raw, topic):
    api.create_topic(topic)
    raw.send(b"".join(publish_request(topic, b"%d" % number) for number in range(50)))
    for number in range(50):
        status, _, body = raw.answer()
        assert (status, json.loads(body)["seq"]) == (200, number + 1)
    assert [each["payload"] for each in api.browse(topic)] == list(range(50))


def test_pipelined_requests_of_all_kinds_are_answered_in_order(api, raw, topic):
    api.create_topic(topic)
    get = b"GET /api/topics/%b HTTP/1.1\r\nHost: x\r\n\r\n" % topic.encode()
    raw.send(
        publish_request(topic)
        + get
        + publish_request(topic)
        + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
        + get
    )
    answers = [json.loads(raw.answer()[2]) for _ in range(5)]
    assert answers[0]["seq"] == 1
    assert answers[1]["last_seq"] == 1
    assert answers[2]["seq"] == 2
    assert answers[3]["status"] == "ok"
    assert answers[4]["last_seq"] == 2


def test_a_bad_request_does_not_end_the_connection(api, raw, topic):
    api.create_topic(topic)
    raw.send(publish_request(topic, b"{") + publish_request("no-such") + publish_request(topic))
    assert [raw.answer()[0] for _ in range(3)] == [400, 404, 200]


def test_connection_close_and_http_1_0_are_honoured(server, api, topic):
    api.create_topic(topic)
    for request in (
        publish_request(topic, extra=b"Connection: close\r\n"),
        publish_request(topic).replace(b"HTTP/1.1", b"HTTP/1.0"),
    ):
        with RawHttp(server.port) as client:
            client.send(request)
            assert client.answer()[0] == 200
            assert client.ended()


def test_expect_100_continue_is_answered_before_the_body(api, raw, topic):
    api.create_topic(topic)
    head, _, body = publish_request(topic, extra=b"Expect: 100-continue\r\n").partition(b"\r\n\r\n")
    raw.send(head + b"\r\n\r\n")
    assert raw.received.readline() == b"HTTP/1.1 100 Continue\r\n"
    assert raw.received.readline() == b"\r\n"
    raw.send(body)
    assert raw.answer()[0] == 200


def test_a_request_that_arrives_byte_by_byte_is_understood(api, raw, topic):
    api.create_topic(topic)
    for byte in publish_request(topic):
        raw.send(bytes([byte]))
    assert raw.answer()[0] == 200


def test_half_a_request_and_then_nothing_stores_nothing(server, api, topic):
    api.create_topic(topic)
    with RawHttp(server.port) as client:
        client.send(publish_request(topic)[:-3])
    assert api.browse(topic) == []


def test_headers_and_bodies_that_never_end_are_cut_with_408():
    begun = (
        b"POST /api/publish HT",
        b"GET /health HTTP/1.1\r\nHost:",
        publish_request("t")[:-3],
        b"POST /api/topics HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
    )
    with (
        running_server(CONDUIT_HEADER_TIMEOUT_S="0.4", CONDUIT_BODY_TIMEOUT_S="0.4") as server,
        contextlib.ExitStack() as stack,
    ):
        api = Api(server.url)
        api.create_topic("t")
        clients = [stack.enter_context(RawHttp(server.port)) for _ in begun]
        for client, start in zip(clients, begun, strict=True):
            client.send(start)
        for client, start in zip(clients, begun, strict=True):
            status, _, body = client.answer()
            assert (status, json.loads(body)["code"]) == (408, "request_timeout"), start
            assert client.ended()
        assert api.publish("t", 1)["seq"] == 1


def test_an_idle_connection_is_closed_without_a_word():
    with running_server(CONDUIT_KEEP_ALIVE_S="0.4") as server, RawHttp(server.port) as client:
        client.send(publish_request("no-such"))
        assert client.answer()[0] == 404
        assert client.ended()


def test_ws_without_an_upgrade_is_426_and_an_upgrade_elsewhere_is_no_websocket(api, raw):
    refused = api.get("/ws")
    assert (refused.status, refused.code) == (426, "upgrade_required")
    raw.send(
        b"GET /api/topics HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert raw.answer()[0] != 101


def test_a_websocket_version_that_is_not_13_is_426(raw):
    raw.send(
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    status, headers, _ = raw.answer()
    assert status == 426
    assert headers["sec-websocket-version"] == "13"


def test_many_bad_connections_do_not_disturb_a_good_one(server, api, topic):
    api.create_topic(topic)
    with contextlib.ExitStack() as stack:
        for number in range(60):
            client = stack.enter_context(RawHttp(server.port))
            begun = (b"\x00" * 100, b"POST / HTTP/9.9\r\n\r\n", publish_request(topic)[:30])
            client.send(begun[number % 3])
        for number in range(20):
            assert api.publish(topic, number)["seq"] == number + 1
    assert api.publish(topic, "last")["seq"] == 21


@pytest.mark.parametrize("path", ["/api/publish", "/api/publish/batch", "/api/topics"])
def test_a_compressed_body_is_refused_and_called_that(api, path):
    body = gzip.compress(b'{"name": "compressed"}')
    answer = api.request("POST", path, body, {"Content-Encoding": "gzip"})
    assert (answer.status, answer.code) == (415, "unsupported_media_type")
    assert api.get("/api/topics/compressed").status == 404


@pytest.mark.parametrize("path", ["/", "/health", "/nothing", "/api/topics", "/ws"])
def test_no_answer_says_what_the_server_is_made_of(api, path):
    answer = api.get(path)
    assert not {"server", "x-powered-by"} & answer.headers.keys()
    assert "uvicorn" not in answer.body.decode().lower()
