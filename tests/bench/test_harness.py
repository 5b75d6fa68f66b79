import io
import json

import pytest

from bench import harness
from bench.harness import Case, Outcome, problems
from conduit.errors import StoreUnavailable
from conduit.load.checks import Checks
from conduit.load.process import LoadError
from tests.bench.made import line

GOOD = Checks(expected=3, seen=3)
BUSY = "the load generator was the bottleneck"


def outcome(checks=GOOD, server=0.5, load=0.5, **more) -> Outcome:
    return Outcome({"messages_per_s": 1.0}, checks, server, load, **more)


def test_a_run_without_a_fault_is_valid():
    assert problems(outcome()) == []


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        (Checks(3, 0, 0, 0, 0), "nothing was verified"),
        (Checks(3, 3, 2, 0, 0), "2 lost"),
        (Checks(3, 3, 0, 4, 0), "4 duplicates"),
        (Checks(3, 3, 0, 0, 5), "5 out of order"),
    ],
)
def test_what_went_wrong_is_a_reason(checks, said):
    assert problems(outcome(checks)) == [said]


def test_reasons_of_the_case_come_first_and_all_are_said():
    found = problems(outcome(Checks(3, 2, 1, 0, 0), problems=["a request failed"]))
    assert found == ["a request failed", "1 lost"]


@pytest.mark.parametrize(
    ("server", "load", "said"),
    [
        (0.89, 0.95, [BUSY]),
        (0.89, 0.94, []),
        (0.90, 0.95, []),
        (0.10, 1.00, [BUSY]),
    ],
)
def test_a_full_load_beside_an_idle_server_measured_itself(server, load, said):
    assert problems(outcome(server=server, load=load)) == said


def test_a_busy_load_does_not_matter_where_no_rate_is_measured():
    assert problems(outcome(server=0.1, load=1.0, throughput=False)) == []


def test_judging_leaves_the_outcome_as_it_is():
    given = outcome(Checks(3, 2, 1, 0, 0))
    assert problems(given) == problems(given)
    assert given.problems == []


def test_checks_add_up():
    assert Checks(1, 2, 3, 4, 5) + Checks(10, 20, 30, 40, 50) == Checks(11, 22, 33, 44, 55)


def case(system: str, run) -> Case:
    return Case("publish", system, "memory", {"clients": 1}, run)


@pytest.mark.process
def test_rounds_go_in_turn_and_every_run_is_a_line(capsys):
    ran: list[str] = []

    def conduit() -> Outcome:
        ran.append("conduit")
        return Outcome({"messages_per_s": 12345.6, "p50_ms": 0.123456}, GOOD, 0.555, 0.111)

    def nats() -> Outcome:
        ran.append("nats")
        return outcome()

    out = io.StringIO()
    assert harness.run([case("conduit", conduit), case("nats", nats)], 2, out, "the command")
    assert ran == ["conduit", "nats", "conduit", "nats"]
    printed = capsys.readouterr()
    assert printed.out == out.getvalue()
    lines = [json.loads(text) for text in out.getvalue().splitlines()]
    assert [(each["system"], each["round"]) for each in lines] == [
        ("conduit", 1),
        ("nats", 1),
        ("conduit", 2),
        ("nats", 2),
    ]
    first = lines[0]
    assert first["figures"] == {"messages_per_s": 12346, "p50_ms": 0.123}
    assert first["checks"] == {
        "expected": 3,
        "seen": 3,
        "lost": 0,
        "duplicates": 0,
        "disordered": 0,
    }
    assert (first["valid"], first["problems"], first["command"]) == (True, [], "the command")
    assert (first["server_cores"], first["load_cores"]) == (0.56, 0.11)
    assert first["conditions"]["versions"]["conduit-events"]
    assert first.keys() == line().keys()
    assert "2/2 valid" in printed.err


@pytest.mark.process
def test_one_invalid_line_makes_the_whole_invalid(capsys):
    results = iter([outcome(), outcome(Checks(3, 2, 1, 0, 0))])
    assert not harness.run([case("conduit", lambda: next(results))], 2, None, "")
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [(each["valid"], each["problems"]) for each in lines] == [
        (True, []),
        (False, ["1 lost"]),
    ]


def test_medians_are_of_valid_lines_only():
    rates = [line({"messages_per_s": rate}) for rate in (10, 30, 20)]
    bad = [line({"messages_per_s": 1000, "p50_ms": 1}, "1 lost")] * 4
    assert harness.medians([*bad, *rates]) == {"messages_per_s": 20}
    assert harness.medians(bad) == {}


def test_a_figure_that_some_rounds_lack_is_the_median_of_the_others():
    rounds = [line({"a_ms": 1, "b_ms": 5}), line({"a_ms": 3}), line({"a_ms": 8, "b_ms": 7})]
    assert harness.medians(rounds) == {"a_ms": 3, "b_ms": 6}


def test_lines_are_of_one_case_if_all_but_the_round_is_the_same():
    given = [
        line(work={"a": 1, "b": 2}),
        line(case=("redis", "memory")),
        line(work={"b": 2, "a": 1}, round=2),
        line(work={"a": 1, "b": 3}),
        line(case=("conduit", "sqlite"), work={"a": 1, "b": 2}),
        line(question="fanout", work={"a": 1, "b": 2}),
    ]
    groups = list(harness.grouped(given).values())
    assert groups == [[given[0], given[2]], *([each] for each in (given[1], *given[3:]))]


def test_the_summary_counts_the_valid_rounds():
    (row,) = harness.summary([line({"p50_ms": 2.5}), line({"p50_ms": 9}, "1 lost")])
    assert "1/2 valid" in row
    assert "p50_ms=2.5" in row


def test_files_are_read_in_the_order_given(tmp_path):
    for number in (1, 2):
        text = "".join(json.dumps({"n": n}) + "\n" for n in (number, number + 10))
        (tmp_path / f"{number}.jsonl").write_text(text)
    read = harness.read_lines([tmp_path / "2.jsonl", tmp_path / "1.jsonl"])
    assert [each["n"] for each in read] == [2, 12, 1, 11]


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [
        (100, 0.5, 50),
        (100, 0.99, 99),
        (100, 0.07, 7),
        (1000, 0.999, 999),
        (1, 0.99, 1),
        (2, 0.5, 1),
        (3, 0.5, 2),
        (10, 0.99, 10),
        (10, 0.0, 1),
        (10, 1.0, 10),
    ],
)
def test_a_percentile_is_the_nearest_rank(count, share, expected):
    assert harness.percentile(range(1, count + 1), share) == expected


def test_nothing_has_no_percentile():
    with pytest.raises(ValueError, match="no values"):
        harness.percentile([], 0.5)


@pytest.mark.process
@pytest.mark.parametrize("kind", [RuntimeError, LoadError, StoreUnavailable])
def test_a_case_that_breaks_is_an_invalid_line_and_the_next_ones_run(capsys, kind: type[Exception]):
    def breaks() -> Outcome:
        raise kind("Traceback …\nIndexError: nothing came")

    out = io.StringIO()
    assert not harness.run([case("nats", breaks), case("conduit", outcome)], 1, out, "x")
    broken, whole = [json.loads(text) for text in out.getvalue().splitlines()]
    assert (broken["valid"], broken["figures"]) == (False, {})
    assert broken["problems"][0] == "it broke: IndexError: nothing came"
    assert whole["valid"]
    assert "Traceback" in capsys.readouterr().err
