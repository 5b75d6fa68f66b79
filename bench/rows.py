"""From result lines to the rows of a report: one case with all its rounds, and how it is called."""

from __future__ import annotations

import dataclasses
import re
import statistics
from collections.abc import Collection, Sequence
from typing import Any

from bench import harness
from bench.__main__ import QUESTIONS
from bench.plots import Span, number

# As decoded from JSON and TOML: harness.py and limits.toml say what is in them.
Line = dict[str, Any]
Work = dict[str, Any]
Limit = dict[str, Any]
Knowledge = dict[str, Any]

UNITS = {"us": "µs", "kib": "KiB", "mib": "MiB", "ms": "ms", "s": "s", "percent": "%"}
COUNTED = ("messages", "deliveries", "connections")
NOTHING = "—"


class ReportError(Exception):
    """The lines or the limits do not fit together; the text says where."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One case with all its rounds. Figures and cores are of the rounds that count."""

    system: str
    store: str
    work: Work
    lines: list[Line]
    apart: str
    """What is not the same in the work of all the question's rows."""
    name: str
    """System and store, and of what is apart as much as it takes to tell rows from each other."""

    @property
    def valid(self) -> list[Line]:
        """The rounds that count."""
        return [line for line in self.lines if line["valid"]]

    @property
    def spans(self) -> dict[str, Span]:
        """Smallest, median and largest of each figure."""
        spans = {}
        for name, middle in harness.medians(self.lines).items():
            values = [line["figures"][name] for line in self.valid if name in line["figures"]]
            spans[name] = Span(min(values), middle, max(values))
        return spans

    @property
    def reasons(self) -> list[str]:
        """Why rounds do not count, each reason once."""
        return list(dict.fromkeys(text for line in self.lines for text in line["problems"]))

    def cores(self, whose: str) -> str:
        """The median of `server_cores` or `load_cores`, as text. All 0 means: not measured."""
        used = [line[whose] for line in self.valid]
        return f"{statistics.median(used):.2f}" if any(used) else NOTHING

    def is_like(self, limit: Limit) -> bool:
        """Whether an entry of limits.toml is about it."""
        own = {"system": self.system, "store": self.store}
        stated = {key: limit[key] for key in own if key in limit}
        return stated.items() <= own.items() and limit.get("work", {}).items() <= self.work.items()


def by_question(lines: Sequence[Line]) -> dict[str, list[Row]]:
    """The rows of each question; questions in the order of `python -m bench`, rows as they ran."""
    found: dict[str, list[list[Line]]] = {}
    for (question, *_), group in harness.grouped(lines).items():
        found.setdefault(question, []).append(group)
    unknown = found.keys() - set(QUESTIONS)
    if unknown:
        raise ReportError(f"no such question: {', '.join(sorted(unknown))}")
    return {question: _rows(found[question]) for question in sorted(found, key=QUESTIONS.index)}


def _rows(groups: Sequence[list[Line]]) -> list[Row]:
    firsts = [group[0] for group in groups]
    works = [first["work"] for first in firsts]
    keys = dict.fromkeys(key for work in works for key in work)
    apart = [key for key in keys if key not in shared(works)]
    telling = _telling(firsts, apart)
    rows = []
    for group, first in zip(groups, firsts, strict=True):
        system, store, work = first["system"], first["store"], first["work"]
        name = " · ".join(filter(None, (system, store, words(work, telling))))
        rows.append(Row(system, store, work, group, words(work, apart), name))
    return rows


def _telling(firsts: Sequence[Line], keys: list[str]) -> list[str]:
    """Those of the work's keys without which two rows would be called the same; early ones stay."""
    for key in reversed(keys):
        fewer = [other for other in keys if other != key]
        names = {(f["system"], f["store"], words(f["work"], fewer)) for f in firsts}
        if len(names) == len(firsts):
            keys = fewer
    return keys


def heading(name: str) -> tuple[str, str]:
    """A figure's name as text, and its unit: `server_us_per_publish` → server, µs per publish."""
    # p99_9 is p99.9.
    parts = re.sub(r"(^|_)p(\d\d)_(\d+)(?=_)", r"\1p\2.\3", name).split("_")
    at = parts.index("per") if "per" in parts else len(parts)
    if at and parts[at - 1] in UNITS:
        at -= 1
        parts[at] = UNITS[parts[at]]
    elif at == len(parts) and parts[-1] in COUNTED:
        at -= 1
    return " ".join(parts[:at]), " ".join(parts[at:])


def titled(name: str) -> str:
    """Both together."""
    text, unit = heading(name)
    between = " " if unit.startswith("per ") else ", "
    return between.join(filter(None, (text, unit)))


def _value(value: object) -> str:
    return number(value) if isinstance(value, int | float) else str(value)


def words(work: Work, keys: Collection[str]) -> str:
    """Parts of the work as text, in the order of the work."""
    return "; ".join(f"{k.replace('_', ' ')}: {_value(v)}" for k, v in work.items() if k in keys)


def shared(works: Sequence[Work]) -> Work:
    """What is the same in all of them."""
    first = works[0]
    return {key: first[key] for key in first if all(work.get(key) == first[key] for work in works)}
