"""Which sessions are over, within bounds, and that nobody brings back another's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from conduit.core.signed_out import Ended, SignedOut

KEYS = ["a", "b", "c"]
sign_outs = st.lists(
    st.tuples(st.sampled_from(KEYS), st.integers(1, 60), st.integers(0, 50)), max_size=60
)


@given(sign_outs, st.integers(1, 8), st.integers(1, 5))
def test_who_signed_out_stays_so_and_only_his_own_key_ends_others(script, max_count, key_max_count):
    ended, other = Ended(max_count, key_max_count), Ended()
    gone: list[SignedOut] = []
    now_ms = 0
    for number, (key, lasts_ms, passed_ms) in enumerate(script):
        now_ms += passed_ms // 10
        one = SignedOut(key, now_ms + lasts_ms, f"{key}{number}")
        gone.append(one)
        ended.add(one, now_ms)
    for one in ended.all(now_ms):
        other.add(one, now_ms)
    living = [one for one in gone if one.ends_at_ms > now_ms]
    for one in living:
        for each in (ended, other):
            assert each.has(one.key, one.id, one.ends_at_ms)
    last_ms = max((one.ends_at_ms for one in gone), default=0)
    for key in KEYS:
        # A session that ends after all of these is nobody's to end.
        assert not ended.has(key, "of somebody", last_ms + 1)
        if not any(one.key == key for one in gone):
            assert not ended.has(key, "of somebody", 1)
    assert len(ended) <= max_count + len(KEYS) + 1


def test_of_few_only_those_are_over():
    ended = Ended()
    ended.add(SignedOut("a", 100, "one"), 0)
    ended.add(SignedOut("a", 5, "late"), 50)
    assert ended.has("a", "one", 100)
    assert not ended.has("a", "late", 5)
    assert not ended.has("a", "another", 100)
    assert ended.all(100) == []


def test_a_key_with_too_many_has_its_older_sessions_ended_and_no_other_key_has():
    ended = Ended(max_count=10, key_max_count=10)
    ended.add(SignedOut("victim", 500, "v"), 0)
    for number in range(100):
        ended.add(SignedOut("flood", 100 + number, f"f{number}"), 0)
    assert len(ended) <= 12
    assert ended.has("victim", "v", 500)
    assert not ended.has("victim", "w", 500)
    assert all(ended.has("flood", f"f{number}", 100 + number) for number in range(100))
