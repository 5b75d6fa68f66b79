"""Durable subscriptions: made on first use, resumed, competed for."""

import pytest

from tests.support.ws import Refused, payloads

STORES = ["sqlite"]


def test_a_durable_subscription_is_made_on_first_use_and_resumed_after_that(
    api, connect, topic, name
):
    first = connect()
    confirmed = first.subscribe(topic, subscription=name)
    assert confirmed["subscription"] == name
    api.publish_many(topic, [1, 2, 3])
    frames = first.messages(3)
    assert {frame["subscription"] for frame in frames} == {name}
    for frame in frames[:2]:
        first.ack(frame)
    first.close()
    api.publish(topic, 4)
    second = connect()
    second.subscribe(topic, subscription=name)
    frames = second.messages(2)
    assert payloads(frames) == [3, 4]
    assert [frame["attempt"] for frame in frames] == [2, 1]


def test_a_durable_subscription_keeps_what_is_published_while_it_is_offline(
    api, connect, topic, name
):
    first = connect()
    first.subscribe(topic, subscription=name)
    first.close()
    for number in range(300):
        api.publish(topic, number)
    second = connect()
    second.subscribe(topic, subscription=name, ack="explicit")
    received = []
    while len(received) < 300:
        frame = second.receive("message")
        received.append(frame)
        second.send({"type": "ack", "message_id": frame["message_id"]})
    assert payloads(received) == list(range(300))
    assert {frame["attempt"] for frame in received} == {1}


def test_a_new_durable_subscription_takes_a_start_position(ws, topic, ten, name):
    ws.subscribe(topic, subscription=name, start={"seq": 9})
    assert payloads(ws.messages(2)) == [9, 10]


def test_an_existing_durable_subscription_ignores_start(api, connect, topic, ten, name):
    first = connect()
    first.subscribe(topic, subscription=name, start="earliest")
    for frame in first.messages(10):
        first.ack(frame)
    first.close()
    second = connect()
    second.subscribe(topic, subscription=name, start="earliest")
    second.nothing(0.15, "message")
    api.publish(topic, 11)
    assert payloads(second.messages(1)) == [11]


def test_an_existing_durable_subscription_keeps_the_settings_that_are_left_out(
    connect, topic, name
):
    connect().subscribe(topic, subscription=name, max_in_flight=3, ack_wait_ms=700, max_attempts=2)
    connect().subscribe(topic, subscription=name)
    connect().subscribe(topic, subscription=name, max_in_flight=3)


@pytest.mark.parametrize(
    "other",
    [
        {"ack": "auto"},
        {"order": "strict"},
        {"max_in_flight": 7},
        {"ack_wait_ms": 70},
        {"max_attempts": 3},
    ],
    ids=str,
)
def test_an_existing_durable_subscription_with_other_settings_is_a_conflict(
    connect, topic, name, other
):
    connect().subscribe(topic, subscription=name)
    second = connect()
    with pytest.raises(Refused) as refused:
        second.subscribe(topic, subscription=name, **other)
    assert refused.value.code == "subscription_conflict"
    second.subscribe(topic, subscription=name)


def test_an_existing_durable_subscription_on_another_topic_is_a_conflict(connect, topic, name):
    connect().subscribe(topic, subscription=name)
    with pytest.raises(Refused) as refused:
        connect().subscribe(f"{topic}.other", subscription=name)
    assert refused.value.code == "subscription_conflict"


def test_a_durable_subscription_may_have_a_pattern(api, connect, topic, name):
    first = connect()
    first.subscribe(f"{topic}.*", subscription=name)
    first.close()
    for suffix in ("a", "b"):
        api.create_topic(f"{topic}.{suffix}")
        api.publish_many(f"{topic}.{suffix}", [1, 2])
    second = connect()
    second.subscribe(f"{topic}.*", subscription=name)
    frames = second.messages(4)
    for suffix in ("a", "b"):
        mine = [frame for frame in frames if frame["topic"] == f"{topic}.{suffix}"]
        assert payloads(mine) == [1, 2]


def test_unsubscribing_leaves_the_durable_subscription_and_its_place(api, ws, topic, name):
    ws.subscribe(topic, subscription=name)
    frame = ws.request("unsubscribe", topic=topic, subscription=name)
    assert (frame["type"], frame["subscription"]) == ("unsubscribed", name)
    api.publish(topic, 1)
    ws.nothing(0.1, "message")
    ws.subscribe(topic, subscription=name)
    assert payloads(ws.messages(1)) == [1]


def test_nothing_of_a_stream_follows_its_unsubscribed(api, ws, topic):
    ws.subscribe(topic)
    api.publish_many(topic, list(range(500)))
    ws.send({"type": "unsubscribe", "topic": topic})
    types = []
    while "unsubscribed" not in types:
        types.append(ws.receive()["type"])
    api.publish_many(topic, list(range(10)))
    ws.nothing(0.2)


def test_a_pattern_goes_on_when_one_of_its_topics_is_deleted_and_made_again(api, ws, topic, name):
    for suffix in ("a", "b"):
        api.create_topic(f"{topic}.{suffix}")
    ws.subscribe(f"{topic}.*", subscription=name)
    api.publish(f"{topic}.a", 1)
    ws.ack(ws.receive("message"))
    assert api.delete(f"/api/topics/{topic}.a").status == 204
    api.publish(f"{topic}.b", 2)
    ws.ack(ws.receive("message", payload=2))
    api.create_topic(f"{topic}.a")
    assert api.publish(f"{topic}.a", 3)["seq"] == 1
    message = ws.receive("message", payload=3)
    assert (message["topic"], message["seq"], message["attempt"]) == (f"{topic}.a", 1, 1)


# Competing --------------------------------------------------------------------------------------


def test_competing_subscribers_share_the_messages_and_none_gets_them_all(api, connect, topic, name):
    workers = [connect() for _ in range(3)]
    for worker in workers:
        worker.subscribe(topic, subscription=name, max_in_flight=10, ack_wait_ms=60_000)
    api.publish_many(topic, list(range(30)))
    shares = [payloads(worker.messages(10)) for worker in workers]
    assert sorted(number for share in shares for number in share) == list(range(30))
    for share in shares:
        assert share == sorted(share), "each sees its part in seq order"
    for worker in workers:
        worker.nothing(0.05, "message")


def test_an_ephemeral_subscriber_beside_competing_ones_gets_everything(api, connect, topic, name):
    one, two, observer = connect(), connect(), connect()
    one.subscribe(topic, subscription=name)
    two.subscribe(topic, subscription=name)
    observer.subscribe(topic)
    api.publish_many(topic, list(range(20)))
    assert payloads(observer.messages(20)) == list(range(20))


def test_what_a_competing_subscriber_leaves_behind_goes_to_the_others(api, connect, topic, name):
    staying, leaving = connect(), connect()
    staying.subscribe(topic, subscription=name, max_in_flight=5, ack_wait_ms=60_000)
    leaving.subscribe(topic, subscription=name, max_in_flight=5)
    api.publish_many(topic, list(range(10)))
    mine, lost = staying.messages(5), leaving.messages(5)
    for frame in mine:
        staying.ack(frame)
    leaving.close()
    inherited = staying.messages(5)
    assert sorted(payloads(inherited)) == sorted(payloads(lost))
    assert {frame["attempt"] for frame in inherited} == {2}


def test_two_durable_subscriptions_each_get_everything(api, connect, topic, name):
    one, two = connect(), connect()
    one.subscribe(topic, subscription=f"{name}-1")
    two.subscribe(topic, subscription=f"{name}-2")
    api.publish_many(topic, list(range(10)))
    assert payloads(one.messages(10)) == payloads(two.messages(10)) == list(range(10))
