from hypothesis import given
from hypothesis import strategies as st

from conduit.core.rival import WAIT_S, Rival, Verdict


def verdicts(*seen: tuple[float, str, int]) -> list[Verdict]:
    """Of one whose name was found taken at 100.0, and then after so many seconds."""
    rival = Rival(100.0)
    return [rival.seen(who, until, 100.0 + after_s) for after_s, who, until in seen]


def test_once_seen_nothing_is_known():
    assert verdicts((0.0, "a", 3000)) == [Verdict.UNKNOWN]


def test_who_does_not_renew_seems_to_be_dead_after_a_while():
    seen = [(0.0, "a", 3000), (1.0, "a", 3000), (1.4, "a", 3000), (1.5, "a", 3000)]
    assert verdicts(*seen) == [Verdict.UNKNOWN] * 3 + [Verdict.SILENT]


def test_who_renews_lives():
    assert verdicts((0.0, "a", 3000), (1.0, "a", 4000))[-1] is Verdict.ALIVE


def test_who_renews_late_lives_after_all():
    seen = [(0.0, "a", 3000), (2.0, "a", 3000), (2.9, "a", 5900)]
    assert verdicts(*seen) == [Verdict.UNKNOWN, Verdict.SILENT, Verdict.ALIVE]


def test_a_third_one_lives():
    assert verdicts((0.0, "a", 3000), (0.5, "b", 3000))[-1] is Verdict.ALIVE


@given(st.lists(st.tuples(st.floats(0, 5), st.sampled_from("ab"), st.integers(0, 2)), min_size=1))
def test_who_was_found_alive_stays_so_and_nobody_is_found_dead_before_the_time(steps):
    seen, after_s = [], 0.0
    for step_s, who, until in steps:
        after_s += step_s
        seen.append((after_s, who, until))
    found = verdicts(*seen)
    changed = [number for number in range(1, len(seen)) if seen[number][1:] != seen[0][1:]]
    first = min(changed, default=len(seen))
    assert [verdict is Verdict.ALIVE for verdict in found] == [n >= first for n in range(len(seen))]
    for (at_s, _, _), verdict in zip(seen, found, strict=True):
        assert verdict is not Verdict.SILENT or at_s >= WAIT_S - 1e-9
