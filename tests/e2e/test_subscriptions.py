"""Subscriptions over REST: create, read, list, update, delete, seek, pause, resume."""

import pytest

from tests.support.http import accepted
from tests.support.wait import until
from tests.support.ws import Refused, payloads


def test_a_created_subscription_keeps_messages_before_anyone_attaches(api, connect, topic, name):
    api.create_topic(topic)
    answer = api.post("/api/subscriptions", {"name": name, "topic": topic, "ack_wait_ms": 700})
    assert answer.status == 201
    created = answer.json
    assert (created["name"], created["topic"], created["paused"]) == (name, topic, False)
    assert (created["subscribers"], created["in_flight_count"], created["dead_count"]) == (0, 0, 0)
    api.publish_many(topic, [1, 2, 3])
    ws = connect()
    ws.subscribe(topic, subscription=name)
    assert payloads(ws.messages(3)) == [1, 2, 3]


def test_settings_are_shown_with_their_defaults(api, topic, name):
    accepted(api.post("/api/subscriptions", {"name": name, "topic": topic}), 201)
    view = api.subscription(name)
    settings = {**view, **view.get("settings", {})}
    assert settings["ack"] == "explicit"
    assert settings["order"] == "publish"
    assert settings["max_in_flight"] == 256
    assert settings["ack_wait_ms"] == 30_000
    assert settings["max_attempts"] == 5
    assert settings["max_lost"] == 20


def test_creating_a_subscription_twice_is_409(api, topic, name):
    body = {"name": name, "topic": topic}
    accepted(api.post("/api/subscriptions", body), 201)
    refused = api.post("/api/subscriptions", body)
    assert (refused.status, refused.code) == (409, "subscription_exists")


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"name": "no spaces"}, "invalid_name", "name"),
        ({"name": ""}, "invalid_name", "name"),
        ({"topic": "a..b"}, "invalid_topic", "topic"),
        ({"topic": "a.>.b"}, "invalid_pattern", "topic"),
        ({"max_in_flight": 0}, "invalid_request", "max_in_flight"),
        ({"colour": "red"}, "unknown_field", "colour"),
    ],
    ids=str,
)
def test_a_bad_subscription_is_refused_and_the_field_named(api, topic, name, change, code, field):
    refused = api.post("/api/subscriptions", {"name": name, "topic": topic, **change})
    assert (refused.status, refused.code) == (400, code)
    assert refused.json["field"] == field


def test_an_unknown_subscription_is_404_everywhere(api, name):
    path = f"/api/subscriptions/{name}"
    for answer in (
        api.get(path),
        api.delete(path),
        api.patch(path, {"max_attempts": 3}),
        api.post(f"{path}/pause"),
        api.post(f"{path}/resume"),
        api.post(f"{path}/seek", {"start": "earliest"}),
    ):
        assert (answer.status, answer.code) == (404, "subscription_not_found")


def test_floor_lag_and_counts_tell_the_progress(api, ws, topic, name):
    ws.subscribe(topic, subscription=name, max_in_flight=3, ack_wait_ms=60_000)
    api.publish_many(topic, [1, 2, 3, 4, 5])
    first, second, _ = ws.messages(3)
    ws.ack(first)
    ws.messages(1)
    view = api.subscription(name)
    assert (view["subscribers"], view["in_flight_count"]) == (1, 3)
    (progress,) = view["topics"]
    assert (progress["topic"], progress["floor"], progress["lag"]) == (topic, 1, 4)
    ws.request("nack", message_id=second["message_id"], delay_ms=60_000)
    assert api.subscription(name)["pending_retry_count"] == 1


def test_subscriptions_are_listed_by_page_and_found_by_name(api, topic, name):
    names = [f"{name}-{number}" for number in range(5)]
    for each in names:
        accepted(api.post("/api/subscriptions", {"name": each, "topic": topic}), 201)
    seen, cursor = [], None
    while not seen or cursor:
        page = accepted(api.get("/api/subscriptions", q=name, limit=2, cursor=cursor))
        seen += [each["name"] for each in page["subscriptions"]]
        cursor = page["next"]
    assert seen == names


def followers(api, topic, **query):
    """Name, lag in the topic, lag in all, and whether there are other topics."""
    seen, cursor = [], None
    while not seen or cursor:
        query["cursor"] = cursor
        page = accepted(api.get("/api/subscriptions", topic=topic, **query))
        seen += [
            (
                each["name"],
                [(place["topic"], place["lag"]) for place in each["topics"]],
                each["lag"],
                each["more_topics"],
            )
            for each in page["subscriptions"]
        ]
        cursor = page["next"]
        if not seen:
            break
    return seen


@pytest.mark.parametrize("others", [1, 25])
def test_those_that_follow_a_topic_are_listed_with_how_far_they_are_in_it(
    api, connect, topic, name, others
):
    """Also those on so many topics that they are shown without them otherwise."""
    own, elsewhere = f"{topic}.own", f"{topic}.other0"
    for each in (own, *(f"{topic}.other{number}" for number in range(others))):
        api.create_topic(each)
    api.publish_many(own, [1, 2, 3])
    api.publish_many(elsewhere, [1, 2])
    for which, pattern in (("a", own), ("b", f"{topic}.*"), ("c", elsewhere), ("d", f"{topic}.>")):
        body = {"name": f"{name}-{which}", "topic": pattern, "start": "earliest"}
        accepted(api.post("/api/subscriptions", body), 201)
    ws = connect()
    ws.subscribe(f"{topic}.>", subscription=f"{name}-d")
    message = next(each for each in ws.messages(5) if each["topic"] == own)
    ws.ack(message)

    def seen(limit):
        return followers(api, own, q=name, limit=limit)

    # The lag of one on many topics is kept up, and not counted for each look.
    until(lambda: [lag for _, _, lag, _ in seen(10)] == [3, 5, 4])
    for limit in (1, 2, 10):
        assert seen(limit) == [
            (f"{name}-a", [(own, 3)], 3, False),
            (f"{name}-b", [(own, 3)], 5, True),
            (f"{name}-d", [(own, 2)], 4, True),
        ]


def test_those_that_would_follow_a_topic_are_listed_before_it_is_there(api, topic, name):
    accepted(api.post("/api/subscriptions", {"name": name, "topic": f"{topic}.*"}), 201)
    assert followers(api, f"{topic}.new", q=name) == [(name, [], 0, False)]
    assert followers(api, f"{topic}.new.deeper", q=name) == []


@pytest.mark.parametrize("bad", ["a.*", "", "a..b"])
def test_those_that_follow_what_is_no_topic_are_not_looked_for(api, bad):
    refused = api.get("/api/subscriptions", topic=bad)
    assert (refused.status, refused.json["field"]) == (400, "topic")


def test_settings_can_be_changed_and_the_change_is_used(api, ws, topic, name):
    ws.subscribe(topic, subscription=name, max_in_flight=2, ack_wait_ms=60_000)
    changed = accepted(api.patch(f"/api/subscriptions/{name}", {"max_attempts": 1}))
    assert {**changed, **changed.get("settings", {})}["max_attempts"] == 1
    api.publish(topic, "x")
    ws.request("nack", message_id=ws.receive("message")["message_id"])
    assert len(api.dead_letters(topic=topic)) == 1


@pytest.mark.parametrize(
    "change", [{"colour": "red"}, {"name": "x"}, {"max_attempts": 0}, {"order": "up"}], ids=str
)
def test_a_change_that_means_nothing_is_refused_and_named(api, topic, name, change):
    accepted(api.post("/api/subscriptions", {"name": name, "topic": topic}), 201)
    refused = api.patch(f"/api/subscriptions/{name}", change)
    (field,) = change
    assert (refused.status, refused.json["field"]) == (400, field)


def test_a_deleted_subscription_is_gone_and_starts_afresh(api, connect, topic, name):
    first = connect()
    first.subscribe(topic, subscription=name)
    api.publish(topic, 1)
    first.close()
    until(lambda: api.subscription(name)["subscribers"] == 0)
    assert api.delete(f"/api/subscriptions/{name}").status == 204
    assert api.get(f"/api/subscriptions/{name}").status == 404
    second = connect()
    second.subscribe(topic, subscription=name)
    second.nothing(0.1, "message")


# Seek -------------------------------------------------------------------------------------------


@pytest.fixture
def acked_five(api, ws, topic, name):
    """A durable subscription that has settled the payloads 1..5 and is attached."""
    ws.subscribe(topic, subscription=name, ack_wait_ms=60_000)
    receipts = api.publish_many(topic, [1, 2, 3, 4, 5])
    ws.messages(5)
    ws.request("ack", topic=topic, seq=5)
    return receipts


@pytest.mark.parametrize(
    "case",
    [("earliest", [1, 2, 3, 4, 5]), ({"seq": 4}, [4, 5]), ("new", [])],
    ids=str,
)
def test_seek_moves_the_subscription(api, ws, topic, name, acked_five, case):
    start, expected = case
    accepted(api.post(f"/api/subscriptions/{name}/seek", {"start": start}))
    assert payloads(ws.messages(len(expected))) == expected
    ws.nothing(0.1, "message")
    api.publish(topic, "next")
    assert ws.receive("message")["payload"] == "next"


def test_seek_by_time_replays_from_that_moment(api, ws, topic, name, acked_five):
    start = {"time": acked_five[0]["published_at"]}
    accepted(api.post(f"/api/subscriptions/{name}/seek", {"start": start}))
    assert payloads(ws.messages(5)) == [1, 2, 3, 4, 5]


def test_seek_forward_skips_what_was_waiting(api, ws, topic, name, acked_five):
    accepted(api.post(f"/api/subscriptions/{name}/pause"))
    api.publish_many(topic, [6, 7, 8])
    accepted(api.post(f"/api/subscriptions/{name}/seek", {"start": {"seq": 8}}))
    accepted(api.post(f"/api/subscriptions/{name}/resume"))
    assert payloads(ws.messages(1)) == [8]


def test_a_dry_run_of_seek_says_the_positions_and_moves_nothing(api, ws, topic, name, acked_five):
    path = f"/api/subscriptions/{name}/seek"
    answer = accepted(api.post(path, {"start": {"seq": 3}, "dry_run": True}))
    (progress,) = answer["topics"]
    assert (progress["topic"], progress["floor"], progress["lag"]) == (topic, 2, 3)
    assert (progress["floor_before"], progress["again_count"], progress["skipped_count"]) == (
        5,
        3,
        0,
    )
    assert (answer["again_count"], answer["skipped_count"]) == (3, 0)
    ws.nothing(0.15, "message")
    assert api.subscription(name)["topics"][0]["floor"] == 5


def test_seek_works_on_a_subscription_that_nobody_is_attached_to(api, connect, topic, name):
    api.create_topic(topic)
    api.publish_many(topic, [1, 2, 3])
    accepted(api.post("/api/subscriptions", {"name": name, "topic": topic}), 201)
    accepted(api.post(f"/api/subscriptions/{name}/seek", {"start": {"seq": 2}}))
    ws = connect()
    ws.subscribe(topic, subscription=name)
    assert payloads(ws.messages(2)) == [2, 3]


@pytest.mark.parametrize(
    "body", [{}, {"start": "never"}, {"start": {"seq": 0}}, {"from": 1}], ids=str
)
def test_a_seek_that_means_nothing_is_400(api, topic, name, body):
    accepted(api.post("/api/subscriptions", {"name": name, "topic": topic}), 201)
    assert api.post(f"/api/subscriptions/{name}/seek", body).status == 400


# Pause and resume -------------------------------------------------------------------------------


def test_a_paused_subscription_delivers_nothing_until_it_is_resumed(api, ws, topic, name):
    ws.subscribe(topic, subscription=name, ack_wait_ms=60_000)
    assert accepted(api.post(f"/api/subscriptions/{name}/pause"))["paused"] is True
    api.publish_many(topic, [1, 2])
    ws.nothing(0.2, "message")
    assert api.subscription(name)["topics"][0]["lag"] == 2
    assert accepted(api.post(f"/api/subscriptions/{name}/resume"))["paused"] is False
    frames = ws.messages(2)
    assert payloads(frames) == [1, 2]
    assert {frame["attempt"] for frame in frames} == {1}


def test_what_is_in_flight_can_be_acked_during_a_pause(api, ws, topic, name):
    ws.subscribe(topic, subscription=name, ack_wait_ms=60_000)
    api.publish(topic, 1)
    frame = ws.receive("message")
    accepted(api.post(f"/api/subscriptions/{name}/pause"))
    ws.ack(frame)
    assert api.subscription(name)["topics"][0]["lag"] == 0


def test_pausing_one_subscription_leaves_others_alone(api, ws, connect, topic, name):
    ws.subscribe(topic, subscription=name)
    other = connect()
    other.subscribe(topic, subscription=f"{name}-other")
    accepted(api.post(f"/api/subscriptions/{name}/pause"))
    api.publish(topic, 1)
    assert other.receive("message")["payload"] == 1
    ws.nothing(0.1, "message")


def test_a_rest_subscription_and_a_frame_with_other_settings_conflict(api, ws, topic, name):
    accepted(api.post("/api/subscriptions", {"name": name, "topic": topic, "order": "strict"}), 201)
    with pytest.raises(Refused) as refused:
        ws.subscribe(topic, subscription=name, order="publish")
    assert refused.value.code == "subscription_conflict"
    ws.subscribe(topic, subscription=name, order="strict")
