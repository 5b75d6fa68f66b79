"""The seed's WebSocket frames, as a client written for the seed sends and reads them: no refs."""

import json
import time

from tests.support.ws import payloads

STORES = ["sqlite"]


def test_subscribe_is_confirmed_and_messages_have_the_seeds_fields(api, ws, topic):
    ws.send({"type": "subscribe", "topic": topic})
    confirmed = ws.receive()
    assert confirmed["type"] == "subscribed"
    assert confirmed["topic"] == topic

    receipt = api.publish(topic, {"order_id": "abc-123", "amount": 99.95})
    message = ws.receive()
    assert message["type"] == "message"
    for field in ("message_id", "topic", "published_at"):
        assert message[field] == receipt[field]
    assert message["payload"] == {"order_id": "abc-123", "amount": 99.95}


def test_every_server_frame_begins_with_its_type_and_is_compact(api, ws, topic):
    ws.send({"type": "subscribe", "topic": topic})
    api.create_topic(f"{topic}-other")
    confirmed = ws.connection.recv(5)
    api.publish(topic, {"a": [1, 2]})
    message = ws.connection.recv(5)
    ws.send({"type": "heartbeat"})
    beat = ws.connection.recv(5)
    ws.send({"type": "ack", "ref": "x", "message_id": "00000000-0000-7000-8000-000000000000"})
    error = ws.connection.recv(5)
    for text, kind in [
        (confirmed, "subscribed"),
        (message, "message"),
        (beat, "heartbeat_ack"),
        (error, "error"),
    ]:
        assert isinstance(text, str)
        assert text.startswith(f'{{"type":"{kind}"')
    assert beat == '{"type":"heartbeat_ack"}'
    assert json.loads(error)["message"]


def test_unsubscribe_is_confirmed_and_ends_the_stream(api, ws, topic):
    ws.send({"type": "subscribe", "topic": topic})
    ws.receive("subscribed")
    ws.send({"type": "unsubscribe", "topic": topic})
    assert ws.receive("unsubscribed")["topic"] == topic
    assert api.publish(topic, 1)["subscribers"] == 0
    ws.nothing(0.2)


def test_a_heartbeat_is_answered(ws):
    ws.send({"type": "heartbeat"})
    assert ws.receive() == {"type": "heartbeat_ack"}


def test_a_refused_frame_is_answered_with_an_error_that_has_a_message(ws, topic):
    ws.send({"type": "unsubscribe", "topic": topic})
    error = ws.receive()
    assert error["type"] == "error"
    assert error["code"] == "not_subscribed"
    assert isinstance(error["message"], str)
    assert error["message"]


def test_an_acked_message_is_not_delivered_again(api, ws, topic):
    ws.send({"type": "subscribe", "topic": topic})
    ws.receive("subscribed")
    api.publish(topic, 1)
    message = ws.receive("message")
    ws.send({"type": "ack", "message_id": message["message_id"]})
    ws.nothing(1.4)


def test_an_unacked_message_is_delivered_again_after_one_second_then_two(api, ws, topic):
    ws.send({"type": "subscribe", "topic": topic})
    ws.receive("subscribed")
    began = time.monotonic()
    api.publish(topic, "again")
    arrivals = []
    frames = []
    for _ in range(3):
        frames.append(ws.receive("message"))
        arrivals.append(time.monotonic() - began)
    assert [frame["attempt"] for frame in frames] == [1, 2, 3]
    assert len({frame["message_id"] for frame in frames}) == 1
    assert arrivals[1] >= 0.98
    assert arrivals[2] >= 2.98


def test_messages_of_one_topic_arrive_in_the_order_of_publishing(api, ws, connect, topic):
    others = [ws, connect(), connect()]
    for each in others:
        each.subscribe(topic)
    for number in range(50):
        api.publish(topic, number)
    for each in others:
        frames = each.messages(50)
        assert payloads(frames) == list(range(50))
        assert [frame["seq"] for frame in frames] == list(range(1, 51))


def test_a_disconnected_subscriber_is_no_longer_counted(api, connect, topic):
    staying, leaving = connect(), connect()
    staying.subscribe(topic)
    leaving.subscribe(topic)
    leaving.close()
    assert api.publish(topic, 1)["subscribers"] == 1


def test_deleting_a_topic_disconnects_its_subscribers_with_4001(api, ws, connect, topic):
    ws.subscribe(topic)
    bystander = connect()
    bystander.subscribe(f"{topic}-other")
    watcher = connect()
    watcher.subscribe("*")
    assert api.delete(f"/api/topics/{topic}").status == 204
    code, _ = ws.closed()
    assert code == 4001
    bystander.barrier()
    watcher.barrier()
