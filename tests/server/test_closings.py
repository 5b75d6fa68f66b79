import logging

from conduit.server.closings import LOG_INTERVAL_S, REASONS, Closings


def told(caplog):
    return [record.getMessage() for record in caplog.records]


def test_what_an_operator_can_set_right_is_logged_with_how_often_it_was(caplog):
    closings = Closings()
    for _ in range(3):
        closings.count("memory")
    closings.report(100.0)
    (line,) = told(caplog)
    assert line.startswith("3 connections were closed")
    assert "CONDUIT_CONNECTION_MEMORY_MAX_BYTES" in line
    assert caplog.records[0].levelno == logging.WARNING


def test_the_log_tells_at_most_once_a_minute_and_leaves_nothing_out(caplog):
    closings = Closings()
    for now in (0.0, 1.0, 2.0):
        closings.count("memory")
        closings.report(now)
    assert len(told(caplog)) == 1
    closings.report(LOG_INTERVAL_S)
    assert told(caplog)[1].startswith("2 connections")
    closings.report(2 * LOG_INTERVAL_S)
    assert len(told(caplog)) == 2


def test_what_any_peer_can_do_to_itself_does_not_fill_the_log(caplog):
    closings = Closings()
    for reason in ("head", "body", "message", "unread"):
        closings.count(reason)
    closings.report(0.0)
    assert not told(caplog)
    assert set(closings.counts) == set(REASONS)
