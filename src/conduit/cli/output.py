"""Data to stdout, everything else to stderr; tables for people, JSON for programs.

Text that came from a server may hold what would steer a terminal. It is escaped in every form.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from shutil import get_terminal_size
from typing import Any, TypeVar

import click

from conduit.cli.width import columns as columns_of
from conduit.cli.width import cut, left, wrapped
from conduit.redaction import redacted

F = TypeVar("F", bound=Callable[..., object])
T = TypeVar("T")

# Control characters of ASCII and Latin-1, and those that reorder or hide what stands around them.
_HIDDEN = "\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"
_UNSAFE = re.compile(f"[\x00-\x1f{_HIDDEN}]")
# In JSON text the characters below a blank are white space or escaped already.
_UNSAFE_IN_JSON = re.compile(f"[{_HIDDEN}]")
_LINE_ENDS_AS_BLANKS = bytes.maketrans(b"\r\n", b"  ")

# Columns whose cells are of no use in part, or have figures in them.
_WHOLE = frozenset(
    {
        "ACTION",
        "ADDRESS",
        "AT",
        "DIED",
        "EXPIRES",
        "ID",
        "KEPT",
        "KEY",
        "LAST",
        "LAST USED",
        "NEXT",
        "RATE",
        "SAMPLE",
        "SIZE",
        "STARTED",
        "STATE",
    }
)
# Less of a name says nothing.
CUT_MIN_CHARS = 8
# So much of one that goes on in a line below: with it a dead letter has two lines of 80 characters.
CUT_BELOW_CHARS = 32

Columns = Mapping[str, Callable[[T], object]]
"""Heading → what to show of a record."""


def with_output(*, piped: str = "json") -> Callable[[F], F]:
    """Adds the option `-o`; the command gets `output`, which is None if not given: see `pick`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json", "jsonl"]),
        help=f"Default: table on a terminal, else {piped}.",
    )


def pick(output: str | None, *, piped: str) -> str:
    """The format to use: as told, or `table` on a terminal and `piped` elsewhere."""
    return output or ("table" if sys.stdout.isatty() else piped)


def printable(text: str) -> str:
    """The text with its control characters spelled out: it cannot steer a terminal."""
    return _UNSAFE.sub(_spelled, text)


def json_text(value: object, *, indent: bool = False) -> str:
    """JSON on one line, or indented; numbers keep all their digits, also inside raw payloads."""
    # Not on top: `conduit --help` does without.
    import msgspec

    text = msgspec.json.encode(value)
    try:
        text = msgspec.json.format(text, indent=2 if indent else -1)
    except RecursionError:
        # Nested too deeply to be laid out: as it is, on one line. Inside strings there are no line ends.
        text = text.translate(_LINE_ENDS_AS_BLANKS)
    return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text.decode())


def note(text: str) -> None:
    """A line for people, on stderr, without secrets; on a terminal its words stay whole."""
    # With `err` click would find the file behind what a progress bar puts there, and write into the bar.
    click.echo(fitted(printable(redacted(text))), file=sys.stderr)


def fitted(line: str, *, before: str = "") -> str:
    """A line for stderr, or several; on a terminal they go on in lines of its width. `before` stands at the
    beginning of the first, and is not returned."""
    if not sys.stderr.isatty():
        return line
    width = get_terminal_size().columns
    return "\n".join(wrapped(each, width) for each in (before + line).split("\n"))[len(before) :]


def show_all(records: Sequence[T], columns: Columns[T], output: str | None) -> None:
    """A list, in the wanted format."""
    chosen = pick(output, piped="json")
    if chosen == "json":
        click.echo(json_text(records, indent=True))
    elif chosen == "jsonl":
        for record in records:
            click.echo(json_text(record))
    elif not records:
        note("none")
    else:
        rows = [[_cell(get(record)) for get in columns.values()] for record in records]
        for line in table(list(columns), rows, width=_terminal_width()):
            click.echo(line)


def show_one(record: T, fields: Columns[T], output: str | None) -> None:
    """One record: its fields one below the other, or JSON."""
    chosen = pick(output, piped="json")
    if chosen == "table":
        width = max(map(len, fields))
        for name, get in fields.items():
            click.echo(f"{bold(name.ljust(width))}  {_cell(get(record))}")
    else:
        click.echo(json_text(record, indent=chosen == "json"))


def table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, width: int | None = None
) -> list[str]:
    """Aligned columns; numbers to the right. To fit into `width` the widest names and sentences are cut, with
    an ellipsis, and figures never. If that is not enough, columns go on in a line below. What may not be cut
    and is too wide for a line of its own is as wide as it is."""
    lines = [list(headings), *map(list, rows)]
    widths = [max(columns_of(line[column]) for line in lines) for column in range(len(headings))]
    right = [_all_numbers(line[column] for line in lines[1:]) for column in range(len(headings))]
    if width is not None:
        floors = [
            widths[column]
            if right[column] or heading in _WHOLE
            else max(len(heading), CUT_MIN_CHARS)
            for column, heading in enumerate(headings)
        ]
        widths = _cut_to(width, widths, floors)
    groups = _side_by_side(widths, width)
    texts = []
    for line in lines:
        cells = [
            cell.rjust(size) if is_number else left(cut(cell, size), size)
            for cell, size, is_number in zip(line, widths, right, strict=True)
        ]
        for begin, end in groups:
            indent = "  " if begin else ""
            texts.append(indent + "  ".join(cells[begin:end]).rstrip())
    heads = len(groups)
    return [*map(bold, texts[:heads]), *texts[heads:]]


def _cut_to(width: int, widths: Sequence[int], floors: Sequence[int]) -> list[int]:
    """The widths of columns that share one line, the widest cut first; and of those that do not, if that
    cannot be."""
    narrowed = list(widths)
    gaps = 2 * (len(widths) - 1)
    while sum(narrowed) + gaps > width:
        spare = [(size, column) for column, size in enumerate(narrowed) if size > floors[column]]
        if not spare:
            # All but the first may begin a line, which is indented.
            room = [width, *[width - 2] * (len(widths) - 1)]
            return [
                min(size, max(floor, min(CUT_BELOW_CHARS, most)))
                for size, floor, most in zip(widths, floors, room, strict=True)
            ]
        narrowed[max(spare)[1]] -= 1
    return narrowed


def _side_by_side(widths: Sequence[int], width: int | None) -> list[tuple[int, int]]:
    """Which columns share a line, as ranges; those after the first line are indented by two."""
    begins, used = [0], 0
    for column, size in enumerate(widths):
        if width is not None and column > begins[-1] and used + 2 + size > width:
            begins.append(column)
            used = 2 + size
        else:
            used += size + (2 if column else 0)
    return list(zip(begins, [*begins[1:], len(widths)], strict=True))


def counted(count: int, noun: str) -> str:
    """`1 topic`, `2 topics`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def size_text(size_bytes: int) -> str:
    """A number of bytes for people."""
    size, unit = float(size_bytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def duration_text(seconds: float) -> str:
    """A duration for people, in its largest whole unit."""
    whole = round(seconds)
    for name, unit_s in (("d", 86_400), ("h", 3600), ("m", 60)):
        if whole >= unit_s and whole % unit_s == 0:
            return f"{whole // unit_s}{name}"
    return f"{whole}s"


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}"
    return printable(str(value))


def _all_numbers(cells: Iterable[str]) -> bool:
    return all(cell == "-" or cell.replace(",", "").isdecimal() for cell in cells)


def bold(text: str) -> str:
    """The text in bold, if stdout is a terminal and NO_COLOR is not set."""
    context = click.get_current_context(silent=True)
    is_plain = context is not None and context.color is False
    return click.style(text, bold=True) if sys.stdout.isatty() and not is_plain else text


def _terminal_width() -> int | None:
    """Lines may be cut on a terminal only: elsewhere the rest would be lost."""
    return get_terminal_size().columns if sys.stdout.isatty() else None


def spelled_pairs(pairs: Mapping[str, Any] | None) -> str | None:
    """Headers and the like on one line."""
    return None if not pairs else " ".join(f"{name}={value}" for name, value in pairs.items())


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
