"""The words on the wire. Every name here is relied on by clients: adding is allowed, changing is not."""

import json

import msgspec
import pytest

from conduit.protocol.codec import decode_client_frame, decode_server_frame, encode_json
from conduit.protocol.frames import (
    Ack,
    Acked,
    AnyClientFrame,
    AnyServerFrame,
    Authenticated,
    Closing,
    ErrorFrame,
    Extend,
    Gap,
    Heartbeat,
    HeartbeatAck,
    MessageFrame,
    Nack,
    Published,
    PublishRequest,
    Reject,
    StartAt,
    StartPosition,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
)

MESSAGE_ID = "550e8400-e29b-41d4-a716-446655440000"

CLIENT_FIELDS = {
    "subscribe": {
        "topic",
        "subscription",
        "start",
        "ack",
        "order",
        "max_in_flight",
        "ack_wait_ms",
        "max_attempts",
        "max_lost",
        "create",
        "prefetch",
        "ref",
    },
    "unsubscribe": {"topic", "subscription", "ref"},
    "ack": {"message_id", "message_ids", "topic", "seq", "subscription", "attempt", "ref"},
    "nack": {"message_id", "subscription", "delay_ms", "reason", "attempt", "ref"},
    "reject": {"message_id", "subscription", "reason", "attempt", "ref"},
    "extend": {"message_id", "subscription", "ms", "attempt", "ref"},
    "publish": {"topic", "payload", "key", "headers", "idempotency_key", "ref"},
    "heartbeat": set(),
    "auth": {"token", "ref"},
}
SERVER_FIELDS = {
    "message": {
        "message_id",
        "topic",
        "payload",
        "published_at",
        "seq",
        "epoch",
        "attempt",
        "failures",
        "key",
        "headers",
        "subscription",
    },
    "subscribed": {"topic", "subscription", "seq", "epoch", "recovered", "at", "paused", "ref"},
    "unsubscribed": {"topic", "subscription", "ref"},
    "published": {
        "message_id",
        "topic",
        "subscribers",
        "published_at",
        "seq",
        "epoch",
        "durable",
        "duplicate",
        "ref",
    },
    "acked": {"ref", "message_id"},
    "gap": {"topic", "from_seq", "to_seq", "reason", "epoch", "subscription"},
    "closing": {"reason", "reconnect_after_ms"},
    "heartbeat_ack": set(),
    "authenticated": {"tenant", "expires_at", "ref"},
    "error": {"code", "message", "ref", "field", "message_id", "retry_after_ms", "limit"},
}


def fields_of(union):
    return {
        frame.__struct_config__.tag: set(frame.__struct_encode_fields__) for frame in union.__args__
    }


def test_the_types_and_fields_of_frames_are_the_documented_ones():
    assert fields_of(AnyClientFrame) == CLIENT_FIELDS
    assert fields_of(AnyServerFrame) == SERVER_FIELDS


def test_a_publish_over_http_has_the_fields_of_the_frame_but_its_ref():
    assert set(PublishRequest.__struct_encode_fields__) == CLIENT_FIELDS["publish"] - {"ref"}


# The frames of the original protocol, letter by letter.
@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ('{ "type": "subscribe", "topic": "orders.created" }', Subscribe("orders.created")),
        ('{ "type": "unsubscribe", "topic": "orders.created" }', Unsubscribe("orders.created")),
        (f'{{ "type": "ack", "message_id": "{MESSAGE_ID}" }}', Ack(message_id=MESSAGE_ID)),
        ('{ "type": "heartbeat" }', Heartbeat()),
    ],
)
def test_the_clients_original_frames_are_understood(text, frame):
    assert decode_client_frame(text.encode()) == frame


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (Subscribed("orders.created"), '{"type":"subscribed","topic":"orders.created"}'),
        (Unsubscribed("orders.created"), '{"type":"unsubscribed","topic":"orders.created"}'),
        (HeartbeatAck(), '{"type":"heartbeat_ack"}'),
    ],
)
def test_the_servers_original_frames_are_spelled_as_they_were(frame, text):
    assert encode_json(frame).decode() == text


def test_the_original_error_frame_is_a_part_of_ours():
    sent = json.loads(encode_json(ErrorFrame("topic_not_found", "topic not found")))

    assert {"type": "error", "message": "topic not found"}.items() <= sent.items()
    assert sent["code"] == "topic_not_found"


def test_the_original_message_frame_is_a_part_of_ours():
    payload = b'{ "order_id": "abc-123", "amount": 99.95 }'
    frame = MessageFrame(
        MESSAGE_ID, "orders.created", msgspec.Raw(payload), "2026-02-23T10:30:00Z", 7, "e1"
    )
    text = encode_json(frame)

    assert payload in text
    assert {
        "type": "message",
        "message_id": MESSAGE_ID,
        "topic": "orders.created",
        "payload": {"order_id": "abc-123", "amount": 99.95},
        "published_at": "2026-02-23T10:30:00Z",
    }.items() <= json.loads(text).items()


EVERY_SERVER_FRAME = [
    MessageFrame(
        message_id=MESSAGE_ID,
        topic="t",
        payload=msgspec.Raw(b"1"),
        published_at="2026-02-23T10:30:00.000Z",
        seq=7,
        epoch="e",
        attempt=3,
        failures=2,
        key="k",
        headers={"a": "b"},
        subscription="s",
    ),
    Subscribed("t", "s", 3, "e", True, None, True, "r"),
    Unsubscribed("t", "s", "r"),
    Published(MESSAGE_ID, "t", 3, "2026-02-23T10:30:00.000Z", 7, "e", True, False, "r"),
    Acked("r", MESSAGE_ID),
    Gap("t", 1, 9, "retention", "e"),
    Gap("t", 1, None, "epoch_changed", "e", "billing"),
    Closing("restart", 1500),
    HeartbeatAck(),
    Authenticated("acme", "2026-02-23T10:30:00.000Z", "r"),
    ErrorFrame("rate_limited", "too many", retry_after_ms=1, limit="publishes_per_s"),
    ErrorFrame("invalid_topic", "topic is empty", "r", "topic"),
    ErrorFrame("overloaded", "too much waits", "r", retry_after_ms=1500),
]


@pytest.mark.parametrize("frame", EVERY_SERVER_FRAME, ids=lambda frame: type(frame).__name__)
def test_every_server_frame_begins_with_its_type_and_is_read_back_by_the_client(frame):
    text = encode_json(frame)

    assert text.startswith(b'{"type":"%b"' % frame.__struct_config__.tag.encode())
    # Raw has no equality of its own; what it was made of does.
    assert encode_json(decode_server_frame(text)) == text


def test_the_list_above_has_every_server_frame():
    assert {type(frame) for frame in EVERY_SERVER_FRAME} == set(AnyServerFrame.__args__)


def test_fields_without_a_value_are_not_sent():
    assert encode_json(Acked("r")) == b'{"type":"acked","ref":"r"}'
    assert encode_json(ErrorFrame("internal", "m")) == (
        b'{"type":"error","code":"internal","message":"m"}'
    )


def test_a_client_ignores_fields_that_are_new_to_it():
    frame = decode_server_frame(b'{"type":"acked","ref":"r","new":{"deep":[1]}}')

    assert frame == Acked("r")


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("new", "new"),
        ("earliest", "earliest"),
        ({"seq": 5}, StartAt(seq=5)),
        ({"seq": 5, "epoch": "e"}, StartAt(seq=5, epoch="e")),
        ({"time": "2026-02-23T10:30:00Z"}, StartAt(time="2026-02-23T10:30:00Z")),
        (
            {"positions": {"a.b": {"seq": 1}, "a.c": {"seq": 2, "epoch": "e"}}},
            StartAt(positions={"a.b": StartPosition(1), "a.c": StartPosition(2, "e")}),
        ),
    ],
)
def test_every_way_to_say_where_to_begin_is_understood(start, expected):
    text = json.dumps({"type": "subscribe", "topic": "a.*", "start": start})

    assert decode_client_frame(text.encode()) == Subscribe("a.*", start=expected)


def test_settings_of_a_subscription_come_through():
    text = (
        b'{"type":"subscribe","topic":"a.>","subscription":"billing","ack":"auto","order":"strict",'
        b'"max_in_flight":8,"ack_wait_ms":250,"max_attempts":3,"max_lost":7,"create":false,"prefetch":4,'
        b'"ref":"r1"}'
    )

    assert decode_client_frame(text) == Subscribe(
        "a.>", "billing", None, "auto", "strict", 8, 250, 3, 7, False, 4, "r1"
    )


@pytest.mark.parametrize(
    ("text", "max_lost"),
    [
        ('{"type":"subscribe","topic":"a"}', msgspec.UNSET),
        ('{"type":"subscribe","topic":"a","max_lost":null}', None),
        ('{"type":"subscribe","topic":"a","max_lost":5}', 5),
    ],
)
def test_no_bound_on_losses_and_nothing_said_about_them_are_not_the_same(text, max_lost):
    frame = Subscribe("a", max_lost=max_lost)

    assert encode_json(frame).decode() == text
    assert decode_client_frame(text.encode()) == frame


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ('{"type":"ack","message_id":"m","attempt":2}', Ack("m", attempt=2)),
        ('{"type":"nack","message_id":"m","attempt":2}', Nack("m", attempt=2)),
        ('{"type":"reject","message_id":"m","attempt":2}', Reject("m", attempt=2)),
        ('{"type":"extend","message_id":"m","attempt":2}', Extend("m", attempt=2)),
    ],
)
def test_what_settles_a_delivery_may_name_its_attempt(text, frame):
    assert encode_json(frame).decode() == text
    assert decode_client_frame(text.encode()) == frame
