import itertools
import math
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.core.message import Message
from conduit.core.scan import Bounds, Scan, Wanted, finder, parts, size_of


def message(seq=1, payload=b"1", key=None, headers=None):
    stored = None if headers is None else msgspec.json.encode(headers)
    return Message(f"m{seq}", seq, 0, payload, key, stored)


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Wanted(), True),
        (Wanted(key="k"), True),
        (Wanted(key="K"), False),
        (Wanted(text="card \\u0064"), True),
        (Wanted(text="card d"), False),
        (Wanted(headers={"a": "1"}), True),
        (Wanted(headers={"a": "1", "b": "2"}), True),
        (Wanted(headers={"a": "2"}), False),
        (Wanted(headers={"c": "1"}), False),
        (Wanted(key="k", text="card", headers={"b": "2"}), True),
        (Wanted(key="k", text="none", headers={"b": "2"}), False),
    ],
)
def test_all_that_is_said_must_be_so(wanted, fits):
    found = message(payload=b'"card \\u0064eclined"', key="k", headers={"a": "1", "b": "2"})
    assert wanted.matcher()(found) is fits


@pytest.mark.parametrize("wanted", [Wanted(key="k"), Wanted(headers={"a": "1"})])
def test_a_message_without_key_and_headers_has_none_that_are_wanted(wanted):
    assert not wanted.matcher()(message())


few = st.text(alphabet="ab\\.*\n\0é", max_size=6)


@given(few, st.lists(few, max_size=4))
def test_a_text_is_found_where_it_is_and_nowhere_else(text, pieces):
    payload = "".join(pieces).encode()
    assert Wanted(text=text).matcher()(message(payload=payload)) is (text.encode() in payload)
    assert bool(finder(text)("".join(pieces))) is (text in "".join(pieces))


def cpu_s(wanted, payloads):
    """What looking at these takes, at best."""
    log = [message(seq, payload) for seq, payload in enumerate(payloads, 1)]
    bounds, best = Bounds(1_000, 4 << 20, 20_000, 32 << 20), math.inf
    for _ in range(5):
        began = time.process_time()
        Scan(wanted, bounds, 1, descending=False).take(log)
        best = min(best, time.process_time() - began)
    return best


@pytest.mark.parametrize("size", [2_400, 29_900, 1 << 20])
@pytest.mark.parametrize("text", ["a" * 96 + "b" + "aa", "a" * 250 + "b" + "aaaa"])
def test_no_text_takes_long_to_look_for_whatever_the_messages_are_made_of(size, text):
    payloads = [b"a" * size] * ((1 << 20) // size)
    plain_s = cpu_s(Wanted(text="xyz"), payloads)
    # 7 times as long; what compares the text at every place takes a hundred times as long.
    assert cpu_s(Wanted(text=text), payloads) < 25 * plain_s


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 20))
def test_parts_have_everything_in_order_and_no_more_than_they_may(sizes, max_bytes):
    log = [message(seq, b"x" * size) for seq, size in enumerate(sizes, 1)]
    made = list(parts(log, max_bytes))
    assert [one for part in made for one in part] == log
    assert all(len(part) == 1 or sum(map(size_of, part)) <= max_bytes for part in made)
    for part, after in itertools.pairwise(made):
        assert sum(map(size_of, part)) + size_of(after[0]) > max_bytes


logs = st.lists(
    st.tuples(st.binary(max_size=12), st.sampled_from([None, "k", "other"])), max_size=30
)
limits = st.builds(
    Bounds,
    found_count=st.integers(1, 5),
    found_bytes=st.integers(0, 30),
    seen_count=st.integers(1, 9),
    seen_bytes=st.integers(0, 60),
)


@given(logs, limits, st.booleans(), st.integers(1, 6))
def test_scans_that_go_on_find_each_message_once_and_each_keeps_its_bounds(
    log, bounds, descending, step
):
    stored = [message(seq, payload, key) for seq, (payload, key) in enumerate(log, 1)]
    order = stored[::-1] if descending else stored
    wanted, found = Wanted(key="k"), []
    seq = order[0].seq if order else 1
    while 1 <= seq <= len(stored):
        scan = Scan(wanted, bounds, seq, descending=descending)
        ahead = [each for each in order if (each.seq <= seq if descending else each.seq >= seq)]
        while ahead and not scan.is_over:
            scan.take(ahead[:step])
            ahead = ahead[step:]
        assert len(scan.found) <= bounds.found_count
        assert len(scan.found) < 2 or sum(map(size_of, scan.found)) <= bounds.found_bytes
        assert 1 <= abs(scan.seq - seq) <= bounds.seen_count
        assert abs(scan.scanned_to - scan.seq) == 1
        found += scan.found
        seq = scan.seq
    assert found == [each for each in order if each.key == "k"]
