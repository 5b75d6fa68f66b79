"""The headers of W3C Trace Context."""

import pytest

from conduit.core.trace_context import (
    TRACESTATE_MAX_CHARS,
    TraceContext,
    checked_state,
    parse_traceparent,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"


def test_a_context_is_read_and_written_as_it_came() -> None:
    found = parse_traceparent(GOOD, "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")
    assert found == TraceContext(TRACE, SPAN, 1, "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")
    assert found.is_sampled
    assert found.traceparent == GOOD


def test_a_trace_that_is_not_sampled_says_so() -> None:
    found = parse_traceparent(f"00-{TRACE}-{SPAN}-00")
    assert found is not None
    assert not found.is_sampled


def test_unknown_flags_are_not_passed_on() -> None:
    found = parse_traceparent(f"00-{TRACE}-{SPAN}-ff")
    assert found is not None
    assert found.traceparent == f"00-{TRACE}-{SPAN}-03"


def test_a_version_of_the_future_is_read_as_far_as_it_is_known() -> None:
    for text in (f"cc-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-comes"):
        found = parse_traceparent(text)
        assert found is not None
        assert found.traceparent == GOOD


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        GOOD.upper(),
        f" {GOOD}",
        f"{GOOD}\n",
        f"{GOOD}-more",
        f"{GOOD},{GOOD}",
        f"ff-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE[:-1]}٣-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-{'x' * 1000}",
    ],
)
def test_what_is_not_valid_counts_as_not_given(text: str) -> None:
    assert parse_traceparent(text) is None


def test_a_state_that_is_not_valid_is_left_out_and_the_rest_counts() -> None:
    found = parse_traceparent(GOOD, "no equals sign")
    assert found == TraceContext(TRACE, SPAN, 1, "")


def test_a_state_is_written_in_one_spelling() -> None:
    assert checked_state("a=1 , ,\tb@c=2 3") == "a=1,b@c=2 3"


@pytest.mark.parametrize(
    "text",
    [
        "a=1,a=2",
        "A=1",
        "a=",
        "a=\x00",
        "a=é",
        "a=b=c",
        ",".join(f"k{number}=1" for number in range(33)),
        f"a={'x' * 257}",
        ",".join(f"k{number}={'x' * 250}" for number in range(3)),
    ],
)
def test_a_state_that_is_not_valid_or_too_long_is_nothing(text: str) -> None:
    assert checked_state(text) == ""


def test_a_state_may_be_as_long_as_the_bound() -> None:
    text = "a=" + "x" * 200 + ",b=" + "x" * 200
    text += ",c=" + "x" * (TRACESTATE_MAX_CHARS - len(text) - 3)
    assert checked_state(text) == text
    assert checked_state(text + "x") == ""
