import pytest

from bench import fanout
from conduit.load.checks import Checks


@pytest.mark.e2e
def test_a_small_fanout_verifies_every_delivery():
    case = next(each for each in fanout.cases(short=True) if "frame" in str(each.work["acks"]))
    outcome = case.run(subscribers=5, seconds=0.2)
    assert outcome.checks == Checks(expected=100, seen=100)
    assert outcome.figures.keys() == {"server_us_per_delivery"}
    assert 0 < outcome.load_cores <= 1.1
