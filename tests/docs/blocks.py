"""The fenced blocks of the documentation, and what is done with each: run, parsed, or left, for a reason."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from tools.site.links import ROOT, markdown_files, page
from tools.site.markdown import Block

# Their blocks run, in the order of the page.
RUN = (
    "README.md",
    "docs/get-started.md",
    "docs/how-to/ack-wait.md",
    "docs/how-to/browser.md",
    "docs/how-to/consumers.md",
    "docs/how-to/poison-messages.md",
    "docs/how-to/python.md",
    "docs/how-to/redrive.md",
)
# Run elsewhere, all of them.
RUN_BY_OTHERS = {
    ("docs/backup.md", "console"): "tests/backup/stores.py",
    ("docs/walk.md", "sh"): "tests/walk/inside.py",
    ("docs/client.md", "python"): "tests/client/test_docs_e2e.py",
    ("docs/auth.md", "sql"): "tests/e2e/test_ending_credentials.py",
}
SHELL = {"sh", "console"}
_REASON = re.compile(r"<!-- not run: (\S.{9,}) -->")
_RUNS_ON = "<!-- runs on -->"
_FILE = re.compile(r"(?:#|//|<!--) ([\w-]+\.(?:py|js|mjs|html|jsonl))(?: -->)?")


class Found(NamedTuple):
    """A block and its page, by its path in the repository."""

    file: str
    block: Block

    @property
    def place(self) -> str:
        """Where it is, for a person."""
        return f"{self.file}:{self.block.line + 1}"

    @property
    def reason(self) -> str:
        """Why it is not run, or nothing."""
        said = _REASON.fullmatch(self.block.before)
        return said[1] if said else ""

    @property
    def runs_on(self) -> bool:
        """Whether it is begun, and the page goes on: in another terminal."""
        return self.block.before == _RUNS_ON

    @property
    def file_name(self) -> str:
        """What the reader is to save it as, or nothing: its first line says it."""
        named = _FILE.fullmatch(self.block.text.partition("\n")[0])
        return named[1] if named else ""


class Step(NamedTuple):
    """One command, and what it is shown to print; None if nothing is shown."""

    command: str
    shown: str | None


def all_blocks() -> list[Found]:
    """Those of all pages, but for the records of decisions and of versions, which nobody follows."""
    files = [file for file in markdown_files() if "decisions" not in file.parts]
    return [Found(name(file), block) for file in files for block in page(file).blocks]


def name(file: Path) -> str:
    """Its path in the repository."""
    return file.relative_to(ROOT).as_posix()


def steps(block: Block) -> list[Step]:
    """The commands of a block of shell. One goes on in the next line behind `\\`."""
    text = block.text.replace("\\\n", "")
    if block.language == "sh":
        lines = [line.partition("  #")[0].strip() for line in text.splitlines()]
        return [Step(line, None) for line in lines if line and not line.startswith("#")]
    begun: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            begun.append((line[2:], []))
        elif begun:
            begun[-1][1].append(line)
    return [Step(command, "\n".join(shown) if shown else None) for command, shown in begun]
