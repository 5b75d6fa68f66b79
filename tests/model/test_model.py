"""The short form: some runs of the real broker beside the model of it, the same ones each time.

`make model MINUTES=10` looks further.
"""

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests.model.choices import Dice, Drawn
from tests.model.hunt import Found, broken, shortened
from tests.model.plans import plan, setup
from tests.model.runs import as_call, run

SHORT_STEPS_COUNT = 30
LONG_STEPS_COUNT = 100


@settings(max_examples=60, derandomize=True)
@given(st.data())
def test_no_promise_is_broken_whatever_happens_in_whatever_order(data):
    choose = Drawn(data.draw)
    tried, steps = setup(choose), plan(choose, SHORT_STEPS_COUNT)
    note(as_call(tried, steps))
    run(tried, steps)


@pytest.mark.parametrize("seed", range(60))
def test_no_promise_is_broken_in_long_runs(seed):
    dice = Dice(seed)
    tried, steps = setup(dice), plan(dice, LONG_STEPS_COUNT)
    violation = broken(tried, steps)
    if violation is not None:
        pytest.fail(str(shortened(Found(seed, tried, steps, violation))))
