import signal

import pytest

from conduit.environment import load_settings
from conduit.server.workers import telling
from conduit.server.workers.children import Child
from conduit.server.workers.places import Place

CHILD = Child(2, 4711, None)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0, "has ended in order, which was told to it alone"),
        (6, "has ended with exit code 6"),
        (-signal.SIGSEGV, "was killed (SIGSEGV)"),
        (-signal.SIGKILL, "was killed (SIGKILL: by somebody, or by the system for want of memory)"),
        (-99, "was killed (signal 99)"),
    ],
)
def test_how_a_worker_has_ended_is_said_and_what_comes_next(code, said):
    line = telling.ended(CHILD, code, 0.25, 1)
    assert line.startswith(f"worker 2 (process 4711) {said}: it is started again in 0.2 s; 1 other")


def test_where_a_worker_is_is_said():
    settings = load_settings({"NODE_ID": "east", "CONDUIT_ADMIN_HOST": "::1"})
    line = telling.serves(CHILD, Place("0.0.0.0", 9002, "db", 9101), settings)
    assert line == (
        "worker 2 serves: process 4711, node east-2 at db:9002, for operators at http://[::1]:9101"
    )


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (signal.SIGTERM, "SIGTERM: not ready any more, stopping all workers in 5 s"),
        (signal.SIGINT, "SIGINT: stopping all workers"),
    ],
)
def test_that_they_stop_is_said_as_a_server_says_it(number, line):
    settings = load_settings({"CONDUIT_DRAIN_DELAY_S": "5"})
    assert telling.stopping(number, settings) == line
