"""Settling deliveries: ack in all forms, auto ack, nack, reject, extend, windows, strict order."""

import time

import pytest

from tests.support.wait import until
from tests.support.ws import Refused, payloads

UNKNOWN_ID = "00000000-0000-7000-8000-000000000000"


def test_an_ack_with_a_ref_is_confirmed(api, ws, topic, name):
    ws.subscribe(topic, subscription=name)
    api.publish(topic, 1)
    message = ws.receive("message")
    frame = ws.ack(message)
    assert frame["message_id"] == message["message_id"]
    assert api.subscription(name)["topics"][0]["lag"] == 0


def test_an_ack_without_a_ref_is_not_answered(api, ws, topic):
    ws.subscribe(topic)
    api.publish(topic, 1)
    ws.send({"type": "ack", "message_id": ws.receive("message")["message_id"]})
    ws.nothing(0.2)


def test_a_list_of_ids_settles_them_all(api, ws, topic, name):
    ws.subscribe(topic, subscription=name, ack_wait_ms=500)
    api.publish_many(topic, [1, 2, 3, 4])
    frames = ws.messages(4)
    ids = [frame["message_id"] for frame in frames if frame["payload"] != 2]
    assert ws.request("ack", message_ids=ids)["type"] == "acked"
    again = ws.receive("message")
    assert (again["payload"], again["attempt"]) == (2, 2)
    ws.ack(again)
    ws.nothing(1.2, "message")


def test_a_cumulative_ack_settles_everything_up_to_and_with_its_seq(api, ws, topic, name):
    ws.subscribe(topic, subscription=name, ack_wait_ms=500)
    api.publish_many(topic, [1, 2, 3, 4, 5])
    ws.messages(5)
    assert ws.request("ack", topic=topic, seq=4)["type"] == "acked"
    again = ws.receive("message")
    assert (again["payload"], again["attempt"]) == (5, 2)
    ws.request("ack", topic=topic, seq=5)
    ws.nothing(1.2, "message")
    assert api.subscription(name)["topics"][0]["floor"] == 5


def test_a_cumulative_ack_of_an_ephemeral_stream_works_too(api, ws, topic):
    ws.subscribe(topic, ack_wait_ms=500)
    api.publish_many(topic, [1, 2, 3])
    ws.messages(3)
    ws.request("ack", topic=topic, seq=3)
    ws.nothing(0.7, "message")


def test_auto_ack_settles_on_delivery(api, ws, topic, name):
    ws.subscribe(topic, subscription=name, ack="auto", ack_wait_ms=100)
    api.publish_many(topic, list(range(20)))
    assert payloads(ws.messages(20)) == list(range(20))
    ws.nothing(0.4, "message")
    until(lambda: api.subscription(name)["topics"][0]["lag"] == 0)
    assert api.subscription(name)["in_flight_count"] == 0


@pytest.mark.parametrize(
    "fields",
    [{"message_id": UNKNOWN_ID}, {"message_ids": [UNKNOWN_ID]}],
    ids=["one", "list"],
)
def test_an_ack_of_something_never_delivered_is_an_error_only_with_a_ref(api, ws, topic, fields):
    ws.subscribe(topic)
    ws.send({"type": "ack", **fields})
    ws.barrier()
    with pytest.raises(Refused) as refused:
        ws.request("ack", **fields)
    assert refused.value.code == "unknown_delivery"
    ws.nothing(0.05)
    api.publish(topic, 1)
    assert ws.receive("message")["payload"] == 1


@pytest.mark.parametrize("kind", ["nack", "reject", "extend"])
def test_settling_otherwise_what_was_never_delivered_is_an_error_only_with_a_ref(ws, topic, kind):
    ws.subscribe(topic)
    ws.send({"type": kind, "message_id": UNKNOWN_ID})
    ws.barrier()
    with pytest.raises(Refused) as refused:
        ws.request(kind, message_id=UNKNOWN_ID)
    assert refused.value.code == "unknown_delivery"


def test_a_second_ack_of_the_same_delivery_is_a_late_one(api, ws, topic):
    ws.subscribe(topic)
    api.publish(topic, 1)
    message = ws.receive("message")
    ws.ack(message)
    with pytest.raises(Refused) as refused:
        ws.ack(message)
    assert refused.value.code == "unknown_delivery"


def test_one_connection_cannot_ack_for_another(api, ws, connect, topic):
    ws.subscribe(topic, ack_wait_ms=200)
    api.publish(topic, 1)
    message = ws.receive("message")
    with pytest.raises(Refused):
        connect().ack(message)
    assert ws.receive("message")["attempt"] == 2


def test_a_cumulative_ack_of_an_unknown_topic_is_an_error_with_a_ref(ws, topic):
    with pytest.raises(Refused) as refused:
        ws.request("ack", topic=topic, seq=1)
    assert refused.value.code in ("unknown_delivery", "topic_not_found", "not_subscribed")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"topic": "t"},
        {"seq": 1},
        {"message_id": UNKNOWN_ID, "topic": "t", "seq": 1},
        {"message_id": UNKNOWN_ID, "message_ids": [UNKNOWN_ID]},
    ],
    ids=str,
)
def test_an_ack_that_names_nothing_or_two_things_is_refused(ws, fields):
    with pytest.raises(Refused) as refused:
        ws.request("ack", **fields)
    assert refused.value.code == "invalid_request"


def test_the_subscription_in_an_ack_tells_apart_what_one_connection_holds_twice(
    api, ws, topic, name
):
    ws.subscribe(topic, subscription=f"{name}-1", ack_wait_ms=500)
    ws.subscribe(topic, subscription=f"{name}-2", ack_wait_ms=500)
    api.publish(topic, 1)
    one, _ = ws.messages(2)
    ws.ack(one, subscription=f"{name}-1")
    again = ws.receive("message")
    assert (again["subscription"], again["attempt"]) == (f"{name}-2", 2)
    ws.ack(again, subscription=f"{name}-2")
    ws.nothing(1.2, "message")


# Nack, reject, extend ---------------------------------------------------------------------------


def test_a_nack_brings_the_message_again_after_its_delay(api, ws, topic):
    ws.subscribe(topic, ack_wait_ms=60_000)
    api.publish(topic, 1)
    began = time.monotonic()
    frame = ws.receive("message")
    assert ws.request("nack", message_id=frame["message_id"], delay_ms=300)["type"] == "acked"
    again = ws.receive("message")
    assert again["attempt"] == 2
    assert time.monotonic() - began >= 0.29


def test_a_nack_without_a_delay_waits_for_the_backoff(api, ws, topic):
    ws.subscribe(topic, ack_wait_ms=1_000)
    api.publish(topic, 1)
    began = time.monotonic()
    ws.request("nack", message_id=ws.receive("message")["message_id"], reason="not yet")
    assert ws.receive("message")["attempt"] == 2
    assert time.monotonic() - began >= 0.99


def test_a_nack_with_a_zero_delay_brings_the_message_at_once(api, ws, topic):
    ws.subscribe(topic, ack_wait_ms=60_000)
    api.publish(topic, 1)
    ws.request("nack", message_id=ws.receive("message")["message_id"], delay_ms=0)
    assert ws.receive("message")["attempt"] == 2


def test_other_messages_pass_while_a_nacked_one_waits(api, ws, topic):
    ws.subscribe(topic, ack_wait_ms=60_000)
    api.publish(topic, 1)
    ws.request("nack", message_id=ws.receive("message")["message_id"], delay_ms=300)
    api.publish(topic, 2)
    assert payloads(ws.messages(2)) == [2, 1]


def test_a_negative_delay_is_refused(api, ws, topic):
    ws.subscribe(topic)
    api.publish(topic, 1)
    with pytest.raises(Refused) as refused:
        ws.request("nack", message_id=ws.receive("message")["message_id"], delay_ms=-1)
    assert refused.value.code == "invalid_request"
    assert refused.value.frame["field"] == "delay_ms"


def test_a_reject_makes_a_dead_letter_at_once_with_its_reason(api, ws, topic, name):
    ws.subscribe(topic, subscription=name, ack_wait_ms=200)
    api.publish(topic, {"bad": True})
    frame = ws.receive("message")
    assert ws.request("reject", message_id=frame["message_id"], reason="no such order")
    (dead,) = api.dead_letters(topic=topic)
    assert dead["message_id"] == frame["message_id"]
    assert (dead["subscription"], dead["attempts"]) == (name, 1)
    assert dead["reason"] == "no such order"
    ws.nothing(0.5, "message")


def test_a_confirmed_reject_of_an_ephemeral_delivery_is_among_the_dead_letters(api, ws, topic):
    ws.subscribe(topic)
    api.publish(topic, 1)
    ws.request("reject", message_id=ws.receive("message")["message_id"], reason="bad")
    assert [dead["reason"] for dead in api.dead_letters(topic=topic)] == ["bad"]


def test_extend_gives_more_time_once(api, ws, topic):
    ws.subscribe(topic, ack_wait_ms=1_000)
    api.publish(topic, 1)
    began = time.monotonic()
    frame = ws.receive("message")
    assert ws.request("extend", message_id=frame["message_id"], ms=2_000)["type"] == "acked"
    again = ws.receive("message")
    assert time.monotonic() - began >= 1.99
    assert again["attempt"] == 2


def test_extend_without_a_time_gives_the_attempts_wait_again(api, ws, topic):
    ws.subscribe(topic, ack_wait_ms=1_500)
    api.publish(topic, 1)
    frame = ws.receive("message")
    for _ in range(3):
        ws.nothing(0.6, "message")
        ws.request("extend", message_id=frame["message_id"])
    ws.ack(frame)


# The window -------------------------------------------------------------------------------------


def test_the_window_is_respected_exactly_and_each_ack_opens_it_by_one(api, ws, topic, name):
    ws.subscribe(topic, subscription=name, max_in_flight=3, ack_wait_ms=60_000)
    api.publish_many(topic, list(range(10)))
    held = ws.messages(3)
    ws.nothing(0.15, "message")
    for _ in range(7):
        ws.ack(held.pop(0))
        held += ws.messages(1)
        ws.nothing(0.02, "message")
    for frame in held:
        ws.ack(frame)
    assert api.subscription(name)["topics"][0]["floor"] == 10


def test_the_window_of_an_ephemeral_subscriber_is_respected_too(api, ws, topic):
    ws.subscribe(topic, max_in_flight=2, ack_wait_ms=60_000)
    api.publish_many(topic, [1, 2, 3])
    first, _ = ws.messages(2)
    ws.nothing(0.15, "message")
    ws.ack(first)
    assert payloads(ws.messages(1)) == [3]


def test_the_window_is_256_by_default(api, ws, topic):
    ws.subscribe(topic, ack_wait_ms=60_000)
    api.publish_many(topic, list(range(300)))
    held = ws.messages(256)
    ws.nothing(0.15, "message")
    ws.request("ack", topic=topic, seq=held[-1]["seq"])
    assert payloads(held + ws.messages(44)) == list(range(300))


def test_a_full_window_of_one_subscriber_holds_nobody_else_up(api, ws, connect, topic):
    ws.subscribe(topic, max_in_flight=1, ack_wait_ms=60_000)
    other = connect()
    other.subscribe(topic)
    api.publish_many(topic, [1, 2, 3, 4])
    assert payloads(other.messages(4)) == [1, 2, 3, 4]
    assert payloads(ws.messages(1)) == [1]


def test_the_window_of_a_pattern_covers_all_its_topics(api, ws, topic, name):
    for suffix in ("a", "b"):
        api.create_topic(f"{topic}.{suffix}")
    ws.subscribe(f"{topic}.*", subscription=name, max_in_flight=3, ack_wait_ms=60_000)
    for suffix in ("a", "b"):
        api.publish_many(f"{topic}.{suffix}", [1, 2, 3])
    ws.messages(3)
    ws.nothing(0.15, "message")


# Strict order -----------------------------------------------------------------------------------


def test_strict_order_holds_the_next_message_until_the_one_before_is_acked(api, ws, topic, name):
    ws.subscribe(topic, subscription=name, order="strict", ack_wait_ms=500)
    api.publish_many(topic, [1, 2, 3])
    first = ws.receive("message")
    second_try = ws.receive("message")
    assert (first["payload"], second_try["payload"], second_try["attempt"]) == (1, 1, 2)
    ws.ack(second_try)
    second = ws.receive("message")
    assert (second["payload"], second["attempt"]) == (2, 1)
    ws.nothing(0.05, "message")
    ws.ack(second)
    assert ws.receive("message")["payload"] == 3


def test_strict_order_goes_on_after_a_dead_letter(api, ws, topic, name):
    ws.subscribe(topic, subscription=name, order="strict", ack_wait_ms=60, max_attempts=2)
    api.publish_many(topic, ["poison", "good"])
    assert payloads(ws.messages(3)) == ["poison", "poison", "good"]
    assert payloads(until(lambda: api.dead_letters(topic=topic))) == ["poison"]


def test_strict_order_holds_through_a_nack(api, ws, topic, name):
    ws.subscribe(topic, subscription=name, order="strict", ack_wait_ms=60_000)
    api.publish_many(topic, [1, 2])
    ws.request("nack", message_id=ws.receive("message")["message_id"], delay_ms=150)
    ws.nothing(0.1, "message")
    again = ws.receive("message")
    assert (again["payload"], again["attempt"]) == (1, 2)


@pytest.mark.parametrize("kind", ["ack", "nack", "reject", "extend"])
def test_a_verb_for_an_attempt_that_is_over_changes_nothing(api, ws, topic, kind):
    ws.subscribe(topic, ack_wait_ms=300)
    api.publish(topic, 1)
    first = ws.receive("message")
    second = ws.receive("message")
    assert (first["attempt"], second["attempt"], second["failures"]) == (1, 2, 1)
    with pytest.raises(Refused) as refused:
        ws.request(kind, message_id=first["message_id"], attempt=1)
    assert refused.value.code == "stale_attempt"
    ws.request("ack", message_id=second["message_id"], attempt=2)
