"""Publishing over HTTP and WebSocket: receipts, batches, idempotency, payloads byte for byte."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.raw import RawSocket
from tests.support.wait import until
from tests.support.ws import payloads


def raw_publish(api, topic, payload: bytes):
    body = b'{"topic":"%b","payload":%b}' % (topic.encode(), payload)
    return api.request("POST", "/api/publish", body, {"content-type": "application/json"})


@pytest.fixture
def durable(shared_server):
    """Whether the server at hand keeps messages on disk."""
    return "DATABASE_URL" in shared_server.env


def test_a_receipt_has_position_and_durability(api, topic, durable):
    epoch = api.create_topic(topic)["epoch"]
    receipts = [api.publish(topic, number) for number in range(3)]
    assert [receipt["seq"] for receipt in receipts] == [1, 2, 3]
    for receipt in receipts:
        assert receipt["epoch"] == epoch
        assert receipt["durable"] is durable
        assert receipt["duplicate"] is False
    ids = [receipt["message_id"] for receipt in receipts]
    assert ids == sorted(set(ids)), "UUIDv7: ids of one publisher grow"


def test_key_and_headers_travel_with_the_message(api, ws, topic):
    ws.subscribe(topic)
    headers = {"trace": "abc", "content-language": "cs – čeština"}
    api.publish(topic, 1, key="order-7", headers=headers)
    message = ws.receive("message")
    assert message["key"] == "order-7"
    assert message["headers"] == headers
    (stored,) = api.browse(topic)
    assert stored["key"] == "order-7"
    assert stored["headers"] == headers


def test_absent_key_and_headers_are_absent_in_the_delivery(api, ws, topic):
    ws.subscribe(topic)
    api.publish(topic, 1)
    assert ws.receive("message").keys() == {
        "type",
        "message_id",
        "topic",
        "payload",
        "published_at",
        "seq",
        "epoch",
        "attempt",
    }


@pytest.mark.parametrize(
    "payload",
    [
        b"null",
        b"false",
        b"0",
        b'""',
        b"[]",
        b"{}",
        b"1.50",
        b"1e400",
        b"123456789012345678901234567890",
        b'{ "spaces" :  [1 , 2 ] }',
        b'{"a":1,"a":2}',
        '"žluťoučký 🐎"'.encode(),
        b'"\\u017e\\ud83d\\ude00"',
        b'{"type":"message","\\u0000":"\\u2028"}',
    ],
)
def test_any_json_value_is_kept_byte_for_byte(api, ws, topic, payload):
    ws.subscribe(topic)
    assert raw_publish(api, topic, payload).status == 200
    text = ws.connection.recv(5)
    assert b'"payload":%b,' % payload in text.encode()
    stored = api.get(f"/api/topics/{topic}/messages")
    assert payload in stored.body


@pytest.mark.parametrize("payload", [b"", b"nul", b"{", b"01", b"'x'", b"NaN", b'"\xff"', b"1 2"])
def test_a_payload_that_is_not_json_is_refused_and_stored_nowhere(api, topic, payload):
    api.create_topic(topic)
    refused = raw_publish(api, topic, payload)
    assert (refused.status, refused.code) == (400, "malformed_json")
    assert api.browse(topic) == []


def test_a_payload_of_exactly_the_limit_is_taken_and_one_byte_more_is_413(api, ws, topic):
    ws.subscribe(topic)
    limit = 262_144
    assert raw_publish(api, topic, b'"' + b"x" * (limit - 2) + b'"').status == 200
    assert len(ws.receive("message")["payload"]) == limit - 2
    refused = raw_publish(api, topic, b'"' + b"x" * (limit - 1) + b'"')
    assert (refused.status, refused.code) == (413, "payload_too_large")
    assert api.topic(topic)["last_seq"] == 1


# Idempotency ------------------------------------------------------------------------------------


def test_a_repeated_idempotency_key_answers_with_the_first_result_and_stores_nothing(
    api, ws, topic
):
    ws.subscribe(topic)
    first = api.publish(topic, "one", idempotency_key="k")
    again = api.publish(topic, "one", idempotency_key="k")
    assert again["duplicate"] is True
    assert first["duplicate"] is False
    for field in ("message_id", "seq", "epoch", "published_at", "topic"):
        assert again[field] == first[field]
    assert api.publish(topic, "three")["seq"] == 2, "a duplicate burns no number"
    assert payloads(ws.messages(2)) == ["one", "three"]


def test_the_idempotency_key_may_come_in_a_header(api, topic):
    api.create_topic(topic)
    body = {"topic": topic, "payload": 1}
    first = api.post("/api/publish", body, Idempotency_Key="h").json
    again = api.post("/api/publish", body, Idempotency_Key="h").json
    in_body = api.publish(topic, 1, idempotency_key="h")
    assert (first["duplicate"], again["duplicate"], in_body["duplicate"]) == (False, True, True)
    assert first["message_id"] == again["message_id"] == in_body["message_id"]


def test_of_concurrent_publishes_with_one_key_one_is_stored_and_all_answer_alike(api, topic):
    api.create_topic(topic)

    def publish(_):
        return api.publish(topic, 1, idempotency_key="same")

    with ThreadPoolExecutor(12) as pool:
        receipts = list(pool.map(publish, range(24)))
    assert len({receipt["message_id"] for receipt in receipts}) == 1
    assert {receipt["seq"] for receipt in receipts} == {1}
    assert [receipt["duplicate"] for receipt in receipts].count(False) == 1
    assert api.topic(topic)["last_seq"] == 1


def test_the_same_key_over_websocket_is_a_duplicate_too(api, ws, topic):
    api.create_topic(topic)
    first = api.publish(topic, 1, idempotency_key="k")
    frame = ws.request("publish", topic=topic, payload=1, idempotency_key="k")
    assert frame["duplicate"] is True
    assert frame["message_id"] == first["message_id"]


def test_a_key_with_another_payload_is_a_conflict_over_http_and_websocket(api, ws, topic):
    api.create_topic(topic)
    body = {"topic": topic, "payload": 1, "idempotency_key": "k"}
    api.post("/api/publish", body)
    refused = api.post("/api/publish", {**body, "payload": 2})
    assert (refused.status, refused.json["code"]) == (409, "idempotency_conflict")
    batch = {"messages": [{"topic": topic, "payload": 0}, {**body, "payload": 2}]}
    refused = api.post("/api/publish/batch", batch)
    assert (refused.status, refused.json["code"]) == (409, "idempotency_conflict")
    assert refused.json["field"] == "messages[1].idempotency_key"
    ws.send({"type": "publish", **body, "payload": 2, "ref": "r"})
    assert ws.receive("error", ref="r")["code"] == "idempotency_conflict"
    assert api.topic(topic)["last_seq"] == 1


def test_a_refused_publish_does_not_take_its_idempotency_key(api, topic):
    body = {"topic": topic, "payload": 1, "idempotency_key": "k"}
    assert api.post("/api/publish", body).status == 404
    api.create_topic(topic)
    assert api.post("/api/publish", body).json["duplicate"] is False


# Batches ----------------------------------------------------------------------------------------


def test_a_batch_is_stored_in_order_and_answered_in_order(api, ws, topic):
    ws.subscribe(topic)
    ws.subscribe(f"{topic}-b")
    messages = [
        {"topic": topic if number % 3 else f"{topic}-b", "payload": number} for number in range(30)
    ]
    results = api.post("/api/publish/batch", {"messages": messages}).json["results"]
    assert [result["topic"] for result in results] == [each["topic"] for each in messages]
    for name in (topic, f"{topic}-b"):
        expected = [each["payload"] for each in messages if each["topic"] == name]
        assert payloads(api.browse(name)) == expected
        seqs = [result["seq"] for result in results if result["topic"] == name]
        assert seqs == list(range(1, len(expected) + 1))
    assert len(ws.messages(30)) == 30


def test_a_thousand_messages_fit_into_a_batch_and_one_more_does_not(api, topic):
    api.create_topic(topic)
    assert len(api.publish_many(topic, list(range(1000)))) == 1000
    messages = [{"topic": topic, "payload": number} for number in range(1001)]
    refused = api.post("/api/publish/batch", {"messages": messages})
    assert refused.status in (400, 413, 429)
    assert api.topic(topic)["last_seq"] == 1000


@pytest.mark.parametrize(
    "bad",
    [
        {"topic": "no-such-topic-at-all", "payload": 1},
        {"topic": "not a topic", "payload": 1},
        {"topic": None, "payload": 1},
        {"payload": 1},
        {"topic": "{topic}", "payload": 1, "colour": "red"},
        {"topic": "{topic}", "payload": "x" * 262_143},
    ],
    ids=["unknown topic", "bad topic", "null topic", "no topic", "unknown field", "too large"],
)
def test_one_bad_message_refuses_the_whole_batch(api, topic, bad):
    api.create_topic(topic)
    good = {"topic": topic, "payload": "good", "idempotency_key": "g"}
    if bad.get("topic") == "{topic}":
        bad = {**bad, "topic": topic}
    refused = api.post("/api/publish/batch", {"messages": [good, bad, good]})
    assert 400 <= refused.status < 500
    assert refused.json["error"]
    assert api.browse(topic) == []
    assert api.post("/api/publish", good).json["duplicate"] is False


def test_a_fault_in_a_batch_names_the_element(api, topic):
    api.create_topic(topic)
    messages = [{"topic": topic, "payload": 1}, {"topic": topic, "payload": 1, "colour": 1}]
    refused = api.post("/api/publish/batch", {"messages": messages})
    assert refused.code == "unknown_field"
    assert "colour" in refused.json["field"]


def test_idempotency_keys_work_inside_a_batch_and_between_batches(api, topic):
    api.create_topic(topic)
    messages = [
        {"topic": topic, "payload": number, "idempotency_key": key}
        for number, key in [(0, "a"), (1, "b"), (0, "a")]
    ]
    first = api.post("/api/publish/batch", {"messages": messages}).json["results"]
    again = api.post("/api/publish/batch", {"messages": messages}).json["results"]
    assert [result["duplicate"] for result in first] == [False, False, True]
    assert [result["duplicate"] for result in again] == [True, True, True]
    assert [result["seq"] for result in first] == [1, 2, 1]
    assert [result["message_id"] for result in again] == [result["message_id"] for result in first]
    assert payloads(api.browse(topic)) == [0, 1]


def test_an_empty_batch_stores_nothing(api):
    answer = api.post("/api/publish/batch", {"messages": []})
    assert answer.status == 400 or answer.json == {"results": []}


# Over WebSocket ---------------------------------------------------------------------------------


def test_a_publish_frame_is_answered_with_the_receipt_and_its_ref(api, ws, topic, durable):
    api.create_topic(topic)
    frame = ws.request("publish", topic=topic, payload={"a": 1}, key="k", headers={"h": "v"})
    assert frame["type"] == "published"
    assert (frame["topic"], frame["seq"], frame["durable"]) == (topic, 1, durable)
    assert frame["duplicate"] is False
    assert frame["subscribers"] == 0
    (stored,) = api.browse(topic)
    assert stored["message_id"] == frame["message_id"]
    assert (stored["payload"], stored["key"], stored["headers"]) == ({"a": 1}, "k", {"h": "v"})


def test_publish_frames_sent_in_a_row_are_stored_in_that_order(api, ws, topic):
    api.create_topic(topic)
    for number in range(200):
        ws.send({"type": "publish", "topic": topic, "payload": number, "ref": str(number)})
    for number in range(200):
        assert ws.receive("published", ref=str(number))["seq"] == number + 1
    assert payloads(api.browse(topic)) == list(range(200))


def _stands_still(api, topic) -> bool:
    before = api.topic(topic)["last_seq"]
    time.sleep(0.3)
    return 0 < before == api.topic(topic)["last_seq"]


def test_a_publisher_that_reads_its_answers_late_is_held_back_and_loses_nothing(server, api, topic):
    api.create_topic(topic)
    text = b'{"type":"publish","topic":"%b","payload":1}' % topic.encode()
    frame = b"\x81%c\0\0\0\0%b" % (0x80 | len(text), text)
    count = 60_000
    with RawSocket(server.port) as publisher, ThreadPoolExecutor() as pool:
        sent = pool.submit(publisher.socket.sendall, frame * count)
        until(lambda: _stands_still(api, topic))
        assert api.topic(topic)["last_seq"] < count
        for seq in range(1, count + 1):
            assert b'"seq":%d,' % seq in publisher.text()
        sent.result()
    assert api.topic(topic)["last_seq"] == count


def test_a_publisher_receives_its_own_message_if_it_subscribes(ws, topic):
    ws.subscribe(topic)
    ws.request("publish", topic=topic, payload=1)
    assert ws.receive("message")["payload"] == 1


def test_a_publish_frame_to_an_unknown_topic_is_an_error_with_its_ref(ws, topic):
    ws.send({"type": "publish", "topic": topic, "payload": 1, "ref": "mine"})
    error = ws.receive()
    assert (error["type"], error["code"], error["ref"]) == ("error", "topic_not_found", "mine")
    ws.barrier()


def test_the_bytes_of_a_published_payload_are_kept_over_websocket_too(api, ws, topic):
    ws.subscribe(topic)
    ws.send_raw(f'{{"type":"publish","topic":"{topic}","payload":{{ "n" : 1.50 }}}}')
    frames = [ws.connection.recv(5), ws.connection.recv(5)]
    assert any('"payload":{ "n" : 1.50 },' in frame for frame in frames)
    assert b'{ "n" : 1.50 }' in api.get(f"/api/topics/{topic}/messages").body
