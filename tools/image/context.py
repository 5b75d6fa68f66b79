"""What an image may copy: the files of a folder that `.dockerignore` leaves.

A pattern is of a path from the folder on: `*` and `?` are within one part of it, `**` is any number of parts.
Of the patterns that match a path, or a folder that it is in, the last one counts, and `!` takes back.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

IGNORE = ".dockerignore"


class NothingToCopyError(Exception):
    """A source that is not there, or is left out."""


def ignored(text: str) -> Callable[[PurePosixPath], bool]:
    """Whether the `.dockerignore` of that text leaves out a path."""
    rules = []
    for line in text.splitlines():
        if (pattern := line.strip()) and not pattern.startswith("#"):
            is_back = pattern.startswith("!")
            rules.append((_regex(pattern.lstrip("!").strip("/")), not is_back))

    def is_out(path: PurePosixPath) -> bool:
        names = [str(each) for each in (path, *path.parents) if str(each) != "."]
        out = False
        for regex, is_ignored in rules:
            if any(regex.fullmatch(name) for name in names):
                out = is_ignored
        return out

    return is_out


def copy(context: Path, sources: list[str], root: Path, target: str) -> int:
    """COPY: a folder's content, or files, to `target` (absolute) below `root`; how many files those were.

    Raises NothingToCopyError.
    """
    rules = context / IGNORE
    is_out = ignored(rules.read_text() if rules.exists() else "")
    to = root / target.lstrip("/")
    count = 0
    for source in sources:
        pairs = list(_files(context, source, is_out))
        if not pairs:
            raise NothingToCopyError(f"COPY {source}: there is nothing, or {IGNORE} leaves it out")
        is_file = (context / source).is_file()
        for path, name in pairs:
            place = to / name if target.endswith("/") or not is_file else to
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place, follow_symlinks=False)
        count += len(pairs)
    return count


def _files(
    context: Path, source: str, is_out: Callable[[PurePosixPath], bool]
) -> Iterator[tuple[Path, str]]:
    """Each file, and its name from the source on."""
    start = context / source
    if start.is_file():
        if not is_out(PurePosixPath(start.relative_to(context))):
            yield start, start.name
        return
    for folder, _, names in os.walk(start):
        for name in names:
            path = Path(folder, name)
            if not is_out(PurePosixPath(path.relative_to(context))):
                yield path, str(path.relative_to(start))


_WILD = {"**/": "(?:.*/)?", "/**": "/.*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def _regex(pattern: str) -> re.Pattern[str]:
    parts = re.findall(r"\*\*/|/\*\*|\*\*|\*|\?|[^*?/]+|/", pattern)
    return re.compile("".join(_WILD.get(part) or re.escape(part) for part in parts))
