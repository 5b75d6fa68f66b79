import logging
import os

from conduit.server.workers.direct import DirectWriter


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("conduit", logging.INFO, "", 0, text, (), None)


def test_a_line_is_there_at_once():
    reading, writing = os.pipe()
    DirectWriter(writing).emit(record("a – b"))
    assert os.read(reading, 100) == "a – b\n".encode()
    os.close(reading)
    os.close(writing)


def test_a_log_that_nobody_takes_holds_up_nobody():
    reading, writing = os.pipe()
    handler = DirectWriter(writing)
    # More than a pipe takes.
    for _ in range(1_000):
        handler.emit(record("x" * 1_000))
    os.close(reading)
    handler.emit(record("to nobody"))
    os.close(writing)
