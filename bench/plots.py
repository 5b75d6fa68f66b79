"""Plots as SVG: bars with whiskers from the smallest to the largest round, dots for times.

One picture holds a title and panels below each other, each with an axis that begins at zero. It is narrow,
with labels above the marks, so that it can be read on a telephone; it carries its own background, so
that it can be read on a page of either theme; every value is written beside its mark, so that colour
is never the only way to tell. The same input gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

WIDTH = 480
MARGIN = 16
# Room at the right of the longest bar for the figure beside it.
VALUE_WIDTH = 66
LABEL_SIZE = 13
TITLE_SIZE = 15
SMALL_SIZE = 11
# The mean width of a letter in sans-serif fonts, generously, as a share of the font's size.
LETTER_WIDTH = 0.56
STRONG_WIDTH = 0.61
LINE_HEIGHT = 1.35
BAR_HEIGHT = 12
ROW_GAP = 14
TICKS_MAX = 5
# Marks that differ in form; a panel has no more names than that.
NAMES_MAX = 4
# Whiskers shorter than this would hide what they are on.
WHISKER_MIN = 3.0
BAR_MIN = 1.5

# class → (property, light, dark). A system has the same colour everywhere; the hues are those of
# Okabe and Ito, which people who see few colours can tell apart, moved until they stand out.
COLOURS = {
    "page": ("fill", "#ffffff", "#0d1117"),
    "ink": ("fill", "#1f2328", "#f0f6fc"),
    "quiet": ("fill", "#59636e", "#9198a1"),
    "grid": ("stroke", "#d1d9e0", "#3d444d"),
    "whisker": ("stroke", "#1f2328", "#f0f6fc"),
    "halo": ("stroke", "#ffffff", "#0d1117"),
    "conduit": ("fill", "#0072b2", "#56b4e9"),
    "nats": ("fill", "#00805e", "#2cc39b"),
    "jetstream": ("fill", "#a8558a", "#e08fbd"),
    "redis": ("fill", "#c75000", "#f58a42"),
    "other": ("fill", "#6b6b6b", "#a8a8a8"),
}
SYSTEMS = ("conduit", "nats", "jetstream", "redis")
FONT = "-apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif"


@dataclasses.dataclass(frozen=True)
class Span:
    """A figure over several rounds."""

    low: float
    middle: float
    high: float


@dataclasses.dataclass(frozen=True)
class Row:
    """One case: its spans in the order of the panel's `names`; or `note`, why there are none."""

    system: str
    label: str
    spans: tuple[Span | None, ...] = ()
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Panel:
    """One axis. With up to NAMES_MAX `names` a row has a dot for each; without, one bar."""

    title: str
    hint: str
    rows: tuple[Row, ...]
    names: tuple[str, ...] = ()


def number(value: float) -> str:
    """A figure for people: three digits, or whole with separators from 1,000 on."""
    value = float(f"{value:.3g}") if abs(value) < 999.5 else round(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.10f}".rstrip("0").rstrip(".")


def ticks(bottom: float, top: float) -> list[float]:
    """Round steps, at most TICKS_MAX, that hold both values; 0 is always among them."""
    bottom, top = min(bottom, 0.0), max(top, 0.0)
    if bottom == top:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10((top - bottom) / TICKS_MAX))
    # Ten times the power always suffices without negative values, twenty times with them.
    steps = (factor * power for factor in (1, 2, 2.5, 5, 10, 20))
    several = (
        [index * step for index in range(math.floor(bottom / step + 1e-9), last + 1)]
        for step in steps
        for last in [math.ceil(top / step - 1e-9)]
    )
    return next(values for values in several if len(values) <= TICKS_MAX + 1)


def picture(title: str, description: str, panels: Sequence[Panel]) -> str:
    """The whole SVG, with a newline at its end."""
    canvas = _Canvas()
    canvas.paragraph(title, TITLE_SIZE, "ink strong")
    for panel in panels:
        canvas.y += 18
        _panel(canvas, panel)
    return canvas.document(title, description)


@dataclasses.dataclass(frozen=True)
class _Axis:
    """Where a value is."""

    steps: list[float]
    width: float

    def x(self, value: float) -> float:
        """Its distance from the picture's left side."""
        first, last = self.steps[0], self.steps[-1]
        return MARGIN + (value - first) / (last - first) * self.width


class _Canvas:
    """Elements from top to bottom; `y` is where the next begins."""

    def __init__(self) -> None:
        self.elements: list[str] = []
        self.y = float(MARGIN)

    def paragraph(self, text: str, size: int, classes: str) -> None:
        """Wrapped text over the whole width, at the left."""
        letter = STRONG_WIDTH if "strong" in classes else LETTER_WIDTH
        # A name and its value stay on one line.
        text = text.replace(": ", ":\N{NO-BREAK SPACE}")
        for line in textwrap.wrap(text, int((WIDTH - 2 * MARGIN) / (size * letter))):
            self.y += size * LINE_HEIGHT
            self.text(MARGIN, self.y - size * (LINE_HEIGHT - 1), line, size, classes)

    def text(
        self, x: float, y: float, text: str, size: int, classes: str, anchor: str = "start"
    ) -> None:
        """One line of text on the baseline `y`."""
        self.elements.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" class="{classes}" '
            f'text-anchor="{anchor}">{escape(text)}</text>'
        )

    def line(self, begin: tuple[float, float], end: tuple[float, float], classes: str) -> None:
        """A straight line."""
        (x1, y1), (x2, y2) = begin, end
        self.elements.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{classes}"/>'
        )

    def document(self, title: str, description: str) -> str:
        """All of it as a document that fits."""
        height = math.ceil(self.y + MARGIN)
        box = f'width="{WIDTH - 1}" height="{height - 1}"'
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
                f'width="{WIDTH}" height="{height}" role="img" aria-labelledby="title desc" '
                f"font-family={quoteattr(FONT)}>",
                f'<title id="title">{escape(title)}</title>',
                f'<desc id="desc">{escape(description)}</desc>',
                f"<style>\n{_style()}\n</style>",
                f'<rect x="0.5" y="0.5" {box} rx="6" class="page edge"/>',
                *self.elements,
                "</svg>\n",
            ]
        )


def _style() -> str:
    themes = [
        [f".{name} {{ {what}: {pair[index]} }}" for name, (what, *pair) in COLOURS.items()]
        for index in (0, 1)
    ]
    edges = [
        f".edge {{ stroke: {COLOURS['grid'][theme]} }} .over {{ stroke: {COLOURS['page'][theme]} }}"
        for theme in (1, 2)
    ]
    return "\n".join(
        [
            "text { font-variant-numeric: tabular-nums }",
            ".strong { font-weight: 600 }",
            ".whisker { stroke-width: 1.5 }",
            ".halo { stroke-width: 4 }",
            # Keeps the lines of the axis out of the letters.
            ".over { paint-order: stroke; stroke-width: 4; stroke-linejoin: round }",
            *themes[0],
            edges[0],
            "@media (prefers-color-scheme: dark) {",
            *themes[1],
            edges[1],
            "}",
        ]
    )


def _panel(canvas: _Canvas, panel: Panel) -> None:
    spans = [span for row in panel.rows for span in row.spans if span]
    canvas.paragraph(panel.title, LABEL_SIZE, "ink strong")
    canvas.text(WIDTH - MARGIN, canvas.y - 5, panel.hint, SMALL_SIZE, "quiet", "end")
    if panel.names:
        _legend(canvas, panel.names)
    if not spans:
        for row in panel.rows:
            _row_head(canvas, row, "")
        return
    steps = ticks(min(span.low for span in spans), max(span.high for span in spans))
    axis = _Axis(steps, WIDTH - 2 * MARGIN - (MARGIN if panel.names else VALUE_WIDTH))
    grid = len(canvas.elements)
    top = canvas.y + 6
    for row in panel.rows:
        (_dots if panel.names else _bar)(canvas, row, panel.names, axis)
    canvas.y += 2
    lines = _Canvas()
    for step in steps:
        x = axis.x(step)
        lines.line((x, top), (x, canvas.y), "grid")
        # The first keeps within the picture.
        anchor = "start" if step == steps[0] else "middle"
        canvas.text(x, canvas.y + 13, number(step), SMALL_SIZE, "quiet", anchor)
    canvas.elements[grid:grid] = lines.elements
    canvas.y += 16


def _row_head(canvas: _Canvas, row: Row, values: str) -> None:
    """The label, and what is known at its right, or below if there is no room."""
    canvas.y += ROW_GAP - 8
    canvas.paragraph(row.label, LABEL_SIZE, "ink over")
    if row.note:
        canvas.paragraph(row.note, SMALL_SIZE, "quiet over")
    letters = len(row.label) * LETTER_WIDTH + (len(values) + 2) * STRONG_WIDTH
    if letters * LABEL_SIZE > WIDTH - 2 * MARGIN:
        canvas.paragraph(values, LABEL_SIZE, "ink strong over")
    elif values:
        baseline = canvas.y - LABEL_SIZE * (LINE_HEIGHT - 1)
        canvas.text(WIDTH - MARGIN, baseline, values, LABEL_SIZE, "ink strong over", "end")
    canvas.y += 4


def _bar(canvas: _Canvas, row: Row, _names: tuple[str, ...], axis: _Axis) -> None:
    _row_head(canvas, row, "")
    for span in row.spans:
        if span is None:
            continue
        middle = canvas.y + BAR_HEIGHT / 2
        left, right = sorted((axis.x(0), axis.x(span.middle)))
        canvas.elements.append(
            f'<rect x="{left:.1f}" y="{canvas.y:.1f}" width="{max(right - left, BAR_MIN):.1f}" '
            f'height="{BAR_HEIGHT}" class="{_colour(row.system)}"/>'
        )
        _whisker(canvas, span, middle, axis)
        x = axis.x(max(span.high, 0)) + 6
        canvas.text(x, middle + 4.5, number(span.middle), LABEL_SIZE, "ink strong over")
        canvas.y += BAR_HEIGHT
    canvas.y += 4


def _dots(canvas: _Canvas, row: Row, names: tuple[str, ...], axis: _Axis) -> None:
    known = [(name, span) for name, span in zip(names, row.spans, strict=False) if span]
    _row_head(canvas, row, " · ".join(f"{name} {number(span.middle)}" for name, span in known))
    if not known:
        return
    middle = canvas.y + BAR_HEIGHT / 2
    for _, span in known:
        _whisker(canvas, span, middle, axis)
    for index, each in enumerate(row.spans):
        if each:
            mark = _shape(index, axis.x(each.middle), middle, _colour(row.system))
            canvas.elements.append(mark)
    canvas.y += BAR_HEIGHT + 4


def _whisker(canvas: _Canvas, span: Span, y: float, axis: _Axis) -> None:
    """From the smallest to the largest, on a halo that keeps it visible on a bar."""
    left, right = axis.x(span.low), axis.x(span.high)
    if right - left < WHISKER_MIN:
        return
    for classes in ("halo", "whisker"):
        canvas.line((left, y), (right, y), classes)
        for x in (left, right):
            canvas.line((x, y - 4), (x, y + 4), classes)


def _shape(index: int, x: float, y: float, colour: str) -> str:
    """The mark of the name at `index`: a disc, a ring, a diamond, a hollow diamond."""
    radius = 5.5
    if index < 2:
        outer = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" class="{colour}"/>'
        inner = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" class="page"/>'
    else:
        outer, inner = (
            f'<path d="M{x - r:.1f} {y:.1f}L{x:.1f} {y - r:.1f}L{x + r:.1f} {y:.1f}L{x:.1f} {y + r:.1f}Z" '
            f'class="{fill}"/>'
            for r, fill in ((radius + 1, colour), (3.0, "page"))
        )
    return outer + (inner if index % 2 else "")


def _legend(canvas: _Canvas, names: tuple[str, ...]) -> None:
    canvas.y += 18
    x = MARGIN + 6.0
    for index, name in enumerate(names):
        width = 28 + len(name) * SMALL_SIZE * LETTER_WIDTH
        if x + width > WIDTH:
            x, canvas.y = MARGIN + 6.0, canvas.y + 16
        canvas.elements.append(_shape(index, x, canvas.y - 4, "quiet"))
        canvas.text(x + 10, canvas.y, name, SMALL_SIZE, "quiet")
        x += width


def _colour(system: str) -> str:
    return system if system in SYSTEMS else "other"


def described(panels: Sequence[Panel]) -> Iterator[str]:
    """The panels in words, for those who do not see them."""
    for panel in panels:
        rows = []
        for row in panel.rows:
            spans = list(zip(panel.names or ("",), row.spans, strict=False))
            said = ", ".join(f"{name} {number(s.middle)}".strip() for name, s in spans if s)
            rows.append(f"{row.label}: {said or row.note}")
        yield f"{panel.title}: {'; '.join(rows)}."
