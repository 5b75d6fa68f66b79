import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.cluster import hints
from conduit.cluster.hints import Hints, Kept, read
from conduit.core.message import NewMessage, Retention
from conduit.errors import InvalidRequest
from tests.storage import given as made

# Of what a link takes.
BODY_MAX_BYTES = 1_047_552
PLACE = ("tenant", "orders.eu", "epoch")
MESSAGES = st.lists(
    st.builds(
        lambda payload, key, headers: made.message(7, payload, key=key, headers=headers),
        st.binary(max_size=300),
        st.none() | st.text(max_size=20),
        st.none() | st.binary(max_size=50),
    ),
    min_size=1,
    max_size=20,
)


def told(made: Hints) -> list[tuple[str, int, str, bytes, str | None, bytes | None]]:
    """(topic, number, message id, payload, key, headers) of all that is told, in order."""
    return [
        (part.topic, seq, each.message_id, each.payload, each.key, each.headers)
        for body in made.take()
        for part in read(body)
        for seq, each in enumerate(part.messages, part.first_seq)
    ]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 1 << 40), MESSAGES), max_size=6))
def test_what_is_told_is_what_was_stored(batches):
    collected, expected = Hints(), []
    for topic, first_seq, messages in batches:
        assert collected.add(("tenant", topic, "epoch"), messages, first_seq) == 0
        expected += [
            (topic, seq, new.message_id, new.payload, new.key, new.headers)
            for seq, new in enumerate(messages, first_seq)
        ]
    assert told(collected) == expected
    assert list(collected.take()) == []


def test_much_is_told_in_several_hints_that_fit():
    collected = Hints()
    messages = [made.message(7, b"x" * 1_000) for _ in range(1_000)]
    collected.add(PLACE, messages, 5)
    bodies = list(collected.take())
    assert len(bodies) > 5
    assert all(len(body) <= hints.HINT_BYTES + 2_000 for body in bodies)
    parts = [part for body in bodies for part in read(body)]
    assert parts[0].first_seq == 5
    assert sum(len(part.messages) for part in parts) == 1_000


def test_of_a_message_that_is_too_large_nobody_is_told_and_of_the_others_they_are():
    collected = Hints()
    large: list[NewMessage] = [
        made.message(7, b"x" * size) for size in (1, 1_000_001, 2, 900_000, 3)
    ]
    assert collected.add(PLACE, large, 1) == 1
    bodies = list(collected.take())
    assert all(len(body) <= BODY_MAX_BYTES for body in bodies)
    seqs = [
        part.first_seq + n
        for body in bodies
        for part in read(body)
        for n in range(len(part.messages))
    ]
    assert seqs == [1, 3, 4, 5]


@pytest.mark.parametrize(
    "value",
    [
        [["t", "a", "e", 0, [["id", 0, b""]]]],
        [["t", "a", "e", 1, []]],
        [["t", "a", "e", "1", [["id", 0, b""]]]],
        [["t", "a"]],
        {"t": 1},
        7,
    ],
)
def test_what_is_no_hint_is_refused(value):
    with pytest.raises(InvalidRequest):
        read(msgspec.msgpack.encode(value))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body):
    with contextlib.suppress(InvalidRequest):
        list(read(body))


def test_how_much_is_kept_of_a_topic_is_told_where_others_may_have_to_make_it():
    collected = Hints()
    for topic, retention in (("a", Retention(60, None, 5)), ("b", Retention())):
        place = ("tenant", topic, "epoch")
        collected.add(place, [made.message(7, b"1")], 1, Kept.of(retention))
    collected.add(PLACE, [made.message(7, b"1")], 1)
    [body] = collected.take()
    kept = [None if part.kept is None else part.kept.retention for part in read(body)]
    assert kept == [Retention(60, None, 5), Retention(), None]
