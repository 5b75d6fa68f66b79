"""The seed's REST endpoints: paths, shapes, status codes, and an `error` that is one string."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

STORES = ["sqlite"]

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def assert_refused(answer, status, code):
    """Both what a seed client reads and what a new client reads."""
    assert answer.status == status, answer
    assert answer.code == code, answer
    body = answer.json
    assert isinstance(body["error"], str)
    assert body["error"] == body["detail"]
    assert body["status"] == status
    assert {"type", "title", "request_id"} <= body.keys()


def test_publish_answers_with_the_seeds_fields(api, topic):
    api.create_topic(topic)
    receipt = api.publish(topic, {"order_id": "abc-123", "amount": 99.95})
    assert UUID.fullmatch(receipt["message_id"])
    assert receipt["topic"] == topic
    assert receipt["subscribers"] == 0
    assert TIME.fullmatch(receipt["published_at"])


def test_publish_counts_the_subscribers_of_the_topic(api, ws, connect, topic):
    ws.subscribe(topic)
    connect().subscribe(topic)
    assert api.publish(topic, 1)["subscribers"] == 2


def test_publish_to_an_unknown_topic_is_404(api, topic):
    assert_refused(api.post("/api/publish", {"topic": topic, "payload": 1}), 404, "topic_not_found")


def test_publish_to_a_topic_made_by_a_subscription_works(api, ws, topic):
    ws.subscribe(topic)
    api.publish(topic, 1)
    assert ws.receive("message")["payload"] == 1


def test_publish_with_an_empty_topic_is_400(api):
    assert_refused(api.post("/api/publish", {"topic": "", "payload": 1}), 400, "invalid_topic")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (None, "malformed_json"),
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b"[]", "invalid_request"),
        (b"null", "invalid_request"),
        (b'{"payload": 1}', "invalid_request"),
        (b'{"topic": "x"}', "invalid_request"),
        (b'{"topic": 5, "payload": 1}', "invalid_request"),
    ],
)
def test_publish_without_a_usable_body_is_400(api, body, code):
    answer = api.request("POST", "/api/publish", body, {"content-type": "application/json"})
    assert_refused(answer, 400, code)


def test_topics_are_created_with_the_seeds_shape(api, topic):
    answer = api.post("/api/topics", {"name": topic})
    assert answer.status == 201
    created = answer.json
    assert created["name"] == topic
    assert created["subscriber_count"] == 0
    assert created["message_count"] == 0
    assert TIME.fullmatch(created["created_at"])


def test_creating_a_topic_twice_is_409(api, topic):
    api.create_topic(topic)
    assert_refused(api.post("/api/topics", {"name": topic}), 409, "topic_exists")


def test_of_many_at_once_only_one_creates_the_topic(api, topic):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.post("/api/topics", {"name": topic}), range(8)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 7


@pytest.mark.parametrize("body", [None, {}, {"name": ""}, {"name": 7}, {"name": None}, []])
def test_creating_a_topic_without_a_name_is_400(api, body):
    answer = api.post("/api/topics", body)
    assert answer.status == 400
    assert isinstance(answer.json["error"], str)


def test_topics_are_listed_with_counts(api, ws, topic):
    api.create_topic(topic)
    ws.subscribe(topic)
    api.publish_many(topic, [1, 2, 3])
    (listed,) = api.get("/api/topics", q=topic).json["topics"]
    assert listed["name"] == topic
    assert listed["subscriber_count"] == 1
    assert listed["message_count"] == 3
    assert TIME.fullmatch(listed["created_at"])


def test_deleting_a_topic_is_204_without_a_body_and_then_404(api, topic):
    api.create_topic(topic)
    gone = api.delete(f"/api/topics/{topic}")
    assert (gone.status, gone.body) == (204, b"")
    assert_refused(api.delete(f"/api/topics/{topic}"), 404, "topic_not_found")
    assert_refused(api.post("/api/publish", {"topic": topic, "payload": 1}), 404, "topic_not_found")
    assert_refused(api.get(f"/api/topics/{topic}"), 404, "topic_not_found")


def test_stats_have_the_seeds_numbers(api, ws, topic):
    before = api.get("/api/stats").json
    ws.subscribe(topic)
    api.publish_many(topic, [1, 2, 3])
    after = api.get("/api/stats").json
    assert isinstance(after["messages_per_sec"], int | float)
    assert after["total_messages"] == before["total_messages"] + 3
    assert after["active_subscribers"] == before["active_subscribers"] + 1
    assert after["active_topics"] >= 1
    assert after["uptime_seconds"] >= before["uptime_seconds"] >= 0


def test_health_is_ok(api):
    answer = api.get("/health")
    assert answer.status == 200
    assert answer.json["status"] == "ok"


def test_an_unknown_path_is_404_and_a_wrong_method_405(api):
    assert_refused(api.get("/api/nothing"), 404, "not_found")
    wrong = api.request("PUT", "/api/topics")
    assert_refused(wrong, 405, "method_not_allowed")
    assert_refused(api.get("/api/publish"), 405, "method_not_allowed")
