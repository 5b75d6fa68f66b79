"""`python -m tools.reference.metrics`: the tables of docs/metrics.md, from what the server registers.

What stands around them is written by hand. A test says when they are not current.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client import ProcessCollector

from conduit.server.measures import Measure, Table
from conduit.server.metrics import tables

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
BEGIN = "<!-- made by `python -m tools.reference.metrics`; what follows is not written by hand -->"
END = "<!-- made until here -->"
_HEAD = "| metric | type | unit | labels | |\n|---|---|---|---|---|"
# Names of settings and values of labels, which are to be read as such.
_WORD = re.compile(r"\bCONDUIT_[A-Z_]+\b|(?<= )/[a-z]+(?:/[a-z]+)*")


def main() -> None:
    """Write the page."""
    PAGE.write_text(renewed(PAGE.read_text()))


def renewed(page: str) -> str:
    """The page with new tables. Raises ValueError if it does not have the two marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"docs/metrics.md needs a line {BEGIN!r} and, after it, one {END!r}")
    return f"{before}{BEGIN}\n\n{rendered()}\n{END}{after}"


def rendered() -> str:
    """All tables, one after the other."""
    parts = ["\n".join(_section(table)) for table in tables()]
    parts.append("\n".join(_of_the_client()))
    return "\n\n".join(parts) + "\n"


def _section(table: Table[Any]) -> Iterator[str]:
    yield f"### {table.title}\n"
    if table.where:
        yield f"Only {table.where}.\n"
    yield _HEAD
    for measure in table.measures:
        yield _row(measure)


def _row(measure: Measure[Any]) -> str:
    labels = ", ".join(f"`{label}`" for label in measure.labels)
    # An info is a gauge for who scrapes it.
    kind = "gauge" if measure.kind == "info" else measure.kind
    about = _WORD.sub(lambda found: f"`{found[0]}`", measure.about)
    return f"| `{measure.full_name}` | {kind} | {measure.unit} | {labels} | {about} |"


def _of_the_client() -> Iterator[str]:
    """Of the process, by the Prometheus client; on Linux."""
    yield "### The process, as the system sees it\n"
    yield "Only on Linux.\n"
    yield _HEAD
    for metric in ProcessCollector(registry=None).collect():
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        unit = next((unit for unit in ("seconds", "bytes") if unit in metric.name), "number")
        yield f"| `{name}` | {metric.type} | {unit} |  | {metric.documentation} |"


if __name__ == "__main__":
    main()
