"""Publishers: in an open loop each message leaves when it is due, whatever comes back; in a closed one each
connection waits for its answer. A process of its own runs `publish`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import select
import time
from array import array
from collections import Counter
from collections.abc import Callable

from conduit.errors import ConduitError
from conduit.load.histogram import Latencies
from conduit.load.plan import DUE, ENDED, LEAD_S, SENT, SINCE, STOP, Plan
from conduit.load.process import Counters
from conduit.load.sender import Sender, Tally

# Timers are late by this much (the default slack of Linux), so sleeping ends this much earlier. The
# median publish then leaves 35 µs late, not 85, and the publisher takes no more CPU: 6 % of a core at
# 2,000 a second with or without.
TIMER_SLACK_S = 50e-6
# How often answers are read that are only counted.
ANSWERS_EVERY_S = 0.005
# A send that takes longer has waited for the server to take it: what is late then is not late by the load.
HELD_NS = 1_000_000
# A connection that is made anew is made so long before it is needed.
OPEN_AHEAD_NS = 200_000_000
# A wait that is longer is cut, to see whether the run is to end.
_POLL_S = 0.1


@dataclasses.dataclass
class Sent:
    """What the publishers saw, of what was measured; `answered`, `refused` and `codes` are of all."""

    count: int
    measured: int
    late: Latencies
    """How late sends left."""
    stored: Latencies
    """From when a message was due to when its answer was read."""
    answered: int
    codes: Counter[str]
    """How many were refused, by code."""
    refused: list[set[int]]
    """By publisher, which of its messages."""
    held_s: float
    """How long sends waited for the server to take them."""
    seconds: float
    """How long was measured: from the end of the warm-up until the last message had its share of the time."""
    cores: float
    """CPU seconds per second while it sent."""
    in_time: int
    """How many were answered as stored in these seconds, those of the warm-up among them."""
    settled: list[int]
    """By publisher, how many of its messages were answered, which are the first."""
    unanswered: list[int]
    """By publisher, how many behind them were not."""
    broken: str = ""
    """Why it ended before its time: a connection was lost."""


def publish(ready: Callable[[], None], plan: Plan, board: Counters) -> Sent:
    """The load: send, read the answers in between, and wait for the last of them.

    A connection that is lost ends it. Raises ConduitError if nothing was stored until then, and if a
    connection is refused.
    """
    load = _Load(plan, board)
    gc.disable()
    ready()
    with contextlib.closing(load):
        return load.run()


class _Load:
    """All publishers, and what they have in common."""

    def __init__(self, plan: Plan, board: Counters) -> None:
        self.board = board
        self.tally = Tally(board)
        self._plan = plan
        self._late_ns = array("q")
        self._held_ns = 0
        self._epoll = select.epoll()
        self._senders = [Sender(plan, number, self.tally) for number in range(plan.publishers)]
        self._by_fd: dict[int, Sender] = {}
        for sender in self._senders:
            self._watch(sender)

    def _watch(self, sender: Sender) -> None:
        fd = sender.out.connection.fileno()
        self._by_fd[fd] = sender
        # What was closed is not watched any more.
        self._epoll.register(fd, select.EPOLLIN)

    def run(self) -> Sent:
        """All of it."""
        plan, tally = self._plan, self.tally
        first = time.monotonic_ns() + int(LEAD_S * 1e9)
        self.board[SINCE] = tally.since_ns = first + int(plan.warm_up_s * 1e9)
        cpu_s = time.process_time()
        if plan.rate is None:
            self.send_in_turn(first)
        else:
            self.send_on_time(first)
        # Until the first is due it sleeps.
        cores = (time.process_time() - cpu_s) / max(LEAD_S, time.monotonic() - first / 1e9)
        self.finish(first)
        return self.sent(cores)

    def close(self) -> None:
        """Leave the server."""
        self._epoll.close()
        for sender in self._senders:
            sender.close()

    @property
    def _is_over(self) -> bool:
        return bool(self.board[STOP] or self.tally.broken)

    # The open loop ----------------------------------------------------------------------------------

    def send_on_time(self, first_ns: int) -> None:
        """Send each message when it is due. It is built before."""
        plan, board, clock = self._plan, self.board, time.monotonic_ns
        wait = self._wait if plan.is_timed else self._sleep
        every = max(1, int((plan.rate or 0) * ANSWERS_EVERY_S))
        free_ns = 0
        for number in range(plan.count):
            sender = self._senders[number % plan.publishers]
            due = plan.due_ns(first_ns, number)
            request = sender.next(due)
            if number % every == 0:
                self._take_all()
            if sender.is_stale(due):
                wait(due - OPEN_AHEAD_NS)
                self._open(sender)
            wait(due)
            if not sender.is_open:
                self._open(sender)
            if self._is_over:
                sender.dues.pop()
                return
            while (now := clock()) < due:
                pass
            sender.send(request)
            self._late_ns.append(now - max(due, free_ns))
            if (after := clock()) - now > HELD_NS:
                self._held_ns += after - now
                free_ns = after
            board[SENT] = number + 1

    def _open(self, sender: Sender) -> None:
        """Make its connection anew, if the run goes on."""
        if self._is_over:
            return
        if sender.is_open:
            sender.close()
        try:
            sender.open()
        except ConduitError as error:
            self.tally.broken = str(error)
        else:
            self._watch(sender)

    def _sleep(self, due_ns: int) -> None:
        end_ns = due_ns - int(TIMER_SLACK_S * 1e9)
        while (wait_ns := end_ns - time.monotonic_ns()) > 0 and not self._is_over:
            time.sleep(min(wait_ns / 1e9, _POLL_S))

    def _wait(self, due_ns: int) -> None:
        """Sleep, and read answers when they come. An epoll waits for milliseconds, `select` for less."""
        end_ns = due_ns - int(TIMER_SLACK_S * 1e9)
        while (wait_ns := end_ns - time.monotonic_ns()) > 0 and not self._is_over:
            if select.select([self._epoll], [], [], min(wait_ns / 1e9, _POLL_S))[0]:
                self._take()

    def _take(self, within_s: float = 0) -> None:
        for fd, _ in self._epoll.poll(within_s):
            self._by_fd[fd].take()

    def _take_all(self) -> None:
        for sender in self._senders:
            sender.take()

    # The closed loop --------------------------------------------------------------------------------

    def send_in_turn(self, first_ns: int) -> None:
        """Each sends its next message when the one before is answered."""
        plan, board = self._plan, self.board
        time.sleep(max(0.0, (first_ns - time.monotonic_ns()) / 1e9))
        end_ns = self.tally.since_ns + int(plan.seconds * 1e9)
        waiting = list(self._senders)
        while time.monotonic_ns() < end_ns and not self._is_over:
            for sender in waiting:
                if board[SENT] >= plan.count:
                    return
                if not sender.is_open:
                    self._open(sender)
                if self._is_over:
                    return
                sender.send(sender.next(time.monotonic_ns()))
                board[SENT] += 1
            waiting = []
            for fd, _ in self._epoll.poll(_POLL_S):
                self._by_fd[fd].take()
                self.tally.kept.look()
                if self._by_fd[fd].is_answered:
                    waiting.append(self._by_fd[fd])

    # The end ----------------------------------------------------------------------------------------

    def finish(self, first_ns: int) -> None:
        """Wait for the last answers, so long as a run may take longer; then tell what was sent. Raises
        ConduitError if the run is broken before anything was stored."""
        plan, tally = self._plan, self.tally
        tally.until_ns = self._until_ns(first_ns)
        for sender in self._senders:
            if sender.is_open and (last := sender.out.last()):
                sender.write(last)
        until = time.monotonic() + plan.drain_s
        while True:
            tally.kept.look()
            if all(each.is_answered or not each.is_open for each in self._senders):
                break
            if time.monotonic() > until:
                break
            self._take(_POLL_S)
        if tally.broken and sum(map(len, self._refused)) == sum(e.settled for e in self._senders):
            raise self._ended()
        for number, sender in enumerate(self._senders):
            self.board[DUE + number] = sender.sent
        self.board[ENDED] = 1

    def _until_ns(self, first_ns: int) -> int:
        """When measuring ends: now, or when the time of the last message is over, which is its share, but
        not longer than was asked for."""
        now_ns, plan = time.monotonic_ns(), self._plan
        if plan.rate is None or self._is_over:
            return now_ns
        shares_ns = plan.due_ns(first_ns, self.board[SENT])
        return max(now_ns, min(shares_ns, self.tally.since_ns + int(plan.seconds * 1e9)))

    @property
    def _refused(self) -> list[set[int]]:
        return [each.refused for each in self._senders]

    def _ended(self) -> ConduitError:
        """That nothing was stored, as an error: with the code of what was refused, if anything was."""
        for code, count in self.tally.codes.most_common(1):
            return ConduitError(f"{self.tally.broken}; refused before: {count:,}", code=code)
        return ConduitError(self.tally.broken, code="connection_failed")

    def sent(self, cores: float) -> Sent:
        """What came of it."""
        late, tally = Latencies(), self.tally
        dues = [each.dues for each in self._senders]
        measured = sum(due >= tally.since_ns for each in dues for due in each)
        for late_ns in self._late_ns[len(self._late_ns) - measured :]:
            late.record(late_ns)
        return Sent(
            count=sum(map(len, dues)),
            measured=measured,
            late=late,
            stored=tally.stored,
            answered=sum(each.settled for each in self._senders),
            codes=tally.codes,
            refused=self._refused,
            held_s=self._held_ns / 1e9,
            seconds=max((tally.until_ns - tally.since_ns) / 1e9, 0.0),
            cores=cores,
            in_time=tally.in_time,
            settled=[each.settled for each in self._senders],
            unanswered=[each.sent - each.settled for each in self._senders],
            broken=tally.broken,
        )
