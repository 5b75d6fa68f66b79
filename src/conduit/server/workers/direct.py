"""Writes log lines at once, without a thread: a process that is forked must have none."""

from __future__ import annotations

import logging
import os
import select
from contextlib import suppress

# Of a line. A pipe takes so much at once, or is not ready.
LINE_MAX_BYTES = select.PIPE_BUF


class DirectWriter(logging.Handler):
    """Of an open file, by its descriptor. What nobody would take at once is left out."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Write it. Never waits."""
        line = f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
        with suppress(OSError):
            if self._poll.poll(0):
                os.write(self._descriptor, line[:LINE_MAX_BYTES])
