import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.core.bucket import Bucket


def test_one_second_s_worth_comes_at_once_and_the_rest_evenly():
    bucket = Bucket(4, 100.0)
    assert [bucket.take(1, 100.0) for _ in range(4)] == [0.0] * 4
    assert bucket.take(1, 100.0) == 0.25
    assert bucket.take(1, 100.125) == 0.125
    assert bucket.take(1, 100.25) == 0.0


def test_a_pause_is_worth_one_second_at_most():
    bucket = Bucket(4, 0.0)
    assert [bucket.take(1, 3600.0) for _ in range(5)] == [0.0] * 4 + [0.25]


def test_what_costs_more_than_one_second_s_worth_is_had_when_the_bucket_is_full_and_paid_for_after():
    bucket = Bucket(4, 0.0)
    assert bucket.take(1, 0.0) == 0.0
    assert bucket.take(12, 0.0) == 0.25
    assert bucket.take(12, 0.25) == 0.0
    assert bucket.take(1, 0.25) == 2.25
    assert bucket.take(1, 2.5) == 0.0


def test_of_nothing_nothing_is_ever_had():
    bucket = Bucket(0, 0.0)
    assert bucket.take(1, 10.0) == math.inf
    assert bucket.wait_s(1, 10.0) == math.inf


def test_what_is_put_back_can_be_taken_again():
    bucket = Bucket(2, 0.0)
    assert bucket.take(2, 0.0) == 0.0
    bucket.put_back(2)
    assert bucket.take(2, 0.0) == 0.0


def test_what_is_spent_without_asking_is_a_debt():
    bucket = Bucket(2, 0.0)
    bucket.spend(6, 0.0)
    assert bucket.level(0.0) == -4
    assert bucket.wait_s(1, 0.0) == 2.5
    assert bucket.take(1, 2.5) == 0.0


class Model:
    """The same in exact numbers, from the whole history."""

    def __init__(self, rate: int) -> None:
        self.rate, self.level, self.at = rate, Fraction(rate), Fraction(0)

    def wait(self, cost: int, now: Fraction) -> Fraction:
        self.level = min(Fraction(self.rate), self.level + (now - self.at) * self.rate)
        self.at = now
        return max(Fraction(0), (min(cost, self.rate) - self.level) / self.rate)


# Times in 1024ths of a second, which floats have exactly.
STEPS = st.lists(
    st.tuples(st.integers(0, 3_000), st.integers(1, 50), st.booleans()), min_size=1, max_size=60
)


@given(rate=st.integers(1, 20), steps=STEPS)
def test_it_does_what_its_exact_model_does(rate: int, steps: list[tuple[int, int, bool]]):
    bucket, model, ticks = Bucket(rate, 0.0), Model(rate), 0
    taken = 0
    for passed, cost, is_asked in steps:
        ticks += passed
        now = ticks / 1024
        wait = model.wait(cost, Fraction(ticks, 1024))
        if not is_asked:
            bucket.spend(cost, now)
            model.level -= cost
            taken += cost
        else:
            assert bucket.wait_s(cost, now) == pytest.approx(float(wait), abs=1e-12)
            assert bucket.take(cost, now) == pytest.approx(float(wait), abs=1e-12)
            if not wait:
                model.level -= cost
                taken += cost
                # The mean holds, but for the one that may be larger than what is there.
                asked_for_more = max(each[1] for each in steps)
                if all(each[2] for each in steps):
                    assert taken <= rate + now * rate + asked_for_more
        assert bucket.level(now) == model.level
