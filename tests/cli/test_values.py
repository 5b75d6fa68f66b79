from __future__ import annotations

from datetime import UTC, datetime

import click
import pytest

from conduit.cli.values import (
    RATE,
    TIMEOUT,
    Rate,
    Whole,
    parse_bound,
    parse_count,
    parse_duration,
    parse_header,
    parse_size,
    parse_start,
    parse_time,
)
from conduit.protocol.frames import SEQ_MAX, StartAt

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5h", 5400), ("15m", 900), ("7d", 604800)]
)
def test_a_duration_is_a_number_with_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("7", 7),
        ("7B", 7),
        ("1kB", 1000),
        ("1.5GB", 1_500_000_000),
        ("1KiB", 1024),
        ("2gib", 2 << 30),
    ],
)
def test_a_size_is_a_number_with_a_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "1 GB", "1" * 500, "-1", "1G", "1e9", "1PB", "١"])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as"):
        parse_size(text)


def test_a_bound_is_at_least_1_or_none() -> None:
    assert parse_bound("none", parse_size) == "none"
    assert parse_bound("1.6s", parse_duration) == 2
    for text, parse in (("0s", parse_duration), ("0.4s", parse_duration), ("0MB", parse_size)):
        with pytest.raises(ValueError, match="none is for no bound"):
            parse_bound(text, parse)


@pytest.mark.parametrize("text", ["1k", "", "-1", "1.5", "1_000", " 1", "1" * 5_000])
def test_what_is_no_count_is_refused_with_an_example(text: str) -> None:
    assert parse_count("100000") == 100_000
    with pytest.raises(ValueError, match="is not a whole number such as 100000"):
        parse_count(text)


@pytest.mark.parametrize("text", ["", "h", "1 h", "-1h", "1y", "1e3", "inf", "١"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("-1h", "2026-05-01T11:00:00.000Z"),
        ("2026-02-23T10:30:00Z", "2026-02-23T10:30:00.000Z"),
        ("2026-02-23T10:30:00.123456+01:00", "2026-02-23T09:30:00.123Z"),
    ],
)
def test_a_time_is_absolute_or_so_long_ago(text: str, time: str) -> None:
    assert parse_time(text, NOW) == time


@pytest.mark.parametrize("text", ["yesterday", "2026-02-23T10:30:00", "12:00", "-", "-x"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as|time zone"):
        parse_time(text, NOW)


def test_a_number_without_a_unit_is_not_taken_for_seconds() -> None:
    """Somebody may mean the last five messages."""
    for parse in (parse_time, parse_start):
        with pytest.raises(ValueError, match="'-5' has no unit: -5s is"):
            parse("-5", NOW)


def test_a_time_before_time_is_refused_not_a_crash() -> None:
    with pytest.raises(ValueError, match="too long"):
        parse_time("-99999999w", NOW)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("new", "new"),
        ("earliest", "earliest"),
        ("17", StartAt(seq=17)),
        ("17@24e9ba44fc550f86", StartAt(seq=17, epoch="24e9ba44fc550f86")),
        ("-30m", StartAt(time="2026-05-01T11:30:00.000Z")),
        ("2026-05-01T00:00:00Z", StartAt(time="2026-05-01T00:00:00.000Z")),
    ],
)
def test_a_start_is_a_word_a_number_or_a_time(text: str, start: object) -> None:
    assert parse_start(text, NOW) == start


@pytest.mark.parametrize("text", ["1" * 5_000, "9" * 20, str(SEQ_MAX + 1), "0", "9" * 20 + "@e"])
def test_a_start_that_no_message_has_is_refused_in_words_for_people(text: str) -> None:
    with pytest.raises(ValueError, match=r"number is 1 to 9,007,199,254,740,992$"):
        parse_start(text, NOW)
    assert parse_start(str(SEQ_MAX), NOW) == StartAt(seq=SEQ_MAX)


def test_the_value_of_a_header_may_have_an_equals_sign() -> None:
    assert parse_header("a=b=c") == ("a", "b=c")
    assert parse_header("a=") == ("a", "")


@pytest.mark.parametrize("text", ["a", "=b", ""])
def test_a_header_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="name=value"):
        parse_header(text)


def test_what_is_no_start_is_refused_with_all_that_are() -> None:
    with pytest.raises(ValueError, match="neither new, earliest, SEQ"):
        parse_start("latest", NOW)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e308", "0", "-1", "fast"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        RATE.convert(text, None, None)


def test_a_rate_is_a_number_per_second() -> None:
    assert RATE.convert("0.5", None, None) == 0.5


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (Whole(1), "0", "'0' is not a whole number from 1 up"),
        (Whole(1, 10_000), "a", "'a' is not a whole number from 1 to 10,000"),
        (Whole(1, 10_000), "10001", "'10001' is not a whole number from 1 to 10,000"),
        (Rate(10_000), "0", "'0' is not a number above 0 and up to 10,000"),
        (Rate(10_000), "nan", "'nan' is not a number above 0 and up to 10,000"),
        (TIMEOUT, "0s", "'0s' leaves no time; it must be above 0"),
    ],
)
def test_a_number_that_cannot_be_is_refused_in_plain_words(
    kind: click.ParamType, text: str, words: str
) -> None:
    with pytest.raises(click.BadParameter) as caught:
        kind.convert(text, None, None)
    assert caught.value.message == words
    assert kind.convert("7", None, None) == 7
