"""Subscribing: patterns, and settings that are refused."""

import pytest

from tests.support.ws import Refused, payloads

STORES = ["sqlite"]

# Patterns ---------------------------------------------------------------------------------------


def test_a_star_stands_for_one_token_and_a_greater_sign_for_the_rest(api, connect, topic):
    names = [topic, f"{topic}.a", f"{topic}.b", f"{topic}.a.x", f"{topic}.b.x.y", f"{topic}x.a"]
    expected = {
        topic: {topic},
        f"{topic}.*": {f"{topic}.a", f"{topic}.b"},
        f"{topic}.>": {f"{topic}.a", f"{topic}.b", f"{topic}.a.x", f"{topic}.b.x.y"},
        f"{topic}.*.x": {f"{topic}.a.x"},
        f"{topic}.*.>": {f"{topic}.a.x", f"{topic}.b.x.y"},
        "*.a": {f"{topic}.a", f"{topic}x.a"},
    }
    for name in names:
        api.create_topic(name)
    clients = {}
    for pattern in expected:
        clients[pattern] = connect()
        clients[pattern].subscribe(pattern)
    for name in names:
        api.publish(name, name)
    for pattern, client in clients.items():
        received = {frame["topic"] for frame in client.messages(len(expected[pattern]))}
        assert received == expected[pattern], pattern
        client.nothing(0.05, "message")


def test_a_pattern_reaches_topics_that_are_created_later(api, ws, topic):
    confirmed = ws.subscribe(f"{topic}.>")
    assert confirmed["topic"] == f"{topic}.>"
    assert "seq" not in confirmed
    api.create_topic(f"{topic}.later")
    api.publish(f"{topic}.later", 1)
    assert ws.receive("message")["topic"] == f"{topic}.later"


def test_a_pattern_creates_no_topic(api, ws, topic):
    ws.subscribe(f"{topic}.*")
    assert api.get("/api/topics", q=topic).json["topics"] == []


@pytest.mark.parametrize("bad", ["", ".", "a..b", "a.", ".a", "a b", "ä", "a/b", "x" * 256])
def test_a_bad_topic_is_refused_with_its_code(ws, bad):
    with pytest.raises(Refused) as refused:
        ws.subscribe(bad)
    assert refused.value.code == "invalid_topic"
    assert refused.value.frame["field"] == "topic"


@pytest.mark.parametrize("bad", ["a*", "*a.b", ">.a", "a.>.b", "a>", "a.>>", "**", "a..>"])
def test_a_bad_pattern_is_refused_with_its_code(ws, bad):
    with pytest.raises(Refused) as refused:
        ws.subscribe(bad)
    assert refused.value.code == "invalid_pattern"


def test_overlapping_subscriptions_of_one_connection_each_get_the_message(api, ws, topic):
    ws.subscribe(f"{topic}.a")
    ws.subscribe(f"{topic}.*")
    assert api.publish(f"{topic}.a", 1)["subscribers"] == 2
    assert payloads(ws.messages(2)) == [1, 1]


def test_the_same_subscription_twice_on_one_connection_is_refused(ws, topic, name):
    ws.subscribe(topic)
    with pytest.raises(Refused) as refused:
        ws.subscribe(topic)
    assert refused.value.code == "already_subscribed"
    ws.subscribe(topic, subscription=name)
    with pytest.raises(Refused) as refused:
        ws.subscribe(topic, subscription=name)
    assert refused.value.code == "already_subscribed"


# Settings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"ack": "maybe"},
        {"order": "random"},
        {"max_in_flight": 0},
        {"max_in_flight": "5"},
        {"prefetch": 0},
        {"ack_wait_ms": 0},
        {"ack_wait_ms": -5},
        {"max_attempts": 0},
        {"subscription": ""},
        {"subscription": "no spaces"},
        {"subscription": 7},
    ],
    ids=str,
)
def test_a_setting_out_of_its_range_is_refused_and_named(ws, topic, settings):
    (field,) = settings
    with pytest.raises(Refused) as refused:
        ws.subscribe(topic, **settings)
    assert refused.value.frame["field"] == field
    assert refused.value.code in ("invalid_request", "invalid_name")
    ws.barrier()


@pytest.mark.parametrize("name", [None, "s"])
def test_who_asks_for_it_makes_nothing_by_subscribing(api, ws, topic, name):
    with pytest.raises(Refused) as refused:
        ws.subscribe(topic, subscription=name and f"{topic}-{name}", create=False)
    assert refused.value.code == ("topic_not_found" if name is None else "subscription_not_found")
    assert api.get("/api/topics", q=topic).json["topics"] == []
    api.create_topic(topic)
    if name is None:
        assert ws.subscribe(topic, create=False)["seq"] == 0
