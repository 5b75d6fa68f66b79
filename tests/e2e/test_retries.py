"""The retry schedule, attempts over connections, and the death of a delivery."""

import socket
import time

from tests.support.wait import until
from tests.support.ws import payloads

STORES = ["sqlite"]

# A sweep is coarse, jitter is up to 10 %, and the machine that tests run on may be busy. That nothing is
# late is tested where time can be set.
LATE_S = 10.0


def test_attempts_follow_the_doubling_schedule_and_end_as_a_dead_letter(api, ws, topic, name):
    ws.subscribe(topic, subscription=name, ack_wait_ms=100)
    began = time.monotonic()
    receipt = api.publish(topic, {"never": "acked"})
    for attempt, due in enumerate((0.0, 0.1, 0.3, 0.7, 1.5), 1):
        frame = ws.receive("message")
        assert due - 0.02 <= time.monotonic() - began <= due * 1.1 + LATE_S, attempt
        assert frame["attempt"] == attempt
        assert frame["message_id"] == receipt["message_id"]
    (dead,) = until(lambda: api.dead_letters(topic=topic))
    assert time.monotonic() - began >= 3.1 - 0.02, "the last attempt has its wait too"
    assert (dead["attempts"], dead["subscription"]) == (5, name)
    assert dead["payload"] == {"never": "acked"}
    ws.nothing(0.2, "message")


def test_an_ephemeral_subscriber_has_the_same_retries_and_dead_letters(api, ws, topic):
    ws.subscribe(topic, ack_wait_ms=60, max_attempts=3)
    api.publish(topic, "x")
    assert [frame["attempt"] for frame in ws.messages(3)] == [1, 2, 3]
    (dead,) = until(lambda: api.dead_letters(topic=topic))
    assert dead["attempts"] == 3
    assert not dead["subscription"]


def test_a_nacked_last_attempt_is_dead_at_once_with_its_reason(api, ws, topic, name):
    ws.subscribe(topic, subscription=name, ack_wait_ms=60_000, max_attempts=2)
    api.publish(topic, "x")
    for _ in range(2):
        frame = ws.receive("message")
        ws.request("nack", message_id=frame["message_id"], delay_ms=0, reason="cannot parse")
    (dead,) = api.dead_letters(topic=topic)
    assert (dead["attempts"], dead["reason"]) == (2, "cannot parse")


def test_with_one_attempt_allowed_an_unacked_message_dies_after_its_wait(api, ws, topic, name):
    ws.subscribe(topic, subscription=name, ack_wait_ms=60, max_attempts=1)
    api.publish(topic, "x")
    ws.receive("message")
    until(lambda: api.dead_letters(topic=topic))
    ws.nothing(0.1, "message")


def test_redeliveries_do_not_hold_up_or_reorder_first_deliveries(api, ws, topic, name):
    ws.subscribe(topic, subscription=name, ack_wait_ms=100, max_attempts=3)
    first, again = [], []
    for number in range(40):
        api.publish(topic, number)
        time.sleep(0.01)
    while len(first) < 40 or len(again) < 40:
        frame = ws.receive("message")
        (first if frame["attempt"] == 1 else again).append(frame["payload"])
    assert first == list(range(40))
    assert set(again) <= set(first)


def test_time_offline_counts_as_no_attempt_and_no_wait(api, connect, topic, name):
    first = connect()
    first.subscribe(topic, subscription=name, ack_wait_ms=50, max_attempts=2)
    first.close()
    api.publish_many(topic, [1, 2])
    time.sleep(0.5)  # ten waits
    assert api.dead_letters(topic=topic) == []
    second = connect()
    second.subscribe(topic, subscription=name)
    frames = second.messages(2)
    assert payloads(frames) == [1, 2]
    assert {frame["attempt"] for frame in frames} == {1}


def test_a_lost_connection_is_not_a_failed_attempt(api, connect, topic, name):
    receipt = None
    for round_ in range(4):
        client = connect()
        client.subscribe(topic, subscription=name, ack_wait_ms=60_000, max_attempts=2)
        receipt = receipt or api.publish(topic, "x")
        assert client.receive("message")["attempt"] == round_ + 1
        client.close()
    assert api.dead_letters(topic=topic) == []
    deliveries = api.get(f"/api/messages/{receipt['message_id']}").json["deliveries"]
    (delivery,) = [each for each in deliveries if each["subscription"] == name]
    assert delivery["state"] in ("pending", "retrying")


def test_what_was_lost_twice_waits_and_a_clean_close_counts_nothing(api, connect, topic, name):
    def attach():
        client = connect()
        client.subscribe(topic, subscription=name, ack_wait_ms=60_000)
        return client

    attach().close()
    api.publish(topic, "x")
    for attempt in (1, 2, 3):
        client = attach()
        assert client.receive("message")["attempt"] == attempt
        client.close()
    client = attach()
    assert client.receive("message")["attempt"] == 4
    client.drop()
    client = attach()
    assert client.receive("message")["attempt"] == 5
    client.drop()
    client = attach()
    client.nothing(0.5, "message")
    assert client.receive("message", timeout=3)["attempt"] == 6


def test_a_dead_connection_gives_its_deliveries_back(api, connect, topic, name):
    first = connect()
    first.subscribe(topic, subscription=name, ack_wait_ms=60_000)
    api.publish_many(topic, [1, 2, 3])
    first.messages(3)
    first.connection.socket.shutdown(socket.SHUT_RDWR)
    second = connect()
    second.subscribe(topic, subscription=name)
    frames = second.messages(3)
    assert sorted(payloads(frames)) == [1, 2, 3]
    assert {frame["attempt"] for frame in frames} == {2}


def test_the_claims_of_an_ephemeral_subscriber_end_with_its_connection(api, connect, topic):
    client = connect()
    client.subscribe(topic, ack_wait_ms=400, max_attempts=1)
    api.publish(topic, "x")
    client.receive("message")
    client.close()
    time.sleep(0.8)
    assert api.dead_letters(topic=topic) == []
