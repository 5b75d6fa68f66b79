"""Keys as they are pressed, and the terminal as it was afterwards, whatever happens."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# More at once is something that was pasted.
READ_MAX_BYTES = 64


@contextmanager
def keys(press: Callable[[str], None]) -> Iterator[None]:
    """Calls `press` with each character that is typed, without echo and without Enter. Ctrl-C stays what it
    is; Ctrl-Z does nothing, since the screen would be left as it is. Needs a running loop, and standard input
    that is a terminal; else nobody types."""
    if not sys.stdin.isatty():
        yield
        return
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    raw = termios.tcgetattr(number)
    raw[3] &= ~(termios.ICANON | termios.ECHO)
    raw[6][termios.VSUSP] = b"\0"
    loop = asyncio.get_running_loop()

    def read() -> None:
        data = os.read(number, READ_MAX_BYTES)
        if not data:
            # The terminal is gone; a signal says so, too.
            loop.remove_reader(number)
        # An arrow or a function key is several characters, which mean nothing here.
        if not data.startswith(b"\x1b"):
            for char in data.decode(errors="ignore"):
                press(char)

    termios.tcsetattr(number, termios.TCSANOW, raw)
    try:
        loop.add_reader(number, read)
        yield
    finally:
        loop.remove_reader(number)
        # What was typed and not read yet is not for the shell.
        termios.tcsetattr(number, termios.TCSAFLUSH, before)
