from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.client.resume import (
    BACKOFF_MAX_S,
    OPEN_MAX_COUNT,
    POSITIONS_MAX_BYTES,
    RENEW_MIN_S,
    RENEW_UNKNOWN_S,
    STABLE_S,
    Backoff,
    Positions,
    backoff_s,
    may_reconnect,
    renew_after_s,
)
from conduit.protocol.codec import encode_json
from conduit.protocol.frames import Gap, MessageFrame, StartAt, StartPosition, Subscribe, Subscribed


def message(seq: int, topic: str = "t", epoch: str = "e1", attempt: int = 1) -> MessageFrame:
    return MessageFrame(
        message_id=f"{topic}-{seq}",
        topic=topic,
        payload=msgspec.Raw(b"1"),
        published_at="2026-01-01T00:00:00.000Z",
        seq=seq,
        epoch=epoch,
        attempt=attempt,
    )


def positions(topic: str = "t", *, explicit: bool = True) -> Positions:
    return Positions(topic, None, explicit=explicit)


def literal(seq: int = 0, epoch: str = "e1", *, explicit: bool = True) -> Positions:
    made = positions(explicit=explicit)
    made.began(Subscribed("t", seq=seq, epoch=epoch))
    return made


def settle(where: Positions, seq: int, topic: str = "t", epoch: str = "e1") -> None:
    where.settled(message(seq, topic, epoch))


# Again or not, and when -----------------------------------------------------------------------------


@given(failures=st.integers(0, 10_000), roll=st.floats(0, 1, exclude_max=True))
def test_backoff_is_full_jitter_below_a_doubling_bound(failures: int, roll: float) -> None:
    bound = min(20.0, 0.1 * 2.0 ** min(failures, 20))
    assert 0 <= backoff_s(failures, roll) < bound or roll == 0


def test_backoff_reaches_its_cap_and_stays_there() -> None:
    assert backoff_s(8, 1.0) == BACKOFF_MAX_S
    assert backoff_s(10**6, 1.0) == BACKOFF_MAX_S


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1009, 4500, 4501, 4503, 4529, 4999])
def test_a_refusal_and_a_broken_wire_are_final(code: int) -> None:
    assert not may_reconnect(code)


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1011, 1012, 4000, 4001, 4008, 4009, 4499, 5000])
def test_every_other_close_code_may_reconnect(code: int) -> None:
    assert may_reconnect(code)


def test_failures_in_a_row_lengthen_the_wait_and_a_stable_connection_resets_it() -> None:
    backoff = Backoff()
    assert [backoff.failed(1.0) for _ in range(4)] == [0.1, 0.2, 0.4, 0.8]
    assert backoff.lost(STABLE_S, 0.0, 1.0) == 0.1


def test_a_server_that_accepts_and_then_closes_counts_as_failing() -> None:
    backoff = Backoff()
    assert [backoff.lost(0.01, 0.0, 1.0) for _ in range(3)] == [0.1, 0.2, 0.4]


def test_the_servers_wish_is_a_lower_bound() -> None:
    assert Backoff().failed(0.0, retry_after_s=3.0) == 3.0
    assert Backoff().failed(0.5, retry_after_s=3.0) == 4.5
    assert Backoff().lost(60.0, 2.0, 0.0) == 2.0
    assert Backoff().lost(60.0, 2.0, 0.5) > 3.0


# From where -----------------------------------------------------------------------------------------


def test_without_a_message_the_subscription_begins_as_before() -> None:
    assert positions("t.*").resume() is None
    assert Positions("t", "earliest", explicit=True).resume() == "earliest"


def test_a_literal_topic_without_a_message_resumes_where_it_began() -> None:
    assert literal(seq=41).resume() == StartAt(seq=42, epoch="e1")


def test_automatic_acks_resume_after_the_last_received() -> None:
    where = literal(explicit=False)
    for seq in (1, 2, 3):
        where.received(message(seq))
    assert where.resume() == StartAt(seq=4, epoch="e1")


def test_explicit_acks_resume_at_the_first_unsettled() -> None:
    where = literal()
    for seq in (1, 2, 3, 4):
        where.received(message(seq))
    for seq in (1, 3):
        settle(where, seq)
    assert where.resume() == StartAt(seq=2, epoch="e1")


def test_a_redelivery_does_not_move_the_position_back() -> None:
    where = literal()
    for seq in (1, 2):
        where.received(message(seq))
        settle(where, seq)
    where.received(message(1, attempt=2))
    settle(where, 1)
    assert where.resume() == StartAt(seq=3, epoch="e1")


def test_resuming_twice_without_a_message_asks_for_the_same() -> None:
    where = literal()
    where.received(message(1))
    assert where.resume() == where.resume() == StartAt(seq=1, epoch="e1")


def test_a_pattern_resumes_each_topic_by_itself() -> None:
    where = positions("t.*")
    for topic, seq in (("t.a", 7), ("t.b", 1), ("t.a", 8)):
        where.received(message(seq, topic))
        settle(where, seq, topic)
    assert where.resume() == StartAt(
        positions={"t.b": StartPosition(2, "e1"), "t.a": StartPosition(9, "e1")}
    )


def test_topics_without_a_message_resume_at_the_positions_that_were_asked_for() -> None:
    asked = {name: StartPosition(5, "e1") for name in ("t.a", "t.b")}
    where = Positions("t.*", StartAt(positions=asked), explicit=True)
    assert where.resume() == StartAt(positions=asked)
    where.began(Subscribed("t.*", at="2026-01-01T00:00:00Z"))
    assert where.resume() == StartAt(positions=asked, time="2026-01-01T00:00:00Z")
    where.received(message(5, "t.a"))
    settle(where, 5, "t.a")
    assert where.resume() == StartAt(
        positions={"t.a": StartPosition(6, "e1"), "t.b": StartPosition(5, "e1")},
        time="2026-01-01T00:00:00Z",
    )


def test_positions_that_were_asked_for_and_do_not_fit_are_forgotten_when_it_resumes() -> None:
    asked = {f"t.{number}": StartPosition(5) for number in range(5_000)}
    start = StartAt(positions=asked, time="2026-01-01T00:00:00Z")
    where = Positions("t.*", start, explicit=True)
    assert where.resume() == start
    where.began(Subscribed("t.*", at="2026-01-02T00:00:00Z"))
    assert where.forgotten_count == 0
    resumed = where.resume()
    assert isinstance(resumed, StartAt)
    assert len(encode_json(resumed)) < POSITIONS_MAX_BYTES
    assert len(resumed.positions or {}) + where.forgotten_count == len(asked)


def test_topics_without_a_message_resume_at_a_number_that_all_begin_at() -> None:
    where = Positions("t.*", StartAt(seq=2), explicit=True)
    where.began(Subscribed("t.*", at="2026-01-02T00:00:00Z"))
    assert where.resume() == StartAt(seq=2)
    where.received(message(2, "t.a"))
    settle(where, 2, "t.a")
    assert where.resume() == StartAt(
        positions={"t.a": StartPosition(3, "e1")}, time="1970-01-01T00:00:00Z"
    )


def test_a_message_of_another_epoch_begins_the_numbering_anew() -> None:
    where = positions("t.*")
    for seq in (1, 2, 3):
        where.received(message(seq, "t.a"))
    where.received(message(5, "t.a", epoch="e2"))
    settle(where, 5, "t.a", epoch="e2")
    assert where.resume() == StartAt(positions={"t.a": StartPosition(6, "e2")})


def test_a_first_attempt_of_a_known_number_is_not_a_new_numbering() -> None:
    where = literal(explicit=False)
    for seq in (1, 2, 3, 2):
        where.received(message(seq))
    assert where.resume() == StartAt(seq=4, epoch="e1")


def test_an_ack_of_the_old_numbering_settles_nothing_of_the_new_one() -> None:
    where = literal()
    where.received(message(1))
    where.gap(Gap("t", 2, None, "epoch_changed", "e2"))
    where.received(message(1, epoch="e2"))
    settle(where, 1)
    assert where.resume() == StartAt(seq=1, epoch="e2")


def test_a_gap_by_retention_moves_the_position_behind_it() -> None:
    where = literal()
    where.received(message(1))
    where.gap(Gap("t", 1, 9, "retention", "e1"))
    assert where.resume() == StartAt(seq=10, epoch="e1")


def test_a_gap_by_a_new_epoch_begins_at_the_first_number_of_it() -> None:
    where = literal(seq=50)
    where.gap(Gap("t", 51, None, "epoch_changed", "e2"))
    assert where.resume() == StartAt(seq=1, epoch="e2")


def test_a_topic_that_is_gone_begins_at_its_first_number_whatever_its_epoch_will_be() -> None:
    where = literal(seq=50)
    where.gap(Gap("t", 51, None, "epoch_changed", ""))
    assert where.resume() == StartAt(seq=1)
    where.received(message(1, epoch="e2"))
    assert where.resume() == StartAt(seq=1, epoch="e2")


def test_a_gap_tells_the_epoch_of_a_topic_that_nothing_has_come_from() -> None:
    where = positions("t.*")
    where.gap(Gap("t.a", 1, None, "epoch_changed", "e2"))
    assert where.resume() == StartAt(positions={"t.a": StartPosition(1, "e2")})


def test_a_lost_log_goes_on_where_the_log_ends() -> None:
    where = literal(seq=50)
    where.gap(Gap("t", 41, 50, "log_lost", "e1"))
    assert where.resume() == StartAt(seq=41, epoch="e1")


def test_positions_fit_a_frame_and_the_most_active_topics_are_kept() -> None:
    where = positions(">", explicit=False)
    topics = [f"{'x' * 200}.{number}" for number in range(2_000)]
    for topic in topics:
        where.received(message(1, topic))
    where.received(message(2, topics[-1]))
    start = where.resume()
    assert isinstance(start, StartAt)
    assert start.positions is not None
    assert topics[-1] in start.positions
    assert topics[0] not in start.positions
    assert where.forgotten_count == len(topics) - len(start.positions)
    assert len(encode_json(Subscribe(">", start=start))) < POSITIONS_MAX_BYTES


def test_what_is_never_settled_does_not_grow_without_bound() -> None:
    where = literal()
    for seq in range(1, OPEN_MAX_COUNT + 11):
        where.received(message(seq))
    assert where.resume() == StartAt(seq=11, epoch="e1")
    assert where.forgotten_count == 10


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["receive", "settle", "reconnect"]), st.integers(0, 9)),
        max_size=60,
    )
)
def test_nothing_unsettled_is_ever_skipped(steps: list[tuple[str, int]]) -> None:
    """A server that gives exactly what is asked for, an application that settles in any order."""
    where = literal()
    next_seq = 1
    in_hand: list[int] = []
    settled: set[int] = set()
    for step, choice in steps:
        if step == "receive":
            where.received(message(next_seq))
            if next_seq in settled:
                settle(where, next_seq)
            else:
                in_hand.append(next_seq)
            next_seq += 1
        elif step == "settle" and in_hand:
            seq = in_hand.pop(choice % len(in_hand))
            settle(where, seq)
            settled.add(seq)
        elif step == "reconnect":
            start = where.resume()
            assert isinstance(start, StartAt)
            assert start.seq is not None
            assert set(range(1, start.seq)) <= settled
            next_seq = start.seq
            where.began(Subscribed("t", seq=start.seq - 1, epoch="e1", recovered=True))


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(("roll", "after_s"), [(0.0, 700.0), (1.0, 800.0)])
def test_who_has_a_token_signs_in_again_when_three_quarters_of_its_time_are_over(
    roll: float, after_s: float
) -> None:
    assert renew_after_s("2026-01-01T12:16:40.000Z", NOON, roll) == pytest.approx(after_s)


@pytest.mark.parametrize(
    ("expires_at", "after_s"),
    [
        ("2026-01-01T12:00:00.100Z", RENEW_MIN_S),
        ("2026-01-01T11:59:59Z", RENEW_UNKNOWN_S),
        ("2026-01-01T12:16:40", RENEW_UNKNOWN_S),
        ("soon", RENEW_UNKNOWN_S),
    ],
)
def test_clocks_that_differ_do_not_make_it_sign_in_without_a_pause(
    expires_at: str, after_s: float
) -> None:
    assert renew_after_s(expires_at, NOON, 0.0) == after_s
