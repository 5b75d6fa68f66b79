"""Lines that clients cause as often as they like do not fill the log."""

import logging
import math

import pytest

from conduit.server.log_shares import KINDS_MAX_COUNT, LINES_MAX_COUNT, LogShares


def line(text="subscription %r is paused", *arguments, level=logging.INFO):
    return logging.LogRecord("a", level, "", 0, text, arguments, None)


def admitted(shares, records, now):
    return sum(shares.admit(record, now) for record in records)


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_of_one_kind_there_are_so_many_lines_in_a_minute_and_then_the_number_of_the_others(level):
    shares = LogShares()
    many = [line("subscription %r is paused", f"s{number}", level=level) for number in range(1_000)]
    assert admitted(shares, many, 0.0) == LINES_MAX_COUNT
    assert shares.over(59.9) == []
    assert shares.next_at() == 60.0
    (told,) = shares.over(60.0)
    assert told.levelno == level
    assert told.getMessage() == (
        "940 more lines like this were left out, which came within a minute: subscription %r is paused"
    )
    assert shares.next_at() == math.inf
    assert admitted(shares, many, 61.0) == LINES_MAX_COUNT


def test_lines_of_another_kind_have_a_share_of_their_own():
    shares = LogShares()
    admitted(shares, [line()] * 1_000, 0.0)
    assert shares.admit(line("topic %r is deleted"), 0.0)


def test_few_lines_are_all_written_and_nothing_is_told_of_others():
    shares = LogShares()
    assert admitted(shares, [line()] * LINES_MAX_COUNT, 0.0) == LINES_MAX_COUNT
    assert shares.over(1_000.0) == []


def test_errors_are_never_left_out():
    assert admitted(LogShares(), [line(level=logging.ERROR)] * 1_000, 0.0) == 1_000


def test_kinds_beyond_the_bound_are_one():
    shares = LogShares()
    kinds = [line(f"kind {number}") for number in range(KINDS_MAX_COUNT + 1_000)]
    assert admitted(shares, kinds, 0.0) == KINDS_MAX_COUNT + LINES_MAX_COUNT
