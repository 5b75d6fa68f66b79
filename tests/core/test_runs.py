from hypothesis import given
from hypothesis import strategies as st

from conduit.core.runs import Runs

ALICE, BOB = 1, 2


def made(*handed):
    """Runs of (first, last, holder, deadline)."""
    runs = Runs({})
    for one in handed:
        runs.hand(*one)
    return runs


def test_consecutive_numbers_of_one_holder_and_deadline_are_one_run():
    runs = made((1, 2, ALICE, 1.0), (3, 5, ALICE, 1.0), (6, 6, BOB, 1.0), (7, 7, BOB, 2.0))

    assert [(run.first, run.last, run.holder) for run in runs] == [
        (1, 5, ALICE),
        (6, 6, BOB),
        (7, 7, BOB),
    ]
    assert (runs.count, runs.lowest, runs.deadline) == (7, 1, 1.0)
    assert runs.in_flight == {ALICE: 5, BOB: 2}


def test_a_number_leaves_at_an_edge_or_splits_its_run():
    runs = made((1, 5, ALICE, 1.0))

    assert runs.take(3)
    assert runs.take(1)
    assert runs.take(5)
    assert not runs.take(3)
    assert [(run.first, run.last) for run in runs] == [(2, 2), (4, 4)]
    assert runs.find(4).deadline == 1.0
    assert runs.find(3) is None
    assert runs.in_flight == {ALICE: 2}


def test_what_is_taken_up_to_a_number_is_the_holders_own():
    runs = made((1, 4, ALICE, 1.0), (5, 6, BOB, 1.0), (7, 9, ALICE, 1.0))

    assert runs.take_through(8, ALICE) == 6
    assert [(run.first, run.last) for run in runs] == [(5, 6), (9, 9)]
    assert runs.in_flight == {ALICE: 1, BOB: 2}


def test_what_is_overdue_goes_in_order_and_leaves_the_rest():
    runs = made((1, 2, ALICE, 1.0), (3, 3, BOB, 2.0), (4, 4, ALICE, 3.0))

    assert [run.first for run in runs.take_expired(2.0)] == [1, 3]
    assert (runs.lowest, runs.in_flight) == (4, {ALICE: 1, BOB: 0})


def test_all_of_a_holder_or_of_everybody_can_be_taken():
    runs = made((1, 2, ALICE, 1.0), (3, 3, BOB, 1.0), (4, 4, ALICE, 1.0))

    assert [run.first for run in runs.take_from(ALICE)] == [1, 4]
    assert runs.take_from(ALICE) == []
    assert [run.first for run in runs.take_all()] == [3]
    assert (bool(runs), runs.lowest, runs.deadline) == (False, None, None)
    assert runs.in_flight == {ALICE: 0, BOB: 0}


steps = st.lists(
    st.one_of(
        st.tuples(st.just("hand"), st.integers(1, 4), st.sampled_from([ALICE, BOB])),
        st.tuples(st.just("take"), st.integers(1, 30), st.just(0)),
        st.tuples(st.just("through"), st.integers(1, 30), st.sampled_from([ALICE, BOB])),
        st.tuples(st.just("from"), st.just(0), st.sampled_from([ALICE, BOB])),
    ),
    max_size=40,
)


@given(steps)
def test_runs_say_what_a_dict_of_numbers_says(steps):
    runs, out, last = Runs({}), {}, 0
    for what, number, holder in steps:
        if what == "hand":
            runs.hand(last + 1, last + number, holder, 1.0)
            out |= dict.fromkeys(range(last + 1, last + number + 1), holder)
            last += number
        elif what == "take":
            assert runs.take(number) == (out.pop(number, None) is not None)
        else:
            gone = [
                seq
                for seq, one in out.items()
                if one == holder and (what == "from" or seq <= number)
            ]
            if what == "from":
                assert sum(run.count for run in runs.take_from(holder)) == len(gone)
            else:
                assert runs.take_through(number, holder) == len(gone)
            for seq in gone:
                del out[seq]
        found = {seq: run.holder for run in runs for seq in range(run.first, run.last + 1)}
        assert found == out
        assert list(found) == sorted(found)
        for one in (ALICE, BOB):
            assert runs.in_flight.get(one, 0) == sum(holder == one for holder in out.values())
