"""Depth of JSON: counted exactly, whatever stands in strings; and no record is lost to it."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.protocol.depth import decode_deep, is_deeper

FAR_TOO_DEEP = 3_000


class Letter(msgspec.Struct):
    topic: str
    payload: msgspec.Raw


class Page(msgspec.Struct):
    letters: list[Letter]
    next: str | None = None


def depth_of(value):
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


# Texts that confuse whoever takes a bracket or a quote in a string for a real one.
confusing_text = st.text('[]{}"\\ab', max_size=6)
json_values = st.recursive(
    st.integers() | confusing_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(confusing_text, inner, max_size=4),
    max_leaves=30,
)


@given(json_values, st.sampled_from([None, 1]))
def test_depth_is_counted_exactly_whatever_stands_in_strings(value, indent):
    text = json.dumps(value, indent=indent).encode()
    depth = depth_of(value)

    assert not is_deeper(text, depth)
    assert depth == 0 or is_deeper(text, depth - 1)


@pytest.mark.parametrize(
    ("begin", "middle", "end"),
    [
        (b"[", b"", b"]"),
        (b'{"a":', b"1", b"}"),
        (b'[1,{"]":', b"2", b"},3]"),
        (b" [ ", b"", b" ] "),
    ],
)
def test_the_limit_itself_is_not_over_the_limit(begin, middle, end):
    levels = begin.count(b"[") + begin.count(b"{")
    at_limit = begin * (128 // levels) + middle + end * (128 // levels)

    assert not is_deeper(at_limit, 128)
    assert is_deeper(b"[" + at_limit + b"]", 128)


def test_a_long_flat_list_is_not_deep():
    assert not is_deeper(b"[" + b",".join([b'{"a":[1]}'] * 10_000) + b"]", 3)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_a_record_is_read_although_its_payload_is_too_deep_to_be_decoded(opening):
    closing = b"]" if opening == b"[" else b"}"
    deep = opening * FAR_TOO_DEEP + b' "]}\\"" ' + closing * FAR_TOO_DEEP
    flat = b'{"a":[1, "x"]}'
    text = b'{"letters":[{"topic":"a","payload":%b},{"payload":%b,"topic":"b"}],"next":"c"}'

    page = decode_deep(text % (deep, flat), msgspec.json.Decoder(Page).decode)

    assert [(one.topic, bytes(one.payload)) for one in page.letters] == [("a", deep), ("b", flat)]
    assert page.next == "c"


@pytest.mark.parametrize("text", [b"[" * FAR_TOO_DEEP, b'{"letters":' + b"]" * 9, b'{"letters":[7'])
def test_what_is_no_record_is_refused_as_ever(text):
    with pytest.raises(msgspec.DecodeError):
        decode_deep(text, msgspec.json.Decoder(Page).decode)
