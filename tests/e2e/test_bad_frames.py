"""Bad input over WebSocket: the connection survives unless the wire itself is broken."""

import contextlib
import json
import struct
import time

import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.http import Api
from tests.support.raw import RawSocket
from tests.support.server import running_server
from tests.support.wait import until
from tests.support.ws import WsClient, payloads

STORES = ["sqlite"]

MAX_FRAME_BYTES = 262_144 + 65_536


@pytest.fixture
def bystander(api, connect, topic):
    """Another client, subscribed to `topic`; at the end it must have lost nothing."""
    client = connect()
    client.subscribe(topic)
    api.publish(topic, "before")
    yield client
    api.publish(topic, "after")
    assert payloads(client.messages(2)) == ["before", "after"]


@pytest.mark.parametrize(
    ("text", "code", "field"),
    [
        ("", "malformed_json", None),
        ("{", "malformed_json", None),
        ("hello", "malformed_json", None),
        ("[" * 5000, "invalid_request", None),
        ('{"type":"publish","topic":"t","payload":' + "[" * 5000, "json_too_deep", None),
        ("null", "invalid_request", None),
        ("[]", "invalid_request", None),
        ('"subscribe"', "invalid_request", None),
        ("{}", "invalid_request", "type"),
        ('{"type":null}', "invalid_request", "type"),
        ('{"type":"dance"}', "unknown_frame_type", "type"),
        ('{"type":"message"}', "unknown_frame_type", "type"),
        ('{"type":"subscribe"}', "invalid_request", "topic"),
        ('{"type":"subscribe","topic":5}', "invalid_request", "topic"),
        ('{"type":"subscribe","topic":"t","colour":"red"}', "unknown_field", "colour"),
        (
            '{"type":"subscribe","topic":"t","start":{"seq":1,"sequence":2}}',
            "unknown_field",
            "start.sequence",
        ),
        ('{"type":"ack","message_id":7}', "invalid_request", "message_id"),
        ('{"type":"nack"}', "invalid_request", "message_id"),
        ('{"type":"publish","topic":"t"}', "invalid_request", "payload"),
        ('{"type":"publish","topic":"t","payload":1,"headers":[]}', "invalid_request", "headers"),
        ('{"type":"heartbeat","extra":1}', "unknown_field", "extra"),
    ],
)
def test_a_bad_frame_is_answered_with_a_code_and_the_connection_goes_on(
    ws, bystander, topic, text, code, field
):
    ws.subscribe(topic)
    ws.send_raw(text)
    error = ws.receive("error")
    assert error["code"] == code
    assert error.get("field") == field
    assert error["message"]
    ws.request("publish", topic=topic, payload="still here")
    assert ws.receive("message")["payload"] == "still here"
    assert bystander.receive("message", payload="still here")


def test_a_refused_frame_with_a_ref_gets_its_ref_back_whenever_it_can_be_read(ws):
    ws.send({"type": "dance", "ref": "my-ref"})
    assert ws.receive("error")["ref"] == "my-ref"
    ws.send({"type": "subscribe", "topic": "t", "colour": "red", "ref": "another"})
    assert ws.receive("error")["ref"] == "another"


def test_a_hundred_bad_frames_change_nothing_for_anyone(ws, bystander):
    for _ in range(100):
        ws.send_raw("{")
    for _ in range(100):
        assert ws.receive("error")["code"] == "malformed_json"
    ws.barrier()


def test_more_of_them_are_closed_with_4529(ws, bystander):
    # The server may have closed before the last one.
    with contextlib.suppress(ConnectionClosed):
        for _ in range(1000):
            ws.send_raw("{")
    assert ws.closed() == (4529, "too_many_bad_frames")


def test_a_frame_over_the_limit_closes_with_1009(ws, bystander):
    ws.send_raw("x" * (MAX_FRAME_BYTES + 1))
    assert ws.closed()[0] == 1009


def test_a_fragmented_message_over_the_limit_closes_with_1009(ws, bystander):
    # The server may have closed before the last one.
    with contextlib.suppress(ConnectionClosed):
        ws.connection.send(["x" * 100_000 for _ in range(4)])
    assert ws.closed()[0] == 1009


def test_a_payload_over_the_limit_in_a_frame_that_fits_is_an_error(api, ws, bystander, topic):
    ws.send({"type": "publish", "topic": topic, "payload": "x" * 262_143, "ref": "big"})
    assert ws.receive("error", ref="big")["code"] == "payload_too_large"
    ws.barrier()


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ("[" * 129 + "]" * 129, "json_too_deep"),
        ("[" * 5000 + "]" * 5000, "json_too_deep"),
        ('"\\ud800"', "malformed_json"),
        ("NaN", "malformed_json"),
    ],
)
@pytest.mark.parametrize(
    "frame",
    [
        '{{"type":"publish","ref":"r","topic":"t","payload":{}}}',
        '{{"type":"publish","topic":"t","payload":{},"ref":"r"}}',
    ],
)
def test_a_payload_that_is_no_payload_is_refused_with_the_ref_of_its_frame(
    api, ws, frame, payload, code
):
    api.post("/api/topics", {"name": "t"})
    ws.send_raw(frame.format(payload))
    assert ws.receive("error", ref="r")["code"] == code
    ws.barrier()


def test_a_binary_frame_closes_with_1003(ws, bystander):
    ws.send_raw(b'{"type":"heartbeat"}')
    assert ws.closed()[0] == 1003


def test_a_client_may_fragment_its_frames(ws):
    ws.connection.send(['{"type":', '"heart', 'beat"}'])
    assert ws.receive()["type"] == "heartbeat_ack"


def test_a_ping_is_answered_with_its_data(ws):
    assert ws.connection.ping(b"are you there").wait(5)


# What no library would send: raw bytes ----------------------------------------------------------


@pytest.fixture
def raw(server):
    with RawSocket(server.port) as client:
        yield client


@pytest.mark.parametrize(
    ("first", "data", "code"),
    [
        (0x81, b'{"type":"\xff"}', 1007),
        (0x81, b"\xed\xa0\x80", 1007),
        (0x81, b"\xc3", 1007),
        (0xC1, b"{}", 1002),
        (0x83, b"{}", 1002),
        (0x80, b"{}", 1002),
        (0x09, b"fragmented ping", 1002),
        (0x88, b"\x03", 1002),
        (0x88, b"\x03\xed", 1002),
        (0x88, b"\x03\xe8\xff", 1007),
    ],
    ids=[
        "not UTF-8",
        "a surrogate",
        "cut UTF-8",
        "a reserved bit",
        "a reserved opcode",
        "continuing nothing",
        "a fragmented ping",
        "half a close code",
        "close code 1005",
        "close reason not UTF-8",
    ],
)
def test_a_broken_wire_is_closed_with_its_code(raw, bystander, first, data, code):
    raw.send(first, data)
    assert raw.close_code() == code


def test_an_unmasked_frame_closes_with_1002(raw, bystander):
    raw.send(0x81, b'{"type":"heartbeat"}', masked=False)
    assert raw.close_code() == 1002


def test_a_new_text_frame_inside_a_fragmented_one_closes_with_1002(raw, bystander):
    raw.send(0x01, b'{"type":')
    raw.send(0x81, b'{"type":"heartbeat"}')
    assert raw.close_code() == 1002


def test_a_close_is_answered_with_its_code(raw):
    raw.send(0x88, struct.pack("!H", 1000) + b"bye")
    assert raw.close_code() == 1000
    assert raw.received.read() == b""


# Clients that stop ------------------------------------------------------------------------------


def test_a_connection_that_answers_no_ping_is_closed_and_its_deliveries_go_on(topic, name):
    with (
        running_server(CONDUIT_PING_INTERVAL_S="0.3", CONDUIT_PONG_TIMEOUT_S="2") as server,
        RawSocket(server.port) as silent,
        WsClient(server.ws_url) as ws,
    ):
        silent.subscribe({"topic": topic, "subscription": name, "ack_wait_ms": 60_000})
        Api(server.url).publish(topic, 1)
        ws.subscribe(topic, subscription=name)
        message = ws.receive("message")
        assert (message["payload"], message["attempt"]) == (1, 2)


def test_a_client_that_answers_pings_stays_connected():
    with (
        running_server(CONDUIT_PING_INTERVAL_S="0.2", CONDUIT_PONG_TIMEOUT_S="2") as server,
        WsClient(server.ws_url) as ws,
    ):
        ws.nothing(4.5)
        ws.barrier()


def test_a_socket_that_does_not_drain_is_closed_as_slow_and_others_lose_nothing(topic):
    with (
        running_server(CONDUIT_SLOW_TIMEOUT_S="2") as server,
        RawSocket(server.port) as stuck,
        WsClient(server.ws_url) as ws,
    ):
        api = Api(server.url)
        ws.subscribe(topic, ack="auto")
        stuck.subscribe({"topic": topic, "ack": "auto"})
        count, began = 80, time.monotonic()
        for number in range(count):
            api.publish(topic, f"{number}:" + "x" * 200_000)
        received = [frame["payload"].split(":")[0] for frame in ws.messages(count)]
        assert received == [str(number) for number in range(count)]
        # The time-out, and a sweep of a second before and after it; five seconds later all is over.
        time.sleep(max(0.0, began + 5 - time.monotonic()))
        assert stuck.close_code() == 4008
        until(lambda: api.topic(topic)["subscriber_count"] == 1)


def test_a_slow_subscriber_that_comes_back_in_time_gets_everything(api, server, topic):
    with RawSocket(server.port) as slow:
        slow.subscribe({"topic": topic, "ack": "auto"})
        for number in range(40):
            api.publish(topic, f"{number}:" + "x" * 200_000)
        texts = [slow.text() for _ in range(40)]
        assert [json.loads(text)["payload"].split(":")[0] for text in texts] == [
            str(number) for number in range(40)
        ]
