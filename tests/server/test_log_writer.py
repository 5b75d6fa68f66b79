"""A log that nobody takes holds nothing up, and one that flows again says what is missing."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest

from conduit.server.log_writer import QUEUE_MAX_BYTES, LogWriter

# More than a pipe and the queue hold.
LINES_COUNT = 6_000
LINE = "x" * 1_000


class Log:
    """A writer into a pipe, which is read only when the test says so."""

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()
        self.writer = LogWriter(self._write_end)
        self.read_bytes = b""

    def error(self, text: str) -> None:
        self.writer.handle(logging.LogRecord("a", logging.ERROR, "", 0, text, None, None))

    def take(self) -> bytes:
        """What comes next, when it comes."""
        taken = os.read(self.read_end, 1 << 16)
        self.read_bytes += taken
        return taken

    def take_until(self, text: bytes) -> list[str]:
        """All lines up to now, when there is such a one."""
        while text not in self.read_bytes or not self.read_bytes.endswith(b"\n"):
            self.take()
        return self.read_bytes.decode().splitlines()

    def close(self) -> None:
        self.writer.close()
        os.close(self.read_end)


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    yield log
    log.close()


def test_what_is_logged_is_written_at_once_and_in_its_order(log: Log):
    for text in ("one", "two", "three"):
        log.error(text)
    assert log.take_until(b"three") == ["one", "two", "three"]


def test_a_log_that_nobody_takes_holds_nobody_up_and_keeps_no_more_than_its_bound(log: Log):
    for _ in range(LINES_COUNT):
        log.error(LINE)
    assert log.writer.dropped_count >= LINES_COUNT - (QUEUE_MAX_BYTES + (1 << 20)) // len(LINE)
    assert log.writer._waiting_bytes <= QUEUE_MAX_BYTES


def test_a_log_that_flows_again_says_how_many_lines_it_lacks(log: Log):
    for _ in range(LINES_COUNT):
        log.error(LINE)
    dropped_count = log.writer.dropped_count
    # The pipe may have had room for a moment when some were dropped already: then it is told twice.
    told: list[str] = []
    while sum(int(line.split()[0]) for line in told) < dropped_count:
        log.take()
        told = [line for line in log.take_until(b"were dropped") if "were dropped" in line]
    assert told[0].endswith(" log lines were dropped, which nobody had taken in time")
    log.error("after")
    lines = log.take_until(b"after")
    assert lines.count(LINE) == LINES_COUNT - dropped_count
    assert len(lines) == LINES_COUNT - dropped_count + len(told) + 1


def test_the_end_of_the_process_waits_for_what_is_taken_and_not_for_what_is_not(log: Log):
    log.error("last")
    log.writer.flush(60)
    assert log.take() == b"last\n"
    for _ in range(LINES_COUNT):
        log.error(LINE)
    log.writer.flush(0.01)
    assert log.writer._waiting_bytes


def test_lines_that_a_full_disk_does_not_take_are_counted():
    with open("/dev/full", "wb") as full:
        writer = LogWriter(full.fileno())
        writer.handle(logging.LogRecord("a", logging.ERROR, "", 0, "lost", None, None))
        writer.flush(60)
        assert writer.dropped_count == 1
        writer.close()


def test_of_lines_of_one_kind_some_are_written_and_the_others_are_one_line_at_the_end(log: Log):
    for number in range(100):
        arguments = (number,)
        log.writer.handle(
            logging.LogRecord("a", logging.INFO, "", 0, "topic %d is deleted", arguments, None)
        )
    log.writer.flush(60)
    lines = log.take_until(b"left out")
    assert len(lines) == 61
    assert lines[-1] == (
        "40 more lines like this were left out, which came within a minute: topic %d is deleted"
    )
