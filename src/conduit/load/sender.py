"""One connection that publishes, and what became of what was sent over all of them."""

from __future__ import annotations

import time
from array import array
from collections import Counter

from conduit.load.histogram import Latencies
from conduit.load.kept import Kept
from conduit.load.plan import ANSWERED, REFUSED, Plan
from conduit.load.process import Counters
from conduit.load.wire import has_more, read_now

KEPT_MAX_BYTES = 16 << 20
# Conduit ends a connection over which no request has come for 10 s, proxies do so as well: one that was not
# used for so long is made anew.
IDLE_MAX_NS = 5_000_000_000
_EVER_NS = 1 << 62


class Tally:
    """What came of all messages of a run."""

    def __init__(self, board: Counters) -> None:
        self.board = board
        self.kept = Kept(KEPT_MAX_BYTES)
        self.stored = Latencies()
        self.codes: Counter[str] = Counter()
        self.since_ns = 0
        """When measuring begins."""
        self.until_ns = _EVER_NS
        """When it ends; before that is known, what was read comes in time."""
        self.in_time = 0
        """How many were answered as stored while it was measured."""
        self.broken = ""
        """Why the run cannot go on."""

    def settle(self, due_ns: int, code: str, read_ns: int) -> None:
        """One was answered: it is stored, unless there is a code."""
        if code:
            self.codes[code] += 1
            self.board[REFUSED] += 1
        else:
            self.in_time += self.since_ns <= read_ns < self.until_ns
            if due_ns >= self.since_ns:
                self.stored.record(read_ns - due_ns)
        self.board[ANSWERED] += 1


class Sender:
    """One connection; what it has sent, and what became of it. Raises ConduitError if it cannot be made."""

    def __init__(self, plan: Plan, number: int, tally: Tally) -> None:
        self.dues = array("q")
        """When each of its messages is due: of those that were sent, and of the one that is next."""
        self.sent = 0
        self.answered = 0
        self.refused: set[int] = set()
        self._number = number
        self._plan = plan
        self._tally = tally
        self.open()

    def open(self) -> None:
        """Connect, anew if it was closed. Raises ConduitError."""
        self.out = self._plan.system.outgoing(self._plan)
        self.is_open = True
        self._used_ns = time.monotonic_ns()

    def close(self) -> None:
        """Leave the server."""
        self.out.connection.close()
        self.is_open = False

    def next(self, due_ns: int) -> bytes:
        """Its next publish."""
        payload = self._plan.payload(len(self.dues), self._number, due_ns)
        self.dues.append(due_ns)
        return self.out.request(payload)

    def send(self, request: bytes) -> None:
        """Send what `next` gave."""
        self.sent += 1
        self.write(request)

    def write(self, data: bytes) -> None:
        """Send anything; the run is broken if the server takes no more."""
        self._used_ns = time.monotonic_ns()
        try:
            self.out.connection.sendall(data)
        except OSError as error:
            # It may have said why.
            self.take()
            self._break(f"the server takes no more of a connection that publishes: {error}")

    def take(self) -> None:
        """Read what is there, without waiting. The run is broken if the connection has ended with something
        unanswered, or behind a refusal."""
        while self.is_open and (data := read_now(self.out.connection)) is not None:
            if not data:
                self._tally.kept.look()
                self.close()
                # Behind a refusal it is no closing of what was not used: the next would be refused as well.
                if not self.is_answered or self.sent - 1 in self.refused:
                    self._break("the server has closed a connection that publishes")
                return
            read_ns = time.monotonic_ns()
            self._tally.kept.add(self._look, read_ns, read_ns, data)
            if not has_more(self.out.connection):
                break

    def _look(self, _woken_ns: int, read_ns: int, data: bytes) -> None:
        due = self.out.due(self.sent)
        for code in self.out.answers(data):
            if self.answered >= due:
                # To no request: a server says so that it closes what was not used.
                continue
            if self.answered < self.sent:
                if code:
                    self.refused.add(self.answered)
                self._tally.settle(self.dues[self.answered], code, read_ns)
            self.answered += 1

    def _break(self, why: str) -> None:
        self._tally.broken = self._tally.broken or why

    @property
    def is_answered(self) -> bool:
        """Whether no answer is missing, of those that were looked at."""
        return self.answered >= self.out.due(self.sent)

    @property
    def settled(self) -> int:
        """How many of its messages were answered, which are the first."""
        return min(self.answered, self.sent)

    def is_stale(self, now_ns: int) -> bool:
        """Whether the server may have closed it by then, for it was not used."""
        if self.is_open and now_ns - self._used_ns < IDLE_MAX_NS:
            return False
        self._tally.kept.look()
        return self.is_answered
