"""A page of Markdown, as far as others need it: headings with their anchors, links, fenced blocks.

Anchors are those that GitHub makes of headings; the site has the same, because `source.py` writes them out.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

_FENCE = re.compile(r"(?P<indent>\s*)(?P<mark>```+|~~~+)\s*(?P<language>[^\s`]*)[^`]*")
_HEADING = re.compile(r"(?P<level>#{1,6})\s+(?P<text>.*?)\s*#*")
_LINK = re.compile(
    r"""\]\((?P<target>[^()<>\s]+(?:\([^()\s]*\))?)(?:\s+"[^"]*")?\)"""
    r"""|<(?:a|img|source)\b[^>]*?\s(?:href|src|srcset)="(?P<attribute>[^"]+)\""""
    r"""|^\s{0,3}\[[^\]]+\]:\s+(?P<reference>\S+)"""
)
_ITEM = re.compile(r"(?:[-*]|\d+\.)\s")
_ID = re.compile(r"""<a id="([^"]+)">""")
_CODE = re.compile(r"(?<!`)(`+)(?!`)(?:.*?[^`])??\1(?!`)")
_MARKUP = re.compile(r"!?\[([^\]]*)\]\([^)]*\)|<[^>]+>")


class Heading(NamedTuple):
    """`line` counts from 0."""

    line: int
    level: int
    text: str
    anchor: str


class Link(NamedTuple):
    """`start` and `end` are where the target stands in the line."""

    line: int
    start: int
    end: int
    target: str


class Block(NamedTuple):
    """A fenced block. `line` is that of its opening fence; `text` is without the indent of the fence and ends
    with a newline, if it is not empty. `before` is the nearest line above that is not empty."""

    line: int
    language: str
    text: str
    before: str


class Page:
    """The parts of a text."""

    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self.blocks: list[Block] = []
        self.headings: list[Heading] = []
        self.links: list[Link] = []
        self.anchors: set[str] = set()
        self.tight: list[int] = []
        """Lines where a list begins right below a paragraph."""
        self._seen: Counter[str] = Counter()
        at = 0
        while at < len(self.lines):
            opened = _FENCE.fullmatch(self.lines[at])
            if opened:
                at = self._block(at, opened)
            else:
                self._prose(at)
                at += 1

    def _block(self, at: int, opened: re.Match[str]) -> int:
        """Take the block that begins here. Returns the line behind it; without an end it is the rest."""
        end = at + 1
        while end < len(self.lines) and self.lines[end].strip() != opened["mark"]:
            end += 1
        indent = len(opened["indent"])
        body = [
            line[indent:] if line[:indent].isspace() else line for line in self.lines[at + 1 : end]
        ]
        above = [line.strip() for line in self.lines[:at] if line.strip()]
        text = "".join(line + "\n" for line in body)
        self.blocks.append(Block(at, opened["language"], text, above[-1] if above else ""))
        return end + 1

    def _prose(self, at: int) -> None:
        line = self.lines[at]
        heading = _HEADING.fullmatch(line)
        if heading:
            anchor = self._anchor(heading["text"])
            self.headings.append(Heading(at, len(heading["level"]), heading["text"], anchor))
            self.anchors.add(anchor)
        self.anchors.update(_ID.findall(line))
        before = self.lines[at - 1] if at else ""
        if _ITEM.match(line) and before.strip() and not (_ITEM.match(before) or before[0] == " "):
            self.tight.append(at)
        # What is code is no link; its place is kept.
        plain = _CODE.sub(lambda code: "·" * len(code[0]), line)
        for found in _LINK.finditer(plain):
            group = str(found.lastgroup)
            start, end = found.span(group)
            self.links.append(Link(at, start, end, line[start:end]))

    def _anchor(self, heading: str) -> str:
        """As GitHub makes it: letters, digits, `_` and `-`, and `-1`, `-2` … behind one that is there."""
        text = _MARKUP.sub(r"\1", heading).replace("`", "").strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        self._seen[anchor] += 1
        count = self._seen[anchor] - 1
        return f"{anchor}-{count}" if count else anchor
