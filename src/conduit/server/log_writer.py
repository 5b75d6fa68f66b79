"""Writes log lines in a thread of its own, so that a log that nobody takes holds up nothing else.

A log collector that stands still leaves a pipe full, and whoever writes to it waits. Lines wait here instead,
up to so many bytes; what is beyond is dropped and counted, and the log says so as soon as it flows again.
(`logging.handlers.QueueListener` is no help: it bounds lines and not bytes, and waits for its end for ever.)
"""

from __future__ import annotations

import logging
import math
import os
import select
import threading
from collections import deque
from time import monotonic

from conduit.server.log_shares import LogShares

# Lines that wait to be written.
QUEUE_MAX_BYTES = 4 << 20
# How long the end of the process waits for them. What has not been taken by then is lost.
FLUSH_MAX_S = 1.0
# From a sentence whose arguments do not fit, or from an argument's own `__repr__`.
_UNFORMATTED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


class LogWriter(logging.Handler):
    """Of an open file, by its descriptor: another thread may be writing to it when Python ends, which the
    locks of a buffered file do not survive."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        # The lock is held for no longer than a line takes to be formatted.
        self._changed = threading.Condition()
        self._lines: deque[bytes] = deque()
        # With the one that is being written.
        self._waiting_bytes = 0
        self._shares = LogShares()
        self._untold_count = 0
        self._is_closed = False
        self.dropped_count = 0
        """Lines that could not be written."""
        threading.Thread(target=self._run, name="conduit-log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Let it be written. Never waits."""
        try:
            with self._changed:
                now = monotonic()
                self._put_all(self._shares.over(now))
                if self._shares.admit(record, now):
                    self._put_all([record])
        except _UNFORMATTED as error:
            self._tell_unformatted(record, error)

    def flush(self, within_s: float = FLUSH_MAX_S) -> None:
        """Wait until all is written, or for so long. For the end of the process."""
        with self._changed:
            self._put_all(self._shares.over(math.inf))
            self._changed.wait_for(lambda: not self._waiting_bytes, within_s)

    def close(self) -> None:
        """The thread ends when it has written what waits."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        super().close()

    def _put_all(self, records: list[logging.LogRecord]) -> None:
        for record in records:
            line = f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
            if self._waiting_bytes + len(line) > QUEUE_MAX_BYTES:
                self._drop()
            else:
                self._lines.append(line)
                self._waiting_bytes += len(line)
                self._changed.notify_all()

    def _tell_unformatted(self, record: logging.LogRecord, error: Exception) -> None:
        """`Handler.handleError` would print the arguments as they are, and wait for whoever reads them."""
        text = "a log line of %s, line %d, could not be formatted"
        arguments = (record.filename, record.lineno)
        exc_info = (type(error), error, error.__traceback__)
        told = logging.LogRecord(record.name, logging.ERROR, "", 0, text, arguments, exc_info)
        with self._changed:
            self._put_all([told])

    def _drop(self) -> None:
        self.dropped_count += 1
        self._untold_count += 1

    def _run(self) -> None:
        while (line := self._next()) is not None:
            is_written = self._write(line)
            with self._changed:
                self._waiting_bytes -= len(line)
                if not is_written:
                    self._drop()
                elif self._untold_count:
                    self._tell_dropped()
                self._changed.notify_all()

    def _next(self) -> bytes | None:
        """The next line, when there is one; None at the end."""
        with self._changed:
            while not self._lines and not self._is_closed:
                wait_s = self._shares.next_at() - monotonic()
                self._changed.wait(None if wait_s == math.inf else max(0.0, wait_s))
                self._put_all(self._shares.over(monotonic()))
            return self._lines.popleft() if self._lines else None

    def _write(self, line: bytes) -> bool:
        rest = memoryview(line)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                # Whoever shares the terminal or pipe with us has made it so.
                waiting = select.poll()
                waiting.register(self._descriptor, select.POLLOUT)
                waiting.poll()
            except OSError:
                return False
        return True

    def _tell_dropped(self) -> None:
        """It flows again. The count goes before what waits, which is newer or older: their times say it."""
        text = "%d log lines were dropped, which nobody had taken in time"
        arguments = (self._untold_count,)
        record = logging.LogRecord(__name__, logging.WARNING, "", 0, text, arguments, None)
        self._untold_count = 0
        line = f"{self.format(record)}\n".encode()
        self._lines.appendleft(line)
        self._waiting_bytes += len(line)
