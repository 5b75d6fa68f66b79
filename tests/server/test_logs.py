import json
import logging
import sys
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conduit.server.logs import configure_logging, flush_logs, log_uncaught
from tests.support.credentials import api_keys, hidden, tickets, tokens


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


KEY = "ck_live_Ab3dEf7h_0123456789abcdefghijklmnopqrstuvWXYZ12"


@pytest.mark.parametrize("form", ["json", "text"])
@given(credential=st.one_of(api_keys(), tokens(), tickets()), words=st.text(max_size=20))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_credential_gets_into_the_log(capfd, loggers, form, credential, words):
    configure_logging("info", form)
    log = logging.getLogger("a")
    log.info("%s %s", words, credential)
    log.info(credential, extra={"x": {"y": [credential.encode()]}, credential: 1})
    log.info("%s%s", credential[:12], credential[12:])
    try:
        raise ValueError(f"{words}{{'authorization': '{credential}'}}")
    except ValueError:
        log.exception("failed")
    log.info("%d", credential)
    log.warning("in the stack", stack_info=True, extra={"authorization": words or "x"})
    shown = "\n".join(logged(capfd))
    assert shown
    assert hidden(credential) not in shown
    if form == "json":
        assert all(json.loads(line) for line in shown.splitlines())


def test_a_line_that_cannot_be_formatted_is_told_without_its_arguments(capfd):
    configure_logging("info", "json")
    logging.getLogger("a").info("%d messages", "of a client")
    (line,) = logged(capfd)
    found = json.loads(line)
    assert "test_logs.py" in found["event"]
    assert "real number is required" in found["exception"]
    assert "of a client" not in line


def test_what_nobody_catches_is_a_line_without_secrets(capfd, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    configure_logging("info", "json")
    log_uncaught()

    class Ending:
        def __del__(self):
            raise ValueError(KEY)

    def end():
        raise ValueError(KEY)

    thread = threading.Thread(target=end, name="ending")
    thread.start()
    thread.join()
    ended = Ending()
    del ended
    lines = [json.loads(line) for line in logged(capfd)]
    assert [line["level"] for line in lines] == ["error", "error"]
    assert lines[0]["event"] == "the thread ending ended with an error"
    assert all("ValueError: ck_live_Ab3dEf7h_…" in line["exception"] for line in lines)
