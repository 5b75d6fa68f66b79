import pytest

from conduit.core.commit_times import CommitTimes


def learned(*commits: tuple[int, float]) -> CommitTimes:
    times = CommitTimes()
    for size_bytes, seconds in commits:
        times.observe(size_bytes, seconds)
    return times


def test_what_was_never_seen_is_taken_to_need_no_time():
    assert CommitTimes().expected_s(1_000_000) == 0


def test_a_sync_that_takes_the_same_time_for_any_size_is_known_as_that():
    times = learned((1_000, 0.5), (50_000, 0.5), (3_000, 0.5), (200_000, 0.5))
    assert times.expected_s(0) == pytest.approx(0.5)
    assert times.expected_s(1_000_000) == pytest.approx(0.5)
    assert times.expected_s(1_000_000, 3) == pytest.approx(1.5)


def test_a_disk_that_is_slow_for_each_byte_is_known_as_that():
    sizes = (10_000, 100_000, 30_000, 500_000, 1_000)
    times = learned(*((size, 0.1 + size / 1e6) for size in sizes))
    assert times.expected_s(1_000_000) == pytest.approx(1.1, rel=0.05)
    assert times.fixed_s == pytest.approx(0.1, rel=0.2)


def test_commits_of_one_size_say_nothing_of_other_sizes():
    times = learned(*((size, 0.3 + size % 7 / 100) for size in range(100_000, 100_040)))
    assert times.expected_s(400_000) < 0.5


def test_no_part_is_less_than_nothing():
    times = learned((1_000, 0.9), (900_000, 0.1), (2_000, 0.8))
    assert times.per_byte_s == 0
    times = learned((100_000, 0.0), (200_000, 1.0))
    assert times.fixed_s == pytest.approx(0, abs=1e-9)


def test_a_disk_that_has_become_fast_again_is_known_as_that_after_some_commits():
    times = learned(*[(1_000, 4.0)] * 20, *[(1_000, 0.01)] * 20)
    assert times.expected_s(1_000) < 0.1


def test_a_few_bytes_are_not_what_takes_seconds():
    times = learned((1, 0.001), (2_000, 4.0))
    assert times.expected_s(1) > 1.0
    assert times.expected_s(100_000, 1) - times.expected_s(0) <= 0.4


def test_commits_without_payload_have_a_time_too():
    assert learned((0, 0.2), (0, 0.2)).expected_s(0) == pytest.approx(0.2)
