"""Ages by stamps, whatever the wall clock does: nothing is called older than it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.core.timeline import (
    SETTLED_MS,
    STEPS_MAX_COUNT,
    TOLERANCE_MS,
    Reading,
    Timeline,
)

S, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
NOON = 1_700_000_000_000


class Machine:
    """A machine with a wall clock that is `ahead_ms` of the truth, and the timeline of a store on it."""

    def __init__(self, ahead_ms=0):
        self.true_ms = NOON
        self.ahead_ms = ahead_ms
        self.boot = ("boot", NOON - 5 * DAY)
        self.timeline = Timeline(None, self.reading)

    @property
    def wall_ms(self):
        return self.true_ms + self.ahead_ms

    @property
    def reading(self):
        return Reading(self.wall_ms, self.boot[0], self.true_ms - self.boot[1])

    def go(self, ms, ahead_ms=None):
        """So much time passes; then the clock is set. Returns the jump that was noted."""
        self.true_ms += ms
        self.timeline.note(self.reading)
        if ahead_ms is not None:
            self.ahead_ms = ahead_ms
        return self.timeline.note(self.reading)

    def restart(self, away_ms, *, boots=False, ahead_ms=None):
        saved = self.timeline.save(self.reading, 0)
        self.true_ms += away_ms
        if boots:
            self.boot = (f"boot {self.true_ms}", self.true_ms - 20 * S)
        if ahead_ms is not None:
            self.ahead_ms = ahead_ms
        self.timeline = Timeline(saved, self.reading)

    def is_older(self, stamp_ms, age_ms):
        """Whether retention would remove what has this stamp."""
        return stamp_ms < self.timeline.before_ms(age_ms)


@pytest.mark.parametrize("restarts", [False, True])
def test_what_was_stamped_before_it_was_noted_that_the_clock_was_set_back_is_not_old(restarts):
    machine = Machine()
    machine.go(HOUR)
    saved = machine.timeline.save(machine.reading, 0)
    machine.true_ms += 20 * S
    machine.ahead_ms = -30 * DAY
    stamp_ms = machine.wall_ms
    machine.true_ms += 20 * S
    if restarts:
        machine.timeline = Timeline(saved, machine.reading)
    machine.go(HOUR)
    assert not machine.is_older(stamp_ms, 14 * DAY)
    assert machine.timeline.age_ms(stamp_ms) <= HOUR + 20 * S
    machine.go(14 * DAY)
    assert machine.is_older(stamp_ms, 14 * DAY)


def test_with_a_clock_that_does_not_jump_an_age_is_the_difference():
    machine = Machine()
    machine.go(HOUR)
    assert machine.timeline.before_ms(10 * S) == machine.wall_ms - 10 * S
    assert machine.timeline.before_ms(7 * DAY) == machine.wall_ms - 7 * DAY
    assert machine.timeline.age_ms(machine.wall_ms - 10 * S) == 10 * S
    assert machine.timeline.age_ms(NOON - DAY) == DAY + HOUR
    assert machine.timeline.earliest_ms(NOON + MINUTE) == NOON + MINUTE


def test_what_was_published_before_a_step_forward_is_not_older_for_it():
    machine = Machine(ahead_ms=-30 * DAY)
    stamp = machine.wall_ms
    assert machine.go(MINUTE, ahead_ms=0) == 30 * DAY
    assert not machine.is_older(stamp, 2 * MINUTE)
    assert machine.timeline.age_ms(stamp) == MINUTE
    machine.go(MINUTE + 1)
    assert machine.is_older(stamp, 2 * MINUTE)
    assert not machine.is_older(NOON + MINUTE, 2 * MINUTE)


def test_a_glitch_of_30_days_and_back_removes_nothing_early():
    machine = Machine()
    before = machine.wall_ms
    machine.go(MINUTE, ahead_ms=30 * DAY)
    within = machine.wall_ms
    assert not machine.is_older(before, HOUR)
    assert machine.go(MINUTE, ahead_ms=0) == -30 * DAY
    # Of a topic in which something has the later stamp, until the clock has come to it.
    for _ in range(29):
        machine.go(DAY)
        assert not machine.is_older(within, HOUR)
    assert machine.is_older(before, HOUR)
    machine.go(2 * DAY)
    assert machine.is_older(within, HOUR)


def test_a_step_back_makes_nothing_that_came_before_it_older():
    machine = Machine()
    stamp = machine.wall_ms
    machine.go(10 * MINUTE, ahead_ms=-HOUR)
    after = machine.wall_ms
    machine.go(5 * MINUTE)
    assert machine.timeline.age_ms(after) == 5 * MINUTE
    assert not machine.is_older(stamp, 5 * MINUTE)
    assert machine.timeline.earliest_ms(stamp + 5 * MINUTE) == after


def test_a_step_while_the_process_was_away_is_seen_on_the_same_boot():
    machine = Machine(ahead_ms=-30 * DAY)
    stamp = machine.wall_ms
    machine.restart(3 * MINUTE, ahead_ms=0)
    assert machine.timeline.is_settled
    assert machine.timeline.age_ms(stamp) == 3 * MINUTE
    machine.restart(3 * MINUTE)
    assert machine.timeline.age_ms(stamp) == 6 * MINUTE


def test_after_a_boot_the_time_away_counts_when_the_clock_has_not_jumped_for_a_while():
    machine = Machine()
    stamp = machine.wall_ms
    machine.restart(2 * DAY, boots=True)
    assert machine.timeline.age_ms(stamp) == 0
    machine.go(SETTLED_MS - S)
    assert not machine.is_older(stamp, HOUR)
    machine.go(2 * S)
    assert machine.timeline.is_settled
    assert machine.timeline.age_ms(stamp) == 2 * DAY + SETTLED_MS + S
    assert machine.is_older(stamp, HOUR)
    machine.restart(0)
    assert machine.timeline.age_ms(stamp) == 2 * DAY + SETTLED_MS + S


def test_a_clock_that_is_wrong_at_boot_and_set_within_minutes_makes_nothing_older():
    for wrong_ms in (30 * DAY, -30 * DAY):
        machine = Machine()
        stamp = machine.wall_ms
        machine.restart(HOUR, boots=True, ahead_ms=wrong_ms)
        machine.go(5 * MINUTE)
        during = machine.wall_ms
        machine.go(0, ahead_ms=0)
        machine.go(SETTLED_MS + S)
        assert machine.timeline.is_settled
        assert machine.timeline.age_ms(during) <= SETTLED_MS + S
        age_ms = machine.timeline.age_ms(stamp)
        assert SETTLED_MS < age_ms <= HOUR + 5 * MINUTE + SETTLED_MS + S


def test_small_corrections_are_no_steps():
    machine = Machine()
    assert machine.go(S, ahead_ms=TOLERANCE_MS) == 0
    assert machine.timeline.before_ms(DAY) == machine.wall_ms - TOLERANCE_MS - DAY


def test_a_clock_that_jumps_all_the_time_takes_bounded_memory_and_removes_nothing_early():
    machine = Machine()
    stamps = []
    for number in range(3 * STEPS_MAX_COUNT):
        machine.go(MINUTE, ahead_ms=(number % 7) * HOUR)
        stamps.append((machine.true_ms, machine.wall_ms))
    assert len(machine.timeline.save(machine.reading, 0).steps) <= STEPS_MAX_COUNT
    for true_ms, stamp in stamps:
        assert machine.timeline.age_ms(stamp) <= machine.true_ms - true_ms


moves = st.lists(
    st.tuples(
        st.sampled_from(["goes on", "is restarted", "is booted"]),
        st.integers(0, 40 * DAY),
        st.sampled_from([None, 0, -HOUR, HOUR, 30 * DAY]),
    ),
    max_size=12,
)


@given(moves, st.integers(1, 60 * DAY))
def test_nothing_is_called_older_than_it_is_and_nothing_is_missed_since_a_time(moves, age_ms):
    machine = Machine()
    published = []
    highest = 0
    for what, ms, ahead_ms in moves:
        if what == "goes on":
            machine.go(ms, ahead_ms=ahead_ms)
        elif what == "is restarted":
            machine.restart(ms, ahead_ms=ahead_ms)
        else:
            # How long it was away is only known from a clock that is as right as it was before.
            machine.restart(ms, boots=True)
            machine.go(SETTLED_MS + S)
        highest = max(highest, machine.wall_ms)
        # In a topic of its own, and in one in which something was published at each time before.
        published += [(machine.true_ms, machine.wall_ms), (machine.true_ms, highest)]
    for number, (true_ms, stamp) in enumerate(published):
        real_ms = machine.true_ms - true_ms + 2 * TOLERANCE_MS
        assert machine.timeline.age_ms(stamp) <= real_ms
        assert not machine.is_older(stamp, age_ms) or age_ms < real_ms
        later = [other for _, other in published[number:]]
        assert min(later) >= machine.timeline.earliest_ms(stamp) - 2 * TOLERANCE_MS


# Another server ---------------------------------------------------------------------------------------


def test_a_clock_that_is_as_this_one_changes_nothing():
    machine, other = Machine(), Machine()
    for _ in range(5):
        for each in (machine, other):
            each.go(MINUTE)
        machine.timeline.hear(other.timeline.low_ms)
    assert machine.timeline.before_ms(10 * S) == machine.wall_ms - 10 * S
    assert machine.timeline.age_ms(machine.wall_ms - 10 * S) == 10 * S


def test_what_other_clocks_said_takes_bounded_memory():
    machine = Machine()
    for number in range(2 * DAY // MINUTE):
        machine.go(MINUTE)
        machine.timeline.hear(machine.wall_ms - HOUR - number % 5 * S)
    assert len(machine.timeline.save(machine.reading, 0).lows) == 1
    for number in range(3 * STEPS_MAX_COUNT):
        machine.go(MINUTE)
        machine.timeline.hear(machine.wall_ms - number % 7 * HOUR)
    assert len(machine.timeline.save(machine.reading, 0).lows) <= STEPS_MAX_COUNT


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["here", "there", "neither"]),
            st.integers(0, 30 * MINUTE),
            st.sampled_from([0, -HOUR, -3 * HOUR, HOUR, 30 * DAY]),
            st.integers(0, MINUTE),
        ),
        max_size=12,
    ),
    st.sampled_from([5 * S, MINUTE, 10 * MINUTE, HOUR]),
)
def test_nothing_that_another_server_has_stamped_is_called_older_than_it_is(moves, age_ms):
    machine, other = Machine(), Machine()
    machine.timeline.hear(other.timeline.low_ms)
    published = []

    def passes(ms):
        """Says what it has to every minute, and at once when its clock was set."""
        machine.go(ms)
        if other.go(ms) or machine.true_ms // MINUTE != (machine.true_ms - ms) // MINUTE:
            machine.timeline.hear(other.timeline.low_ms)
        published.append((other.true_ms, other.wall_ms, machine.wall_ms))

    for where, ms, ahead_ms, is_restarted_after_ms in moves:
        for _ in range(ms // MINUTE):
            passes(MINUTE)
        passes(ms % MINUTE)
        if where == "here":
            machine.go(0, ahead_ms=ahead_ms)
        elif where == "there":
            other.go(0, ahead_ms=ahead_ms)
            machine.timeline.hear(other.timeline.low_ms)
            published.append((other.true_ms, other.wall_ms, machine.wall_ms))
        if is_restarted_after_ms > 50 * S:
            machine.restart(0)
        for true_ms, stamp, _ in published:
            real_ms = machine.true_ms - true_ms + 2 * TOLERANCE_MS
            assert machine.timeline.age_ms(stamp) <= real_ms
            assert not machine.is_older(stamp, age_ms) or age_ms < real_ms
    # Nor does a start by the time that this machine has said miss it.
    for number, (_, _, said_ms) in enumerate(published):
        later = [stamp for _, stamp, _ in published[number:]]
        assert min(later) >= machine.timeline.earliest_ms(said_ms) - 2 * TOLERANCE_MS
