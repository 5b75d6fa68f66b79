from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import click
import pytest

from conduit.cli.exits import Exit
from tests.cli.command import Conduit
from tests.cli.terminal import COLUMNS, Terminal
from tests.support.http import Api
from tests.support.server import RunningServer, running_server
from tests.support.wait import until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server() as server:
        yield server


@pytest.fixture
def api(server: RunningServer) -> Api:
    return Api(server.url)


@pytest.fixture
def topic(api: Api) -> str:
    """A new topic."""
    name = f"t-{uuid.uuid4().hex[:12]}"
    api.create_topic(name)
    return name


def test_a_list_is_a_table_with_its_heading_in_bold(server: RunningServer, topic: str) -> None:
    with Terminal(server.url, "topic", "ls", "--q", topic) as terminal:
        code, shown = terminal.end()
    heading, row = shown.splitlines()
    assert code == Exit.OK
    assert heading.startswith("\x1b[1mNAME")
    assert row.startswith(topic)


@pytest.mark.parametrize("columns", [80, 40])
def test_of_a_table_that_does_not_fit_names_are_cut_and_figures_never(
    server: RunningServer, api: Api, columns: int
) -> None:
    name = f"t-{uuid.uuid4().hex[:12]}-{'x' * 100}"
    api.create_topic(name, max_age_s=86_400, max_messages=1_234_567)
    args = ("topic", "ls", "--q", name)
    with Terminal(server.url, *args, columns=columns, NO_COLOR="1") as terminal:
        _, shown = terminal.end()
    assert "1d, 1,234,567 messages" in shown
    assert name[:8] in shown
    assert "…" in shown
    assert all(len(line) <= columns for line in shown.splitlines())


def test_no_color_is_honoured(server: RunningServer, topic: str) -> None:
    with Terminal(server.url, "topic", "ls", "--q", topic, NO_COLOR="yes") as terminal:
        _, shown = terminal.end()
    assert "\x1b" not in shown


@pytest.mark.parametrize("no_color", ["", "1"])
def test_the_log_of_a_server_honours_it_too(no_color: str) -> None:
    with Terminal("", "serve", "--port", "0", NO_COLOR=no_color) as terminal:
        terminal.until(" listens on ")
        terminal.type("\x03")
        terminal.end()
    assert ("\x1b" in terminal.shown) is (not no_color)


def test_a_message_is_shown_for_people_and_cannot_steer_the_terminal(
    server: RunningServer, api: Api, topic: str
) -> None:
    api.publish(topic, {"evil": "\x1b[2J \x9b2J"}, key="\x1b[2J")
    options = (topic, "--from", "earliest", "--count", "1")
    with Terminal(server.url, "sub", *options, NO_COLOR="1") as terminal:
        code, shown = terminal.end()
    assert code == Exit.OK
    assert f"{topic} #1" in shown
    assert '  {"evil":"\\u001b[2J \\u009b2J"}' in shown
    assert "key=\\x1b[2J" in shown
    assert not {"\x1b", "\x9b"} & set(shown)


def test_one_receipt_is_a_line_and_many_are_a_bar_and_a_summary(
    server: RunningServer, topic: str
) -> None:
    with Terminal(server.url, "pub", topic, "1") as terminal:
        assert terminal.end()[1].startswith(f"published  {topic} #1  ")
    with Terminal(server.url, "pub", topic, "1", "--count", "500") as terminal:
        _, shown = terminal.end()
    assert "━" in shown
    assert "500 published" in shown
    assert f"{topic} #" not in shown


def test_a_note_stands_above_the_bar(server: RunningServer, topic: str) -> None:
    new = ("pub", f"{topic}.new", "1", "--count", "500", "--create")
    with Terminal(server.url, *new, NO_COLOR="1") as terminal:
        _, shown = terminal.end()
    assert "━" in shown
    (line,) = [line for line in shown.splitlines() if "created topic" in line]
    # Behind what clears the line of the bar.
    assert line.endswith(f"\x1b[2Kcreated topic {topic}.new")


def test_receipts_that_are_asked_for_have_no_bar_between_them(
    server: RunningServer, topic: str
) -> None:
    with Terminal(server.url, "pub", topic, "1", "--count", "50", "-o", "jsonl") as terminal:
        _, shown = terminal.end()
    assert "━" not in shown
    assert shown.count('"durable":') == 50


def test_of_wrong_options_the_words_stay_whole(server: RunningServer) -> None:
    for args in (("sub", "t", "--format", "{nope}"), ("sub", "t", "--form", "x")):
        with Terminal(server.url, *args) as terminal:
            code, shown = terminal.end()
        assert code == Exit.USAGE
        assert "Error: " in shown
        assert max(map(len, shown.splitlines())) <= COLUMNS


def test_lines_can_be_typed(server: RunningServer, api: Api, topic: str) -> None:
    with Terminal(server.url, "pub", topic, "-", "-o", "table") as terminal:
        for number in range(2):
            terminal.type(f"{number}\n")
            terminal.until(f"#{number + 1}")
        terminal.type("\x04")
        code, shown = terminal.end()
    # No bar is drawn over what is typed.
    assert (code, "━" in shown) == (Exit.OK, False)
    assert [message["payload"] for message in api.browse(topic)] == [0, 1]


def test_each_message_is_settled_as_the_person_says(
    server: RunningServer, api: Api, topic: str
) -> None:
    api.publish_many(topic, ["first", "second"])
    options = (topic, "--from", "earliest", "--ack", "manual", "--count", "3")
    with Terminal(server.url, "sub", *options, NO_COLOR="1") as terminal:
        terminal.until("ack? ")
        terminal.type("what\n")
        terminal.until("ack? ")
        terminal.type("n\n")
        terminal.until('"second"')
        terminal.until("ack? ")
        terminal.type("y\n")
        terminal.until("attempt 2")
        terminal.until("ack? ")
        terminal.type("reject\n")
        code, shown = terminal.end()
    assert code == Exit.OK
    assert "3 received · 1 to come again · 1 acked · 1 rejected" in shown
    (letter,) = until(lambda: api.dead_letters(topic=topic))
    assert (letter["payload"], letter["attempts"]) == ("first", 2)


@pytest.mark.parametrize(("answer", "code"), [("y\n", Exit.OK), ("n\n", Exit.ERROR)])
def test_what_cannot_be_undone_is_asked_first(
    server: RunningServer, api: Api, topic: str, answer: str, code: Exit
) -> None:
    api.publish_many(topic, [1, 2, 3])
    with Terminal(server.url, "topic", "rm", topic) as terminal:
        terminal.until(f"Delete topic {topic} with 3 messages? [y/N]: ")
        terminal.type(answer)
        assert terminal.end()[0] == code
    assert (api.get(f"/api/topics/{topic}").status == 404) is (code == Exit.OK)


@pytest.mark.parametrize("end", [Terminal.interrupt, Terminal.terminate])
def test_ctrl_c_and_sigterm_at_a_question_are_no(
    server: RunningServer, api: Api, topic: str, end: Callable[[Terminal], None]
) -> None:
    with Terminal(server.url, "topic", "rm", topic) as terminal:
        terminal.until("[y/N]: ")
        end(terminal)
        code, shown = terminal.end()
    assert (code, "interrupted" in shown.splitlines()) == (Exit.INTERRUPTED, True)
    assert api.topic(topic)["name"] == topic


def test_ctrl_c_ends_a_subscriber_with_its_summary(
    server: RunningServer, api: Api, topic: str
) -> None:
    with Terminal(server.url, "sub", topic) as terminal:
        terminal.until("subscribed to")
        api.publish(topic, 1)
        terminal.until("#1")
        terminal.type("\x03")
        code, shown = terminal.end()
    assert code == Exit.INTERRUPTED
    assert any(line.startswith("1 received · 1 acked") for line in shown.splitlines())
    assert "Traceback" not in shown


def test_before_a_subscription_is_moved_it_is_said_from_where_to_where(
    server: RunningServer, api: Api, topic: str
) -> None:
    api.publish_many(topic, [1, 2, 3])
    Conduit(server.url).ok("sub", topic, "--subscription", topic, "--from", "3", "--count", "1")
    with Terminal(server.url, "subscription", "seek", topic, "--to", "2") as terminal:
        terminal.until(
            f"Move subscription {topic} from {topic} #4 to #2, its lag from 0 to 2; that is to deliver"
            " 2 messages again and skip 0? [y/N]"
        )
        terminal.type("n\n")
        assert terminal.end()[0] == Exit.ERROR


def test_of_a_long_line_of_a_table_the_name_is_cut(server: RunningServer, api: Api) -> None:
    name = "x" * 150
    api.create_topic(name)
    with Terminal(server.url, "topic", "ls", "--q", name) as terminal:
        lines = click.unstyle(terminal.end()[1]).splitlines()
    _heading, row = lines
    assert len(row) <= COLUMNS
    assert row.split()[0].endswith("x…")
    assert row.split()[1:4] == ["0", "0", "0"]
    done = Conduit(server.url).ok("topic", "ls", "--q", name, "-o", "table")
    assert name in done.out
