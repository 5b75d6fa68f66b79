"""Commands of a page of the documentation: what is tested is what people read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tools.site.links import ROOT, page

DOCS = ROOT / "docs"
_PROMPT = "$ "


@dataclass(frozen=True)
class Typed:
    """What a block has a reader type, in the section that the heading begins."""

    heading: str
    commands: str


def typed(file: Path, *headings: str) -> list[Typed]:
    """The blocks of commands below these headings, or all of them, in the page's order."""
    found = page(file)
    made = []
    for block in found.blocks:
        above = [heading.text for heading in found.headings if heading.line < block.line]
        heading = above[-1] if above else ""
        if block.language in ("sh", "console") and (not headings or heading in headings):
            made.append(Typed(heading, _commands(block.language, block.text)))
    return made


def _commands(language: str, text: str) -> str:
    """All of `sh`; of `console` the lines with a prompt."""
    if language == "sh":
        return text
    lines = text.splitlines(keepends=True)
    return "".join(line.removeprefix(_PROMPT) for line in lines if line.startswith(_PROMPT))


def replaced(commands: str, places: dict[str, str]) -> str:
    """The commands with our names for the page's. Each has to be there: else the page has changed."""
    for name, ours in places.items():
        assert name in commands, f"{name!r} is not in {commands!r}"
        commands = commands.replace(name, ours)
    return commands
