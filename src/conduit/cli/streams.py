"""Standard input, output and error, for who was started without them."""

from __future__ import annotations

import io
import os
import sys

_STDIN, _STDOUT, _STDERR = 0, 1, 2


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
