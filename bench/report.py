"""`python -m bench.report [RESULTS.jsonl …]`: docs/benchmarks.md and its plots, from raw result lines.

Nothing is typed in: figures come from the lines, questions from the modules' docstrings, and what
limits a row from limits.toml, which people write and review. The same lines give the same bytes.
Without arguments the lines are those of bench/results.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from bench import harness, plots
from bench.__main__ import QUESTIONS
from bench.plots import Panel, Span, number
from bench.rows import (
    NOTHING,
    Knowledge,
    Line,
    ReportError,
    Row,
    by_question,
    heading,
    shared,
    titled,
    words,
)
from conduit.load import verdict

HERE = Path(__file__).parent
RESULTS = HERE / "results"
LIMITS = HERE / "limits.toml"
METHOD = HERE / "method.md"
DOCS = HERE.parent / "docs"
PAGE = "benchmarks.md"
PLOTS = "benchmarks"

TIMES = {"ms": "time, ms", "s": "time, s"}
COSTS = ("ms", "s", "µs", "KiB", "MiB")
CODE = re.compile(r"(`[^`]*`)")

INTRODUCTION = """\
# Benchmarks

What Conduit gives, what it costs, and how it compares with others at the same work. This page is made by
`.venv/bin/python -m bench.report` from the raw lines in [bench/results](../bench/results), one for each
run; do not edit it. What limits a row is written in [limits.toml](../bench/limits.toml). `make bench` asks
every question in a short form."""


def main() -> int:
    """Write the page and its plots; 1 if limits.toml does not fit to the rows."""
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("results", nargs="*", type=Path, help="default: bench/results/*.jsonl")
    parser.add_argument("--docs", type=Path, default=DOCS, help="the folder to write to (docs)")
    options = parser.parse_args()
    paths = options.results or committed()
    if not paths:
        parser.error("no results: none were given, and there are none in bench/results")
    lines, knowledge = list(harness.read_lines(paths)), read_knowledge()
    try:
        write(pages(lines, knowledge), options.docs)
    except ReportError as error:
        sys.exit(str(error))
    found = complaints(lines, knowledge)
    for complaint in found:
        print(f"{LIMITS.name}: {complaint}", file=sys.stderr)
    return 1 if found else 0


def committed() -> list[Path]:
    """The files of bench/results, in the order of their names."""
    return sorted(RESULTS.glob("*.jsonl"))


def read_knowledge() -> Knowledge:
    """What people wrote: `limits`, a list of entries, and `plotted`, the figures to plot."""
    return tomllib.loads(LIMITS.read_text(encoding="utf-8"))


def plots_in(docs: Path) -> list[Path]:
    """The plots below a folder of documentation."""
    return sorted((docs / PLOTS).glob("*.svg"))


def write(made: dict[str, str], docs: Path) -> None:
    """Write files below `docs`, and remove the plots of former runs that are no more."""
    (docs / PLOTS).mkdir(parents=True, exist_ok=True)
    for path in plots_in(docs):
        if f"{PLOTS}/{path.name}" not in made:
            path.unlink()
    for name, text in made.items():
        (docs / name).write_text(text, encoding="utf-8")


def pages(lines: Sequence[Line], knowledge: Knowledge) -> dict[str, str]:
    """Path below docs → text, of the page and its plots. Raises ReportError."""
    questions = by_question(lines)
    made, sections, contents = {}, [], []
    for question, rows in questions.items():
        asked, _, more = docstring(question).partition("\n\n")
        asked = " ".join(asked.split())
        panels = panels_of(rows, knowledge.get("plotted", {}).get(question))
        described = " ".join(plots.described(panels))
        image = f"{PLOTS}/{question}.svg"
        made[image] = plots.picture(asked.replace("`", ""), described, panels)
        contents.append(f"- [{question}](#{question}) — {prose(asked)}")
        sections += [f"## {question}", f"**{prose(asked)}**", prose(more), _work(rows)]
        sections += [
            _table(rows),
            _not_counted(rows),
            f"![{_plain(asked)} The table as a plot.]({image})",
        ]
        sections += [_limits(question, rows, knowledge), _repeat(rows)]
    parts = [INTRODUCTION, "\n".join(contents), _method(), _conditions(lines), *sections]
    return {PAGE: "\n\n".join(filter(None, parts)) + "\n", **made}


def docstring(question: str) -> str:
    """The text at the top of the question's module; its first paragraph is the question."""
    source = (HERE / f"{question}.py").read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(source)) or ""


def complaints(lines: Sequence[Line], knowledge: Knowledge) -> list[str]:
    """Where limits.toml and the rows do not fit: rows without a text, what it names without a row."""
    questions = by_question(lines)
    found = [
        f"it does not say what limits {question}: {row.name}"
        for question, rows in questions.items()
        for row in rows
        if not _limits_of(question, row, knowledge)
    ]
    for limit in knowledge["limits"]:
        rows = questions.get(limit["question"], [])
        known = limit["question"] in QUESTIONS
        if not known or (rows and not any(row.is_like(limit) for row in rows)):
            named = {key: value for key, value in limit.items() if key != "text"}
            found.append(f"no row is like {named}")
    for question, names in knowledge.get("plotted", {}).items():
        figures = {name for row in questions.get(question, []) for name in row.spans}
        missing = [name for name in names if figures and name not in figures]
        found += [f"{question} has no {name} to plot" for name in missing]
    return found


def panels_of(rows: Sequence[Row], plotted: Sequence[str] | None = None) -> list[Panel]:
    """A panel for each unit: bars if it has one figure, dots if it has several."""
    by_unit: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for row in rows for name in row.spans):
        if plotted is None or name in plotted:
            # Without a unit, figures have nothing to do with each other.
            by_unit.setdefault(heading(name)[1] or name, []).append(name)
    if not by_unit:
        return [Panel("no figures", "", tuple(_marks(row, [], _why(row)) for row in rows))]
    panels: list[Panel] = []
    parts = [
        (unit, names[start : start + plots.NAMES_MAX])
        for unit, names in by_unit.items()
        for start in range(0, len(names), plots.NAMES_MAX)
    ]
    for unit, names in parts:
        # The reason why a row has no figures is long; once is enough.
        notes = ["no round counts" if panels else _why(row) for row in rows]
        marks = [_marks(row, names, note) for row, note in zip(rows, notes, strict=True)]
        several = len(names) > 1
        panels.append(
            Panel(
                title=TIMES.get(unit, unit) if several else titled(names[0]),
                hint=_hint(unit),
                rows=tuple(mark for mark in marks if mark.note or any(mark.spans)),
                names=tuple(heading(name)[0] for name in names) if several else (),
            )
        )
    return panels


def _marks(row: Row, names: Sequence[str], note: str) -> plots.Row:
    spans = row.spans
    known = tuple(spans.get(name) for name in names)
    return plots.Row(row.system, row.name, known, "" if row.valid else note)


def prose(text: str) -> str:
    """Text of ours as Markdown: no HTML arises outside code."""
    parts = CODE.split(text)
    return "".join(
        part if index % 2 else part.replace("&", "&amp;").replace("<", "&lt;")
        for index, part in enumerate(parts)
    )


def _cell(value: object) -> str:
    return prose(str(value)).replace("|", "\\|")


def _plain(text: str) -> str:
    """As the alternative text of an image."""
    return re.sub(r"([\\\[\]*_`<&])", r"\\\1", text)


def _hint(unit: str) -> str:
    if unit == "per s":
        return "more is better"
    return "less is better" if unit.split(" ")[0] in COSTS else ""


def _why(row: Row) -> str:
    return f"no round counts: {'; '.join(row.reasons)}"


def _work(rows: Sequence[Row]) -> str:
    same = shared([row.work for row in rows])
    return f"The same for all rows: {_cell(words(same, same))}." if same else ""


def _table(rows: Sequence[Row]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row.spans))
    apart = any(row.apart for row in rows)
    head = ["system", "store", *(["work"] if apart else []), *map(titled, names)]
    head += ["rounds that count", "server, cores", "load, cores"]
    table = [head, ["---"] * (2 + apart) + ["--:"] * (len(names) + 3)]
    for row in rows:
        spans = row.spans
        cells = [row.system, row.store, *([row.apart] if apart else [])]
        cells = [_cell(cell) for cell in cells] + [_range(spans.get(name)) for name in names]
        cells.append(f"{len(row.valid)} of {len(row.lines)}")
        table.append([*cells, row.cores("server_cores"), row.cores("load_cores")])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in table)


def _range(span: Span | None) -> str:
    if span is None:
        return NOTHING
    low, middle, high = map(number, (span.low, span.middle, span.high))
    return f"**{middle}**" + ("" if low == high else f"<br>{low} – {high}")


def _not_counted(rows: Sequence[Row]) -> str:
    return "\n".join(
        f"- Of {_cell(row.name)}, {_not_valid(row)}: {_cell('; '.join(row.reasons))}."
        for row in rows
        if len(row.valid) < len(row.lines)
    )


def _not_valid(row: Row) -> str:
    count = len(row.lines) - len(row.valid)
    return "no round counts" if not row.valid else f"{count} of {len(row.lines)} do not count"


def _limits_of(question: str, row: Row, knowledge: Knowledge) -> list[str]:
    return [
        limit["text"]
        for limit in knowledge["limits"]
        if limit["question"] == question and row.is_like(limit)
    ]


def _limits(question: str, rows: Sequence[Row], knowledge: Knowledge) -> str:
    # Rows that one text is about stand together.
    named: dict[str, list[Row]] = {}
    for row in rows:
        if texts := _limits_of(question, row, knowledge):
            named.setdefault(prose(" ".join(texts)), []).append(row)
    said = [f"- {'; '.join(_names(about, rows))}: {text}" for text, about in named.items()]
    return "\n".join(["What limits each row:", "", *said]) if said else ""


def _names(some: Sequence[Row], rows: Sequence[Row]) -> list[str]:
    """What they are called: all of a system on a store together, if they are among them."""
    names: dict[str, None] = {}
    for row in some:
        alike = [each for each in rows if (each.system, each.store) == (row.system, row.store)]
        is_whole = len(alike) > 1 and all(each in some for each in alike)
        names[f"{row.system} · {row.store}" if is_whole else row.name] = None
    return [f"*{_cell(name)}*" for name in names]


def _repeat(rows: Sequence[Row]) -> str:
    lines = [line for row in rows for line in row.lines]
    rounds = max(len(row.lines) for row in rows)
    commands = dict.fromkeys(f".venv/bin/{line['command']} --rounds {rounds}" for line in lines)
    took_s = sum(line["took_s"] for line in lines)
    checked = sum(line["checks"]["seen"] for row in rows for line in row.valid)
    verified = f"In the rounds that count, {checked:,} messages or deliveries were verified. "
    return (
        (verified if checked else "")
        + f"The runs took {took_s:,.0f} s, {_where(lines)}. Repeat them with:\n\n```sh\n"
        + "\n".join(commands)
        + "\n```"
    )


def _where(lines: Sequence[Line]) -> str:
    """On which days, and machines."""
    told = (
        f"on {each['date']} with {each['cpu']}" for each in (line["conditions"] for line in lines)
    )
    return _cell(" and ".join(dict.fromkeys(told)))


def _method() -> str:
    text = METHOD.read_text(encoding="utf-8").rstrip()
    return text.format(load=verdict.LOAD_FULL_CORES, server=verdict.SERVER_FULL_CORES)


def _conditions(lines: Sequence[Line]) -> str:
    """All values of each condition, in the order in which they occur."""
    values: dict[str, dict[str, None]] = {}
    for line in lines:
        flat = {**line["conditions"]}
        versions = flat.pop("versions")
        for name, value in {**flat, **versions}.items():
            values.setdefault(name.replace("_gib", ", GiB"), {})[str(value)] = None
    rows = [f"| {_cell(name)} | {_cell(', '.join(several))} |" for name, several in values.items()]
    return "\n".join(["## Machine and versions", "", "| | |", "|---|---|", *rows])


if __name__ == "__main__":
    sys.exit(main())
