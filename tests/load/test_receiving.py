"""Subscribers of a load: when they give up."""

from __future__ import annotations

import dataclasses
import socket
import threading

from conduit.load.checks import Checks
from conduit.load.plan import DUE, ENDED, SENT, Plan
from conduit.load.receiving import Crowd
from tests.load.test_plan import PLAN
from tests.support.wait import DEADLINE_S


class Cut:
    """A subscriber whose connection ends at once."""

    def __init__(self) -> None:
        self.connection, other = socket.socketpair()
        other.close()

    def reply(self, data: bytes) -> bytes:
        return b""


@dataclasses.dataclass(frozen=True)
class System:
    name: str = "cut"
    numbers_messages: bool = True

    def incoming(self, plan: Plan, number: int) -> Cut:
        return Cut()


def test_what_is_late_is_not_given_up_while_more_of_it_comes():
    plan = dataclasses.replace(PLAN, system=System(), publishers=1, drain_s=0.0, quiet_s=0.0)
    board = plan.board()
    crowd = Crowd(plan, board)
    (subscriber,) = crowd._subscribers
    subscriber.incoming.connection.close()
    gave_up = []
    for number in (0, 0, 1, None):
        if number is not None:
            subscriber.sequences[0].see(number)
        gave_up.append(crowd._gives_up())
    assert gave_up == [False, True, False, True]


def test_subscribers_that_are_cut_or_wait_await_what_was_due_before_they_say_what_is_lost():
    plan = dataclasses.replace(
        PLAN, system=System(), publishers=1, seconds=0.0, warm_up_s=0.0, drain_s=0.0, quiet_s=0.01
    )
    board = plan.board()
    crowd, has_ended = Crowd(plan, board), threading.Event()
    found: list[Checks] = []

    def read() -> None:
        crowd.read()
        has_ended.set()
        found.append(crowd.received(0.0).checks)

    reading = threading.Thread(target=read)
    reading.start()
    gave_up = has_ended.wait(0.2)
    board[DUE] = board[SENT] = 5
    board[ENDED] = 1
    reading.join(DEADLINE_S)
    for each in crowd._subscribers:
        each.incoming.connection.close()
    assert not gave_up
    assert found == [Checks(expected=5, lost=5)]
