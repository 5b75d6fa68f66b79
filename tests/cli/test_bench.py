"""`conduit bench`, as far as no server is needed."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path

import click
import pytest

from conduit.cli.bench import result as results
from conduit.cli.bench.figures import of_run, result_of, work_of
from conduit.cli.bench.options import BenchOptions, parse_bytes, parse_rate
from conduit.cli.bench.result import Result
from conduit.cli.bench.slo import missed, parse_slo
from conduit.cli.bench.text import lines
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
    right = Sent(8, 3, recorded(0.1), stored, 8, Counter(), [set()] * 4, 0.0, 2.0, 0.2)
    return dataclasses.replace(right, **changes)


def received(**changes: object) -> Received:
    right = Received(
        recorded(2, 3, 4), Latencies(), recorded(0), Checks(8, 8), [], 2.0, 999, [], 0.1
    )
    return dataclasses.replace(right, **changes)


def judged(s: Sent, r: Received | None, options: BenchOptions = OPTIONS) -> Result:
    return result_of(options, of_run(PLAN, s, r, None), {}, cut_short=False)


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


def test_a_topic_that_has_less_than_was_answered_has_lost_it():
    outcome = of_run(PLAN, sent(), None, 6)
    assert (outcome.checks.lost, outcome.failed) == (2, ["2 lost"])


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


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema":"x"}'])
def test_what_is_no_result_is_not_compared_with(tmp_path: Path, text: str):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(click.UsageError, match="is not the result of a run"):
        results.read(str(tmp_path / "x.json"))


def _plain(result: Result) -> object:
    from conduit.cli.output import json_text

    return json.loads(json_text(result))
