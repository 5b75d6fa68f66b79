"""The pages of `docs/` as the site takes them: what links and headings mean is written out.

A link that leaves `docs/` leads to the file where the repository is shown. A heading has the anchor that
GitHub gives to it, so that one link is right in both places.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import quote, urlsplit

from tools.site.links import ROOT, page

DOCS = ROOT / "docs"
REPOSITORY = "https://github.com/411sst/conduit"
BRANCH = "main"


def copy_pages(to: Path) -> None:
    """Everything in `docs/`, into an empty folder; pages with their links and anchors written out."""
    shutil.rmtree(to, ignore_errors=True)
    for file in sorted(DOCS.rglob("*")):
        target = to / file.relative_to(DOCS)
        if file.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif file.suffix == ".md":
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(rewritten(file))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def rewritten(file: Path) -> str:
    """A page's text for the site."""
    parts = page(file)
    lines = list(parts.lines)
    # From the last to the first, so that places in a line stay right.
    for link in sorted(parts.links, reverse=True):
        line = lines[link.line]
        lines[link.line] = line[: link.start] + on_site(file, link.target) + line[link.end :]
    for heading in parts.headings:
        if heading.level > 1:
            lines[heading.line] = f"{lines[heading.line].rstrip()} {{ #{heading.anchor} }}"
    # There a list needs an empty line before it.
    for at in parts.tight:
        lines[at] = "\n" + lines[at]
    return "\n".join(lines)


def on_site(file: Path, target: str) -> str:
    """Where a link leads on the site."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc or not parts.path:
        return target
    there = (file.parent / parts.path).resolve()
    if there.is_relative_to(DOCS) and there != DOCS:
        return target
    kind = "tree" if there.is_dir() else "blob"
    anchor = f"#{parts.fragment}" if parts.fragment else ""
    return f"{REPOSITORY}/{kind}/{BRANCH}/{quote(there.relative_to(ROOT).as_posix())}{anchor}"
