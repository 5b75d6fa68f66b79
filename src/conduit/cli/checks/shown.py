"""Findings for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from shutil import get_terminal_size

import click

from conduit.cli.checks.finding import Finding
from conduit.cli.output import bold, json_text, pick
from conduit.cli.width import columns, wrapped

PIPED_COLUMNS = 100_000
# How each status is shown: its word, and its colour.
_WORDS = {
    "ok": ("ok", "green"),
    "warning": ("warning", "yellow"),
    "failure": ("FAILURE", "red"),
    "not looked at": ("not seen", "blue"),
}
_WORD_COLUMNS = 9

Parts = Mapping[str, Sequence[Finding]]
"""What was looked at, for a heading → what was found."""


def show(parts: Parts, output: str | None, *, is_terminal: bool) -> None:
    """To stdout, in the wanted form."""
    chosen = pick(output, piped="json")
    records = [
        {"of": of, "check": f.check, "status": f.status, "seen": f.seen, "do": f.do}
        for of, found in parts.items()
        for f in found
    ]
    if chosen == "json":
        click.echo(json_text({**counts(parts), "checks": records}, indent=True))
    elif chosen == "jsonl":
        for record in records:
            click.echo(json_text(record))
    else:
        width = get_terminal_size().columns if is_terminal else PIPED_COLUMNS
        for line in lines(parts, width):
            click.echo(line)


def counts(parts: Parts) -> dict[str, int]:
    """How many there are of each status."""
    found = Counter(each.status for some in parts.values() for each in some)
    return {
        "failures": found["failure"],
        "warnings": found["warning"],
        "not_looked_at": found["not looked at"],
        "ok": found["ok"],
    }


def lines(parts: Parts, width: int) -> list[str]:
    """A heading for each part; for each finding what was seen, and below it what to do; at the end how many
    there are."""
    told: list[str] = []
    names = [each.check for some in parts.values() for each in some]
    name_columns = max(map(columns, names), default=0)
    indent = _WORD_COLUMNS + 1 + name_columns + 2
    for of, found in parts.items():
        told += [bold(of)]
        for each in found:
            word, colour = _WORDS[each.status]
            head = click.style(word.ljust(_WORD_COLUMNS), fg=colour, bold=word == "FAILURE")
            first, *rest = _hung(each.seen, width - indent)
            told.append(f"{head} {each.check.ljust(name_columns)}  {first}")
            told += [" " * indent + line for line in rest]
            if each.do is not None:
                to_do = _hung(each.do, width - indent - 2)
                told.append(f"{' ' * indent}→ {to_do[0]}")
                told += [" " * (indent + 2) + line for line in to_do[1:]]
        told.append("")
    return [*told, _summary(counts(parts))]


def _hung(text: str, width: int) -> list[str]:
    return [line.strip() for line in wrapped(text, width).split("\n")]


def _summary(found: Mapping[str, int]) -> str:
    parts = [
        f"{found['failures']} failed" if found["failures"] else "nothing failed",
        f"{found['warnings']} to be looked at" if found["warnings"] else "",
        f"{found['not_looked_at']} not seen" if found["not_looked_at"] else "",
        f"{found['ok']} ok",
    ]
    return ", ".join(filter(None, parts))
