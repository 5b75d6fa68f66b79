"""Standard input, output and error, for who was started without them, or with some that cannot be written."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress

_STDIN, _STDOUT, _STDERR = 0, 1, 2


class _Heedless(io.TextIOWrapper):
    """What cannot be written is lost, and nobody is told."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def open_missing() -> None:
    """Put something in the place of those that are closed (`conduit … >&-`), before a socket gets the number:
    what is printed would go into it. Nothing can be read from it; what is written to standard output
    is an error, so that no message is acked which nobody has seen; what is said on standard error is lost.
    """
    for fd, mode in ((_STDIN, os.O_RDONLY), (_STDOUT, os.O_RDONLY), (_STDERR, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            # Takes the lowest number that is free, which is this one.
            os.open(os.devnull, mode)
    if sys.stdin is None:
        sys.stdin = os.fdopen(_STDIN, closefd=False)
    if sys.stdout is None:
        # Without a buffer: what could not be written would be tried again, and told, when Python ends.
        sys.stdout = io.TextIOWrapper(io.FileIO(_STDOUT, "w", closefd=False), write_through=True)
    if sys.stderr is None:
        sys.stderr = os.fdopen(_STDERR, "w", closefd=False)


def lose_unsaid() -> None:
    """From now on what standard error does not take, on a full disk, is lost: notes are no part of the work
    that they are about, which goes on and ends with its own exit code."""
    sys.stderr.flush()
    sys.stderr = _Heedless(
        io.BufferedWriter(io.FileIO(_STDERR, "w", closefd=False)),
        encoding=sys.stderr.encoding,
        errors="backslashreplace",
        line_buffering=True,
    )


def drop_unwritten() -> None:
    """The end of standard output. What it did not take was told as an error when it was written; it is still
    in the buffer, and Python, which tries again, would tell it once more with an exit code of its own."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)
