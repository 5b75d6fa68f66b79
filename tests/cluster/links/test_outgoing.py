import itertools

from hypothesis import given
from hypothesis import strategies as st

from conduit.cluster.links.frames import (
    FRAME_MAX_BYTES,
    MESSAGE_BYTES,
    MESSAGE_MAX_BYTES,
    message,
)
from conduit.cluster.links.outgoing import (
    CHANNELS_HIGH_BYTES,
    CHANNELS_LOW_BYTES,
    HINTS_MAX_BYTES,
    QUEUE_MAX_BYTES,
    Outgoing,
)

HEAD_BYTES = len(message([]))
SIZES = st.lists(st.sampled_from([1, 5_000, MESSAGE_BYTES // 2, MESSAGE_BYTES, FRAME_MAX_BYTES]))


@given(SIZES, st.sets(st.integers(0, 20)))
def test_all_leaves_in_order_in_few_messages_of_bounded_size(sizes, first):
    outgoing = Outgoing()
    expected: list[bytes] = []
    for index, size in enumerate(sizes):
        frame = bytes([index % 256]) * size
        if index in first:
            outgoing.put_first(frame)
            expected.insert(0, frame)
        else:
            outgoing.put(frame)
            expected.append(frame)
    assert outgoing.bytes == sum(sizes)
    messages = []
    while outgoing:
        messages.append(outgoing.take())
    assert outgoing.bytes == 0
    assert b"".join(each[HEAD_BYTES:] for each in messages) == b"".join(expected)
    assert all(len(each) <= MESSAGE_MAX_BYTES for each in messages)
    for one, other in itertools.pairwise(messages):
        # Two that would fit into one are one, but for a frame that was too much for what came before.
        assert len(one) + len(other) > MESSAGE_BYTES


def test_what_came_in_one_turn_is_one_message():
    outgoing = Outgoing()
    for _ in range(1_000):
        outgoing.put(bytes(200))
    outgoing.take()
    assert not outgoing


def test_hints_go_first_then_channels_hold_back_and_last_the_link_ends():
    outgoing = Outgoing()
    assert HINTS_MAX_BYTES < CHANNELS_HIGH_BYTES < QUEUE_MAX_BYTES
    seen = []
    while not outgoing.is_over:
        outgoing.put(bytes(MESSAGE_BYTES))
        seen.append((outgoing.has_room_for_hint(1), outgoing.is_congested))
    assert list(dict.fromkeys(seen)) == [(True, False), (False, False), (False, True)]
    assert outgoing.bytes <= QUEUE_MAX_BYTES + MESSAGE_BYTES


def test_channels_go_on_when_the_line_is_short_and_not_before():
    outgoing = Outgoing()
    while not outgoing.is_congested:
        outgoing.put(bytes(MESSAGE_BYTES))
    while outgoing.is_congested:
        assert outgoing.bytes > CHANNELS_LOW_BYTES
        outgoing.take()
    assert outgoing.bytes <= CHANNELS_LOW_BYTES
    outgoing.put(bytes(MESSAGE_BYTES))
    assert not outgoing.is_congested


def test_what_is_cleared_is_gone():
    outgoing = Outgoing()
    while not outgoing.is_congested:
        outgoing.put(bytes(FRAME_MAX_BYTES))
    outgoing.clear()
    assert (len(outgoing), outgoing.bytes, outgoing.is_congested) == (0, 0, False)
