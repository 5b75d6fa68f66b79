"""`conduit bench`, as far as no server is needed."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path

import click
import pytest

from conduit.cli.bench import result as results
from conduit.cli.bench.conditions import conditions
from conduit.cli.bench.figures import of_reading, of_run, result_of, work_of
from conduit.cli.bench.options import BenchOptions, parse_bytes, parse_rate, read_start
from conduit.cli.bench.result import Result
from conduit.cli.bench.slo import missed, parse_slo
from conduit.cli.bench.text import lines
from conduit.load.catching_up import CaughtUp
from conduit.load.checks import Checks
from conduit.load.histogram import Latencies
from conduit.load.publishing import Sent
from conduit.load.receiving import Received
from tests.load.test_plan import PLAN

OPTIONS = BenchOptions(
    command="e2e",
    rate=1000.0,
    publishers=4,
    subscribers=1,
    ack=True,
    duration_s=2.0,
    max_messages=1_000_000,
    slo=None,
    compare=None,
    allow_remote=False,
    output=None,
)


def recorded(*each_ms: float) -> Latencies:
    latencies = Latencies()
    for ms in each_ms:
        latencies.record(int(ms * 1e6))
    return latencies


def sent(**changes: object) -> Sent:
    stored = recorded(1, 2, 3)
    right = Sent(
        count=8,
        measured=3,
        late=recorded(0.1),
        stored=stored,
        answered=8,
        codes=Counter(),
        refused=[set()] * 4,
        held_s=0.0,
        seconds=2.0,
        cores=0.2,
        in_time=3,
        settled=[2] * 4,
        unanswered=[0] * 4,
    )
    return dataclasses.replace(right, **changes)


def received(**changes: object) -> Received:
    right = Received(
        recorded(2, 3, 4), Latencies(), recorded(0), Checks(8, 8), [], 2.0, 999, [], 0.1
    )
    return dataclasses.replace(right, **changes)


def caught(**changes: object) -> CaughtUp:
    """Two messages of each publisher, read back."""
    right = CaughtUp(
        count=8,
        bytes_read=999,
        seconds=0.5,
        checks=Checks(8, 8),
        not_reached=0,
        messages=8,
        gaps=0,
        closed=0,
        cores=0.1,
        own=Checks(8, 8),
        own_missing=[],
    )
    return dataclasses.replace(right, **changes)


def judged(s: Sent, r: Received | None, options: BenchOptions = OPTIONS) -> Result:
    return result_of(options, of_run(PLAN, s, r, None), {}, cut_short=False)


def stored(s: Sent, read: CaughtUp | str, slo: str = "loss=0") -> Result:
    options = dataclasses.replace(OPTIONS, command="pub", subscribers=0, slo=parse_slo(slo))
    return result_of(options, of_run(PLAN, s, None, read), {}, cut_short=False)


def read_by(caught_up: CaughtUp, slo: str = "loss=0", **changes: object) -> Result:
    options = dataclasses.replace(
        OPTIONS, command="sub", topic="t", rate=None, slo=parse_slo(slo), **changes
    )
    return result_of(options, of_reading(caught_up), {}, cut_short=False)


def test_a_run_in_which_all_came_in_time_is_valid():
    result = judged(sent(), received())
    assert (result.verdict, result.problems, result.is_good) == ("valid", [], True)
    assert result.figures["received_p50_ms"] == pytest.approx(3, rel=0.001)


@pytest.mark.parametrize(
    ("seen", "problem"),
    [
        ((sent(cores=0.96), received()), "the generator was the limit: a process of it used 0.96"),
        ((sent(), received(cores=0.99)), "the generator was the limit"),
        ((sent(late=recorded(2)), received()), "left more than 2.0 ms late"),
        ((sent(stored=Latencies()), received()), "nothing was measured"),
    ],
)
def test_a_run_is_invalid_if_the_generator_was_the_limit(seen, problem):
    result = judged(*seen)
    assert (result.verdict, result.is_good) == ("invalid", False)
    assert problem in result.problems[0]
    assert any(line.startswith("INVALID: ") for line in lines(result))


def test_late_sends_are_little_beside_latencies_that_are_ten_times_as_long():
    assert judged(sent(late=recorded(2)), received(latencies=recorded(21))).verdict == "valid"


def test_in_a_closed_loop_nothing_is_late():
    plan = dataclasses.replace(PLAN, rate=None)
    outcome = of_run(plan, sent(late=recorded(9)), received(), None)
    assert outcome.invalid == []


def test_what_was_refused_is_counted_by_code_and_is_not_lost():
    refused = [{0}, set(), set(), set()]
    result = judged(
        sent(codes=Counter(rate_limited=1), refused=refused),
        received(missing=[(0, 0, 1), (1, 1, 2)], checks=Checks(8, 6, 2)),
    )
    assert (result.verdict, result.refused) == ("failed", {"rate_limited": 1})
    assert (result.checks["expected"], result.checks["lost"]) == (7, 1)
    assert result.figures["errors"] == 1.0
    assert result.problems == ["publishes were refused: 1 with rate_limited", "1 lost"]


def test_what_was_refused_is_refused_to_every_subscriber_once():
    plan = dataclasses.replace(PLAN, subscribers=3)
    outcome = of_run(
        plan,
        sent(codes=Counter(rate_limited=1), refused=[{1}, set(), set(), set()]),
        received(missing=[(0, 1, 2)] * 3, checks=Checks(24, 21, 3)),
        None,
    )
    assert outcome.checks == Checks(expected=21, seen=21)
    assert outcome.failed == ["publishes were refused: 1 with rate_limited"]


def test_what_was_not_answered_is_not_lost_to_a_subscriber_that_has_not_got_it():
    outcome = of_run(
        PLAN,
        sent(answered=7, settled=[2, 2, 2, 1], unanswered=[0, 0, 0, 1]),
        received(missing=[(3, 1, 2)], checks=Checks(8, 7, 1)),
        None,
    )
    assert outcome.checks == Checks(expected=7, seen=7)
    assert outcome.failed == ["1 publishes were not answered"]


def test_the_rate_is_of_what_was_answered_in_the_measured_time():
    assert judged(sent(in_time=2), received()).figures["stored_per_s"] == 1.0


def test_a_run_that_ends_since_a_connection_was_lost_has_failed_with_its_figures():
    result = judged(sent(broken="the server has closed it"), received())
    assert (result.verdict, "stored_p50_ms" in result.figures) == ("failed", True)
    assert result.problems == ["the run ended before its time: the server has closed it"]


def test_a_run_that_was_to_send_no_more_says_how_long_it_measured():
    plan = dataclasses.replace(PLAN, max_messages=8, seconds=60.0)
    outcome = of_run(plan, sent(), received(), None)
    result = result_of(OPTIONS, outcome, {}, cut_short=False)
    said = "after 8 messages, which is --max-messages: 2.0 s were measured, not 60.0"
    assert f"ended      {said}" in list(lines(result))
    assert judged(sent(), received()).ended_early == ""


# What is in the topic ------------------------------------------------------------------------------


def test_what_was_answered_and_is_in_the_topic_once_is_verified():
    result = stored(sent(), caught())
    assert (result.verdict, result.checks["seen"], result.slo_missed) == ("valid", 8, [])
    assert list(lines(result))[-1].endswith("in the topic, once and in order")


@pytest.mark.parametrize(
    ("read", "problem"),
    [
        (caught(own=Checks(8, 6, 2), own_missing=[(0, 1, 2), (3, 0, 1)]), "2 lost"),
        (caught(own=Checks(8, 9, 0, 1)), "1 duplicates"),
        # As many as there should be.
        (caught(own=Checks(8, 8, 1, 1), own_missing=[(2, 1, 2)]), "1 lost"),
        (caught(own=Checks(8, 8, 0, 0, 1)), "1 out of order"),
        (caught(checks=Checks(9, 8, 1)), "1 numbers of the topic are missing"),
    ],
)
def test_a_topic_that_has_otherwise_than_was_answered_fails_the_run(read: CaughtUp, problem: str):
    result = stored(sent(), read)
    assert (result.verdict, result.problems[0]) == ("failed", problem)


@pytest.mark.parametrize(
    ("read", "unverified"),
    [
        ("forbidden", 8),
        (caught(own=Checks(8, 5, 3), own_missing=[(0, 0, 2), (1, 0, 1)], gaps=1), 3),
        (caught(own=Checks(8, 7, 1), own_missing=[(0, 1, 2)], not_reached=1), 1),
    ],
)
def test_what_was_not_looked_at_is_unverified_and_holds_no_objective(
    read: CaughtUp | str, unverified: int
):
    result = stored(sent(), read, "loss=0,duplicates=0")
    assert (result.verdict, result.is_good) == ("unverified", False)
    assert (result.checks["unverified"], result.checks["lost"]) == (unverified, 0)
    assert result.slo_missed == [
        f"loss=0: it is {unverified}",
        "duplicates=0: duplicates was not measured",
    ]
    said = list(lines(result))
    assert any(line.startswith("UNVERIFIED: ") for line in said)
    assert not any("once and in order" in line for line in said)


def test_what_was_refused_need_not_be_in_the_topic():
    result = stored(
        sent(codes=Counter(overloaded=1), refused=[{0}, set(), set(), set()]),
        caught(own=Checks(8, 7, 1), own_missing=[(0, 0, 1)]),
    )
    assert (result.checks["expected"], result.checks["seen"], result.checks["lost"]) == (7, 7, 0)


def test_a_reading_that_did_not_get_to_the_end_is_unverified():
    result = read_by(caught(checks=Checks(8, 5), not_reached=3))
    assert (result.verdict, result.checks["unverified"]) == ("unverified", 3)
    assert result.slo_missed == ["loss=0: it is 3"]
    assert "3 of 8 deliveries had not come when it ended" in result.problems[0]


def test_a_reading_with_a_gap_has_failed():
    result = read_by(caught(gaps=2, checks=Checks(8, 5, 3)))
    assert result.verdict == "failed"
    assert result.problems[0] == "3 lost"
    assert "2 times the server said that it does not have" in result.problems[1]


def test_objectives_of_publishes_do_not_hold_where_nothing_is_published():
    assert read_by(caught(), "errors=0").slo_missed == ["errors=0: errors was not measured"]


# Objectives and comparisons ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("p99<50ms,loss=0", []),
        ("stored.p99<=1.5ms", ["stored.p99<=1.5ms: it is 2 ms"]),
        ("p50<2s, rate>=10", ["rate>=10: it is 5"]),
        ("last.p99<1s", ["last.p99<1s: last.p99 was not measured"]),
    ],
)
def test_objectives_are_of_what_was_measured(text, said):
    figures = {"received.p99": 40.0, "received.p50": 3.0, "stored.p99": 2.0, "loss": 0, "rate": 5.0}
    assert missed(parse_slo(text), figures, "received") == said


@pytest.mark.parametrize("text", ["", "p99", "p99<50", "p98<5ms", "loss=0ms", "p99<ms", "p99!5ms"])
def test_an_objective_that_makes_no_sense_is_refused(text):
    with pytest.raises(ValueError, match=r"is not|has no unit|is a number"):
        parse_slo(text)


def test_rates_and_sizes_have_bounds():
    assert (parse_rate("max"), parse_rate("0.5")) == (None, 0.5)
    for text in ("0", "-1", "nan", "inf", "fast", "2000000"):
        with pytest.raises(ValueError, match="max"):
            parse_rate(text)
    assert parse_bytes("1KiB") == 1024
    with pytest.raises(ValueError, match="100 bytes"):
        parse_bytes("99")


def test_more_deliveries_than_can_be_verified_are_refused():
    many = dataclasses.replace(OPTIONS, command="fanout", subscribers=10_000, rate=10_000.0)
    with pytest.raises(click.UsageError, match="100,000,000"):
        dataclasses.replace(many, duration_s=1.0).check()
    with pytest.raises(click.UsageError, match="no message is due"):
        dataclasses.replace(OPTIONS, rate=0.1, duration_s=1.0).check()


def test_figures_are_compared_with_those_of_the_same_work_only(tmp_path: Path):
    old, new = judged(sent(), received()), judged(sent(), received())
    new.figures["stored_p50_ms"] = old.figures["stored_p50_ms"] * 2
    new.conditions, old.conditions = {"cores": 4, "date": "b"}, {"cores": 2, "date": "a"}
    (tmp_path / "old.json").write_text(json.dumps(_plain(old)))
    read = results.read(str(tmp_path / "old.json"))
    assert read == old
    results.check_same_work(read, "e2e", work_of(OPTIONS))
    ratios = {row["figure"]: row["ratio"] for row in results.compare(read, new)}
    assert (ratios["stored_p50_ms"], ratios["received_p99_ms"], ratios["errors"]) == (2, 1, None)
    assert results.other_conditions(read, new) == ["cores was 2, and is 4"]
    other = dataclasses.replace(OPTIONS, rate=5.0, size=500)
    with pytest.raises(click.UsageError, match=r"rate was 1000\.0, and is 5\.0; size bytes was"):
        results.check_same_work(read, "e2e", work_of(other))
    with pytest.raises(click.UsageError, match="that run was bench e2e, and this is pub"):
        results.check_same_work(read, "pub", work_of(OPTIONS))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"topic": "big"}, "topic was t, and is big"),
        ({"start": read_start("900000")}, "start was -1h, and is 900000"),
        ({"duration_s": 3.0}, "duration s was 2.0, and is 3.0"),
        ({"max_messages": 5}, "max messages was 1000000, and is 5"),
    ],
)
def test_readings_of_something_else_are_not_compared(change: dict[str, object], said: str):
    begin = {"command": "sub", "topic": "t", "start": read_start("-1h")}
    old = read_by(caught(), **{"start": read_start("-1h")})
    options = dataclasses.replace(OPTIONS, **begin)
    results.check_same_work(old, "sub", work_of(options))
    with pytest.raises(click.UsageError, match=f"that run did other work: {said}$"):
        results.check_same_work(old, "sub", work_of(dataclasses.replace(options, **change)))


def test_readings_of_as_much_are_compared_and_of_much_more_are_not():
    old = read_by(caught(messages=1000, count=1000, bytes_read=200_000))
    grown = read_by(caught(messages=1050, count=1050, bytes_read=210_000))
    results.check_same_read(old, grown)
    assert results.other_conditions(old, grown) == ["messages was 1000, and is 1050"]
    other = read_by(caught(messages=50, count=50, bytes_read=20_000))
    with pytest.raises(
        click.UsageError,
        match="messages was 1000, and is 50; message bytes was 200, and is 400",
    ):
        results.check_same_read(old, other)
    assert not results.is_same_read(old, other)


def test_runs_on_a_topic_that_was_there_are_not_compared_with_those_on_their_own():
    old = judged(sent(), received())
    other = dataclasses.replace(OPTIONS, topic="orders")
    with pytest.raises(click.UsageError, match="topic was not said, and is orders"):
        results.check_same_work(old, "e2e", work_of(other))


def test_a_server_that_tells_something_else_of_itself_is_measured():
    said = conditions({"version": 5, "store": [1], "cluster": "x"}, "here")
    assert (said["store"], said["nodes"]) == (None, 1)


def test_a_file_without_an_end_is_not_read_to_its_end():
    with pytest.raises(click.UsageError, match="too large"):
        results.read("/dev/zero")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema":"x"}'])
def test_what_is_no_result_is_not_compared_with(tmp_path: Path, text: str):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(click.UsageError, match="is not the result of a run"):
        results.read(str(tmp_path / "x.json"))


def _plain(result: Result) -> object:
    from conduit.cli.output import json_text

    return json.loads(json_text(result))
