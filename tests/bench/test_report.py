import importlib
import json
import re
import sys
from xml.etree import ElementTree as ET

import pytest

from bench import harness, report
from bench.__main__ import QUESTIONS
from conduit.load import verdict
from tests.bench import made


@pytest.fixture
def given(tmp_path):
    """The made-up lines as two files."""
    lines = [json.dumps(line) + "\n" for line in made.lines()]
    (tmp_path / "a.jsonl").write_text("".join(lines[:4]))
    (tmp_path / "b.jsonl").write_text("".join(lines[4:]))
    return [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]


def page(lines=None, knowledge=None) -> str:
    return report.pages(lines or made.lines(), knowledge or made.knowledge())[report.PAGE]


def section(question: str, **more) -> str:
    return page(**more).split(f"\n## {question}\n")[1].split("\n## ")[0]


def table(question: str) -> list[list[str]]:
    rows = [line for line in section(question).splitlines() if line.startswith("| ")]
    cells = [re.split(r"(?<!\\)\|", row)[1:-1] for row in rows]
    return [[cell.strip() for cell in row] for row in cells]


def command(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["report", *map(str, arguments)])
    return report.main()


def files(folder) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_the_page_is_what_the_committed_results_give():
    """Of the folder of results there may be nothing yet, and then there is no page either."""
    paths = report.committed()
    on_disk = {report.PAGE, *(f"{report.PLOTS}/{p.name}" for p in report.plots_in(report.DOCS))}
    present = {name for name in on_disk if (report.DOCS / name).exists()}
    if not paths:
        assert not present
        return
    lines, knowledge = list(harness.read_lines(paths)), report.read_knowledge()
    expected = report.pages(lines, knowledge)
    assert present == expected.keys()
    stale = [
        name for name, text in expected.items() if (report.DOCS / name).read_text("utf-8") != text
    ]
    assert not stale, "out of date: run .venv/bin/python -m bench.report"
    assert report.complaints(lines, knowledge) == []


def test_what_limits_a_row_is_known_for_every_case_there_is():
    limits = report.read_knowledge()["limits"]
    silent, used = [], []
    for question in QUESTIONS:
        for case in importlib.import_module(f"bench.{question}").cases(short=False):
            line = {
                **made.line(question=question, case=(case.system, case.store)),
                "work": case.work,
            }
            ((row,),) = report.by_question([line]).values()
            about = [each for each in limits if each["question"] == question and row.is_like(each)]
            used += about
            silent += [] if about else [f"{question}: {row.name} {case.work}"]
    assert not silent
    assert not [limit for limit in limits if limit not in used]


def test_the_same_lines_give_the_same_bytes(given, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "LIMITS", limits_file(tmp_path))
    for name in ("one", "two"):
        assert command(monkeypatch, *given, "--docs", tmp_path / name) == 0
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert files(tmp_path / "one").keys() == {
        "benchmarks.md",
        "benchmarks/publish.svg",
        "benchmarks/fanout.svg",
    }


def test_plots_that_are_no_more_are_removed_and_other_files_are_not(given, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "LIMITS", limits_file(tmp_path))
    folder = tmp_path / "docs" / "benchmarks"
    folder.mkdir(parents=True)
    for name in ("idle.svg", "notes.txt", "publish.svg"):
        (folder / name).write_text("old")
    command(monkeypatch, *given, "--docs", tmp_path / "docs")
    assert {path.name for path in folder.iterdir()} == {"fanout.svg", "notes.txt", "publish.svg"}
    assert (folder / "publish.svg").read_text() != "old"


def limits_file(folder):
    path = folder / "limits.toml"
    tables = []
    for limit in made.knowledge()["limits"]:
        pairs = [f"{key} = {json.dumps(value)}" for key, value in limit.items() if key != "work"]
        work = [f"{key} = {json.dumps(value)}" for key, value in limit.get("work", {}).items()]
        tables.append("\n".join(["[[limits]]", *pairs, f"work = {{ {', '.join(work)} }}"]))
    path.write_text("\n\n".join(tables))
    return path


def test_a_row_without_a_text_is_complained_of(given, tmp_path, monkeypatch, capsys):
    path = limits_file(tmp_path)
    path.write_text(path.read_text().replace('question = "publish"', 'question = "idle"'))
    monkeypatch.setattr(report, "LIMITS", path)
    assert command(monkeypatch, *given, "--docs", tmp_path / "docs") == 1
    assert "does not say what limits publish: conduit · memory\n" in capsys.readouterr().err
    assert (tmp_path / "docs" / report.PAGE).exists()


def test_no_results_are_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "RESULTS", tmp_path / "none")
    with pytest.raises(SystemExit) as ended:
        command(monkeypatch, "--docs", tmp_path / "docs")
    assert ended.value.code == 2
    assert "no results" in capsys.readouterr().err


def test_an_unknown_question_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "x.jsonl").write_text(json.dumps(made.line(question="guess")))
    with pytest.raises(SystemExit, match="no such question: guess"):
        command(monkeypatch, tmp_path / "x.jsonl", "--docs", tmp_path / "docs")
    assert not (tmp_path / "docs").exists()


def test_texts_and_rows_that_do_not_meet_are_named():
    assert report.complaints(made.lines(), made.knowledge()) == []
    strange = [
        {"question": "publish", "system": "nats", "text": "?"},
        {"question": "publish", "store": "memory", "work": {"clients": 1}, "text": "?"},
        {"question": "guess", "text": "?"},
        {"question": "idle", "text": "of a question without rows"},
    ]
    plotted = {"publish": ["p50_ms", "p51_ms"], "idle": ["x_s"]}
    knowledge = {"limits": made.knowledge()["limits"][1:] + strange, "plotted": plotted}
    assert report.complaints(made.lines(), knowledge) == [
        "it does not say what limits publish: conduit · memory",
        "it does not say what limits publish: conduit · sqlite",
        "no row is like {'question': 'publish', 'system': 'nats'}",
        "no row is like {'question': 'publish', 'store': 'memory', 'work': {'clients': 1}}",
        "no row is like {'question': 'guess'}",
        "publish has no p51_ms to plot",
    ]


def test_the_table_has_medians_ranges_rounds_and_cores():
    head, _, conduit, redis, sqlite = table("publish")
    assert head == [
        *("system", "store", "messages per s", "p50, ms", "p99, ms"),
        *("rounds that count", "server, cores", "load, cores"),
    ]
    assert conduit == [
        *("conduit", "memory", "**200**<br>100 – 300", "**1.5**<br>1 – 2", "**4.5**<br>4 – 5"),
        *("2 of 3", "0.50", "0.25"),
    ]
    assert redis == ["redis", "memory", "—", "—", "—", "0 of 3", "—", "—"]
    assert sqlite[2:6] == ["**12,346**", "—", "—", "1 of 1"]


def test_rows_have_as_many_cells_as_the_head():
    for question in ("publish", "fanout"):
        assert len({len(row) for row in table(question)}) == 1


def test_a_figure_of_a_round_that_does_not_count_is_nowhere():
    everything = "".join(report.pages(made.lines(), made.knowledge()).values()).replace(",", "")
    assert not re.search(r"99 ?999|88 ?888|77 ?777|66 ?666", everything)


def test_why_rounds_do_not_count_is_said():
    said = section("publish")
    assert "- Of conduit · memory, 1 of 3 do not count: late &amp; lost." in said
    assert "- Of redis · memory, no round counts: the load was busy; 7 &lt;lost>." in said
    assert "sqlite, " not in said.split("rounds that count")[0]


def test_common_work_is_said_once_and_the_rest_in_a_column():
    assert "The same for all rows: clients: 64; loop: closed." in section("publish")
    assert "The same for all rows: subscribers: 10." in section("fanout")
    assert [row[2] for row in table("fanout")] == [
        *("work", "---"),
        *("acks: none", "acks: each \\| every"),
    ]


def test_the_question_is_the_modules_own():
    asked, _, more = report.docstring("fanout").partition("\n\n")
    assert f"**{asked}**\n\n{more}\n\n" in section("fanout")
    assert f"- [fanout](#fanout) — {asked}\n" in page()


def test_a_question_that_is_broken_into_lines_is_one_line(monkeypatch):
    monkeypatch.setattr(report, "docstring", lambda _: "How\nmany?\n\nIn\ntwo lines.")
    assert "- [publish](#publish) — How many?\n" in page()
    assert "**How many?**\n\nIn\ntwo lines.\n" in section("publish")


def test_the_title_of_a_plot_has_no_markup(monkeypatch):
    monkeypatch.setattr(report, "docstring", lambda _: "How soon after `kill -9`?")
    written = report.pages(made.lines(), made.knowledge())
    assert "**How soon after `kill -9`?**" in written[report.PAGE]
    assert '<title id="title">How soon after kill -9?</title>' in written["benchmarks/publish.svg"]


def test_every_question_has_a_first_paragraph_that_asks():
    asked = {question: report.docstring(question).partition("\n\n")[0] for question in QUESTIONS}
    assert not [question for question, text in asked.items() if not text.endswith("?")]


def test_what_limits_a_row_stands_below_the_table():
    said = section("publish")
    # Rows that one text is about stand together.
    conduit = "- *conduit · memory*; *conduit · sqlite*: One core, `a < b` &amp; &lt;b>.\n"
    assert conduit in said
    assert "- *redis · memory*: The load.\n" in said
    assert "The acks" not in said


def test_the_command_to_repeat_it_has_as_many_rounds():
    assert "```sh\n.venv/bin/python -m bench publish --rounds 3\n```" in section("publish")
    assert "```sh\n.venv/bin/python -m bench fanout --rounds 1\n```" in section("fanout")


def test_what_was_verified_is_counted_where_rounds_count():
    said = section("publish")
    assert "15 messages or deliveries were verified. The runs took 14 s, on 20" in said


def test_machine_and_versions_have_every_value_that_occurs():
    other = {**made.CONDITIONS, "kernel": "6.2 | x", "versions": {"redis": "7.0.15", "wrk": "4"}}
    said = section("Machine and versions", lines=[*made.lines(), made.line(conditions=other)])
    assert "| memory, GiB | 24 |" in said
    assert "| kernel | 6.1, 6.2 \\| x |" in said
    assert "| cpu | a &lt;fast> one |" in said
    assert "| redis | 7.0.15 |\n| wrk | 4 |" in said


def test_the_rule_that_is_described_is_the_harnesss_own():
    assert f"used {verdict.LOAD_FULL_CORES:g} of a core or more" in page().replace("\n  ", " ")
    assert f"less than {verdict.SERVER_FULL_CORES:g};" in page().replace("\n  ", " ")


def test_sections_are_parted_by_one_empty_line():
    assert "\n\n\n" not in page()
    assert page().endswith("```\n")
    assert not page().endswith("\n\n")


def test_plots_are_linked_described_and_well_formed():
    written = report.pages(made.lines(), made.knowledge())
    links = dict(re.findall(r"!\[(.*?)\]\((.*?)\)", written[report.PAGE]))
    assert sorted(links.values()) == ["benchmarks/fanout.svg", "benchmarks/publish.svg"]
    assert all(alt.endswith("? The table as a plot.") for alt in links)
    for name in links.values():
        ET.fromstring(written[name])


def rows(lines):
    ((_, found),) = report.by_question(lines).items()
    return found


def test_a_unit_with_one_figure_is_bars_and_one_with_several_is_dots():
    one, several = report.panels_of(rows(made.lines()[:7]))
    assert (one.title, one.names, one.hint) == ("messages per s", (), "more is better")
    assert (several.title, several.names, several.hint) == (
        "time, ms",
        ("p50", "p99"),
        "less is better",
    )
    assert [row.label for row in one.rows] == [
        "conduit · memory",
        "redis · memory",
        "conduit · sqlite",
    ]
    assert [row.note for row in one.rows] == [
        "",
        "no round counts: the load was busy; 7 <lost>",
        "",
    ]
    # Who has no figure of this unit is not in its panel, unless no round counts.
    assert [(row.label, row.note) for row in several.rows] == [
        ("conduit · memory", ""),
        ("redis · memory", "no round counts"),
    ]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("publishes_per_s", "more is better"),
        ("server_us_per_s", "less is better"),
        ("kib_per_subscriber", "less is better"),
        ("ready_s", "less is better"),
        ("cost_percent", ""),
        ("subscriptions", ""),
        ("redelivered_messages", ""),
    ],
)
def test_what_is_better_is_said_where_it_is_sure(name, hint):
    (panel,) = report.panels_of(rows([made.line({name: 1})]))
    assert panel.hint == hint


def test_only_chosen_figures_are_plotted_and_all_are_in_the_table():
    knowledge = {**made.knowledge(), "plotted": {"publish": ["p99_ms"]}}
    written = report.pages(made.lines(), knowledge)
    assert "p99, ms: conduit" in written["benchmarks/publish.svg"]
    assert "messages per s" not in written["benchmarks/publish.svg"]
    assert written[report.PAGE] == page()


def test_more_figures_than_marks_make_another_panel():
    figures = {f"p{number}0_ms": number for number in range(1, 7)}
    panels = report.panels_of(rows([made.line(figures)]))
    assert [panel.names for panel in panels] == [("p10", "p20", "p30", "p40"), ("p50", "p60")]


def test_figures_without_a_unit_have_panels_of_their_own():
    panels = report.panels_of(rows([made.line({"score": 1, "luck": 2})]))
    assert [(panel.title, panel.names) for panel in panels] == [("score", ()), ("luck", ())]


def test_a_question_of_which_no_round_counts_is_a_page_too():
    lines = [made.line({"messages_per_s": 99_999}, "1 lost")]
    (panel,) = report.panels_of(rows(lines))
    assert [row.note for row in panel.rows] == ["no round counts: 1 lost"]
    assert "no round counts: 1 lost" in page(lines)
    assert "were verified" not in page(lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a < b & c > d", "a &lt; b &amp; c > d"),
        ("`a < b` < `c & d`", "`a < b` &lt; `c & d`"),
        ("a lone ` < tick", "a lone ` &lt; tick"),
    ],
)
def test_prose_makes_no_html(text, expected):
    assert report.prose(text) == expected


def test_all_rows_of_a_store_are_named_together_and_some_of_them_one_by_one():
    (first,) = [
        line
        for line in made.lines()[:1]
        if (line["question"], line["system"], line["store"]) == ("publish", "conduit", "memory")
    ]
    lines = [{**first, "work": {**first["work"], "clients": count}} for count in (1, 2, 3)]
    rows = report.by_question(lines)["publish"]
    assert report._names(rows, rows) == ["*conduit · memory*"]
    assert report._names(rows[:2], rows) == [f"*{row.name}*" for row in rows[:2]]
