"""`Holds` with a clock that the tests set."""

from __future__ import annotations

import gc

import pytest

from conduit.client.delivery import Delivery, Verb
from conduit.client.holds import (
    HOLD_MAX_S,
    HOLD_MIN_MS,
    HOLD_MS,
    SETTLED_MAX_COUNT,
    SETTLED_MAX_S,
    UNKNOWN_WAIT_S,
    Held,
    Holds,
)
from conduit.protocol.frames import Ack, Extend, Nack, Reject
from tests.client.test_resume import message

HOLD_S = HOLD_MS / 1000


async def _unused(_delivery: Delivery, _verb: Verb) -> None:
    raise AssertionError


def take(holds: Holds, held: Held | None, now: float = 0.0) -> Delivery:
    """The application takes it from the inbox."""
    assert held is not None
    delivery = Delivery(held.message, _unused)
    holds.taken(held, delivery, now)
    return delivery


def came(holds: Holds, seq: int = 1, attempt: int = 1, now: float = 0.0) -> Held | None:
    """A delivery comes; what the inbox gets of it."""
    frame = message(seq, attempt=attempt)
    return None if holds.is_settled(frame, now) else holds.came(frame, now)


def extended(holds: Holds, now: float) -> list[tuple[str, int | None]]:
    """What is extended at this time."""
    frames, waiting = holds.due(now)
    assert waiting == []
    for frame in frames:
        assert isinstance(frame, Extend)
        assert (frame.ms or 0) >= HOLD_MIN_MS
    return [(frame.message_id or "", frame.attempt) for frame in frames]


def extended_until(holds: Holds, now: float, end: float, step: float = 1.0) -> list[float]:
    """When something is extended, up to and with the time `end`."""
    times = []
    while now <= end:
        times += [now for _ in extended(holds, now)]
        now += step
    return times


def ack(seq: int = 1) -> Ack:
    return Ack(f"t-{seq}")


# Kept from timing out -------------------------------------------------------------------------------


@pytest.mark.parametrize("is_taken", [False, True])
def test_what_is_not_settled_is_extended_wherever_it_is(is_taken: bool) -> None:
    holds = Holds(None, is_durable=False)
    held = came(holds)
    delivery = take(holds, held) if is_taken else None
    assert extended_until(holds, 0.0, HOLD_S * 2) == [1.0, 16.0, 31.0, 46.0]
    del delivery


@pytest.mark.parametrize("ack_wait_ms", [10, 39, 40, 300, 1000, 30_000, 3_600_000])
def test_it_is_extended_long_before_its_time_is_over(ack_wait_ms: int) -> None:
    holds, wait_s = Holds(ack_wait_ms, is_durable=True), ack_wait_ms / 1000
    came(holds)
    at = holds.next_at()
    assert at is not None
    assert at <= wait_s / 4
    frames, _ = holds.due(at)
    assert len(frames) == 1
    # And again, long before that is over, and never for less than it had.
    assert isinstance(frames[0], Extend)
    ms = frames[0].ms
    assert ms is not None
    assert ms == max(HOLD_MIN_MS, ack_wait_ms)
    again_at = holds.next_at()
    assert again_at is not None
    assert again_at - at <= ms / 2000


def test_attempts_too_short_for_a_timer_are_extended_as_they_come() -> None:
    holds = Holds(10, is_durable=False)
    for number in range(3):
        came(holds, number, now=number / 1000)
        assert extended(holds, number / 1000) == [(f"t-{number}", 1)]


def test_an_unknown_time_is_taken_for_the_shortest_default() -> None:
    holds = Holds(None, is_durable=True)
    came(holds)
    assert holds.next_at() == UNKNOWN_WAIT_S / 4 <= 1.0 / 4


def test_what_falls_due_close_together_is_sent_together() -> None:
    holds = Holds(1000, is_durable=False)
    for number in range(50):
        came(holds, number, now=number / 1000)
    assert len(extended(holds, 0.25)) == 50
    assert holds.next_at() == 0.25 + HOLD_MIN_MS / 2000


def test_nothing_is_due_while_nothing_is_held() -> None:
    holds = Holds(1000, is_durable=False)
    assert holds.next_at() is None
    delivery = take(holds, came(holds))
    holds.said(delivery, ack(), 0.1)
    assert holds.next_at() is None
    assert holds.due(HOLD_S) == ([], [])


def test_an_application_that_does_not_move_loses_what_it_has() -> None:
    holds = Holds(None, is_durable=True)
    delivery = take(holds, came(holds))
    came(holds, 2)
    times = extended_until(holds, 0.0, HOLD_MAX_S * 2, step=5.0)
    assert max(times) < HOLD_MAX_S
    assert min(times) == 5.0
    del delivery


def test_what_waits_is_held_as_long_as_the_application_gets_on() -> None:
    """A long queue, each message worked on for a while: the last one waits longer than HOLD_MAX_S."""
    holds, now = Holds(None, is_durable=True), 0.0
    queue = [came(holds, number) for number in range(10)]
    for number, held in enumerate(queue):
        delivery = take(holds, held, now)
        assert sorted(extended(holds, now + 1)) == [(f"t-{left}", 1) for left in range(number, 10)]
        now += HOLD_MAX_S * 0.9
        holds.said(delivery, ack(number), now)


def test_a_sign_of_life_holds_a_delivery_anew() -> None:
    holds = Holds(None, is_durable=True)
    delivery = take(holds, came(holds))
    holds.said(delivery, Extend("t-1"), HOLD_MAX_S * 0.9)
    times = extended_until(holds, HOLD_MAX_S * 0.9, HOLD_MAX_S * 3, step=5.0)
    assert HOLD_MAX_S * 1.8 < max(times) < HOLD_MAX_S * 1.9


def test_the_applications_own_extension_is_not_cut_short() -> None:
    holds = Holds(1000, is_durable=False)
    delivery = take(holds, came(holds))
    said, _ = holds.said(delivery, Extend("t-1", ms=600_000), 0.0)
    assert said == Extend("t-1", ms=600_000, attempt=1)
    assert min(extended_until(holds, 0.0, 700.0)) > 600 - HOLD_S
    said, _ = holds.said(delivery, Extend("t-1", ms=5), 700.0)
    assert said == Extend("t-1", ms=HOLD_MIN_MS, attempt=1)


def test_a_delivery_that_the_application_dropped_is_not_extended() -> None:
    holds = Holds(None, is_durable=True)
    delivery = take(holds, came(holds))
    assert extended(holds, 1.0) == [("t-1", 1)]
    del delivery
    gc.collect()
    assert extended_until(holds, 2.0, 100.0) == []
    assert holds.next_at() is None


# One copy reaches a handler -------------------------------------------------------------------------


def test_a_later_attempt_takes_the_place_of_the_one_that_waits() -> None:
    holds = Holds(None, is_durable=True)
    held = came(holds)
    assert came(holds, attempt=2) is None
    delivery = take(holds, held)
    assert delivery.attempt == 2
    assert holds.said(delivery, Nack("t-1"), 0.0) == (Nack("t-1", attempt=2), None)


def test_a_later_attempt_does_not_reach_an_application_that_has_the_message() -> None:
    holds = Holds(None, is_durable=True)
    delivery = take(holds, came(holds))
    assert came(holds, attempt=2, now=1.0) is None
    assert extended(holds, 2.0) == [("t-1", 2)]
    assert holds.said(delivery, ack(), 3.0) == (Ack("t-1", attempt=2), None)
    assert holds.next_at() is None


@pytest.mark.parametrize("verb", [Nack("t-1"), Reject("t-1")])
def test_what_is_said_of_an_attempt_that_is_over_hands_out_the_newer_one(
    verb: Nack | Reject,
) -> None:
    holds = Holds(None, is_durable=True)
    delivery = take(holds, came(holds))
    came(holds, attempt=2)
    said, again = holds.said(delivery, verb, 1.0)
    assert said is None
    newer = take(holds, again)
    assert newer.attempt == 2
    assert holds.said(newer, ack(), 2.0) == (Ack("t-1", attempt=2), None)


def test_an_extension_of_an_attempt_that_is_over_is_a_sign_of_life_and_no_more() -> None:
    holds = Holds(None, is_durable=True)
    delivery = take(holds, came(holds))
    came(holds, attempt=2)
    assert holds.said(delivery, Extend("t-1"), HOLD_MAX_S * 0.9) == (None, None)
    assert extended(holds, HOLD_MAX_S * 1.5) == [("t-1", 2)]


def test_a_newer_attempt_is_handed_out_when_the_application_drops_the_older_one() -> None:
    holds = Holds(None, is_durable=True)
    delivery = take(holds, came(holds))
    came(holds, attempt=2)
    del delivery
    gc.collect()
    frames, waiting = holds.due(1.0)
    assert frames == []
    assert [held.message.attempt for held in waiting] == [2]


def test_a_dropped_delivery_comes_again_as_any_other() -> None:
    holds = Holds(None, is_durable=True)
    take(holds, came(holds))
    gc.collect()
    assert take(holds, came(holds, attempt=2)).attempt == 2


def test_a_delivery_is_settled_once() -> None:
    holds = Holds(None, is_durable=True)
    delivery = take(holds, came(holds))
    assert holds.said(delivery, Nack("t-1"), 0.0)[0] is not None
    for verb in (ack(), Nack("t-1"), Reject("t-1"), Extend("t-1")):
        assert holds.said(delivery, verb, 1.0) == (None, None)
    newer = take(holds, came(holds, attempt=2))
    assert holds.said(delivery, ack(), 2.0) == (None, None)
    assert holds.said(newer, ack(), 2.0)[0] is not None


# What is settled and comes again --------------------------------------------------------------------


@pytest.mark.parametrize("is_durable", [False, True])
@pytest.mark.parametrize("verb", [Ack("t-1"), Reject("t-1", reason="no")])
def test_what_crossed_its_settling_is_settled_again_in_the_same_way(
    is_durable: bool, verb: Ack | Reject
) -> None:
    holds = Holds(None, is_durable=is_durable)
    delivery = take(holds, came(holds))
    holds.said(delivery, verb, 0.0)
    assert came(holds, attempt=2, now=1.0) is None
    at = holds.next_at()
    assert at is not None
    assert at <= 1.0
    frames, waiting = holds.due(1.0)
    assert waiting == []
    (again,) = frames
    assert type(again) is type(verb)
    assert (again.message_id, again.attempt) == ("t-1", 2)
    assert holds.next_at() is None


def test_a_nack_is_not_repeated() -> None:
    holds = Holds(None, is_durable=True)
    delivery = take(holds, came(holds))
    holds.said(delivery, Nack("t-1"), 0.0)
    assert came(holds, attempt=2) is not None


@pytest.mark.parametrize("attempt", [1, 3])
def test_a_message_that_was_opened_anew_is_handed_out(attempt: int) -> None:
    """Redriven, sought back, or known no more by a server that crashed: attempts begin at 1 again."""
    holds = Holds(None, is_durable=True)
    delivery = take(holds, came(holds, attempt=3))
    holds.said(delivery, Reject("t-1"), 0.0)
    redriven = take(holds, came(holds, attempt=attempt, now=5.0))
    # It is like any other from now on: no attempt of it is settled behind the application's back.
    holds.said(redriven, Nack("t-1"), 6.0)
    assert take(holds, came(holds, attempt=attempt + 1, now=7.0)).attempt == attempt + 1


def test_a_durable_subscription_remembers_what_is_settled_for_a_while_only() -> None:
    holds = Holds(None, is_durable=True)
    delivery = take(holds, came(holds))
    holds.said(delivery, ack(), 0.0)
    assert came(holds, attempt=2, now=SETTLED_MAX_S + 1) is not None


def test_what_is_remembered_is_bounded() -> None:
    holds = Holds(None, is_durable=False)
    for number in range(SETTLED_MAX_COUNT + 1):
        delivery = take(holds, came(holds, number))
        holds.said(delivery, ack(number), 0.0)
    holds.lost()
    assert came(holds, 0) is not None
    assert came(holds, 1) is None


# A lost connection ----------------------------------------------------------------------------------


def test_an_ephemeral_stream_settles_again_what_comes_again_on_the_next_connection() -> None:
    holds = Holds(None, is_durable=False)
    delivery = take(holds, came(holds, attempt=2))
    holds.said(delivery, ack(), 0.0)
    holds.lost()
    assert came(holds, now=SETTLED_MAX_S * 10) is None
    assert holds.due(SETTLED_MAX_S * 10)[0] == [Ack("t-1", attempt=1)]


def test_what_is_settled_while_there_is_no_connection_is_not_handed_out_again() -> None:
    holds = Holds(None, is_durable=False)
    delivery = take(holds, came(holds, attempt=2))
    holds.lost()
    holds.said(delivery, ack(), 1.0)
    assert came(holds, now=2.0) is None
    assert holds.due(2.0)[0] == [Ack("t-1", attempt=1)]
    assert came(holds, now=3.0) is not None


def test_a_lost_connection_forgets_what_waits_and_keeps_what_the_application_has() -> None:
    holds = Holds(None, is_durable=True)
    delivery = take(holds, came(holds, 1))
    came(holds, 2)
    holds.lost()
    assert holds.next_at() is None
    assert came(holds, 1, attempt=2) is None
    assert came(holds, 2, attempt=2) is not None
    assert sorted(extended(holds, 1.0)) == [("t-1", 2), ("t-2", 2)]
    assert holds.said(delivery, ack(), 2.0)[0] == Ack("t-1", attempt=2)


# A loop that goes on --------------------------------------------------------------------------------


def test_what_a_loop_left_behind_is_not_extended_and_may_still_be_settled() -> None:
    holds = Holds(None, is_durable=True)
    delivery = take(holds, came(holds))
    holds.leave(delivery, is_left=True)
    assert extended_until(holds, 0.0, 100.0) == []
    assert holds.said(delivery, ack(), 100.0)[0] is not None


def test_what_a_loop_left_behind_is_handed_out_when_it_comes_again() -> None:
    holds = Holds(None, is_durable=True)
    delivery = take(holds, came(holds))
    holds.leave(delivery, is_left=True)
    again = take(holds, came(holds, attempt=2))
    assert again.attempt == 2
    assert holds.said(delivery, ack(), 1.0) == (None, None)
    holds.leave(again, is_left=True)
    holds.lost()
    assert came(holds, attempt=3) is not None


@pytest.mark.parametrize("sign", ["extend", "back"])
def test_a_sign_of_life_takes_up_again_what_a_loop_left_behind(sign: str) -> None:
    holds = Holds(None, is_durable=True)
    delivery = take(holds, came(holds))
    holds.leave(delivery, is_left=True)
    if sign == "extend":
        holds.said(delivery, Extend("t-1"), 1.0)
    else:
        holds.leave(delivery, is_left=False)
    assert extended_until(holds, 1.0, 40.0) != []
