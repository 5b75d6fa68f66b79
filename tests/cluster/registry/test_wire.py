import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.cluster.registry import wire
from conduit.cluster.registry.wire import Announcement, Mark, Presence
from conduit.cluster.subscribers import DURABLE

names = st.from_regex(r"[A-Za-z0-9_.-]{1,40}", fullmatch=True)
changes = st.lists(
    st.tuples(
        st.tuples(names, st.just("") | names, names | st.just("a.*.>")),
        st.integers(0, 9) | st.integers(DURABLE, DURABLE + 9),
    )
)


@given(changes)
def test_entries_come_back_from_an_announcement(entries):
    sent = wire.encode(Announcement("b", "01", 7, wire.fields(entries)))
    heard = wire.announcement(sent)
    assert (heard.node, heard.version, heard.is_leaving) == (("b", "01"), 7, False)
    assert wire.changes(heard.changes) == entries


@given(changes)
def test_entries_come_back_from_a_state(entries):
    stored = [b"=", b"7 1"]
    for field, count in wire.fields(entries):
        stored += [field.encode(), str(count).encode()]
    assert wire.stored(stored) == (entries, 0)


@pytest.mark.parametrize("mark", [Mark(7, 1, has_all=False), Mark(123_456, 2, has_all=True)])
def test_a_mark_comes_back(mark):
    assert wire.mark(mark.encoded().encode()) == mark


@given(st.binary(max_size=50) | st.none() | st.integers())
def test_what_is_nothing_of_ours_is_none(data):
    mark = wire.mark(data)
    assert mark is None or mark.encoded().encode().split() == data.split()[:3]
    assert wire.presence(data) is None
    if isinstance(data, bytes):
        assert wire.announcement(data) is None
        assert wire.stored([data, data, b"a/b", b"1", b"a/b/c", b"-1"])[0] == [] or b"/" in data


def test_an_announcement_of_a_later_version_may_have_more_in_it():
    data = b'["b","01",7,[["acme//t",1]],false,"more"]'
    assert wire.announcement(data).version == 7
    data = (
        b'{"name":"b","incarnation":"1","address":"h:1","version":"2","since_ms":1,"said":1,"x":2}'
    )
    assert isinstance(wire.presence(data), Presence)


def test_fields_of_another_form_are_passed_over():
    assert wire.changes([("acme//t", 1), ("acme/t", 1), ("a/b/c/d", 1), ("a/b/c", -1)]) == [
        (("acme", "", "t"), 1)
    ]


def test_what_is_too_large_is_not_read():
    data = b'["b","01",7,[]]' + b" " * wire.ANNOUNCEMENT_MAX_BYTES
    assert wire.announcement(data) is None


def test_the_largest_announcement_can_be_read():
    longest = [(("t" * 63, "s" * 255, f"{number:0255}"), 1_000_000) for number in range(250)]
    sent = wire.encode(Announcement("n" * 255, "i" * 36, 1 << 50, wire.fields(longest)))
    assert len(wire.fields(longest)) == wire.STEP_MAX_COUNT
    assert len(sent) < wire.ANNOUNCEMENT_MAX_BYTES


SAID = {
    "name": "b",
    "incarnation": "01",
    "address": "h:1",
    "version": "2",
    "since_ms": 1,
    "said": 1,
}


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            {field: text}
            for field in ("name", "address", "version")
            for text in ("", "a\0", "a\nb")
        ),
        *({field: "x" * 100_000} for field in ("name", "incarnation", "address", "version")),
        *({field: number} for field in ("since_ms", "said") for number in (-1, 1 << 60, 1 << 70)),
        {"name": ".."},
        {"incarnation": "a b"},
        {"incarnation": "a:b"},
    ],
    ids=lambda wrong: repr(wrong)[:30],
)
def test_what_no_node_is_called_is_nothing_of_ours(wrong):
    assert wire.presence(wire.encode(SAID)) is not None
    assert wire.presence(wire.encode(SAID | wrong)) is None
    if "name" in wrong or "incarnation" in wrong:
        said = SAID | wrong
        told = Announcement(said["name"], said["incarnation"], 7, None)
        assert wire.announcement(wire.encode(told)) is None


@pytest.mark.parametrize("digits", [17, 25, 5_000])
def test_numbers_beyond_their_bounds_are_none(digits):
    number = "9" * digits
    assert wire.number(number.encode()) is None
    assert wire.mark(f"{number} 1".encode()) is wire.mark(f"1 {number}".encode()) is None
    assert wire.announcement(f'["b","01",{number}]'.encode()) is None
    assert (
        wire.announcement(f'["b","01",7,[["acme//t",{number}]]]'.encode()) is None or digits < 4_300
    )
    assert wire.presence(wire.encode(SAID).replace(b":1}", f":{number}}}".encode())) is None
    pairs = [b"acme//t", number.encode(), b"acme//u", b"1", b"=", b"7 1"]
    assert wire.stored(pairs) == ([(("acme", "", "u"), 1)], 1)
    assert wire.changes([("acme//t", int(number[:4_000])), ("acme//u", 1)]) == [
        (("acme", "", "u"), 1)
    ]


@pytest.mark.parametrize(
    "count", [-1, wire.SUBSCRIBERS_MAX_COUNT + 1, DURABLE - 1, 2 * DURABLE, 1 << 70]
)
def test_more_subscribers_than_a_node_can_have_are_none(count):
    assert wire.changes([("acme/s/t", count)]) == []


def test_entries_that_are_too_long_or_no_names_are_passed_over():
    for text in ("t" * 1_000, "a\0", "a\nb", "ä"):
        assert wire.changes([(f"acme//{text}", 1)]) == []
