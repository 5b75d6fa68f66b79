"""The checker finds nothing in what a good cluster does, and each fault that is planted into that."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.checker import check
from tests.chaos.excerpt import excerpt
from tests.chaos.history import Attempt, Claimed, ClusterHistory, Left, Struck, Wrote
from tests.chaos.made import FOLLOWER, SHARED, Made
from tests.crash.history import Delivered, Published, Settled

STEPS = st.one_of(
    *(st.tuples(st.just(name), st.integers(0, 5)) for name in ("hand", "settle", "kill")),
    *(st.tuples(st.just(name)) for name in ("publish", "stop", "give_up")),
    st.tuples(st.just("pass_by"), st.floats(0.0, 5.0)),
)


def ran(*steps) -> Made:
    made = Made()
    for name, *more in steps:
        getattr(made, name)(*more)
    return made


def kinds(history: ClusterHistory) -> set[str]:
    return set(check(history).violations)


def deliveries(history: ClusterHistory, stream: str, seq: int) -> list[Delivered]:
    return [
        event
        for event in history.events
        if isinstance(event, Delivered) and (event.stream, event.seq) == (stream, seq)
    ]


@given(st.lists(STEPS, max_size=40))
def test_nothing_is_found_in_whatever_a_good_cluster_does(steps):
    report = check(ran(*steps).end())
    assert report.ok, report.samples


BUSY = [("publish",), ("publish",), ("hand", 0), ("hand", 1), ("settle", 0)]
SOME = st.lists(STEPS, max_size=15)


@given(SOME, SOME)
def test_a_second_delivery_of_what_another_has_open_is_found_wherever_it_is(before, after):
    made = ran(*before)
    made.pass_by(5.0)
    made.publish()
    while (seq := made.hand(0)) is not None and seq != made.last_seq:
        made.settle(0)
    one = made.history.events[-1]
    other = next(number for number in made.shared() if number != one.connection)
    made.now += 0.5
    made.history.events.append(dataclasses.replace(one, connection=other, at=made.now))
    made.pass_by(3.0)
    for name, *more in after:
        getattr(made, name)(*more)
    assert "two_at_once" in kinds(made.end())


@given(SOME, st.floats(0.4, 2.0))
def test_what_comes_when_the_lease_is_over_and_nobody_else_has_it_is_found(before, later_s):
    made = ran(*before, ("pass_by", 5.0), *BUSY)
    old = made.owner
    made.stopped.add(old)
    made.pass_by(made.until[old] - made.now + later_s)
    mine = (
        next(number for number in made.shared() if made.node_of[number] == old)
        if any(made.node_of[number] == old for number in made.shared())
        else made.shared()[0]
    )
    made.history.events.append(made._delivered(SHARED, mine, made.last_seq, 2))
    made.pass_by(0.5)
    made._change_owner()
    made._go(1.5)
    made.stopped.discard(old)
    made._renew()
    assert "delivered_by_nobody" in kinds(made.end())


def stale(*, is_clean: bool = True, after_s: float = 0.05) -> ClusterHistory:
    """An owner that was stopped hands out again what the next one has had settled."""
    made = ran(("pass_by", 5.0), *BUSY * 3)
    old = made.owner
    made.stop()
    number = next(number for number in made.shared() if made.node_of[number] == old)
    place = len(made.history.struck) - 1
    made.history.struck[place] = dataclasses.replace(made.history.struck[place], is_clean=is_clean)
    acked = next(
        event
        for event in made.history.events
        if isinstance(event, Settled) and event.confirmed and event.connection != number
    )
    made.now += after_s
    made.history.events.append(made._delivered(SHARED, number, acked.seq, 2))
    made.pass_by(3.0)
    return made.end()


def test_a_stale_owner_that_hands_out_what_others_have_acked_is_found():
    assert kinds(stale()) == {"confirmed_ack_delivered_again"}


def test_what_a_process_had_half_done_when_it_was_stopped_is_no_fault_and_what_comes_later_is():
    assert check(stale(is_clean=False)).ok
    assert not check(stale(is_clean=False, after_s=1.0)).ok


def test_what_was_under_way_to_a_node_that_was_cut_off_is_no_fault():
    made = ran(("pass_by", 5.0), *BUSY)
    number = next(number for number in made.shared() if made.node_of[number] != made.owner)
    acked = next(event for event in made.history.events if isinstance(event, Settled))
    began = made.now
    made.pass_by(4.0)
    made.history.events.append(made._delivered(SHARED, number, acked.seq, 2))
    history = made.end()
    assert "confirmed_ack_delivered_again" in kinds(history)
    node = made.node_of[number]
    history.struck.append(Struck("nodes", (node, made.owner), began, made.now))
    assert check(history).ok


def test_a_claim_while_the_lease_of_another_holds_is_found_and_one_after_a_release_is_none():
    made = ran(*BUSY)
    made.give_up()
    assert check(made.end()).ok
    made = ran(*BUSY)
    made._change_owner()
    made._go(1.5)
    assert "claimed_too_early" in kinds(made.end())


def test_progress_that_another_node_stores_is_found():
    made = ran(*BUSY)
    made.history.wrote.append(Wrote(SHARED, "b", made.now))
    assert kinds(made.end()) == {"stored_by_another"}


def test_where_no_owners_are_recorded_nothing_is_said_of_them():
    made = ran(*BUSY)
    history = made.end()
    history.claimed[:] = [
        Claimed(each.stream, "", "", each.fence, each.at) for each in history.claimed
    ]
    history.wrote.append(Wrote(SHARED, "b", made.now))
    assert check(history).ok


def without(history: ClusterHistory, stream: str, seq: int) -> None:
    history.events = [
        event
        for event in history.events
        if (event.stream, getattr(event, "seq", 0)) != (stream, seq)
    ]


@pytest.mark.parametrize(
    ("stream", "found"), [(SHARED, {"missed"}), (FOLLOWER, {"missed", "skipped", "late_by_far"})]
)
def test_a_message_that_never_comes_is_found(stream, found):
    history = ran(*BUSY * 3).end()
    without(history, stream, 3)
    assert kinds(history) == found


def test_the_last_message_of_a_quiet_topic_that_comes_late_is_found_unless_its_node_had_a_fault():
    made = ran(*BUSY * 2)
    history = made.end()
    last = deliveries(history, FOLLOWER, made.last_seq)[0]
    late = dataclasses.replace(last, at=last.at + 6.0)
    history.events[history.events.index(last)] = late
    assert kinds(history) == {"late_by_far"}
    history.struck.append(Struck("node-redis", ("c",), last.at - 1, late.at))
    assert "late_by_far" in kinds(history)
    history.struck.append(Struck("node-postgres", ("c",), last.at - 1, late.at))
    assert check(history).ok
    history.struck.pop()
    history.left.append(Left(FOLLOWER, late.connection, last.at + 1))
    assert check(history).ok


def test_a_follower_that_sees_two_messages_in_the_wrong_order_is_found():
    history = ran(*BUSY * 3).end()
    one, other = (deliveries(history, FOLLOWER, seq)[0] for seq in (3, 4))
    places = [history.events.index(each) for each in (one, other)]
    for place, event in zip(places, (other, one), strict=True):
        history.events[place] = event
    assert {"out_of_order", "skipped", "late"} <= kinds(history)


def test_disorder_on_a_connection_under_one_owner_is_found_and_with_the_next_one_order_begins_anew():
    made = ran(("pass_by", 3.0), ("publish",), ("publish",), ("hand", 0), ("hand", 0))
    again = dataclasses.replace(made.history.events[-2], at=made.now + 0.01)
    made.history.events.append(again)
    assert "out_of_order" in kinds(made.end())
    made = ran(("pass_by", 3.0), ("publish",), ("publish",), ("hand", 0), ("hand", 0), ("stop",))
    assert check(made.end()).ok


def test_another_answer_to_the_same_key_is_found():
    history = ran(*BUSY).end()
    history.published.append(dataclasses.replace(history.published[0], seq=2))
    assert kinds(history) == {"acked_as_another"}
    history = ran(*BUSY).end()
    history.published.append(Published("v-1", "t", "ok", 3, "id-3"))
    history.stored.append(dataclasses.replace(history.stored[0], seq=3, message_id="id-3"))
    assert "stored_twice" in kinds(history)


@pytest.mark.parametrize(("failed", "is_found"), [(1, False), (2, False), (3, True), (100, True)])
def test_publishes_that_fail_while_redis_is_away_are_counted_and_one_in_a_thousand_is_allowed(
    failed, is_found
):
    made = Made()
    history = made.end()
    history.struck.append(Struck("redis", (), made.now, made.now + 10))
    codes = ["ok"] * (2000 - failed) + ["overloaded"] * failed
    history.attempts += [Attempt("a", made.now, made.now + 1, code) for code in codes]
    history.attempts.append(Attempt("a", made.now, made.now + 20, "lost"))
    assert ("publishes_failed_without_redis" in kinds(history)) is is_found


def test_an_excerpt_has_what_happened_to_the_message_and_to_its_owners_in_order():
    history = stale()
    report = check(history)
    ((kind, about),) = report.about.items()
    assert kind == "confirmed_ack_delivered_again"
    lines = excerpt(history, *about[0])
    times = [float(line.split()[0]) for line in lines]
    assert times == sorted(times)
    text = "\n".join(lines)
    assert text.count("Delivered(") >= 2
    assert "Published(" in text
    assert "Struck(kind='stop'" in text
    assert "Claimed(" in text
    assert "Settled(" in text
