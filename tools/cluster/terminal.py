"""What `make cluster` says, for people; in colour where that can be seen and is wanted (NO_COLOR)."""

from __future__ import annotations

import contextlib
import select
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tools.cluster.folder import Folder
from tools.cluster.program import Program

BAD, GOOD = "red", "green"
HEADINGS = ("what", "where", "process", "log")
_console = Console(highlight=False, soft_wrap=True)


def say(*parts: str | tuple[str, str]) -> None:
    """A line of texts, or of texts with their style. If nobody is there to read it, that is no reason not to
    go on."""
    with contextlib.suppress(OSError):
        _console.print(Text.assemble(*parts))


def event(name: str, what: str, style: str) -> None:
    """Something that has happened, with the time of day."""
    say((time.strftime("%H:%M:%S"), "dim"), " ", (name, "bold"), " ", (what, style))


def is_gone() -> bool:
    """Whether the terminal was closed. The signal for that goes to make alone, if no shell is in between, and
    make waits for us."""
    poll = select.poll()
    poll.register(sys.stdout, 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))


def show(programs: Sequence[Program], folder: Folder) -> None:
    """What there is, and where."""
    rows = [(p.name, p.where, str(p.pid), f"logs/{p.log.name}") for p in programs]
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    say()
    for row in (HEADINGS, *rows):
        first, *rest = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        line = "  ".join(rest).rstrip()
        say("  ", (first, "bold"), "  ", (line, "dim" if row is HEADINGS else ""))
    kept = "and stay there" if folder.is_kept else "until it ends"
    say(f"\n  The files are in {folder.path}, {kept}.")


def show_key(folder: Folder) -> None:
    """How a second terminal gets the operator's key, which is not shown itself."""
    if folder.key.exists():
        say("\nIt asks for a key. The operator's is in a file; other terminals get it by this:\n")
        say((f"  export CONDUIT_API_KEY=$(cat {shlex.quote(str(folder.key))})", GOOD))
    else:
        say(
            f"\nIt asks for a key. The operator's was made before, and is not in {folder.key} any more."
        )


def show_demonstration(first: Program, second: Program, front: Program) -> None:
    """Its commands, ready to be pasted: for two nodes, and nginx."""
    conduit = shlex.quote(str(_short(Path(sys.executable).with_name("conduit"))))
    data = """'{"hello": "world"}'"""
    say(
        f"\nSubscribe on {first.name} in a second terminal, then publish on {second.name} in a third:\n"
    )
    say((f"  {conduit} sub demo --url {first.where}", GOOD))
    say((f"  {conduit} pub demo {data} --url {second.where}", GOOD))
    say(f"\nnginx, at {front.where}, takes each client to the least busy node.")
    say("What is killed is started again after a second. Ctrl-C ends it all.\n")


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
