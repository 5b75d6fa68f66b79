"""`conduit top` on a terminal: what is shown, what keys do, and how the terminal is left."""

from __future__ import annotations

import re
import signal
import termios
from collections.abc import Callable

import pytest

from conduit.cli.exits import Exit
from tests.cli.command import Conduit
from tests.cli.terminal import Terminal
from tests.support.http import Api
from tests.support.server import RunningServer, free_port

pytestmark = pytest.mark.process

ENTERED, LEFT = "\x1b[?1049h", "\x1b[?1049l"
HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"


def is_restored(shown: str) -> bool:
    """Whether the screen, and the cursor on it, are those from before."""
    return shown.rfind(LEFT) > shown.rfind(ENTERED) and shown.rfind(SHOWN) > shown.rfind(HIDDEN)


def pictures(shown: str) -> list[list[str]]:
    """The pictures that were drawn, as lines without their colours."""
    drawn = shown.partition(ENTERED)[2].partition(LEFT)[0].split("\x1b[H")
    plain = [re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", each) for each in drawn]
    return [each.replace("\r", "").split("\n") for each in plain if each.strip()]


@pytest.mark.parametrize("columns", [80, 200])
def test_it_shows_what_there_is_in_lines_that_fit_and_q_gives_the_terminal_back(
    server: RunningServer, api: Api, topic: str, columns: int
) -> None:
    api.create_topic(topic)
    api.publish_many(topic, [1, 2, 3])
    with Terminal(server.url, "top", "--interval", "0.5s", columns=columns) as terminal:
        terminal.until("published")
        terminal.until("LOOP LAG")
        terminal.type("s")
        terminal.until("(backlog)")
        terminal.type("p")
        terminal.until("PAUSED")
        terminal.type("q")
        code, shown = terminal.end()
    assert code == Exit.OK
    assert is_restored(shown)
    for picture in pictures(shown):
        assert max(map(len, picture)) <= columns


@pytest.mark.parametrize("end", [Terminal.interrupt, Terminal.terminate])
def test_whatever_ends_it_gives_the_terminal_back(
    server: RunningServer, end: Callable[[Terminal], None]
) -> None:
    with Terminal(server.url, "top") as terminal:
        terminal.until("LOOP LAG")
        before_end = termios.tcgetattr(terminal._master)[3]
        end(terminal)
        code, shown = terminal.end()
        after = termios.tcgetattr(terminal._master)[3]
    assert (code, is_restored(shown), "Traceback" in shown) == (Exit.INTERRUPTED, True, False)
    assert not before_end & termios.ICANON
    assert after & termios.ICANON
    assert after & termios.ECHO


def test_a_server_that_is_not_there_is_waited_for_and_said() -> None:
    with Terminal(f"http://127.0.0.1:{free_port()}", "top", "--interval", "0.5s") as terminal:
        terminal.until("no answer since")
        terminal.until("no answer since")
        assert terminal.process.poll() is None
        terminal.process.send_signal(signal.SIGTERM)
        code, shown = terminal.end()
    assert (code, is_restored(shown), "Traceback" in shown) == (Exit.INTERRUPTED, True, False)


def test_elsewhere_than_on_a_terminal_it_is_one_snapshot(server: RunningServer) -> None:
    found = Conduit(server.url).ok("top").json
    assert {"stats", "nodes", "attention", "topics"} <= set(found)
    table = Conduit(server.url).ok("top", "--once", "-o", "table").out
    assert "BUSIEST TOPICS" in table
    assert "\x1b" not in table
    gone = Conduit(f"http://127.0.0.1:{free_port()}").run("top")
    assert (gone.code, gone.out) == (Exit.NO_CONNECTION, "")


def test_no_colour_where_nobody_wants_any(server: RunningServer) -> None:
    with Terminal(server.url, "top", NO_COLOR="1") as terminal:
        terminal.until("LOOP LAG")
        terminal.type("q")
        shown = terminal.end()[1]
    assert not re.search(r"\x1b\[[\d;]*3[0-7]", shown)
