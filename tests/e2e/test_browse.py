"""Looking into the log: a topic, its messages by number and time, the deliveries of one."""

import datetime as dt

import pytest

from tests.support.http import accepted
from tests.support.wait import until
from tests.support.ws import payloads

NO_SUCH_ID = "00000000-0000-7000-8000-000000000000"


def test_a_topic_shows_its_positions_size_and_retention(api, topic):
    created = api.create_topic(topic, max_messages=1000, max_age_s=3600)
    assert created["retention"]["max_messages"] == 1000
    assert created["retention"]["max_age_s"] == 3600
    api.publish_many(topic, ["x" * 100] * 5)
    view = api.topic(topic)
    assert (view["first_seq"], view["last_seq"], view["message_count"]) == (1, 5, 5)
    assert view["stored_bytes"] >= 500
    assert view["epoch"] == created["epoch"]


def test_retention_can_be_changed(api, topic):
    api.create_topic(topic)
    changed = accepted(api.patch(f"/api/topics/{topic}", {"retention": {"max_messages": 3}}))
    assert changed["retention"]["max_messages"] == 3
    api.publish_many(topic, list(range(20)))
    until(lambda: api.topic(topic)["first_seq"] == 18)
    assert payloads(api.browse(topic)) == [17, 18, 19]


def test_retention_by_bytes_removes_the_oldest(api, topic):
    api.create_topic(topic, max_bytes=1000)
    api.publish_many(topic, ["x" * 98] * 30)
    until(lambda: api.topic(topic)["stored_bytes"] <= 1000)
    kept = api.browse(topic)
    assert 5 <= len(kept) <= 10
    assert kept[-1]["seq"] == 30


def test_retention_by_age_removes_the_oldest(api, topic):
    api.create_topic(topic, max_age_s=1)
    api.publish(topic, "old")
    until(lambda: api.browse(topic) == [])
    assert api.topic(topic)["last_seq"] == 1
    assert api.publish(topic, "new")["seq"] == 2, "numbers go on after retention"


@pytest.mark.parametrize(
    "retention", [{"max_messages": 0}, {"max_age_s": -1}, {"max_bytes": "1"}, {"max": 1}], ids=str
)
def test_a_bad_retention_is_refused_and_named(api, topic, retention):
    refused = api.post("/api/topics", {"name": topic, "retention": retention})
    assert refused.status == 400
    (field,) = retention
    assert field in refused.json["field"]
    assert api.get(f"/api/topics/{topic}").status == 404


def test_topics_are_listed_by_page_in_order_of_name(api, topic):
    names = [f"{topic}.{letter}" for letter in "abcde"]
    for name in reversed(names):
        api.create_topic(name)
    seen, cursor = [], None
    while not seen or cursor:
        page = accepted(api.get("/api/topics", q=topic, limit=2, cursor=cursor))
        seen += [each["name"] for each in page["topics"]]
        cursor = page["next"]
    assert seen == names


def test_messages_are_browsed_by_number_limit_and_order(api, topic):
    api.create_topic(topic)
    api.publish_many(topic, list(range(1, 21)))
    path = f"/api/topics/{topic}/messages"
    page = accepted(api.get(path, from_seq=5, limit=3))
    assert payloads(page["messages"]) == [5, 6, 7]
    page = accepted(api.get(path, from_seq=page["next"], limit=3))
    assert payloads(page["messages"]) == [8, 9, 10]
    assert payloads(accepted(api.get(path, order="desc", limit=3))["messages"]) == [20, 19, 18]
    last = accepted(api.get(path, from_seq=18, limit=10))
    assert payloads(last["messages"]) == [18, 19, 20]
    assert last["next"] is None
    assert payloads(accepted(api.get(path, from_seq=99))["messages"]) == []


def test_walking_through_next_gives_every_message_once_in_both_orders(api, topic):
    api.create_topic(topic)
    api.publish_many(topic, list(range(25)))
    for order, expected in [("asc", list(range(25))), ("desc", list(range(24, -1, -1)))]:
        seen, following = [], None
        while not seen or following:
            page = accepted(
                api.get(f"/api/topics/{topic}/messages", from_seq=following, limit=7, order=order)
            )
            seen += payloads(page["messages"])
            following = page["next"]
        assert seen == expected


def test_messages_are_browsed_by_time(api, topic):
    api.create_topic(topic)
    early = api.publish(topic, "early")
    late = until(
        lambda: (now := api.publish(topic, "late"))["published_at"] > early["published_at"] and now
    )
    kept = api.browse(topic, from_time=late["published_at"])
    assert kept[0]["seq"] == late["seq"]
    before = api.browse(topic, to_time=early["published_at"])
    assert "late" not in payloads(before)
    hour = dt.datetime.fromisoformat(early["published_at"]) + dt.timedelta(hours=1)
    assert api.browse(topic, from_time=hour.isoformat()) == []


@pytest.mark.parametrize(
    "query",
    [{"limit": 0}, {"limit": 1001}, {"from_seq": "x"}, {"order": "up"}, {"from_time": "noon"}],
    ids=str,
)
def test_a_bad_query_is_refused_and_named(api, topic, query):
    api.create_topic(topic)
    refused = api.get(f"/api/topics/{topic}/messages", **query)
    (field,) = query
    assert (refused.status, refused.json["field"]) == (400, field)


def test_browsing_an_unknown_topic_is_404(api, topic):
    refused = api.get(f"/api/topics/{topic}/messages")
    assert (refused.status, refused.code) == (404, "topic_not_found")


def test_a_message_is_found_by_its_id(api, topic):
    api.create_topic(topic)
    receipt = api.publish(topic, {"n": 1}, key="k")
    found = accepted(api.get(f"/api/messages/{receipt['message_id']}"))
    assert (found["topic"], found["seq"], found["payload"], found["key"]) == (
        topic,
        1,
        {"n": 1},
        "k",
    )
    assert found["published_at"] == receipt["published_at"]
    assert found["deliveries"] == []


@pytest.mark.parametrize("identity", [NO_SUCH_ID, "x", "no-uuid"])
def test_an_unknown_message_is_404(api, identity):
    refused = api.get(f"/api/messages/{identity}")
    assert refused.status in (400, 404)
    if identity == NO_SUCH_ID:
        assert refused.code == "message_not_found"


def test_a_message_shows_its_state_on_every_subscription(api, ws, topic, name):
    api.create_topic(topic)
    for state in ("pending", "in_flight", "retrying", "acked", "dead"):
        body = {"name": f"{name}-{state}", "topic": topic, "ack_wait_ms": 60_000}
        accepted(api.post("/api/subscriptions", body), 201)
        if state != "pending":
            ws.subscribe(topic, subscription=f"{name}-{state}")
    receipt = api.publish(topic, 1)
    ws.messages(4)
    settle = {"message_id": receipt["message_id"]}
    ws.request("ack", **settle, subscription=f"{name}-acked")
    ws.request("reject", **settle, subscription=f"{name}-dead", reason="bad")
    ws.request("nack", **settle, subscription=f"{name}-retrying", delay_ms=60_000, reason="not yet")
    deliveries = accepted(api.get(f"/api/messages/{receipt['message_id']}"))["deliveries"]
    states = {each["subscription"]: each for each in deliveries}
    assert {key: each["state"] for key, each in states.items()} == {
        f"{name}-{state}": state for state in ("pending", "in_flight", "retrying", "acked", "dead")
    }
    retrying = states[f"{name}-retrying"]
    assert retrying["attempts"] == 1
    assert "not yet" in str(retrying)
    assert states[f"{name}-in_flight"]["attempts"] == 1
    assert states[f"{name}-pending"]["attempts"] == 0
