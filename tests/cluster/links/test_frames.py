import contextlib
import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.cluster.links import frames
from conduit.cluster.links.frames import (
    BODY_MAX_BYTES,
    FRAME_MAX_BYTES,
    IGNORABLE_FROM,
    MESSAGE_MAX_BYTES,
    ChannelClose,
    ChannelFrame,
    ChannelOpen,
    Credit,
    Failure,
    Hint,
    Ping,
    Pong,
    Reply,
    Request,
    decode,
    encode,
    message,
)
from conduit.errors import InvalidRequest, LimitReached

IDS = st.integers(1, (1 << 53) - 1)
BODIES = st.binary(min_size=1, max_size=300)
NAMES = st.text(min_size=1, max_size=64)
FRAMES = st.one_of(
    st.builds(Ping, IDS),
    st.builds(Pong, IDS),
    st.builds(Hint, BODIES),
    st.builds(Request, IDS, NAMES, BODIES),
    st.builds(Reply, IDS, BODIES),
    st.builds(Failure, IDS, NAMES, st.text(max_size=100), st.none() | NAMES),
    st.builds(ChannelOpen, IDS, NAMES, BODIES),
    st.builds(ChannelFrame, IDS, BODIES),
    st.builds(ChannelClose, IDS, NAMES, st.text(max_size=100)),
    st.builds(Credit, IDS, st.integers(1, (1 << 32) - 1)),
)


@given(st.lists(FRAMES, max_size=20))
def test_what_is_encoded_is_decoded(sent):
    assert list(decode(message([encode(each) for each in sent]))) == sent


def test_a_hint_costs_a_few_bytes_besides_its_body():
    assert len(encode(Hint(b"x" * 200))) - 200 <= 5


@pytest.mark.parametrize(
    "make",
    [
        Hint,
        lambda body: Request((1 << 53) - 1, "k" * 64, body),
        lambda body: Reply((1 << 53) - 1, body),
        lambda body: ChannelOpen((1 << 53) - 1, "ü" * 64, body),
        lambda body: ChannelFrame((1 << 53) - 1, body),
    ],
)
def test_a_body_up_to_its_bound_fits_and_a_frame_over_its_bound_does_not(make):
    data = encode(make(bytes(BODY_MAX_BYTES)))
    assert len(data) <= FRAME_MAX_BYTES
    assert len(message([data])) <= MESSAGE_MAX_BYTES
    with pytest.raises(LimitReached, match=str(FRAME_MAX_BYTES)):
        encode(make(bytes(FRAME_MAX_BYTES)))


def packed(*fields: object) -> bytes:
    return msgspec.msgpack.encode(list(fields))


@given(st.integers(IGNORABLE_FROM, 127), st.recursive(IDS | st.binary(), st.lists))
def test_frames_of_a_newer_node_are_skipped_if_their_kind_says_so(kind, content):
    data = message([encode(Ping(1)), packed(kind, content), packed(kind), encode(Pong(2))])
    assert list(decode(data)) == [Ping(1), Pong(2)]


@given(st.integers(11, IGNORABLE_FROM - 1))
def test_other_frames_that_are_not_known_are_refused(kind):
    with pytest.raises(InvalidRequest, match="no frame of a link"):
        decode(message([encode(Ping(1)), packed(kind, 1)]))


def test_frames_of_known_kinds_must_be_right_beside_those_that_are_skipped():
    with pytest.raises(InvalidRequest):
        decode(message([packed(IGNORABLE_FROM, 1), packed(1, "no number")]))


@given(FRAMES)
def test_what_a_newer_node_adds_to_a_frame_is_not_looked_at(frame):
    fields = msgspec.msgpack.decode(encode(frame))
    # Those with a default come last, so the others are all there.
    if not isinstance(frame, Failure):
        assert list(decode(message([packed(*fields, "more", [1])]))) == [frame]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc0",
        b"\xdd\xff\xff\xff\xff",
        b"\xdd\x00\x00\x00\x01",
        b"\x91\x90",
        b"\x91\x91\xc0",
        b"\x91" * 100_000,
        b"\x91\x93\x01\x05" + b"\x91" * 100_000,
        message([packed(1, 0)]),
        message([packed(1, 1 << 60)]),
        message([packed(8, 1, b"")]),
        message([packed(10, 1, 0)]),
        message([packed(70, 1)])[:-1],
        message([encode(Ping(1))]) + b"x",
        message([packed(4, 1, b"\xff\xfe", b"")]),
        message([b"\xd9\x01x"]),
    ],
)
def test_what_is_no_frame_is_refused(data):
    with pytest.raises(InvalidRequest):
        list(decode(data))


@given(st.binary(max_size=400))
def test_any_bytes_are_frames_or_refused(data):
    for each in (data, b"\x91" + data, b"\xdd\x00\x00\x00\x02" + data):
        with contextlib.suppress(InvalidRequest):
            list(decode(each))


@given(st.lists(FRAMES, min_size=1, max_size=4), st.data())
def test_so_are_frames_with_any_byte_changed(sent, data):
    raw = bytearray(message([encode(each) for each in sent]))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(InvalidRequest):
        list(decode(bytes(raw)))


def test_every_kind_is_below_those_that_may_be_skipped():
    kinds = [each.__struct_config__.tag for each in frames.Frame.__args__]
    assert sorted(kinds) == list(range(1, len(kinds) + 1))
    assert max(kinds) < IGNORABLE_FROM


def test_random_megabytes_are_refused_soon():
    for _ in range(20):
        with pytest.raises(InvalidRequest):
            list(decode(b"\xdd\x00\x0f\xff\xff" + os.urandom(1 << 20)))
