"""A lease beside the store that gives it: both by clocks of their own, with answers that are late or lost."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.core.lease import LEASE_S, MARGIN_S, Lease, Turn

HOLDS_S = LEASE_S - MARGIN_S
# Of one second, how much clocks may differ: ten times what is seen.
DRIFT = 0.01

MOMENTS = st.floats(0, 30)
DELAYS = st.one_of(st.floats(0, 0.1), st.floats(0, 10))


class Sent(NamedTuple):
    """A renewal: when it was sent, how long it and its answer were on their way; inf: it never came."""

    at: float
    there_s: float
    back_s: float


LOST_ON_THE_WAY = st.just(float("inf"))
RENEWALS = st.builds(Sent, MOMENTS, DELAYS | LOST_ON_THE_WAY, DELAYS | LOST_ON_THE_WAY)


def held(*renewals: tuple[float, float]) -> Lease:
    """Renewed at these (sent at, answered at)."""
    lease = Lease()
    for sent_at, answered_at in renewals:
        lease.granted(lease.sent(sent_at), answered_at)
    return lease


def test_nothing_is_held_before_the_store_has_answered():
    lease = Lease()
    renewal = lease.sent(10.0)
    assert not lease.holds(10.0)
    assert (lease.term, lease.holds_until) == (0, None)
    assert lease.look(1e9) == ()
    assert lease.granted(renewal, 10.5) == (Turn.HELD,)
    assert lease.holds(10.5)
    assert lease.term == 1


def test_it_counts_from_when_the_renewal_was_sent():
    lease = held((10.0, 12.5))
    assert lease.holds_until == 10.0 + HOLDS_S
    assert lease.holds(12.8)
    assert not lease.holds(12.9)


def test_an_answer_that_is_as_late_as_the_lease_is_long_gives_nothing():
    assert held((10.0, 12.9)).term == 0
    lease = held((10.0, 10.1), (11.0, 14.0))
    assert not lease.holds(14.0)
    assert lease.term == 1


def test_answers_in_another_order_never_shorten_it():
    lease = Lease()
    first, second = lease.sent(10.0), lease.sent(11.0)
    assert lease.granted(second, 11.1) == (Turn.HELD,)
    assert lease.granted(first, 11.2) == ()
    assert lease.holds_until == 11.0 + HOLDS_S


def test_that_it_lapsed_is_said_once_and_no_earlier():
    lease = held((10.0, 10.1))
    assert lease.look(12.8) == ()
    assert lease.look(13.0) == (Turn.LOST,)
    assert lease.look(13.0) == ()
    assert lease.holds_until is None


def test_a_renewal_after_that_begins_a_new_term():
    lease = held((10.0, 10.1))
    lease.look(13.0)
    assert lease.granted(lease.sent(13.0), 13.1) == (Turn.HELD,)
    assert (lease.term, lease.holds(13.1)) == (2, True)


def test_an_answer_that_finds_it_lapsed_says_that_first():
    """Also if the store prolonged it in time: who asked meanwhile was told that it is not held."""
    lease = held((10.0, 10.1))
    renewal = lease.sent(12.0)
    assert lease.granted(renewal, 13.0) == (Turn.LOST, Turn.HELD)
    assert lease.term == 2


def test_after_a_process_was_stopped_it_does_not_hold_whatever_has_been_answered_meanwhile():
    lease = held((10.0, 10.1))
    renewal = lease.sent(11.0)
    # Stopped at 11, for six seconds; the answer is there since 11.1.
    assert not lease.holds(17.0)
    assert lease.granted(renewal, 17.0) == (Turn.LOST,)
    assert not lease.holds(17.0)


def test_what_was_given_up_is_not_held_whatever_is_answered_later():
    lease = held((10.0, 10.1))
    before = lease.sent(11.0)
    assert lease.give_up() == (Turn.LOST,)
    assert lease.give_up() == ()
    assert lease.granted(before, 11.1) == ()
    assert not lease.holds(11.1)
    assert lease.granted(lease.sent(11.2), 11.3) == (Turn.HELD,)
    assert lease.term == 2


def test_what_was_never_held_is_given_up_silently():
    lease = Lease()
    assert lease.give_up() == ()


class Store:
    """What gives the lease, by a clock that goes at another rate."""

    def __init__(self, renewals: list[Sent], rate: float) -> None:
        self._rate = rate
        arrivals = (each.at + each.there_s for each in renewals)
        self._given = sorted(at for at in arrivals if at != float("inf"))

    def gives(self, at: float) -> bool:
        """Whether the lease is not over by the store's clock."""
        last = max((each for each in self._given if each <= at), default=None)
        return last is not None and (at - last) * self._rate < LEASE_S


def _in_order(events: list[tuple[float, int, Sent | None]]) -> list[tuple[float, int, Sent | None]]:
    happened = [event for event in events if event[0] != float("inf")]
    return sorted(happened, key=lambda event: event[:2])


@given(
    st.lists(RENEWALS, max_size=30),
    st.lists(MOMENTS, max_size=30),
    st.floats(1 - DRIFT, 1 + DRIFT),
    st.floats(1 - DRIFT, 1 + DRIFT),
)
def test_who_holds_it_is_never_one_whose_lease_is_over_in_the_store(
    renewals, moments, rate, store_rate
):
    lease, store = Lease(), Store(renewals, store_rate)
    events = [(each.at, 0, each) for each in renewals]
    events += [(each.at + each.there_s + each.back_s, 1, each) for each in renewals]
    events += [(at, 2, None) for at in moments]
    sent, turns = {}, []
    for at, kind, each in _in_order(events):
        now = at * rate
        if kind == 0:
            sent[id(each)] = lease.sent(now)
        elif kind == 1:
            turns += lease.granted(sent[id(each)], now)
        else:
            turns += lease.look(now)
            assert lease.holds(now) == (turns[-1:] == [Turn.HELD])
        assert not lease.holds(now) or store.gives(at)
    assert turns == [Turn.HELD, Turn.LOST] * (len(turns) // 2) + [Turn.HELD] * (len(turns) % 2)
    assert lease.term == turns.count(Turn.HELD)


@given(st.lists(st.floats(0, 0.5), min_size=20, max_size=40), st.integers(0, 9))
def test_renewed_every_second_it_is_one_term_although_one_answer_is_lost(delays, lost):
    lease, turns = Lease(), []
    for second, delay_s in enumerate(delays):
        renewal = lease.sent(float(second))
        if second == 0 or second % 10 != lost:
            turns += lease.granted(renewal, second + delay_s)
        turns += lease.look(second + 0.99)
    assert turns == [Turn.HELD]


@pytest.mark.parametrize("until_s", [0.0, 1.0, HOLDS_S - 1e-6])
def test_it_holds_to_its_end_and_not_beyond(until_s):
    lease = held((100.0, 100.0))
    assert lease.holds(100.0 + until_s)
    assert not lease.holds(100.0 + HOLDS_S)
