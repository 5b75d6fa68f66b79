"""What is no JSON, or nested too deeply, is refused by its cause, and with the frame's `ref`."""

import pytest

from conduit.errors import InvalidRequest, Overloaded
from conduit.protocol.codec import (
    decode_client_frame,
    decode_publish,
    decode_ref,
    decode_server_frame,
    error_frame,
)

DEEP = 100_000


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"1}")])
def test_what_no_decoder_can_follow_is_too_deep(opening, closing):
    body = b'{"type":"publish","topic":"t","payload":' + opening * DEEP + closing * DEEP + b"}"

    with pytest.raises(InvalidRequest) as caught:
        decode_client_frame(body)
    assert caught.value.code == "json_too_deep"


@pytest.mark.parametrize(
    ("payload", "half"),
    [
        (b'"\\ud800"', "\\ud800"),
        (b'["\\ud800"]      ', "\\ud800"),
        (b'"\\uD83D and more"', "\\uD83D"),
        (b'"\\udc00\\ud83d"', "\\udc00"),
        (b'"\\ud83d\\ude00 \\udFFF"', "\\udFFF"),
        (b'{"\\ud83d\\u0041":1}', "\\ud83d"),
    ],
)
def test_half_of_a_surrogate_pair_is_refused_by_name(payload, half):
    for body in (b'{"topic":"t","payload":%b}', b'{"payload":%b,"topic":"t"}'):
        with pytest.raises(InvalidRequest, match="half of a surrogate pair") as caught:
            decode_publish(body % payload)
        assert caught.value.code == "malformed_json"
        assert caught.value.detail.startswith(half)


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        (b'{"type":"nope","ref":"r1"}', "r1"),
        (b'{"type":"subscribe","ref":"r1","topics":[]}', "r1"),
        (b'{"type":"nope"}', None),
        (b'{"type":"nope","ref":7}', None),
        (b"[]", None),
        (b"", None),
        # Not JSON, or too deep: with no array and no object between the ref and one of the ends.
        (b'{"ref":"r1"', "r1"),
        (b'{"type":"publish","x":NaN, "ref" : "r1","payload":[01]}', "r1"),
        (b'{"type":"publish","payload":[01],"ref":"r1", "key":"]}\\"" }\n', "r1"),
        (b'{"ref":"r1","x":' + b"[" * DEEP + b"]" * DEEP + b"}", "r1"),
        (b'{"x":' + b"[" * DEEP + b"]" * DEEP + b',"ref":"a\\"b"}', 'a"b'),
        (b'{"payload":"\\ud800","ref":"r1"}', "r1"),
        (b'{"a":[1],"ref":"r1","payload":[01]}', None),
        (b'{"ref":7,"payload":01}', None),
        (b'{"ref":"\\ud800"}', None),
        # Of somebody else: in a payload, in a text, a value.
        (b'{"payload":{"ref":"x"},"key":01}', None),
        (b'{"payload":[01],"x":{"ref":"x"}}', None),
        (b'{"payload":01,"key":"{\\"ref\\":\\"x\\"}"}', None),
        (b'{"payload":01,"key":"ref"}', None),
    ],
    ids=lambda value: repr(value[:45]) if isinstance(value, bytes) else None,
)
def test_a_refusal_can_be_told_apart_by_the_frames_ref_if_it_can_be_read(text, ref):
    assert decode_ref(text) == (ref, None)


def test_the_error_of_a_verb_that_cannot_be_used_names_its_message():
    assert decode_ref(b'{"type":"nack","message_id":"m1","delay_ms":1.5}') == (None, "m1")
    told = decode_server_frame(error_frame(InvalidRequest("no"), None, "m1")[2:])
    assert told.message_id == "m1"


def test_the_error_of_what_would_wait_too_long_says_in_milliseconds_when_to_come_again():
    frame = error_frame(Overloaded("full", retry_after_s=2.0004), "r")
    told = decode_server_frame(frame[2:] if frame[1] < 126 else frame[4:])
    assert (told.code, told.ref, told.retry_after_ms) == ("overloaded", "r", 2001)
    other = decode_server_frame(error_frame(InvalidRequest("no"), None)[2:])
    assert other.retry_after_ms is None
