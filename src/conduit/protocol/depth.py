"""How deeply JSON is nested: checked before it is stored, survived where it is read.

Decoders recurse, and one that meets text nested deeper than its stack allows gives up on all of it.
So what is published has a bound; and a reader, which may meet what was stored under a higher one,
decodes around what is nested too deeply and keeps its bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import TypeVar

T = TypeVar("T")

# Below this only payloads nest: no record of ours goes deeper, lists of them included.
RECORDS_MAX_DEPTH = 8
# So many levels are taken away one by one, before what is left is counted bracket by bracket.
QUICK_LEVELS = 6

_ALL_AS_SQUARE = bytes.maketrans(b"{}", b"[]")
# Up and down, as signed bytes.
_AS_STEPS = bytes.maketrans(b"[]", b"\x01\xff")
_NEITHER_BRACKET_NOR_QUOTE = bytes(byte for byte in range(256) if byte not in b'[]{}"')
_BRACKETS_IN_A_STRING = re.compile(rb'"[^"]*+"')
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}]', re.DOTALL)


def is_deeper(text: bytes, max_depth: int) -> bool:
    """Whether valid JSON nests more than `max_depth` arrays and objects; a number has depth 0.

    On the way of every publish. Only text that has room and brackets enough is looked at closely, and
    that in steps of C over all of it: about 2 ns a byte.
    """
    if len(text) <= 2 * max_depth or text.count(b"[") + text.count(b"{") <= max_depth:
        return False
    if b"\\" in text:
        # Escaped backslashes first: what follows one of those is not escaped.
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Without what stands between two strings, they are one string: a bracket stays in or out.
    brackets = text.translate(_ALL_AS_SQUARE, _NEITHER_BRACKET_NOR_QUOTE).replace(b'""', b"")
    brackets = _BRACKETS_IN_A_STRING.sub(b"", brackets)
    levels = 0
    while brackets and levels < QUICK_LEVELS:
        # The innermost level goes. As a rule a few times are all of it.
        brackets = brackets.replace(b"[]", b"")
        levels += 1
    steps = memoryview(brackets.translate(_AS_STEPS)).cast("b")
    return levels + max(accumulate(steps), default=0) > max_depth


def decode_deep(text: bytes, decode: Callable[[bytes | bytearray], T]) -> T:
    """Decode a record whose raw payloads may be nested deeper than `decode` can follow.

    Each payload is as it came. Raises what `decode` raises, but RecursionError only for text that is
    no record of ours.
    """
    try:
        return decode(text)
    except RecursionError:
        pass
    # The deep values are covered with strings of the same length while the decoder looks; a raw
    # value is a view of the buffer and shows, uncovered, what was there.
    buffer = bytearray(text)
    covered = list(_values_below(text, RECORDS_MAX_DEPTH))
    for begin, end in covered:
        buffer[begin:end] = b'"%b"' % (b" " * (end - begin - 2))
    record = decode(buffer)
    for begin, end in covered:
        buffer[begin:end] = text[begin:end]
    return record


def _values_below(text: bytes, depth: int) -> Iterator[tuple[int, int]]:
    """Where arrays and objects stand that are in `depth` others."""
    level = begin = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        kind = text[found.start()]
        if kind in b"[{":
            if level == depth:
                begin = found.start()
            level += 1
        elif kind in b"]}":
            level -= 1
            if level == depth:
                yield begin, found.end()
