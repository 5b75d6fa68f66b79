"""Loss, duplicates and order, of numbers that arrived."""

from __future__ import annotations

import pickle

import pytest

from conduit.load import catching_up, verdict
from conduit.load.checks import Checks, Sequence, Shared, lost_of
from conduit.load.histogram import Latencies


def test_a_gap_is_lost_and_said_to_be():
    sequence = Sequence()
    for number in (0, 1, 4, 5, 3):
        sequence.see(number)
    assert sequence.checks(8) == Checks(8, 5, 3, 0, 1)
    assert sequence.missing(8) == [(2, 3), (6, 8)]
    assert verdict.of_checks(sequence.checks(8)) == ["3 lost", "1 out of order"]


def test_what_its_publisher_was_refused_is_not_lost():
    assert lost_of([(2, 5), (9, 10)], set()) == 4
    assert lost_of([(2, 5), (9, 10)], {3, 9, 7}) == 2


def test_what_was_refused_is_lost_to_none_of_several_subscribers():
    assert lost_of([(3, 4)] * 5, {3}) == 0
    assert lost_of([(3, 5), (0, 4)], {3}) == 4


def test_those_who_share_have_each_message_once():
    shared = Shared(2)
    for sharer, number in ((0, 0), (1, 1), (0, 3), (0, 2), (1, 3)):
        shared.add(sharer, number)
    assert shared.checks(6) == Checks(6, 5, 2, 1, 1)
    assert shared.missing(6) == [(4, 6)]


def test_those_who_share_may_count_from_any_number():
    shared = Shared(2, first=5)
    for sharer, number in ((0, 5), (1, 7)):
        shared.add(sharer, number)
    assert (shared.checks(4), shared.missing(4)) == (Checks(4, 2, 2), [(6, 7), (8, 9)])


@pytest.mark.parametrize(
    ("seqs", "expected", "not_reached"),
    [
        ([5, 6, 7], Checks(3, 3), 0),
        ([5, 7], Checks(3, 2, 1), 0),
        ([5, 7, 6], Checks(3, 3, 0, 0, 1), 0),
        ([5, 6, 6], Checks(3, 3, 0, 1), 1),
        # The beginning.
        ([6, 7], Checks(3, 2, 1), 0),
        ([], Checks(3), 3),
    ],
)
def test_what_a_topic_has_is_missed_from_the_first_to_the_last(seqs, expected, not_reached):
    assert catching_up.check(seqs, 5, 3) == (expected, not_reached)


def test_a_generator_without_a_core_left_was_the_limit():
    assert verdict.was_limit(0.95)
    assert not verdict.was_limit(0.94)
    assert not verdict.was_limit(0.99, server_cores=0.9)
    assert verdict.of_late(1.0) == []
    assert verdict.of_late(1.2) == ["1 % of the publishes left more than 1.2 ms late"]


def test_latencies_survive_their_way_and_add_up():
    one, other = Latencies(), Latencies()
    for ms in range(1, 101):
        one.record(ms * 1_000_000)
    other.record(500_000_000)
    both = Latencies(one.encoded()).add([pickle.loads(pickle.dumps(other))])
    assert both.count == 101
    assert both.percentile_ms(0.5) == pytest.approx(51, rel=0.001)
    assert both.max_ms == pytest.approx(500, rel=0.001)
    assert Latencies().percentile_ms(0.99) == Latencies().max_ms == 0.0
