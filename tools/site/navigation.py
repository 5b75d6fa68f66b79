"""What is in the navigation of the site, by `zensical.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

from tools.site.links import ROOT
from tools.site.source import DOCS

CONFIG = ROOT / "tools" / "site" / "zensical.toml"


def pages() -> list[str]:
    """Paths in `docs/`, in the order of the navigation."""
    return list(_pages(tomllib.loads(CONFIG.read_text())["project"]["nav"]))


def _pages(entries: list[dict[str, Any]]) -> Iterator[str]:
    for entry in entries:
        for value in entry.values():
            yield from [value] if isinstance(value, str) else _pages(value)


def left_out() -> list[str]:
    """Pages that nobody finds: not in the navigation, and not a decision, which their index lists."""
    there = {file.relative_to(DOCS).as_posix() for file in DOCS.rglob("*.md")}
    decisions = {name for name in there if name.startswith("decisions/0")}
    return sorted(there - decisions - set(pages()))
