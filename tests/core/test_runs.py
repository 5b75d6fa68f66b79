"""First deliveries as runs, told and then tried against a plain dict of numbers."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from conduit.core.runs import Run, Runs

ALICE, BOB = 1, 2

holders = st.sampled_from([ALICE, BOB, 3])
seqs = st.integers(1, 25)


def listed(runs):
    return [(run.first, run.last, run.holder) for run in runs]


def test_what_agrees_and_follows_is_one_run():
    runs = Runs({})
    runs.hand(1, 3, ALICE, 1.0)
    runs.hand(4, 5, ALICE, 1.0)
    runs.hand(6, 6, BOB, 1.0)
    runs.hand(7, 7, BOB, 2.0)
    runs.hand(9, 9, BOB, 2.0)

    assert listed(runs) == [(1, 5, ALICE), (6, 6, BOB), (7, 7, BOB), (9, 9, BOB)]
    assert (runs.count, runs.lowest, runs.deadline) == (8, 1, 1.0)
    assert runs.in_flight == {ALICE: 5, BOB: 3}


def test_acks_in_order_shorten_the_run_and_one_from_the_middle_splits_it():
    runs = Runs({})
    runs.hand(1, 6, ALICE, 1.0)
    assert all(runs.take(seq) for seq in (1, 6, 3))

    assert list(runs) == [Run(2, 2, ALICE, 1.0), Run(4, 5, ALICE, 1.0)]
    assert not runs.take(3)
    assert runs.in_flight == {ALICE: 3}


def test_in_flight_is_shared_and_never_begun_anew():
    in_flight = {ALICE: 4}
    runs = Runs(in_flight)
    runs.hand(1, 2, ALICE, 1.0)
    assert in_flight == {ALICE: 6}

    runs.take_all()
    assert in_flight == {ALICE: 4}
    assert (bool(runs), runs.lowest, runs.deadline) == (False, None, None)


def test_taking_what_expired_ends_at_the_first_run_that_has_time():
    runs = Runs({})
    for seq, deadline in ((1, 1.0), (2, 2.0), (3, 3.0)):
        runs.hand(seq, seq, ALICE, deadline)

    assert listed(runs.take_expired(0.9, 100)) == []
    assert listed(runs.take_expired(2.0, 100)) == [(1, 1, ALICE), (2, 2, ALICE)]
    assert runs.in_flight == {ALICE: 1}


class AgainstADict(RuleBasedStateMachine):
    """The model: number → (holder, deadline). Deadlines never fall, as with one policy."""

    def __init__(self):
        super().__init__()
        self.runs = Runs({})
        self.model = {}
        self.cursor = 0
        self.now = 0.0

    def taken(self, wanted):
        return {seq: self.model.pop(seq) for seq in wanted}

    @staticmethod
    def by_number(runs):
        return {
            seq: (run.holder, run.deadline)
            for run in runs
            for seq in range(run.first, run.last + 1)
        }

    @rule(gap=st.integers(0, 1), count=st.integers(1, 5), holder=holders)
    def hand(self, gap, count, holder):
        first = self.cursor + gap + 1
        self.cursor = first + count - 1
        self.runs.hand(first, self.cursor, holder, self.now + 1)
        self.model |= dict.fromkeys(range(first, self.cursor + 1), (holder, self.now + 1))

    @rule(seq=seqs)
    def take(self, seq):
        assert self.runs.take(seq) == (self.model.pop(seq, None) is not None)

    @rule(seq=seqs, holder=holders)
    def take_through(self, seq, holder):
        wanted = [low for low, (whose, _) in self.model.items() if low <= seq and whose == holder]
        assert self.runs.take_through(seq, holder) == len(self.taken(wanted))

    @rule(quarters=st.integers(0, 6))
    def take_expired(self, quarters):
        self.now += quarters / 4
        wanted = [seq for seq, (_, deadline) in self.model.items() if deadline <= self.now]
        assert self.by_number(self.runs.take_expired(self.now, 100)) == self.taken(wanted)

    @rule(holder=holders)
    def take_from(self, holder):
        wanted = [seq for seq, (whose, _) in self.model.items() if whose == holder]
        assert self.by_number(self.runs.take_from(holder)) == self.taken(wanted)

    @rule()
    def take_all(self):
        assert self.by_number(self.runs.take_all()) == self.taken(list(self.model))

    @invariant()
    def the_same_is_here(self):
        runs, model = self.runs, self.model
        assert self.by_number(runs) == model
        assert (runs.count, bool(runs)) == (len(model), bool(model))
        assert runs.lowest == min(model, default=None)
        assert runs.deadline == min((deadline for _, deadline in model.values()), default=None)
        for seq in range(self.cursor + 2):
            run = runs.find(seq)
            assert (run and (run.holder, run.deadline)) == model.get(seq)

    @invariant()
    def the_same_is_in_flight(self):
        held = [holder for holder, _ in self.model.values()]
        for holder, count in self.runs.in_flight.items():
            assert count == held.count(holder)

    @invariant()
    def runs_are_sorted_and_apart_and_none_is_empty(self):
        edges = [edge for run in self.runs for edge in (run.first, run.last + 1)]
        assert edges == sorted(edges)
        assert all(run.count > 0 for run in self.runs)


TestAgainstADict = AgainstADict.TestCase
TestAgainstADict.settings = settings(max_examples=80, stateful_step_count=40)
