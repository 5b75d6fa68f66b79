"""What is said of bytes that cannot be used helps whoever has sent them."""

import json

import pytest

from conduit.errors import InvalidRequest
from conduit.protocol.batch import decode_publish_batch
from conduit.protocol.codec import decode_client_frame, decode_publish
from conduit.protocol.faults import KEY_MAX_CHARS, LOOKED_AT_MAX_BYTES


def said(decode, body):
    with pytest.raises(InvalidRequest) as caught:
        decode(body)
    return caught.value.field, caught.value.detail


def batch(body):
    return decode_publish_batch(body, 10)


def message(headers, **fields):
    return json.dumps({"topic": "t", "payload": 1, "headers": headers, **fields}).encode()


@pytest.mark.parametrize("kind", ["5", "null", "[]", "{}", "1.5"])
def test_a_type_that_is_no_string_is_told_so_in_plain_words(kind):
    field, detail = said(decode_client_frame, b'{"type":%b}' % kind.encode())
    assert (field, detail) == ("type", "type: it must be a string")


def test_the_header_is_named_that_is_no_string():
    wrong = {"a": "b", "trace.id": 7, "c": None}
    assert said(decode_publish, message(wrong)) == (
        "headers.trace.id",
        "headers.trace.id: it must be a string, and is an integer",
    )
    field, _ = said(decode_client_frame, message(wrong, type="publish"))
    assert field == "headers.trace.id"
    field, _ = said(batch, b'{"messages":[%b,%b]}' % (message({"a": "b"}), message(wrong)))
    assert field == "messages[1].headers.trace.id"


def test_a_key_is_not_named_at_length_and_not_looked_for_in_large_bodies():
    field, _ = said(decode_publish, message({"k" * 10_000: 1}))
    assert field == f"headers.{'k' * KEY_MAX_CHARS}"
    field, _ = said(decode_publish, message({"a": 1, "b": "x" * LOOKED_AT_MAX_BYTES}))
    assert field == "headers[...]"


def test_the_position_is_named_that_cannot_be_used():
    start = {"positions": {"a": {"seq": 1}, "b": {"sq": 1}}}
    frame = json.dumps({"type": "subscribe", "topic": "*", "start": start}).encode()
    assert said(decode_client_frame, frame)[0] == "start.positions.b.sq"


def test_a_byte_order_mark_is_named():
    for body in (message({}), b""):
        assert "byte order mark (U+FEFF)" in said(decode_publish, b"\xef\xbb\xbf" + body)[1]
