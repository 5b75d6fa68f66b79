"""Which messages were passed on from another node, by their frames."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from conduit.broker.attach.passed import WINDOWS_COUNT, Passed
from conduit.protocol.codec import server_frame
from conduit.protocol.frames import Gap, MessageFrame

IDS = st.uuids().map(str)
PADS = st.sampled_from([0, 1, 60, 125, 126, 127, 65_000, 66_000])


def message(message_id: str, pad: int = 0) -> bytes:
    payload = msgspec.Raw(b'"%b"' % (b"x" * pad))
    return server_frame(MessageFrame(message_id, "t", payload, "now", 1, "e"))


GAP = server_frame(Gap("t", 1, 2, "retention", "e"))


@given(st.lists(st.tuples(IDS, PADS, st.booleans()), max_size=6, unique_by=lambda each: each[0]))
def test_the_ids_of_messages_are_found_among_all_frames(sent):
    passed = Passed()
    passed.bound(100)
    passed.add(b"".join(message(id_, pad) + GAP * has_gap for id_, pad, has_gap in sent))
    assert len(passed) == len(sent)
    assert all(id_ in passed for id_, _, _ in sent)


@given(st.lists(IDS, max_size=30, unique=True), st.integers(0, 5))
def test_no_more_are_remembered_than_a_few_windows(ids, window):
    passed = Passed()
    passed.bound(window)
    for id_ in ids:
        passed.add(message(id_))
    kept = ids[-WINDOWS_COUNT * window :] if window else []
    assert [id_ for id_ in ids if id_ in passed] == kept


def test_what_is_settled_is_forgotten():
    passed = Passed()
    passed.bound(1)
    passed.add(message("0" * 36))
    passed.discard("0" * 36)
    passed.discard("1" * 36)
    assert len(passed) == 0
