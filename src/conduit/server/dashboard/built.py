"""What `make dashboard` has built, in memory: read once, and again when there is something newer.

Names of files hold a hash of their content, so that a browser keeps them for good; the page that names them
is asked for again each time. All else about a file was decided when it was built: beside `x.js` are `x.js.br`
and `x.js.gz`, where they are smaller.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Mapping
from html import escape
from pathlib import Path

import msgspec

from conduit.server.dashboard.choosing import best_encoding

DIST = Path(__file__).parent / "dist"
PAGE = "index.html"
ASSETS = "assets"
# Several times what there is: a folder that is something else is not read into memory.
FILES_MAX_COUNT = 500
FILE_MAX_BYTES = 8 << 20
FILES_MAX_BYTES = 32 << 20
# Parts of a path below the dashboard's own: more than any view has.
DEPTH_MAX_COUNT = 8

# How the page says where the dashboard's own path is, from wherever it is shown.
_BASE = b'<base href="./"'
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
}
_SUFFIXES = {".br": "br", ".gz": "gzip"}


class Form(msgspec.Struct, frozen=True):
    """One form of a file, as its bytes are sent."""

    content: bytes
    etag: str
    encoding: str | None = None


class Asset(msgspec.Struct, frozen=True):
    """One file: as it is under None, and compressed under the name of the coding."""

    media_type: str
    forms: Mapping[str | None, Form]

    def best(self, accept_encoding: str | None) -> Form:
        """The smallest form that the client takes."""
        there = [encoding for encoding in self.forms if encoding is not None]
        return self.forms[best_encoding(accept_encoding, there)]


class Pages(msgspec.Struct, frozen=True):
    """All that was built at one time."""

    page: bytes
    assets: Mapping[str, Asset]
    """By name."""

    def at(self, depth: int) -> Form:
        """The page for a path with so many slashes below the dashboard's own."""
        base = "../" * depth or "./"
        content = self.page.replace(_BASE, f'<base href="{escape(base)}"'.encode(), 1)
        return Form(content, _etag(content))


class Built:
    """What there is to serve, if anything; looked for again at each page that is asked for."""

    def __init__(self, folder: Path = DIST) -> None:
        self._folder = folder
        self._pages: Pages | None = None
        # Of the page that was read last.
        self._seen: tuple[int, int] | None = None

    async def pages(self) -> Pages | None:
        """What is built now; None: nothing is. It is read by a thread; cancelling is safe."""
        seen = self._look()
        if seen != self._seen:
            pages = None if seen is None else await asyncio.to_thread(read, self._folder)
            # Else it was taken away while it was read.
            if seen is None or pages is not None:
                self._pages, self._seen = pages, seen
        return self._pages

    @property
    def is_coming(self) -> bool:
        """Whether somebody builds it."""
        return new_beside(self._folder).exists()

    def _look(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._folder / PAGE)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino


def new_beside(folder: Path) -> Path:
    """Where it is built before it takes the place of what is there."""
    return folder.with_name(f"{folder.name}.new")


def read(folder: Path) -> Pages | None:
    """Read what is built there; None if it is not there, or is no dashboard."""
    try:
        page = _content(folder / PAGE)
        paths = sorted((folder / ASSETS).iterdir())
        if page is None or _BASE not in page or len(paths) > FILES_MAX_COUNT:
            return None
        contents = {path.name: content for path in paths if (content := _content(path)) is not None}
    except OSError:
        return None
    if sum(map(len, contents.values())) > FILES_MAX_BYTES:
        return None
    return Pages(page, _assets(contents))


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.stat().st_size <= FILE_MAX_BYTES else None


def _assets(contents: Mapping[str, bytes]) -> dict[str, Asset]:
    assets = {}
    for name, content in contents.items():
        media_type = _TYPES.get(os.path.splitext(name)[1])
        if media_type is None:
            continue
        forms: dict[str | None, Form] = {None: Form(content, _etag(content))}
        for suffix, encoding in _SUFFIXES.items():
            if (small := contents.get(name + suffix)) is not None:
                forms[encoding] = Form(small, _etag(small), encoding)
        assets[name] = Asset(media_type, forms)
    return assets


def _etag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:24]}"'
