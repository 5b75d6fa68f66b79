from conduit.core.liveness import Liveness, Sent, Timing, Verdict

TIMING = Timing(
    ping_interval_s=20.0,
    pong_timeout_s=10.0,
    slow_timeout_s=10.0,
    close_timeout_s=5.0,
    min_bytes_per_s=100.0,
)
NOTHING, PING, SLOW, GONE = Verdict.NOTHING, Verdict.PING, Verdict.SLOW, Verdict.GONE


def opened(seconds, heard=(), taken_per_s=0, untaken=0):
    """What each look finds that is not nothing, by second."""
    liveness = Liveness(TIMING)
    found = {}
    for now in range(seconds):
        taken = int(now * taken_per_s)
        sent = Sent(taken, untaken)
        verdict = liveness.look_open(now, heard=now in heard, sent=lambda sent=sent: sent)
        if verdict is not NOTHING:
            found[now] = verdict
    return found


def blocked(liveness, seconds, taken_per_s=0, heard=()):
    return {
        now: verdict
        for now in seconds
        if (
            verdict := liveness.look_blocked(
                now, heard=now in heard, taken_bytes=int(now * taken_per_s)
            )
        )
        is not NOTHING
    }


def test_who_is_silent_is_pinged_and_then_gone():
    assert opened(31) == {20: PING, 30: GONE}


def test_who_answers_is_pinged_again_later():
    assert opened(46, heard=(25,)) == {20: PING, 45: PING}


def test_who_takes_enough_is_alive_as_long_as_the_ping_lies_behind_that():
    assert opened(200, taken_per_s=100, untaken=20_000) == {20: PING}
    assert opened(31, taken_per_s=99, untaken=20_000) == {20: PING, 30: GONE}


def test_who_has_the_ping_must_answer_it_however_much_it_takes():
    assert opened(31, taken_per_s=1_000_000) == {20: PING, 30: GONE}
    # The ping is on its way for 50 s.
    assert opened(81, taken_per_s=100, untaken=5_000) == {20: PING, 80: GONE}
    assert opened(101, heard=(79,), taken_per_s=100, untaken=5_000) == {20: PING, 99: PING}


def test_of_most_connections_it_is_not_asked_what_they_have_taken():
    def asked() -> Sent:
        raise AssertionError

    liveness = Liveness(TIMING)
    for now in range(20):
        assert liveness.look_open(now, heard=False, sent=asked) is NOTHING


def test_who_is_blocked_is_slow_after_a_window_in_which_it_took_too_little():
    assert blocked(Liveness(TIMING), range(11)) == {10: SLOW}
    assert blocked(Liveness(TIMING), range(11), taken_per_s=99) == {10: SLOW}
    assert not blocked(Liveness(TIMING), range(200), taken_per_s=100)


def test_who_was_unblocked_has_its_time_anew():
    liveness = Liveness(TIMING)
    assert not blocked(liveness, range(10))
    liveness.unblocked()
    assert blocked(liveness, range(10, 21)) == {20: SLOW}
    assert liveness.silent_s == 10


def test_the_time_to_take_something_begins_when_it_is_blocked_and_not_with_a_ping_before():
    liveness = Liveness(TIMING)
    for now in (0, 20):
        liveness.look_open(now, heard=False, sent=lambda: Sent(0, 0))
    assert blocked(liveness, range(29, 40)) == {39: SLOW}


def test_whoever_takes_or_sends_a_little_is_slow_and_not_silent():
    for kwargs in ({"taken_per_s": 1}, {"heard": (9,)}):
        liveness = Liveness(TIMING)
        assert blocked(liveness, range(11), **kwargs) == {10: SLOW}
        assert liveness.silent_s < TIMING.slow_timeout_s
    liveness = Liveness(TIMING)
    assert blocked(liveness, range(11)) == {10: SLOW}
    assert liveness.silent_s == TIMING.slow_timeout_s


def closing(liveness, seconds, taken_per_s=0):
    """When it is gone."""
    for now in seconds:
        taken = int(now * taken_per_s)
        if liveness.look_closing(now, heard=False, taken_bytes=taken) is GONE:
            return now
    return None


def test_who_does_not_answer_a_close_frame_is_gone():
    assert closing(Liveness(TIMING), range(100, 200)) == 105
    assert closing(Liveness(TIMING), range(100, 200), taken_per_s=99) == 105


def test_who_takes_what_was_written_before_the_close_frame_has_time_for_it_and_not_for_ever():
    assert closing(Liveness(TIMING), range(100, 200), taken_per_s=100) == 130


def test_while_what_was_read_is_handled_no_time_passes_for_the_peer():
    liveness = Liveness(TIMING)
    assert closing(liveness, range(100, 104)) is None
    liveness.handling()
    assert closing(liveness, range(200, 300)) == 205
