"""Commands of a page of the documentation: what is tested is what people read."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S
)
_HEADING = re.compile(r"^#+ (.*)$", re.M)
_PROMPT = "$ "


@dataclass(frozen=True)
class Block:
    """One fenced block, in the section that the heading begins."""

    heading: str
    language: str
    text: str

    @property
    def commands(self) -> str:
        """What it has a reader type: all of `sh`, the lines with a prompt of `console`."""
        if self.language == "sh":
            return self.text
        lines = self.text.splitlines(keepends=True)
        return "".join(line.removeprefix(_PROMPT) for line in lines if line.startswith(_PROMPT))


def blocks(page: Path, *headings: str) -> list[Block]:
    """The blocks of commands below these headings, or all of them, in the page's order."""
    text = page.read_text()
    # A comment of a shell looks like a heading.
    outside = _FENCE.sub(lambda found: "\n" * len(found[0]), text)
    begins = [(found.start(), found[1]) for found in _HEADING.finditer(outside)]
    made = []
    for found in _FENCE.finditer(text):
        heading = next((name for at, name in reversed(begins) if at < found.start()), "")
        if found["language"] in ("sh", "console") and (not headings or heading in headings):
            made.append(Block(heading, found["language"], textwrap.dedent(found["text"])))
    return made


def replaced(commands: str, places: dict[str, str]) -> str:
    """The commands with our names for the page's. Each has to be there: else the page has changed."""
    for name, ours in places.items():
        assert name in commands, f"{name!r} is not in {commands!r}"
        commands = commands.replace(name, ours)
    return commands
