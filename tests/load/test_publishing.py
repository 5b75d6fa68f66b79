"""Publishers of a load: what they count, and what they do about connections that end."""

from __future__ import annotations

import dataclasses
import gc
import time
from collections.abc import Iterator

import pytest

from conduit.errors import ConduitError
from conduit.load import publishing, sender
from conduit.load.plan import DUE, ENDED, SENT, SINCE, Plan
from conduit.load.process import Counters
from conduit.load.publishing import Sent
from conduit.load.sender import Tally
from conduit.load.system import Conduit
from conduit.load.wire import Target
from tests.load.peer import STORED, publishes
from tests.load.test_plan import PLAN
from tests.support.wait import DEADLINE_S, until


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing waits for processes that start; and the collector is as before."""
    monkeypatch.setattr(publishing, "LEAD_S", 0.0)
    yield
    gc.enable()


def plan(port: int, **changes: object) -> Plan:
    small = {"rate": 100.0, "seconds": 0.1, "warm_up_s": 0.0, "publishers": 2, "is_timed": True}
    system = Conduit(Target(port), Target(port))
    return dataclasses.replace(PLAN, **{"system": system, "drain_s": DEADLINE_S} | small | changes)


def published(what: Plan, board: Counters | None = None) -> Sent:
    return publishing.publish(lambda: None, what, board or what.board())


def test_what_is_answered_in_the_measured_time_makes_the_rate():
    tally = Tally([0] * 8)
    tally.since_ns, tally.until_ns = 100, 200
    for due_ns, read_ns in ((50, 99), (50, 100), (150, 199), (150, 200), (150, 10_000)):
        tally.settle(due_ns, "", read_ns)
    tally.settle(150, "overloaded", 150)
    assert (tally.in_time, tally.stored.count) == (2, 3)


def test_what_is_answered_when_the_time_is_over_has_a_latency_and_is_in_no_rate():
    board = PLAN.board()

    def late(number: int) -> bytes:
        if number:
            over_ns = 100_000_000
            until(lambda: bool(board[SINCE]) and time.monotonic_ns() > board[SINCE] + over_ns)
        return STORED

    with publishes(late) as port:
        sent = published(plan(port, publishers=1), board)
    assert (sent.count, sent.stored.count, sent.in_time) == (10, 10, 1)
    assert sent.seconds == pytest.approx(0.1, abs=0.09)


def test_a_connection_that_a_server_closes_unused_is_made_anew(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sender, "IDLE_MAX_NS", 50_000_000)
    monkeypatch.setattr(publishing, "OPEN_AHEAD_NS", 10_000_000)
    with publishes(lambda _: STORED, idle_s=0.1) as port:
        sent = published(plan(port, rate=8.0, seconds=0.5, publishers=3))
    assert (sent.count, sent.settled, sent.broken) == (4, [2, 1, 1], "")


def test_a_connection_that_a_server_closes_behind_an_answer_is_made_anew_for_the_next():
    with publishes(lambda _: STORED, closes=True) as port:
        # A busy machine may take a while to close what it has answered.
        sent = published(plan(port, rate=2.0, seconds=2.0, publishers=1))
    assert (sent.settled, sent.broken) == ([4], "")


def test_a_connection_that_is_lost_ends_the_run_with_what_was_measured_until_then():
    what = PLAN.board()
    with publishes(lambda number: STORED if number < 4 else None) as port:
        sent = published(plan(port, seconds=60.0, publishers=1), what)
    assert sent.settled == [4]
    assert sent.stored.count == 4
    assert "closed a connection that publishes" in sent.broken
    assert (what[ENDED], what[DUE]) == (1, what[SENT])
    assert sent.seconds < DEADLINE_S


def test_a_run_in_which_nothing_was_stored_before_is_an_error():
    with (
        publishes(lambda _: None) as port,
        pytest.raises(ConduitError, match="closed a connection") as caught,
    ):
        published(plan(port))
    assert caught.value.code == "connection_failed"


def test_a_server_that_refuses_and_closes_is_an_error_with_the_code_of_the_refusal():
    refusal = b'HTTP/1.1 413 Big\r\nContent-Length: 28\r\n\r\n{"code":"payload_too_large"}'
    with (
        publishes(lambda _: refusal, closes=True) as port,
        pytest.raises(ConduitError, match="refused before: 1") as caught,
    ):
        published(plan(port, publishers=1, rate=10.0, seconds=0.5))
    assert caught.value.code == "payload_too_large"


@pytest.mark.parametrize("rate", [100.0, None])
def test_no_more_is_sent_than_was_allowed(rate: float | None):
    with publishes(lambda _: STORED) as port:
        sent = published(plan(port, rate=rate, max_messages=5, seconds=60.0))
    assert (sent.count, sum(sent.settled), sent.broken) == (5, 5, "")
