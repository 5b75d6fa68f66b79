"""Values at and beyond every edge: taken or refused, but never the server's own fault."""

import json
from urllib.parse import quote

import pytest

from tests.support.ws import payloads

HUGE = (2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**40)
TIMES = ("0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z")
ODD_TEXTS = (
    "",
    "\0",
    "\ud800",
    "\uffff",
    "😀" * 10,
    "x" * 20_000,
    "'; DROP TABLE messages; --",
    "%",
)


def settled(ws, frame):
    """Send a frame with a ref; whatever the answer, it is not `internal` and the connection lives."""
    ws.send_raw(json.dumps({**frame, "ref": "x"}))
    answer = ws.receive(None, ref="x")
    assert answer.get("code") != "internal", answer
    ws.barrier()
    return answer


@pytest.mark.parametrize("number", HUGE)
@pytest.mark.parametrize("field", ["seq", "max_in_flight", "ack_wait_ms", "max_attempts"])
def test_huge_numbers_in_a_subscribe_are_taken_or_refused(api, ws, topic, name, field, number):
    api.create_topic(topic)
    more = {"start": {"seq": number}} if field == "seq" else {field: number}
    for durable in ({}, {"subscription": name}):
        settled(ws, {"type": "subscribe", "topic": topic, **more, **durable})
    api.publish(topic, 1)
    ws.barrier()


@pytest.mark.parametrize("number", [*HUGE, -1, -(2**63), 0.5])
def test_odd_numbers_in_settling_frames_are_taken_or_refused(api, ws, topic, name, number):
    ws.subscribe(topic, subscription=name, ack_wait_ms=60_000)
    api.publish_many(topic, [1, 2, 3])
    one, two, _ = ws.messages(3)
    settled(ws, {"type": "nack", "message_id": one["message_id"], "delay_ms": number})
    settled(ws, {"type": "extend", "message_id": two["message_id"], "ms": number})
    settled(ws, {"type": "ack", "topic": topic, "seq": number})
    api.publish(topic, 4)
    assert ws.receive("message", payload=4)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_128_levels_of_json_are_taken_and_129_refused_wherever_they_come(api, ws, topic, opening):
    closing = "]" if opening == "[" else "}"
    nested = {depth: opening * depth + "1" + closing * depth for depth in (128, 129)}
    api.create_topic(topic)
    ws.subscribe(topic, ack="auto")
    for depth, status in ((128, 200), (129, 400)):
        one = f'{{"topic":"{topic}","payload":{nested[depth]}}}'
        batch = f'{{"messages":[{one}]}}'
        for path, body in (("", one), ("/batch", batch), ("?", one)):
            assert api.request("POST", f"/api/publish{path}", body.encode()).status == status
        ws.send_raw(f'{{"type":"publish","ref":"{depth}",{one[1:]}')
    assert ws.receive("error", ref="129")["code"] == "json_too_deep"
    assert payloads(ws.messages(4)) == [json.loads(nested[128])] * 4


@pytest.mark.parametrize("time", TIMES)
def test_times_at_the_ends_of_the_calendar_are_understood(api, ws, topic, time):
    api.create_topic(topic)
    api.publish(topic, 1)
    assert settled(ws, {"type": "subscribe", "topic": topic, "start": {"time": time}})
    for path in (f"/api/topics/{topic}/messages", "/api/dlq"):
        for field in ("from_time", "to_time"):
            assert api.get(path, **{field: time}).status in (200, 400)
    expected = [] if time.startswith("9999") else [1]
    assert payloads(api.browse(topic, from_time=time)) == expected


@pytest.mark.parametrize("number", [*HUGE, -1, 0, "", "1e3", "0x10", "٣"])
def test_odd_numbers_in_queries_are_taken_or_refused(api, topic, number):
    api.create_topic(topic)
    for path, field in [
        (f"/api/topics/{topic}/messages", "from_seq"),
        (f"/api/topics/{topic}/messages", "limit"),
        ("/api/topics", "limit"),
        ("/api/subscriptions", "limit"),
        ("/api/dlq", "limit"),
    ]:
        answer = api.get(path, **{field: number})
        assert answer.status in (200, 400), answer


@pytest.mark.parametrize("number", [*HUGE, -1, 0, 0.5])
def test_odd_numbers_in_bodies_are_taken_or_refused(api, topic, name, number):
    api.create_topic(topic)
    api.publish(topic, 1)
    for field in ("max_age_s", "max_messages", "max_bytes"):
        answer = api.patch(f"/api/topics/{topic}", {"retention": {field: number}})
        assert answer.status in (200, 400), answer
    for field in ("max_in_flight", "ack_wait_ms", "max_ack_wait_ms", "max_attempts"):
        body = {"name": f"{name}-{field}", "topic": topic, field: number}
        assert api.post("/api/subscriptions", body).status in (201, 400)
    seek = {"start": {"seq": number}}
    api.post("/api/subscriptions", {"name": name, "topic": topic})
    assert api.post(f"/api/subscriptions/{name}/seek", seek).status in (200, 400)
    for field in ("rate_per_s", "max_count"):
        answer = api.post("/api/dlq/redrive", {"topic": topic, field: number})
        assert answer.status in (200, 201, 202, 400), answer
    assert api.topic(topic)["last_seq"] == 1


@pytest.mark.parametrize("text", ODD_TEXTS, ids=ascii)
def test_odd_texts_are_kept_as_they_are_or_refused_and_poison_nobody_else(api, ws, topic, text):
    ws.subscribe(topic)
    good = {"topic": topic, "payload": "good"}
    odd = {"topic": topic, "payload": text, "key": text, "headers": {text: text}}
    for body in (odd, {**good, "idempotency_key": text}, {**good, "key": text}):
        answer = api.post("/api/publish", body)
        assert answer.status in (200, 400, 413), answer
        stored = api.browse(topic)
        if answer.status == 200:
            assert stored[-1]["payload"] == body["payload"]
            assert stored[-1].get("key") == body.get("key")
            assert ws.receive("message")["message_id"] == answer.json["message_id"]
    api.publish(topic, "after")
    assert ws.receive("message", payload="after")


@pytest.mark.parametrize("text", ["", "\0", "😀", "a/b", "..", "%00", "x" * 2000, "'"], ids=ascii)
def test_odd_names_in_paths_and_queries_are_not_found_or_refused(api, text):
    segment = quote(text, safe="")
    for path in ("/api/topics/", "/api/subscriptions/", "/api/messages/", "/api/dlq/"):
        answer = api.get(path + segment)
        assert answer.status in (200, 307, 400, 404), (path, answer)
    for path in ("/api/topics", "/api/subscriptions", "/api/dlq"):
        for field in ("q", "cursor"):
            assert api.get(path, **{field: text}).status in (200, 400)
    assert api.get("/api/dlq", topic=text, subscription=text, reason=text).status in (200, 400)
