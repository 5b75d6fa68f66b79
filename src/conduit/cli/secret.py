"""Keys and tokens in the hands of the command line: typed, read, kept in a file, and never shown whole."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from conduit.cli.context_file import PRIVATE
from conduit.cli.questions import answering
from conduit.errors import InvalidRequest

STDIN = "-"
_STDIN_FD = 0
# Of a file or a line that has one; tokens of identity providers may have some thousand.
SECRET_MAX_BYTES = 64 << 10

_KEY = re.compile(r"(ck_[a-z]+_[0-9A-Za-z]{8}_)[0-9A-Za-z]+")
_TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*")


def given(text: str) -> str:
    """What an option says: itself, or for `-` what is typed, or the next line of standard input."""
    if text != STDIN:
        return text
    if sys.stdin.isatty():
        with answering():
            return str(click.prompt("API key", hide_input=True, err=True)).strip()
    return _text("standard input", _line(_STDIN_FD))


def from_file(path: str) -> str:
    """The one line of a file."""
    with open(path, "rb") as file:
        return _text(path, file.read(SECRET_MAX_BYTES + 1))


def masked(secret: str) -> str:
    """What of it may be shown: enough to know which it is."""
    if found := _KEY.fullmatch(secret):
        return f"{found[1]}…"
    return "a token" if _TOKEN.fullmatch(secret) else "a key"


@contextmanager
def new_file(path: str) -> Iterator[int]:
    """A file that nobody else may read, and that was not there before: its descriptor. It is removed if the
    work with it fails."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    try:
        # Whatever the umask takes away or a folder's default list gives.
        os.fchmod(fd, PRIVATE)
        yield fd
        os.fsync(fd)
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(fd)


def _line(fd: int) -> bytes:
    """Up to the end of the line, byte by byte: what comes behind it is for others."""
    line = bytearray()
    while len(line) <= SECRET_MAX_BYTES and (byte := os.read(fd, 1)) not in (b"", b"\n"):
        line += byte
    return bytes(line)


def _text(where: str, content: bytes) -> str:
    try:
        text = content.decode("ascii").strip()
    except UnicodeDecodeError:
        text = "\n"
    if not text or "\n" in text or len(content) > SECRET_MAX_BYTES:
        what = "nothing" if not content.strip() else "more, or something else, than a key or token"
        raise InvalidRequest(f"{where} has {what} in it", code="invalid_api_key")
    return text
