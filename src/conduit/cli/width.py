"""How much room text takes on a terminal, where a character has one column, two, or none of its own."""

from __future__ import annotations

import re

# A terminal that says it is narrower is not believed.
WRAP_MIN_COLUMNS = 20

_WORD = re.compile(" *[^ ]+")
# Vowels and final consonants of Korean, which go into the syllable that they follow.
_JAMO = range(0x1160, 0x1200)
_MARKS = ("Mn", "Me", "Cf")


def columns(text: str) -> int:
    """How many columns the text takes: two for each character that Unicode calls wide (UAX #11), none for one
    that goes onto the one before it."""
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def cut(text: str, width: int | None) -> str:
    """The text, with an ellipsis in place of what is over the width."""
    if width is None or columns(text) <= width:
        return text
    used = 0
    for at, char in enumerate(text):
        used += _columns_of(char)
        if used > width - 1:
            return text[:at] + "…"
    return text


def left(text: str, width: int) -> str:
    """The text, and blanks behind it up to the width."""
    return text + " " * (width - columns(text))


def wrapped(line: str, width: int) -> str:
    """A line that is longer than the width on several, those after the first indented; words
    stay whole."""
    begin = line[: len(line) - len(line.lstrip())] + "  "
    width = max(width, WRAP_MIN_COLUMNS)
    lines = [""]
    used = 0
    for word in _WORD.findall(line):
        size = columns(word)
        if used and used + size > width:
            word = begin + word.lstrip()
            size = columns(word)
            lines.append("")
            used = 0
        lines[-1] += word
        used += size
    return "\n".join(lines)


def _columns_of(char: str) -> int:
    if char.isascii():
        return 1
    # Not on top: most text is ASCII.
    from unicodedata import category, east_asian_width

    if category(char) in _MARKS or ord(char) in _JAMO:
        return 0
    return 2 if east_asian_width(char) in "WF" else 1
