"""Tables that fit: in lines of a width, of which none is longer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from conduit.cli.output import printable
from conduit.cli.width import columns, cut, left

GAP = "  "
# Of a name that is cut.
NAME_MIN_COLUMNS = 10

Span = tuple[str, str]
"""A text, and the style that it has."""
Line = list[Span]


class Column(NamedTuple):
    """A heading, and whether it is of figures, which stand to the right."""

    heading: str
    is_figure: bool = True


Row = Sequence[Span]


def plain(line: Line) -> str:
    """The text of a line."""
    return "".join(text for text, _ in line)


def fitted(line: Line, width: int) -> Line:
    """What of the line has room."""
    found: Line = []
    for text, style in line:
        room = width - columns(plain(found))
        if room <= 0:
            break
        found.append((cut(text, room), style))
    return found


def grid(heads: Sequence[Column], rows: Sequence[Row], width: int) -> list[Line]:
    """A line of headings, and one for each row. The first column is a name, which is cut if it has to be; if
    that is not enough, the last columns are left out."""
    texts = [[printable(text) for text, _ in row] for row in rows]
    sizes = [
        max(columns(each) for each in (head.heading, *(row[at] for row in texts)))
        for at, head in enumerate(heads)
    ]
    shown = len(heads)
    while shown > 1 and _needed(sizes, shown) > width:
        shown -= 1
    rest = sum(sizes[1:shown]) + len(GAP) * (shown - 1)
    sizes[0] = max(1, min(sizes[0], width - rest))
    lines = [_line(heads, sizes[:shown], [(head.heading, "bold") for head in heads])]
    for row, cells in zip(rows, texts, strict=True):
        styled = [(cell, style) for cell, (_, style) in zip(cells, row, strict=True)]
        lines.append(_line(heads, sizes[:shown], styled))
    return [fitted(line, width) for line in lines]


def _needed(sizes: Sequence[int], shown: int) -> int:
    name = min(sizes[0], NAME_MIN_COLUMNS)
    return name + sum(sizes[1:shown]) + len(GAP) * (shown - 1)


def _line(heads: Sequence[Column], sizes: Sequence[int], cells: Sequence[Span]) -> Line:
    line: Line = []
    for head, size, (text, style) in zip(heads, sizes, cells, strict=False):
        if line:
            line.append((GAP, ""))
        short = cut(text, size)
        blanks = " " * (size - columns(short))
        line.append((blanks + short if head.is_figure else left(short, size), style))
    return line
