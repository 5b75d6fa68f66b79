import pytest

from bench import overload
from bench.harness import problems
from bench.impatient import BATCH, Outcomes
from conduit.load.checks import Checks


def outcome_of(outcomes: Outcomes, stored_requests: list[int]):
    stored = [n for number in stored_requests for n in range(number * BATCH, (number + 1) * BATCH)]
    count = len(outcomes.acked) + len(outcomes.refused) + len(outcomes.unknown)
    outcomes.late_ms = [0.1] * count
    return overload._outcome(outcomes, stored, 100.0, 10.0, (0.5, 0.1))


def test_goodput_is_what_was_acked_in_time_and_is_stored():
    outcomes = Outcomes(acked=[0, 1], latencies_ms=[10.0, 20.0], refused=[2], unknown=[3])
    outcome = outcome_of(outcomes, [0, 1, 3])
    assert outcome.figures["goodput_percent"] == pytest.approx(100 * 2 * BATCH / 1_000)
    assert outcome.figures["stored_for_nobody_percent"] == pytest.approx(100 / 3)
    assert outcome.figures["refused_percent"] == outcome.figures["no_answer_percent"] == 25
    assert outcome.checks == Checks(2 * BATCH, 3 * BATCH)
    assert problems(outcome) == []


def test_a_message_that_was_refused_and_is_stored_makes_the_line_invalid():
    outcome = outcome_of(Outcomes(acked=[0], latencies_ms=[1.0], refused=[1]), [0, 1])
    assert problems(outcome) == ["50 messages were refused and are stored"]


def test_a_message_that_was_acked_and_is_not_stored_is_lost():
    outcome = outcome_of(Outcomes(acked=[0, 1], latencies_ms=[1.0, 1.0]), [0])
    assert problems(outcome) == ["50 lost"]


@pytest.mark.e2e
def test_on_a_slow_disk_what_was_refused_is_not_stored_and_what_was_acked_is():
    outcome = overload._run("sqlite", delay_s=0.05, times=3, seconds=1.0)
    # Here the load itself may be late: nothing is measured.
    assert [each for each in problems(outcome) if not each.startswith("requests left")] == []
    assert outcome.figures["refused_percent"] > 0
