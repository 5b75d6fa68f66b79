"""The delivery machine against a model that is too simple to be wrong.

Times are multiples of a quarter of a second, and the jitter is chosen so that its spreads are whole
milliseconds, as they are stored, and never a quarter of a second. Pages are small, and begin early.
"""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from conduit.core import pages, retries
from conduit.core.delivery import REASON_TIMEOUT, Delivery
from conduit.core.policy import Policy
from conduit.core.retries import NOBODY, Tally
from conduit.errors import StateError
from tests.support.delivery import Shelf, redelivered
from tests.support.naive_delivery import NaiveDelivery, Open

HOLDERS = (1, 2, 3)
JITTER = 0.32

holders = st.sampled_from(HOLDERS)
seqs = st.integers(1, 15)
policies = st.builds(
    Policy,
    ack_wait_s=st.sampled_from([0.25, 1.0, 4.0]),
    max_ack_wait_s=st.sampled_from([2.0, 60.0]),
    max_attempts=st.integers(1, 4),
    max_lost=st.none() | st.integers(1, 5),
)


class AgainstTheModel(RuleBasedStateMachine):
    @initialize(policy=policies, floor=st.integers(0, 3))
    def begin(self, policy, floor):
        self.policy = policy
        self.now = 0.0
        self.tally = Tally()
        self.delivery = Delivery(policy, floor, {}, self.tally)
        self.shelf = Shelf()
        self.model = NaiveDelivery(policy, floor)
        self.lowest_floor = floor

    # Time passes, messages go out --------------------------------------------------------------

    @rule(quarters=st.integers(1, 20), jitter=st.sampled_from([0.0, JITTER]))
    def time_passes(self, quarters, jitter):
        self.now += quarters / 4
        self.delivery.expire(self.now, jitter)
        self.model.expire(self.now, jitter)

    @rule(quarters=st.integers(1, 8), jitter=st.sampled_from([0.0, JITTER]))
    def deadlines_are_judged_by_an_earlier_time(self, quarters, jitter):
        """As a sweep does, which has not read since then what the sockets hold."""
        judged = self.now - quarters / 4
        self.delivery.expire(judged, jitter)
        self.model.expire(judged, jitter)

    @rule()
    def time_passes_to_the_next_deadline(self):
        deadline = self.delivery.next_deadline(self.now)
        if deadline is not None:
            self.now = max(self.now, -(-deadline * 4 // 1) / 4)
            self.time_passes(quarters=0, jitter=0.0)

    @rule(count=st.integers(1, 4), holder=holders)
    def hand(self, count, holder):
        first = self.delivery.cursor + 1
        self.delivery.hand(first, first + count - 1, holder, self.now)
        self.model.hand(count, holder, self.now)

    @rule(count=st.integers(0, 2))
    def hand_without_acks(self, count):
        self.delivery.pass_over(self.delivery.cursor + count)
        self.model.cursor += count
        self.model.raise_floor()

    @rule(seq=seqs, holder=holders)
    def hand_one_again(self, seq, holder):
        """The order is the caller's choice: strict order takes the lowest, due or not."""
        if seq in self.model.open and not self.model.out(seq):
            self.model.hand_again(seq, holder, self.now)
            attempt = self.delivery.hand_again(seq, holder, self.now).attempt
            assert attempt == self.model.open[seq].attempt
        else:
            with pytest.raises(StateError):
                self.delivery.hand_again(seq, holder, self.now)

    @rule(holder=holders, limit=st.integers(0, 5))
    def redeliver(self, holder, limit):
        handed = redelivered(self.delivery, holder, self.now, limit)
        assert handed == self.model.redeliver(holder, self.now, limit)

    # Answers come ------------------------------------------------------------------------------

    @rule(seq=seqs)
    def ack(self, seq):
        is_open = seq in self.model.open
        assert self.delivery.ack(seq) == is_open
        if is_open:
            self.model.settle([seq])

    @rule(seq=seqs, holder=holders)
    def ack_through(self, seq, holder):
        settled = self.model.through(seq, holder)
        assert self.delivery.ack_through(seq, holder) == len(settled)
        self.model.settle(settled)

    @rule(seq=seqs, delay_s=st.sampled_from([None, 0.0, 0.5, 7.0]))
    def nack(self, seq, delay_s):
        is_out = self.model.out(seq)
        assert self.delivery.nack(seq, self.now, delay_s, "nack", JITTER) == is_out
        if is_out:
            wait_s = self.model.nack_wait_s(seq) * (1 + JITTER / 10)
            self.model.fail(seq, self.now + (wait_s if delay_s is None else delay_s), "nack")

    @rule(seq=seqs)
    def reject(self, seq):
        is_open = seq in self.model.open
        assert self.delivery.reject(seq, "reject") == is_open
        if is_open:
            self.model.die(seq, "reject")

    @rule(seq=seqs, wait_s=st.sampled_from([None, 0.5, 9.0]))
    def extend(self, seq, wait_s):
        is_out = self.model.out(seq)
        assert self.delivery.extend(seq, self.now, wait_s) == is_out
        if is_out:
            one = self.model.open[seq]
            one.at = self.now + (self.model.wait_s(one.nth) if wait_s is None else wait_s)

    # The world changes -------------------------------------------------------------------------

    @rule(holder=holders, lost=st.booleans())
    def lose_a_holder(self, holder, lost):
        released = self.model.in_flight(holder)
        assert self.delivery.release(holder, self.now, lost=lost) == released
        self.model.release(holder, self.now, lost)

    @rule()
    def forget(self):
        self.delivery.forget()
        self.shelf.pages.clear()
        self.model.settle(self.model.open)

    @rule(policy=policies)
    def change_the_policy(self, policy):
        self.delivery.set_policy(policy)
        self.policy = self.model.policy = policy

    @rule(seq=seqs)
    def lose_old_messages(self, seq):
        self.delivery.pass_over(seq)
        self.model.cursor = max(self.model.cursor, seq)
        self.model.raise_floor()

    @rule(seq=seqs)
    def redrive(self, seq):
        is_settled = seq <= self.model.cursor and seq not in self.model.open
        assert self.delivery.redrive(seq, self.now) == is_settled
        if is_settled:
            self.model.open[seq] = Open(0, self.now, NOBODY)

    @rule(floor=seqs)
    def seek(self, floor):
        self.delivery.seek(floor)
        self.shelf.pages.clear()
        self.model.open.clear()
        self.model.cursor = self.model.floor = self.lowest_floor = floor

    @rule(is_lost=st.booleans())
    def flush(self, is_lost):
        self.shelf.flush(self.delivery, self.now, is_lost=is_lost)

    @rule()
    def restart(self):
        self.shelf.flush(self.delivery, self.now)
        dead = self.delivery.take_dead()
        self.tally = Tally()
        self.delivery = Delivery(self.policy, 0, {}, self.tally)
        self.shelf.restore(self.delivery, self.now)
        self.compare_dead(dead)
        self.model.restart(self.now)

    # What is compared --------------------------------------------------------------------------

    @rule()
    def bury_the_dead(self):
        self.compare_dead(self.delivery.take_dead())

    def compare_dead(self, dead):
        found = [(one.seq, one.attempts, one.reason) for one in dead]
        assert sorted(found) == sorted(self.model.dead)
        self.model.dead.clear()

    @rule()
    def look_at_the_floor(self):
        # A rule and not an invariant: the floor must be right however seldom it is asked for.
        assert self.delivery.floor == self.model.floor
        assert self.lowest_floor <= self.delivery.floor <= self.delivery.cursor
        self.lowest_floor = self.delivery.floor

    @invariant()
    def the_same_is_open(self):
        delivery, model = self.delivery, self.model
        assert delivery.cursor == model.cursor
        assert delivery.open_count == len(model.open)
        assert delivery.is_idle == (not model.open)
        assert delivery.waiting_count == self.tally.count == model.in_flight(NOBODY)
        assert delivery.out_count == len(model.open) - model.in_flight(NOBODY)
        assert delivery.lowest_open() == min(model.open, default=None)
        for seq in range(1, model.cursor + 2):
            one = model.open.get(seq)
            history = delivery.history(seq)
            assert delivery.is_open(seq) == (one is not None)
            if one is None:
                assert history is None
            else:
                found = (history.attempt, history.failures, history.losses)
                assert found == (one.attempt, one.failures, one.losses)
                assert (history.holder, history.reason) == (one.holder, one.reason)
                assert history.at == pytest.approx(one.at, abs=1e-9)

    @invariant()
    def the_same_is_in_flight(self):
        for holder in HOLDERS:
            assert self.delivery.in_flight.get(holder, 0) == self.model.in_flight(holder)
        assert NOBODY not in self.delivery.in_flight
        suspects_out = [one for one in self.model.open.values() if one.is_out and one.is_suspect]
        assert self.delivery.retries.suspects_out_count == len(suspects_out)

    @invariant()
    def no_work_is_overslept(self):
        """No deadline and no end of a wait comes before the time for which a timer would be set."""
        opened = self.model.open.values()
        times = [one.at for one in opened if one.is_out or one.at > self.now]
        if times:
            assert self.delivery.next_deadline(self.now) <= min(times) + 1e-9

    @invariant()
    def runs_are_sorted_and_apart(self):
        edges = [edge for run in self.delivery.runs for edge in (run.first, run.last + 1)]
        assert edges == sorted(edges)
        assert all(run.first <= run.last for run in self.delivery.runs)


@pytest.fixture(autouse=True, scope="module")
def small_pages():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retries, "PAGE_COUNT", 3)
        patch.setattr(pages, "PAGE_COUNT", 3)
        patch.setattr(pages, "INLINE_MAX_COUNT", 2)
        yield


TestAgainstTheModel = AgainstTheModel.TestCase
TestAgainstTheModel.settings = settings(max_examples=80, stateful_step_count=40)


@given(
    policy=policies,
    count=st.integers(1, 12),
    room=st.integers(1, 12),
    quarters=st.lists(st.integers(1, 40), min_size=1, max_size=10),
)
def test_under_time_outs_alone_each_message_has_exactly_its_attempts(policy, count, room, quarters):
    delivery, now, step = Delivery(policy, 0, {}), 0.0, 0
    delivery.hand(1, count, 1, now)
    given_out = {seq: [(1, 0.0)] for seq in range(1, count + 1)}
    dead = []
    while not delivery.is_idle:
        now += quarters[step % len(quarters)] / 4
        step += 1
        delivery.expire(now, JITTER)
        for seq, attempt in redelivered(delivery, 1, now, room - delivery.in_flight[1]):
            given_out[seq].append((attempt, now))
        assert delivery.in_flight[1] <= max(room, count)
        dead += delivery.take_dead()

    assert sorted(one.seq for one in dead) == list(range(1, count + 1))
    assert {(one.attempts, one.reason) for one in dead} == {(policy.max_attempts, REASON_TIMEOUT)}
    for attempts in given_out.values():
        assert [attempt for attempt, _ in attempts] == list(range(1, policy.max_attempts + 1))
        for (attempt, before), (_, after) in pairwise(attempts):
            wait_s = min(policy.ack_wait_s * 2 ** (attempt - 1), policy.max_ack_wait_s)
            assert after - before >= wait_s
    assert delivery.floor == count
