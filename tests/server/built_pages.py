"""A dashboard that is small: what `make dashboard` leaves, without what it is built with."""

from __future__ import annotations

import gzip
from pathlib import Path

PAGE = '<!doctype html><head><base href="./" /></head><script src="./assets/app-1.js"></script>'
SCRIPT = b"console.log('a dashboard');\n" * 10_000
# Nothing here reads brotli: what is given for it has only to be given unchanged.
BROTLI = b"as brotli"


def build(folder: Path, page: str = PAGE) -> Path:
    """Make it there."""
    assets = folder / "assets"
    assets.mkdir(parents=True, exist_ok=True)
    (assets / "app-1.js").write_bytes(SCRIPT)
    (assets / "app-1.js.gz").write_bytes(gzip.compress(SCRIPT))
    (assets / "app-1.js.br").write_bytes(BROTLI)
    (assets / "icon-1.svg").write_text("<svg/>")
    (assets / "notes.secret").write_text("no type that is served")
    (folder / "index.html").write_text(page)
    return folder
