"""The result for people: a table of the ways, what was verified, the verdict."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from shutil import get_terminal_size
from typing import Any

import click

from conduit.cli.bench.result import Result
from conduit.cli.output import bold, size_text
from conduit.cli.width import wrapped

_WAYS = {
    "stored": "publish→stored",
    "received": "publish→received",
    "last": "publish→last has it",
}
# Less of it is in no figure.
HELD_SHOWN_S = 0.1

_CAME = "came once and in order"
_IS = {
    "pub": "that was answered is in the topic, once and in order",
    **dict.fromkeys(("e2e", "fanout", "sub"), _CAME),
}
_PARTS = ("p50", "p90", "p99", "p99.9", "max")


def show(line: str) -> None:
    """Print a line; on a terminal its words stay whole."""
    if sys.stdout.isatty():
        line = wrapped(line, get_terminal_size().columns)
    click.echo(line)


def lines(result: Result) -> Iterator[str]:
    """What is printed behind the conditions."""
    if result.command == "sub":
        yield from _reading(result.figures)
    else:
        yield from _latencies(result.figures)
    checks = result.checks
    noun = "messages" if result.command == "pub" else "deliveries"
    said = [f"{checks['seen']:,} of {checks['expected']:,} {noun}"]
    parts = ("lost", "duplicates", "out_of_order")
    said += [f"{name.replace('_', ' ')} {checks[name]:,}" for name in parts]
    if checks["unverified"]:
        said.append(f"unverified {checks['unverified']:,}")
    if "errors" in result.figures:
        said.append(f"errors {result.figures['errors']:,.0f}")
    if result.figures.get("gaps"):
        said.append(f"gaps {result.figures['gaps']:,.0f}")
    yield f"verified   {' · '.join(said)}"
    yield f"generator  {' · '.join(_load(result.load))}"
    if result.work.get("loop") == "closed":
        yield (
            "closed     latencies count from the sending: while the server stalls nothing is sent, so that "
            "they hide it"
        )
    if result.cut_short:
        yield "cut short  by Ctrl-C: these are the figures until then"
    if result.ended_early:
        yield f"ended      {result.ended_early}"
    yield from _verdict(result)


def _latencies(figures: dict[str, float]) -> Iterator[str]:
    rows = []
    for name, title in _WAYS.items():
        if f"{name}_p50_ms" in figures:
            rate = figures.get(f"{name}_per_s")
            values = [f"{figures[f'{name}_{part}_ms']:,.2f}" for part in _PARTS]
            rows.append([title, "-" if rate is None else f"{rate:,.0f}", *values])
    if rows:
        headings = ["MS", "PER S", *(part.upper() for part in _PARTS)]
        yield from _right(_cells(headings, rows))


def _cells(headings: list[str], rows: list[list[str]]) -> list[list[str]]:
    """Cells of one width in each column, figures to the right."""
    widths = [max(len(row[at]) for row in [headings, *rows]) for at in range(len(headings))]
    return [
        [
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in [headings, *rows]
    ]


def _right(cells: list[list[str]]) -> Iterator[str]:
    first, *rest = ["  ".join(row) for row in cells]
    yield bold(first)
    yield from rest


def _reading(figures: dict[str, float]) -> Iterator[str]:
    rate, speed = figures["received_per_s"], size_text(round(figures["received_bytes_per_s"]))
    yield f"received   {rate:,.0f}/s · {speed}/s · in {figures['seconds']:,.2f} s"


def _load(load: dict[str, float]) -> list[str]:
    said = [f"busiest process {load['busiest_process_cores']:.0%} of a core"]
    if "late_p99_ms" in load:
        said.append(f"sends late p99 {load['late_p99_ms']:,.2f} ms")
    if "reading_p99_ms" in load:
        said.append(f"reads p99 {load['reading_p99_ms']:,.2f} ms")
    if load.get("held_s", 0.0) >= HELD_SHOWN_S:
        said.append(f"the server took nothing for {load['held_s']:,.1f} s")
    return said


def _verdict(result: Result) -> Iterator[str]:
    word = result.verdict.upper() if result.verdict != "valid" else "valid"
    if result.problems:
        yield f"{bold(word)}: {result.problems[0]}"
        yield from (f"  {problem}" for problem in result.problems[1:])
    else:
        yield f"{word}: the generator was not the limit, and everything {_IS[result.command]}"
    if result.verdict == "invalid":
        yield (
            "  The figures do not count. A machine with less to do beside the run, a lower --rate, or fewer "
            "connections would help."
        )
    for line in result.slo_missed:
        yield f"{bold('SLO missed')} {line}"


def comparison(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Figures of both runs and their ratio."""
    shown = [
        [
            row["figure"].replace("_", " "),
            f"{row['old']:,.2f}",
            f"{row['new']:,.2f}",
            "-" if row["ratio"] is None else f"{row['ratio']:.2f}",
        ]
        for row in rows
    ]
    yield from _right(_cells(["COMPARED", "OLD", "NEW", "RATIO"], shown))
