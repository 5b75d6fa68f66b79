import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.core.message import Message
from conduit.core.scan import Bounds, Scan, Wanted, size_of


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
    assert wanted.fits(found) is fits


@pytest.mark.parametrize("wanted", [Wanted(key="k"), Wanted(headers={"a": "1"})])
def test_a_message_without_key_and_headers_has_none_that_are_wanted(wanted):
    assert not wanted.fits(message())


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
