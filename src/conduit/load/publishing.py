"""Publishers: in an open loop each message leaves when it is due, whatever comes back; in a closed one each
connection waits for its answer. A process of its own runs `publish`.
"""

from __future__ import annotations

import dataclasses
import gc
import select
import time
from array import array
from collections import Counter
from collections.abc import Callable

from conduit.errors import ConduitError
from conduit.load.histogram import Latencies
from conduit.load.kept import Kept
from conduit.load.plan import ANSWERED, DUE, ENDED, LEAD_S, REFUSED, SENT, SINCE, STOP, Plan
from conduit.load.process import Counters
from conduit.load.wire import has_more, read_now

# Timers are late by this much (the default slack of Linux), so sleeping ends this much earlier. The
# median publish then leaves 35 µs late, not 85, and the publisher takes no more CPU: 6 % of a core at
# 2,000 a second with or without.
TIMER_SLACK_S = 50e-6
# How often answers are read that are only counted.
ANSWERS_EVERY_S = 0.005
# A send that takes longer has waited for the server to take it: what is late then is not late by the load.
HELD_NS = 1_000_000
KEPT_MAX_BYTES = 16 << 20
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
    """How long was measured."""
    cores: float
    """CPU seconds per second while it sent."""


def publish(ready: Callable[[], None], plan: Plan, board: Counters) -> Sent:
    """The load: send, read the answers in between, and wait for the last of them.

    Raises ConduitError if a connection is refused, or ends.
    """
    load = _Load(plan, board)
    gc.disable()
    ready()
    first = time.monotonic_ns() + int(LEAD_S * 1e9)
    board[SINCE] = load.since_ns = first + int(plan.warm_up_s * 1e9)
    began, cpu_s = time.monotonic(), time.process_time()
    if plan.rate is None:
        load.send_in_turn(first)
    else:
        load.send_on_time(first)
    ended = time.monotonic()
    cores = (time.process_time() - cpu_s) / (ended - began)
    load.finish()
    return load.sent(cores, ended)


class _Publisher:
    """One connection; what it has sent, and what became of it."""

    def __init__(self, plan: Plan, number: int, load: _Load) -> None:
        self.out = plan.system.outgoing(plan)
        self.dues = array("q")
        self.refused: set[int] = set()
        self.answered = 0
        self._number = number
        self._plan = plan
        self._load = load

    def next(self, due_ns: int) -> bytes:
        """Its next publish."""
        payload = self._plan.payload(len(self.dues), self._number, due_ns)
        self.dues.append(due_ns)
        return self.out.request(payload)

    def take(self) -> None:
        """Read what is there, without waiting. Raises ConduitError if the connection has ended."""
        while (data := read_now(self.out.connection)) is not None:
            if not data:
                raise self._load.ended("the server has closed a connection that publishes")
            read_ns = time.monotonic_ns()
            self._load.kept.add(self._look, read_ns, read_ns, data)
            if not has_more(self.out.connection):
                break

    def _look(self, _woken_ns: int, read_ns: int, data: bytes) -> None:
        for code in self.out.answers(data):
            if self.answered < len(self.dues):
                self._settle(self.answered, code, read_ns)
            self.answered += 1

    def _settle(self, number: int, code: str, read_ns: int) -> None:
        load = self._load
        if code:
            self.refused.add(number)
            load.codes[code] += 1
            load.board[REFUSED] += 1
        elif self.dues[number] >= load.since_ns:
            load.stored.record(read_ns - self.dues[number])
        load.board[ANSWERED] += 1

    @property
    def is_answered(self) -> bool:
        return self.answered >= self.out.due(len(self.dues))


class _Load:
    """All publishers, and what they have in common."""

    def __init__(self, plan: Plan, board: Counters) -> None:
        self.board = board
        self.kept = Kept(KEPT_MAX_BYTES)
        self.stored = Latencies()
        self.codes: Counter[str] = Counter()
        self.since_ns = 0
        self._plan = plan
        self._late_ns = array("q")
        self._held_ns = 0
        self._epoll = select.epoll()
        self._publishers = [_Publisher(plan, number, self) for number in range(plan.publishers)]
        self._by_fd = {each.out.connection.fileno(): each for each in self._publishers}
        for fd in self._by_fd:
            self._epoll.register(fd, select.EPOLLIN)

    # The open loop ----------------------------------------------------------------------------------

    def send_on_time(self, first_ns: int) -> None:
        """Send each message when it is due. It is built before."""
        plan, board, clock = self._plan, self.board, time.monotonic_ns
        wait = self._wait if plan.is_timed else self._sleep
        every = max(1, int((plan.rate or 0) * ANSWERS_EVERY_S))
        free_ns = 0
        for number in range(plan.count):
            publisher = self._publishers[number % plan.publishers]
            due = plan.due_ns(first_ns, number)
            request = publisher.next(due)
            if number % every == 0:
                self._take_all()
                if board[STOP]:
                    publisher.dues.pop()
                    return
            wait(due)
            while (now := clock()) < due:
                pass
            self._send(publisher, request)
            self._late_ns.append(now - max(due, free_ns))
            if (after := clock()) - now > HELD_NS:
                self._held_ns += after - now
                free_ns = after
            board[SENT] = number + 1

    def _sleep(self, due_ns: int) -> None:
        if (wait_ns := due_ns - int(TIMER_SLACK_S * 1e9) - time.monotonic_ns()) > 0:
            time.sleep(wait_ns / 1e9)

    def _wait(self, due_ns: int) -> None:
        """Sleep, and read answers when they come. An epoll waits for milliseconds, `select` for less."""
        end_ns = due_ns - int(TIMER_SLACK_S * 1e9)
        while (wait_ns := end_ns - time.monotonic_ns()) > 0:
            if select.select([self._epoll], [], [], wait_ns / 1e9)[0]:
                self._take()

    def _take(self, within_s: float = 0) -> None:
        for fd, _ in self._epoll.poll(within_s):
            self._by_fd[fd].take()

    def _take_all(self) -> None:
        for publisher in self._publishers:
            publisher.take()

    def _send(self, publisher: _Publisher, request: bytes) -> None:
        try:
            publisher.out.connection.sendall(request)
        except OSError as error:
            # It may have said why.
            publisher.take()
            raise self.ended(
                f"the server takes no more of a connection that publishes: {error}"
            ) from error

    # The closed loop --------------------------------------------------------------------------------

    def send_in_turn(self, first_ns: int) -> None:
        """Each sends its next message when the one before is answered."""
        plan, board = self._plan, self.board
        time.sleep(max(0.0, (first_ns - time.monotonic_ns()) / 1e9))
        end_ns = self.since_ns + int(plan.seconds * 1e9)
        waiting = list(self._publishers)
        while time.monotonic_ns() < end_ns and not board[STOP]:
            for publisher in waiting:
                if board[SENT] >= plan.count:
                    return
                self._send(publisher, publisher.next(time.monotonic_ns()))
                board[SENT] += 1
            waiting = []
            for fd, _ in self._epoll.poll(_POLL_S):
                self._by_fd[fd].take()
                self.kept.look()
                if self._by_fd[fd].is_answered:
                    waiting.append(self._by_fd[fd])

    def ended(self, what: str) -> ConduitError:
        """A connection that ended, as an error: with the code of what was refused, if that was before."""
        self.kept.look()
        for code, count in self.codes.most_common(1):
            return ConduitError(f"{what}; refused before: {count:,}", code=code)
        return ConduitError(what, code="connection_failed")

    # The end ----------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Wait for the last answers, so long as a run may take longer; then tell what was sent."""
        for publisher in self._publishers:
            if last := publisher.out.last():
                self._send(publisher, last)
        until = time.monotonic() + self._plan.drain_s
        while True:
            self.kept.look()
            if all(each.is_answered for each in self._publishers) or time.monotonic() > until:
                break
            self._take(_POLL_S)
        for number, publisher in enumerate(self._publishers):
            self.board[DUE + number] = len(publisher.dues)
        self.board[ENDED] = 1

    def sent(self, cores: float, ended: float) -> Sent:
        """What came of it."""
        late = Latencies()
        dues = [each.dues for each in self._publishers]
        measured = sum(due >= self.since_ns for each in dues for due in each)
        for late_ns in self._late_ns[len(self._late_ns) - measured :]:
            late.record(late_ns)
        return Sent(
            count=sum(map(len, dues)),
            measured=measured,
            late=late,
            stored=self.stored,
            answered=sum(min(each.answered, len(each.dues)) for each in self._publishers),
            codes=self.codes,
            refused=[each.refused for each in self._publishers],
            held_s=self._held_ns / 1e9,
            # The last message has its share of the time too.
            seconds=max(ended - self.since_ns / 1e9, measured / (self._plan.rate or 1e9)),
            cores=cores,
        )
