"""The command on a terminal: what a person at a keyboard sees."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable

from tests.cli.command import COMMAND
from tests.support.server import clean_environment
from tests.support.wait import DEADLINE_S

ROWS, COLUMNS = 40, 100


class Terminal:
    """One command on a pseudo-terminal. Use it as a context manager: it is killed at the end."""

    def __init__(self, url: str, *args: str, columns: int = COLUMNS, **env: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
        self.process = subprocess.Popen(
            [*COMMAND, *args],
            env=clean_environment(CONDUIT_URL=url, TERM="xterm", **env),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.shown = ""
        self._seen = 0

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C until it ends."""
        self._until_ended(lambda: self.type("\x03"))

    def terminate(self) -> None:
        """Send SIGTERM until it ends."""
        self._until_ended(self.process.terminate)

    def until(self, text: str) -> None:
        """Wait until `text` is shown, behind what earlier calls have waited for."""
        deadline = time.monotonic() + DEADLINE_S
        while (found := self.shown.find(text, self._seen)) < 0:
            left = deadline - time.monotonic()
            assert left > 0, f"no {text!r} in {self.shown!r}"
            assert self._read(left), f"ended without {text!r}: {self.shown!r}"
        self._seen = found + len(text)

    def end(self) -> tuple[int, str]:
        """Wait for the end; the exit code, and everything shown."""
        while self._read(DEADLINE_S):
            pass
        return self.process.wait(DEADLINE_S), self.shown

    def _until_ended(self, end: Callable[[], None]) -> None:
        """Python overlooks a signal that comes between its prompt and its read, until the next."""
        while self.process.poll() is None:
            end()
            while self._read(1.0):
                pass

    def _read(self, within_s: float) -> bool:
        """Read once; False at the end."""
        ready, _, _ = select.select([self._master], [], [], within_s)
        try:
            data = os.read(self._master, 65536) if ready else b""
        except OSError:
            # How Linux tells that the other end has closed.
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)
