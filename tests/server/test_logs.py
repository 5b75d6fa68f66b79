import json
import logging

import pytest

from conduit.server.logs import configure_logging


@pytest.fixture(autouse=True)
def loggers():
    """What the test changes of the process's loggers is put back."""
    root, uvicorn = logging.getLogger(), logging.getLogger("uvicorn")
    handlers, levels = root.handlers, (root.level, uvicorn.level)
    yield
    root.handlers = handlers
    root.setLevel(levels[0])
    uvicorn.setLevel(levels[1])


def logged(capsys):
    written = capsys.readouterr()
    assert written.out == ""
    return written.err.splitlines()


def test_a_line_is_one_json_object_where_nobody_watches(capsys):
    configure_logging("info", "auto")
    logging.getLogger("a.b").warning("%d messages", 3, extra={"topic": "t"})
    (line,) = logged(capsys)
    found = json.loads(line)
    assert found.pop("timestamp").endswith("Z")
    assert found == {"event": "3 messages", "level": "warning", "logger": "a.b", "topic": "t"}


def test_a_traceback_stays_in_its_line(capsys):
    configure_logging("info", "json")
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("a").exception("failed")
    (line,) = logged(capsys)
    assert "ValueError: broken" in json.loads(line)["exception"]


def test_text_is_for_people(capsys):
    configure_logging("info", "text")
    logging.getLogger("a").info("listening")
    (line,) = logged(capsys)
    assert "listening" in line
    assert not line.startswith("{")


def test_lines_below_the_level_are_not_written(capsys):
    configure_logging("warning", "json")
    logging.getLogger("a").info("chatter")
    assert logged(capsys) == []


def test_uvicorn_does_not_speak_of_every_start(capsys):
    configure_logging("debug", "json")
    logging.getLogger("uvicorn.error").info("Started server process")
    assert logged(capsys) == []
