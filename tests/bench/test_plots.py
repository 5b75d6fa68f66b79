import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from bench import plots
from bench.plots import Panel, Row, Span

SVG = "{http://www.w3.org/2000/svg}"
NASTY = "a <b> & \"c\" 'd' ]]> — é"


def bars(*rows: Row) -> Panel:
    return Panel("messages per s", "more is better", rows)


def drawn(*panels: Panel, title: str = "How many?") -> ET.Element:
    return ET.fromstring(plots.picture(title, "in words", panels))


def texts(root: ET.Element) -> list[str]:
    return [
        (element.text or "").replace("\N{NO-BREAK SPACE}", " ")
        for element in root.iter(f"{SVG}text")
    ]


def widths(root: ET.Element) -> list[float]:
    """Of the bars; the first rectangle is the background."""
    return [float(rect.attrib["width"]) for rect in list(root.iter(f"{SVG}rect"))[1:]]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1, "1"),
        (0.000123, "0.000123"),
        (0.1 + 0.2, "0.3"),
        (2.575, "2.58"),
        (99.96, "100"),
        (123.4, "123"),
        (999.4, "999"),
        (999.6, "1,000"),
        (74_614.5, "74,614"),
        (1_000_000, "1,000,000"),
        (-3.25, "-3.25"),
    ],
)
def test_figures_have_three_digits_or_are_whole(value, text):
    assert plots.number(value) == text


@pytest.mark.parametrize("top", [1e-4, 0.3, 1, 1.01, 4.999, 7, 9.99, 12, 99, 101, 75_564, 2.5e6])
def test_an_axis_begins_at_zero_and_ends_at_a_round_number(top):
    steps = plots.ticks(0, top)
    assert steps == plots.ticks(top / 2, top)
    assert steps[0] == 0
    assert steps[-2] < top <= steps[-1] * (1 + 1e-9)
    assert_round(steps)


@pytest.mark.parametrize(("bottom", "top"), [(-1, 5), (-3, 100), (-99, 1), (-0.2, 0.3), (-7, -2)])
def test_an_axis_with_negative_values_has_a_zero(bottom, top):
    steps = plots.ticks(bottom, top)
    assert 0 in steps
    assert steps[0] <= bottom < steps[1]
    assert steps[-2] < max(top, 0) <= steps[-1]
    assert_round(steps)


def assert_round(steps):
    assert 2 <= len(steps) <= plots.TICKS_MAX + 1
    widths = [after - before for before, after in pairwise(steps)]
    assert widths == pytest.approx([widths[0]] * len(widths))
    assert any(
        widths[0] == pytest.approx(factor * 10**power)
        for factor in (1, 2, 2.5, 5)
        for power in range(-6, 7)
    )


def test_an_axis_of_nothing_is_an_axis():
    assert plots.ticks(0, 0) == [0, 1]


def test_what_is_below_zero_is_left_of_it():
    spans = (Span(-20, -10, -5), Span(10, 20, 30))
    root = drawn(bars(*(Row("conduit", "conduit", (span,)) for span in spans)))
    below, above = list(root.iter(f"{SVG}rect"))[1:]
    zero = float(below.attrib["x"]) + float(below.attrib["width"])
    assert float(above.attrib["x"]) == pytest.approx(zero, abs=0.2)
    assert float(above.attrib["width"]) / float(below.attrib["width"]) == pytest.approx(2, rel=0.01)
    both = [text for text in root.iter(f"{SVG}text") if text.text == "-10"]
    (value,) = [text for text in both if "strong" in text.attrib["class"]]
    assert float(value.attrib["x"]) > zero


def test_bars_are_as_long_as_their_medians_say():
    root = drawn(
        bars(
            Row("conduit", "conduit · memory", (Span(90, 100, 120),)),
            Row("redis", "redis · memory", (Span(50, 50, 50),)),
            Row("nats", "nats · none", (Span(0, 0, 0),)),
        )
    )
    long, short, none = widths(root)
    assert long / short == pytest.approx(2, rel=0.01)
    assert none == plots.BAR_MIN
    assert {"100", "50", "conduit · memory", "redis · memory"} <= set(texts(root))


def test_whiskers_reach_from_the_smallest_to_the_largest():
    span = Span(50, 100, 200)
    root = drawn(bars(Row("conduit", "conduit", (span,)), Row("nats", "nats", (Span(7, 7, 7),))))
    bar = widths(root)[0]
    (whisker,) = [
        line.attrib
        for line in root.iter(f"{SVG}line")
        if line.attrib["class"] == "whisker" and line.attrib["y1"] == line.attrib["y2"]
    ]
    ends = [float(whisker[name]) - plots.MARGIN for name in ("x1", "x2")]
    assert ends == pytest.approx([bar / 2, bar * 2], abs=0.2)


def test_a_row_without_figures_says_why_and_has_no_mark():
    root = drawn(
        bars(
            Row("conduit", "conduit", (Span(1, 2, 3),)),
            Row("redis", "redis", (None,), "no round counts: 1 lost"),
        )
    )
    assert "no round counts: 1 lost" in texts(root)
    assert len(widths(root)) == 1


def test_a_panel_without_any_figure_is_still_a_picture():
    root = drawn(Panel("no figures", "", (Row("redis", "redis", (), "no round counts"),)))
    assert {"redis", "no round counts"} <= set(texts(root))
    assert widths(root) == []


def test_dots_are_at_their_values_and_are_named():
    names = ("p50", "p99", "p99.9")
    row = Row("conduit", "conduit", (Span(1, 1, 1), None, Span(4, 4, 4)))
    root = drawn(Panel("time, ms", "less is better", (row,), names))
    assert "p50 1 · p99.9 4" in texts(root)
    assert set(names) <= set(texts(root))
    discs = [each for each in root.iter(f"{SVG}circle") if each.attrib["class"] == "conduit"]
    diamonds = [each for each in root.iter(f"{SVG}path") if each.attrib["class"] == "conduit"]
    assert (len(discs), len(diamonds)) == (1, 1)
    one = float(discs[0].attrib["cx"]) - plots.MARGIN
    (top,) = re.findall(r"L([\d.]+) ", diamonds[0].attrib["d"])[:1]
    assert (float(top) - plots.MARGIN) / one == pytest.approx(4, rel=0.01)


def test_a_system_has_its_colour_and_a_stranger_the_grey_one():
    named = [*plots.SYSTEMS, "kafka"]
    root = drawn(bars(*(Row(name, name, (Span(1, 1, 1),)) for name in named)))
    classes = [rect.attrib["class"] for rect in root.iter(f"{SVG}rect")][1:]
    assert classes == [*plots.SYSTEMS, "other"]


def test_any_text_can_stand_in_a_picture():
    row = Row("conduit", NASTY, (Span(1, 2, 3),), NASTY)
    panel = Panel(NASTY, NASTY, (row,), (NASTY,))
    root = ET.fromstring(plots.picture(NASTY, NASTY, [panel]))
    assert root.find(f"{SVG}title").text == NASTY
    assert root.find(f"{SVG}desc").text == NASTY
    assert texts(root).count(NASTY) >= 4


def test_a_picture_names_its_title_and_description():
    root = drawn(bars(Row("conduit", "conduit", (Span(1, 2, 3),))))
    assert root.attrib["role"] == "img"
    named = [root.find(f"{SVG}{tag}").attrib["id"] for tag in ("title", "desc")]
    assert root.attrib["aria-labelledby"].split() == named


def test_the_description_has_every_figure():
    panels = [
        bars(Row("conduit", "conduit", (Span(1, 2, 3),)), Row("redis", "redis", (None,), "1 lost")),
        Panel("time, ms", "", (Row("nats", "nats", (Span(1, 1, 1), None)),), ("p50", "p99")),
    ]
    assert list(plots.described(panels)) == [
        "messages per s: conduit: 2; redis: 1 lost.",
        "time, ms: nats: p50 1.",
    ]


def test_text_stays_within_the_picture():
    words = "a rather long label " * 10
    names = tuple(f"a longer name {number}" for number in range(4))
    spans = tuple(Span(0.001, 123_456, 9_999_999) for _ in names)
    root = drawn(
        bars(Row("conduit", words, spans[:1], words)),
        Panel("time, ms", "less is better", (Row("conduit", words, spans, words),), names),
        title=words,
    )
    height = float(root.attrib["height"])
    for text in root.iter(f"{SVG}text"):
        size = float(text.attrib["font-size"])
        width = len(text.text) * size * plots.LETTER_WIDTH
        x = float(text.attrib["x"])
        x -= {"start": 0, "middle": width / 2, "end": width}[text.attrib["text-anchor"]]
        assert x >= 0, text.text
        assert x + width <= plots.WIDTH, text.text
        assert size <= float(text.attrib["y"]) <= height


def test_the_value_of_the_longest_bar_fits():
    root = drawn(bars(Row("conduit", "conduit", (Span(9_999_999, 9_999_999, 9_999_999),))))
    (value,) = [each for each in root.iter(f"{SVG}text") if each.text == "9,999,999"]
    end = float(value.attrib["x"]) + len("9,999,999") * plots.LABEL_SIZE * plots.STRONG_WIDTH
    assert end <= plots.WIDTH


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [1, 2])
def test_marks_and_text_stand_out_in_both_themes(theme):
    page = plots.COLOURS["page"][theme]
    for name in ("ink", "quiet"):
        assert contrast(plots.COLOURS[name][theme], page) >= 4.5, name
    for name in (*plots.SYSTEMS, "other", "whisker"):
        assert contrast(plots.COLOURS[name][theme], page) >= 3, name


@pytest.mark.parametrize("theme", [1, 2])
def test_no_two_systems_share_a_colour(theme):
    assert len({plots.COLOURS[name][theme] for name in (*plots.SYSTEMS, "other")}) == 5


def test_both_themes_colour_the_same_things():
    style = drawn(bars()).find(f"{SVG}style").text
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    for name, (_, *themes) in plots.COLOURS.items():
        for part, colour in zip((light, dark), themes, strict=True):
            assert re.search(rf"\.{name} {{[^}}]*{colour} }}", part), name
    coloured = r"\.(\w+) {[^}]*#\w{6} }"
    assert set(re.findall(coloured, light)) == set(re.findall(coloured, dark))
