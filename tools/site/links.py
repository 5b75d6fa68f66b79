"""Dead links: in every Markdown file of the repository, to files and to headings. No network is used.

Of addresses elsewhere only the form is checked. `python -m tools.site.links` names what is wrong.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tools.site.markdown import Link, Page

ROOT = Path(__file__).resolve().parents[2]
_MADE = {"build", "data", "dist", "htmlcov", "node_modules", "reports"}
# Examples stand for a server of the reader's, and are written as code.
_SCHEMES = {"https", "http", "mailto"}
_HOST = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::\d+)?|localhost(?::\d+)?", re.IGNORECASE)


def main() -> int:
    """Print each dead link. Returns the exit code."""
    found = list(dead_links(markdown_files()))
    print("\n".join(found) or "no dead link")
    return 1 if found else 0


def markdown_files() -> list[Path]:
    """Those of the project: not what was installed or made in its folder."""
    found = []
    for folder, names, files in os.walk(ROOT):
        names[:] = [name for name in names if not name.startswith(".") and name not in _MADE]
        found += [Path(folder, name) for name in files if name.endswith(".md")]
    return sorted(found)


def dead_links(files: list[Path]) -> Iterator[str]:
    """A line for each link that leads nowhere: `file:line: target: what is wrong`."""
    for file in files:
        for link in page(file).links:
            wrong = _wrong(file, link)
            if wrong:
                yield f"{file.relative_to(ROOT)}:{link.line + 1}: {link.target}: {wrong}"


@cache
def page(file: Path) -> Page:
    """A file's parts."""
    return Page(file.read_text(encoding="utf-8"))


def _wrong(file: Path, link: Link) -> str:
    """What is wrong with a link, or nothing."""
    parts = urlsplit(link.target)
    if parts.scheme or parts.netloc:
        return _wrong_elsewhere(link.target)
    target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    if not target.is_relative_to(ROOT):
        return "outside of the repository"
    if not target.exists():
        return "there is no such file"
    if not parts.fragment:
        return ""
    if target.suffix != ".md":
        return "" if re.fullmatch(r"L\d+(-L\d+)?", parts.fragment) else "no page with headings"
    return "" if parts.fragment in page(target).anchors else "there is no such heading"


def _wrong_elsewhere(target: str) -> str:
    parts = urlsplit(target)
    if parts.scheme not in _SCHEMES:
        return f"a scheme other than {', '.join(sorted(_SCHEMES))}"
    if parts.scheme != "mailto" and not _HOST.fullmatch(parts.netloc):
        return "no address of a host"
    return ""


if __name__ == "__main__":
    sys.exit(main())
