import json
import logging

import pytest

from conduit.server.logs import configure_logging, flush_logs


@pytest.fixture(autouse=True)
def loggers():
    """What the test changes of the process's loggers is put back."""
    root, uvicorn = logging.getLogger(), logging.getLogger("uvicorn")
    handlers, levels = root.handlers, (root.level, uvicorn.level)
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers = handlers
    root.setLevel(levels[0])
    uvicorn.setLevel(levels[1])


def logged(capfd):
    flush_logs(60)
    written = capfd.readouterr()
    assert written.out == ""
    return written.err.splitlines()


def test_a_line_is_one_json_object_where_nobody_watches(capfd):
    configure_logging("info", "auto")
    logging.getLogger("a.b").warning("%d messages", 3, extra={"topic": "t"})
    (line,) = logged(capfd)
    found = json.loads(line)
    assert found.pop("timestamp").endswith("Z")
    assert found == {"event": "3 messages", "level": "warning", "logger": "a.b", "topic": "t"}


def test_a_traceback_stays_in_its_line(capfd):
    configure_logging("info", "json")
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("a").exception("failed")
    (line,) = logged(capfd)
    assert "ValueError: broken" in json.loads(line)["exception"]


def test_text_is_for_people(capfd):
    configure_logging("info", "text")
    logging.getLogger("a").info("listening")
    (line,) = logged(capfd)
    assert "listening" in line
    assert not line.startswith("{")


def test_a_traceback_does_not_show_what_is_in_the_variables(capfd):
    configure_logging("info", "text")
    password = "".join(("sec", "ret"))
    try:
        raise ValueError(len(password))
    except ValueError:
        logging.getLogger("a").exception("failed")
    shown = "\n".join(logged(capfd))
    assert "ValueError: 6" in shown
    assert password not in shown


def test_lines_below_the_level_are_not_written(capfd):
    configure_logging("warning", "json")
    logging.getLogger("a").info("chatter")
    assert logged(capfd) == []


def test_uvicorn_does_not_speak_of_every_start(capfd):
    configure_logging("debug", "json")
    logging.getLogger("uvicorn.error").info("Started server process")
    assert logged(capfd) == []
