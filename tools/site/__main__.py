"""Builds the site; a warning of Zensical's or a link that leads nowhere ends it with 1."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tools.site.links import ROOT, dead_links, markdown_files
from tools.site.navigation import CONFIG
from tools.site.source import copy_pages

_ID = re.compile(r'\sid="([^"]+)"')
_HREF = re.compile(r'<a\s[^>]*?href="([^"]+)"')
_LOADED = re.compile(
    r'<(?:script|img|source|iframe)\b[^>]*?\s(?:src|srcset)="([^"]+)"|<link\b[^>]*>'
)


def main(argv: list[str]) -> int:
    """Build it into the folder `docs` of the one that is given, or of `build`. Returns the exit code."""
    where = Path(argv[0]) if argv else ROOT / "build"
    site = where / "docs"
    wrong = list(dead_links(markdown_files()))
    if not wrong and not build(where / "site", site):
        return 1
    wrong = wrong or [*dead_in(site), *foreign_in(site)]
    print("\n".join(wrong) or f"the site is in {site}")
    return 1 if wrong else 0


def build(work: Path, site: Path) -> bool:
    """Run Zensical on a copy of the pages. False if it warns of anything; it has said of what."""
    copy_pages(work / "docs")
    shutil.rmtree(site, ignore_errors=True)
    shutil.copyfile(CONFIG, work / CONFIG.name)
    shutil.copyfile(CONFIG.with_name("extra.css"), work / "docs" / "extra.css")
    shutil.copytree(CONFIG.parent / "overrides", work / "overrides", dirs_exist_ok=True)
    # It writes within its own folder only.
    command = [str(Path(sys.executable).with_name("zensical")), "build", "--clean", "--strict"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    if done.returncode or "Warning" in done.stdout + done.stderr:
        # Its last lines are Python's, and of no use.
        print(done.stdout + done.stderr.partition("Traceback")[0], file=sys.stderr)
        return False
    shutil.move(work / "site", site)
    return True


def dead_in(site: Path) -> Iterator[str]:
    """Links of the pages, as they were built, that lead to no page or no place in it."""
    texts = {file: file.read_text() for file in site.rglob("*.html")}
    anchors = {file: set(_ID.findall(text)) for file, text in texts.items()}
    for file, text in texts.items():
        for href in map(unescape, _HREF.findall(text)):
            parts = urlsplit(href)
            # Of the page for what is not there, addresses are from the root, wherever that is.
            if parts.scheme or parts.netloc or file.name == "404.html":
                continue
            there = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            there = there / "index.html" if there.is_dir() else there
            if not there.exists() or (
                parts.fragment and parts.fragment not in anchors.get(there, ())
            ):
                yield f"{file.relative_to(site)}: {href} leads nowhere"


def foreign_in(site: Path) -> Iterator[str]:
    """What pages would load from elsewhere."""
    for file in site.rglob("*.html"):
        for found in _LOADED.finditer(file.read_text()):
            tag = found[0]
            loads = found[1] or ("canonical" not in tag and tag)
            if loads and re.search(r'(?:^|=")(?:https?:)?//', loads):
                yield f"{file.relative_to(site)}: {tag} is of another origin"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
