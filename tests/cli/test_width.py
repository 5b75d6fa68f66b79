from __future__ import annotations

import pytest

from conduit.cli.width import columns, cut, left, wrapped


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("orders", 6),
        ("Grüße", 5),
        ("客户", 4),
        ("ﾊﾝ", 2),
        ("ＡＢ", 4),
        ("🎉", 2),
        ("e\u0301", 1),
        ("\u1112\u1161\u11ab", 2),
        ("…", 1),
        ("", 0),
    ],
)
def test_a_character_has_one_column_or_two_or_none(text: str, count: int) -> None:
    assert columns(text) == count


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("orders", None, "orders"),
        ("orders", 6, "orders"),
        ("orders", 5, "orde…"),
        ("客户的卡", 8, "客户的卡"),
        ("客户的卡", 7, "客户的…"),
        ("客户的卡", 6, "客户…"),
        ("e\u0301te\u0301", 2, "e\u0301…"),
    ],
)
def test_what_is_cut_has_no_half_of_a_character(text: str, width: int | None, shown: str) -> None:
    assert cut(text, width) == shown


def test_blanks_fill_what_is_left_of_the_width() -> None:
    assert left("客户", 6) == "客户  "
    assert left("ab", 6) == "ab    "
    assert left("ab", 1) == "ab"


def test_a_long_line_with_wide_characters_fits() -> None:
    line = "error: 客户的卡 被拒绝了 客户的卡 被拒绝了 (code x)"
    assert max(map(columns, wrapped(line, 20).splitlines())) <= 20
    assert wrapped(line, 20).split() == line.split()


def test_of_a_long_line_for_people_the_words_stay_whole() -> None:
    assert wrapped("error: a line that is too long (code x)", 20) == (
        "error: a line that\n  is too long (code\n  x)"
    )
    assert wrapped("  `conduit dlq ls` shows more", 20) == "  `conduit dlq ls`\n    shows more"
    assert wrapped("x" * 30, 5) == "x" * 30
    assert wrapped("", 80) == ""
