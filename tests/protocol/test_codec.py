import json
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode

from conduit.errors import InvalidRequest
from conduit.protocol.batch import decode_publish_batch
from conduit.protocol.codec import (
    binary_frame,
    close_frame,
    decode_client_frame,
    decode_publish,
    decode_server_frame,
    encode_json,
    error_frame,
    format_time,
    server_frame,
    text_frame,
)
from conduit.protocol.frames import (
    AnyClientFrame,
    HeartbeatAck,
    Publish,
    PublishBatchRequest,
    PublishRequest,
)

DEEP = 100_000
REFUSALS = {
    "malformed_json",
    "json_too_deep",
    "invalid_request",
    "unknown_field",
    "unknown_frame_type",
}

# What is refused ----------------------------------------------------------------------------------


def refusal(decode, body):
    with pytest.raises(InvalidRequest) as caught:
        decode(body)
    assert caught.value.detail
    return caught.value.code, caught.value.field


def outcome_of(decode, body):
    """What was decoded, or the code of the refusal. Any other exception is a failure."""
    try:
        return decode(body)
    except InvalidRequest as refused:
        return refused.code


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"nul",
        b'{"type":"heartbeat"',
        b'{"type":"heartbeat"} x',
        b'{"type":"heartbeat",}',
        b"{'type':'heartbeat'}",
        b'\xef\xbb\xbf{"type":"heartbeat"}',
        b'{"type":"publish","topic":"t","payload":}',
        b'{"type":"publish","topic":"t","payload":{"x":}}',
        b'{"type":"publish","topic":"t","payload":NaN}',
        b'{"type":"publish","topic":"t","payload":01}',
        b'{"type":"publish","topic":"t","payload":"a\x01b"}',
        b'{"type":"publish","topic":"t","payload":"\\ud800"}',
        b'{"type":"publish","topic":"\\ud800","payload":1}',
    ],
    ids=lambda body: repr(body[:50]),
)
def test_what_is_not_json_is_malformed(body):
    assert refusal(decode_client_frame, body) == ("malformed_json", None)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"[]", "invalid_request", None),
        (b'"heartbeat"', "invalid_request", None),
        (b"{}", "invalid_request", "type"),
        (b'{"topic":"t"}', "invalid_request", "type"),
        (b'{"type":null}', "invalid_request", "type"),
        (b'{"type":"subscription"}', "unknown_frame_type", "type"),
        (b'{"type":"Heartbeat"}', "unknown_frame_type", "type"),
        (b'{"type":"message","topic":"t"}', "unknown_frame_type", "type"),
        (b'{"type":"subscribe","type":"ack","topic":"t"}', "unknown_frame_type", "type"),
        (b'{"type":"subscribe"}', "invalid_request", "topic"),
        (b'{"type":"subscribe","topic":null}', "invalid_request", "topic"),
        (b'{"type":"subscribe","topic":"t","topics":[]}', "unknown_field", "topics"),
        (b'{"type":"heartbeat","at":1}', "unknown_field", "at"),
        (b'{"type":"subscribe","topic":"t","ack":"none"}', "invalid_request", "ack"),
        (
            b'{"type":"subscribe","topic":"t","max_in_flight":"8"}',
            "invalid_request",
            "max_in_flight",
        ),
        (b'{"type":"subscribe","topic":"t","start":7}', "invalid_request", "start"),
        (b'{"type":"subscribe","topic":"t","start":"later"}', "invalid_request", "start"),
        (b'{"type":"subscribe","topic":"t","start":{"seq":"1"}}', "invalid_request", "start.seq"),
        (b'{"type":"subscribe","topic":"t","start":{"from":1}}', "unknown_field", "start.from"),
        (
            b'{"type":"subscribe","topic":"t","start":{"positions":{"t":{}}}}',
            "invalid_request",
            "start.positions.t.seq",
        ),
        (
            b'{"type":"subscribe","topic":"t","start":{"positions":{"t":{"seq":1,"at":2}}}}',
            "unknown_field",
            "start.positions.t.at",
        ),
        (b'{"type":"ack","message_ids":["a",3]}', "invalid_request", "message_ids[1]"),
        (b'{"type":"ack","topic":"t","seq":1.5}', "invalid_request", "seq"),
        (b'{"type":"ack","topic":"t","seq":1e400}', "invalid_request", "seq"),
        (b'{"type":"nack"}', "invalid_request", "message_id"),
        (b'{"type":"publish","topic":"t"}', "invalid_request", "payload"),
        (
            b'{"type":"publish","topic":"t","payload":1,"headers":{"h":1}}',
            "invalid_request",
            "headers.h",
        ),
        (b'{"type":"publish","topic":"t","payload":1,"ref":1}', "invalid_request", "ref"),
    ],
    ids=lambda value: repr(value[:60]) if isinstance(value, bytes) else None,
)
def test_a_refused_frame_says_which_field_is_wrong(body, code, field):
    assert refusal(decode_client_frame, body) == (code, field)


def test_a_refusal_says_in_plain_words_what_a_value_must_be():
    def said(body):
        with pytest.raises(InvalidRequest) as caught:
            decode_client_frame(body)
        return caught.value.detail

    assert said(b"[]") == "body: it must be an object, and is an array"
    assert (
        said(b'{"type":"ack","seq":1.5}') == "seq: it must be an integer or null, and is a number"
    )
    assert said(b" ") == "the body is empty"
    assert said(b'{"type":') == "the JSON ends before it is complete"


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b'{"topic":"t"}', "invalid_request", "payload"),
        (b'{"payload":1}', "invalid_request", "topic"),
        (b'{"topic":"t","payload":1,"type":"publish"}', "unknown_field", "type"),
        (b'{"topic":1,"payload":1}', "invalid_request", "topic"),
        (b'{"topic":"t","payload":"\xff"}', "malformed_json", None),
        (b'{"topic":"t\xff","payload":1}', "malformed_json", None),
        (b'{"topic":"t","payload":"\xed\xa0\x80"}', "malformed_json", None),
        (b'{"topic":"t","payload":"\xc0\xaf"}', "malformed_json", None),
        (b'{"topic":"t","payload":' + b"[" * DEEP + b"]" * DEEP + b"}", "json_too_deep", None),
    ],
    ids=lambda value: repr(value[:60]) if isinstance(value, bytes) else None,
)
def test_a_refused_publish_says_which_field_is_wrong(body, code, field):
    assert refusal(decode_publish, body) == (code, field)


@pytest.mark.parametrize("sent", ["käse €".encode(), "käse".encode("latin-1"), b"k"])
def test_a_key_is_the_same_one_in_a_header_and_in_a_body(sent):
    key = sent.decode("utf-8" if b"\xe2" in sent else "latin-1")
    body = encode_json({"topic": "t", "payload": 1, "idempotency_key": key})
    assert decode_publish(body, sent.decode("latin-1")).idempotency_key == key


def test_of_a_field_that_comes_twice_the_last_one_counts():
    frame = decode_client_frame(
        b'{"type":"publish","topic":"a","payload":1,"topic":"b","payload":2}'
    )

    assert isinstance(frame, Publish)
    assert (frame.topic, bytes(frame.payload)) == ("b", b"2")


@pytest.mark.parametrize(
    "payload",
    [
        b"null",
        b'""',
        b"0",
        b"-0.0",
        b"1.10",
        b"1e2",
        b"123456789012345678901234567890",
        b'{"a":1,"a":2}',
        b'{ "b" : [ 1 , 2 ] }',
        '"é 😀 \\u00e9 \\ud83d\\ude00 \\/"'.encode(),
        b"[" * 100 + b"]" * 100,
    ],
)
def test_a_payload_is_kept_byte_for_byte(payload):
    frame = decode_client_frame(b'{"type":"publish","topic":"t","payload":%b}' % payload)
    request = decode_publish(b'{"payload":%b,"topic":"t"}' % payload)

    assert isinstance(frame, Publish)
    assert bytes(frame.payload) == bytes(request.payload) == payload


# Any bytes -----------------------------------------------------------------------------------------

# Put together at random: now and then a frame, most often nearly one.
PIECES = (
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b" ",
        b"null",
        b"-",
        b"1e400",
        b"0.5",
        b"17",
        b'""',
        b'"',
    ),
    *(b'{"type":"%b"' % one for one in (b"subscribe", b"ack", b"publish", b"heartbeat", b"auth")),
    *(b',"topic":"t"', b'{"topic":"t"', b',"payload":', b',"start":', b',"seq":', b',"headers":'),
    *(b'{"messages":[', b',"message_ids":[', b'{"positions":{"t":', b'"\\ud800"', b'"\\u00', b"\\"),
)
NOT_UTF8 = (b"\xff", b'"\xc3"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"')


def made_of(pieces):
    return st.lists(st.sampled_from(pieces), max_size=12).map(b"".join)


@given(made_of(PIECES) | st.text().map(str.encode))
def test_any_text_is_a_frame_or_a_refusal(text):
    outcome = outcome_of(decode_client_frame, text)

    assert isinstance(outcome, AnyClientFrame) or outcome in REFUSALS


@given(made_of(PIECES + NOT_UTF8) | st.binary())
@example(b'{"topic":"t","payload":"\xff"}')
def test_any_body_is_a_publish_or_a_refusal(body):
    publish = outcome_of(decode_publish, body)
    batch = outcome_of(partial(decode_publish_batch, max_count=10), body)

    assert isinstance(publish, PublishRequest) or publish in REFUSALS - {"unknown_frame_type"}
    assert isinstance(batch, PublishBatchRequest) or batch in REFUSALS - {"unknown_frame_type"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(json_values)
def test_an_accepted_payload_is_json_for_everyone(value):
    body = json.dumps({"topic": "t", "payload": value}).encode()
    try:
        request = decode_publish(body)
    except InvalidRequest:
        # Python writes NaN and Infinity, which are not JSON.
        with pytest.raises(ValueError, match="not JSON compliant"):
            json.dumps(value, allow_nan=False)
    else:
        assert isinstance(request, PublishRequest)
        assert json.loads(bytes(request.payload)) == value


@pytest.mark.parametrize("text", [b"", b"[]", b'{"type":"new"}', b'{"type":"acked"}', "{"])
def test_a_client_hears_that_a_server_frame_cannot_be_read(text):
    with pytest.raises(msgspec.DecodeError):
        decode_server_frame(text)


# Times ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (999, "1970-01-01T00:00:00.999Z"),
        (1_771_842_600_000, "2026-02-23T10:30:00.000Z"),
        (1_771_842_600_007, "2026-02-23T10:30:00.007Z"),
        (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
    ],
)
def test_times_are_rfc_3339_in_utc_with_milliseconds(ms, text):
    assert format_time(ms) == text


@given(st.lists(st.integers(0, 253_402_300_799_999), min_size=1))
def test_times_in_any_order_are_what_the_calendar_says(times):
    for ms in times:
        there = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
        # Twice: the second time its second is the one of the call before.
        assert datetime.fromisoformat(format_time(ms)) == there
        assert datetime.fromisoformat(format_time(ms)) == there


# WebSocket frames ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "header"),
    [
        (0, b"\x81\x00"),
        (1, b"\x81\x01"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65535, b"\x81\x7e\xff\xff"),
        (65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_a_frame_says_its_length_in_the_shortest_form(length, header):
    payload = b"x" * length

    assert text_frame(payload) == header + payload
    assert text_frame(payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)
    assert binary_frame(payload) == Frame(Opcode.BINARY, payload).serialize(mask=False)


def test_a_server_frame_is_compact_json_in_a_text_frame():
    assert server_frame(HeartbeatAck()) == b'\x81\x18{"type":"heartbeat_ack"}'


@given(st.sampled_from([1000, 1001, 1002, 1009, 1012, 4001, 4999]), st.text(max_size=41))
def test_a_close_frame_says_code_and_reason(code, reason):
    if len(reason.encode()) > 123:
        reason = reason[:30]
    expected = Frame(Opcode.CLOSE, Close(code, reason).serialize()).serialize(mask=False)

    assert close_frame(code, reason) == expected


@given(st.text(min_size=124, max_size=300))
def test_a_long_reason_is_cut_between_characters_to_fit_a_control_frame(reason):
    frame = close_frame(1000, reason)
    kept = frame[4:].decode()

    assert frame[:4] == b"\x88" + bytes([len(frame) - 2]) + b"\x03\xe8"
    assert len(frame) - 2 <= 125
    assert reason.startswith(kept)
    assert len(kept.encode()) > 123 - 4


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ('{"type":"bogus"}', ["ack", "subscribe", "unsubscribe"]),
        ('{"type":"subscribe","topic":"t","start":"latest"}', ["new", "earliest", "positions"]),
        ('{"type":"subscribe","topic":"t","ack":"yes"}', ["explicit", "auto"]),
        ('{"type":"subscribe","topic":"t","order":"any"}', ["publish", "strict"]),
    ],
)
def test_a_word_that_is_none_of_the_choices_is_answered_with_them(text, choices):
    with pytest.raises(InvalidRequest) as caught:
        decode_client_frame(text.encode())
    assert all(choice in caught.value.detail for choice in choices)


def test_an_error_frame_does_not_repeat_a_secret_that_came_in_a_wrong_place():
    key = "ck_live_Ab3dEf7h_0123456789abcdefghijklmnopqrstuvWXYZ12"
    with pytest.raises(InvalidRequest) as caught:
        decode_client_frame(b'{"type": "heartbeat", "%b": 1}' % key.encode())
    frame = error_frame(caught.value, "r")
    assert b"unknown field 'ck_live_Ab3dEf7h_" in frame
    assert b"0123" not in frame
