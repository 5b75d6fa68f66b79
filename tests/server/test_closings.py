import asyncio
import logging

from conduit.server.closings import LOG_INTERVAL_S, NAMED_MAX_COUNT, REASONS, Closings


def told(caplog):
    return [record.getMessage() for record in caplog.records]


def test_what_an_operator_can_set_right_is_logged_with_how_often_it_was(caplog):
    closings = Closings()
    for _ in range(3):
        closings.count("memory", None)
    closings.report(100.0)
    (line,) = told(caplog)
    assert line.startswith("3 connections were closed")
    assert "CONDUIT_CONNECTION_MEMORY_MAX_BYTES" in line
    assert caplog.records[0].levelno == logging.WARNING


def test_the_log_tells_at_most_once_a_minute_and_leaves_nothing_out(caplog):
    closings = Closings()
    for now in (0.0, 1.0, 2.0):
        closings.count("memory", None)
        closings.report(now)
    assert len(told(caplog)) == 1
    closings.report(LOG_INTERVAL_S)
    assert told(caplog)[1].startswith("2 connections were closed")
    closings.report(2 * LOG_INTERVAL_S)
    assert len(told(caplog)) == 2


def test_what_any_peer_can_do_to_itself_does_not_fill_the_log(caplog):
    closings = Closings()
    for reason in ("head", "body", "message", "unread"):
        closings.count(reason, None)
    closings.report(0.0)
    assert not told(caplog)
    assert set(closings.counts) == set(REASONS)


class From(asyncio.Transport):
    """The transport of a connection that comes from there."""

    def __init__(self, *peer: object) -> None:
        super().__init__({"peername": peer})


def test_the_line_names_some_of_the_addresses_with_how_many_came_from_each(caplog):
    closings = Closings()
    closings.count("address", From("203.0.113.5", 4000))
    closings.report(0.0)
    assert told(caplog)[0].startswith("1 connection was refused because an address has as many as")
    assert told(caplog)[0].endswith("; from 203.0.113.5 (1)")
    for number in range(NAMED_MAX_COUNT + 3):
        for port in (1, 2):
            closings.count("address", From(f"2001:db8::{number}", port, 0, 0))
    closings.report(LOG_INTERVAL_S)
    assert "2001:db8::0 (2), 2001:db8::1 (2), " in told(caplog)[1]
    assert told(caplog)[1].endswith(" and 6 from elsewhere")
    assert "203.0.113.5" not in told(caplog)[1]
