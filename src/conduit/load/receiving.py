"""Subscribers that note when what came, and look at it later. A process of its own runs `receive`."""

from __future__ import annotations

import dataclasses
import gc
import select
import time
from array import array
from collections.abc import Callable, Iterable

from conduit.load.checks import Checks, Sequence, Shared
from conduit.load.files import allow_files
from conduit.load.histogram import Latencies
from conduit.load.kept import Kept
from conduit.load.plan import DUE, ENDED, RECEIVED, REFUSED, SENT, SINCE, STOP, Plan
from conduit.load.process import Counters
from conduit.load.wire import blocking, has_more, read_now

READ_BYTES = 16_384
# Of what was read so much is kept for the next read: more than a message's fields, which may be cut in two.
_REST_MAX_BYTES = 256
_MARK = b'"due":'


@dataclasses.dataclass
class Received:
    """What the subscribers saw."""

    latencies: Latencies
    """From when a message was due to when it was read, of each that was measured."""
    last: Latencies
    """The same until the last subscriber had it, of messages that all have got."""
    readings: Latencies
    """How long what had arrived waited until it was read."""
    checks: Checks
    missing: list[tuple[int, int, int]]
    """What did not come to a subscriber: publisher, and from (with) to (without) which of its messages."""
    seconds: float
    """From when measuring began to the last message."""
    bytes_read: int
    closed: list[str]
    """Why connections ended."""
    cores: float
    """CPU seconds per second until the last message."""

    @property
    def measured(self) -> int:
        """How many deliveries were measured."""
        return self.latencies.count


def receive(ready: Callable[[], None], plan: Plan, board: Counters) -> Received:
    """The load: hold all subscribers until everything has come, and look at it."""
    crowd = Crowd(plan, board)
    gc.disable()
    ready()
    began, cpu_s = time.monotonic(), time.process_time()
    crowd.read()
    used_s = time.process_time() - cpu_s - crowd.looking_s
    cores = used_s / (time.monotonic() - began - crowd.looking_s)
    return crowd.received(cores)


class Crowd:
    """All subscribers of a run."""

    def __init__(self, plan: Plan, board: Counters) -> None:
        self.plan = plan
        self.board = board
        self.kept = Kept()
        self.readings = Latencies()
        self.latencies = Latencies()
        self.closed: list[str] = []
        self.last_ns = 0
        self.bytes_read = 0
        self.looking_s = 0.0
        """CPU seconds that went into looking at what was read, which is not done beside the server."""
        self.shared = [Shared(plan.subscribers) for _ in range(plan.publishers)]
        self.order = array("q")
        """The messages as the first to have each of them saw them: number and publisher in one."""
        self.has_it = array("L")
        """By message, of those measured: how many have it."""
        self.slowest_ns = array("q")
        """The same: how long it took until the last of them had it."""
        self._until: float | None = None
        """When it gives up, unless more has come by then than these."""
        self._came = 0
        allow_files(plan.subscribers)
        self._subscribers = [_Subscriber(self, number) for number in range(plan.subscribers)]

    def read(self) -> None:
        """Read until the publishers have ended, however late, and everything has come and it is quiet; gives
        up when nothing more of it has come for the plan's `drain_s`."""
        plan, board = self.plan, self.board
        epoll = select.epoll()
        by_fd = {each.incoming.connection.fileno(): each for each in self._subscribers}
        for fd in by_fd:
            epoll.register(fd, select.EPOLLIN)
        # Without connections the publishers' end is still to come: before it nothing is known to be lost.
        while by_fd or not board[ENDED]:
            events = epoll.poll(plan.quiet_s)
            woken = time.monotonic_ns()
            for fd, _ in events:
                if not by_fd[fd].take(woken):
                    epoll.unregister(fd)
                    del by_fd[fd]
            if not events:
                self._look()
            if board[ENDED] and ((not events and self._has_all()) or self._gives_up()):
                break
        self._look()

    def _gives_up(self) -> bool:
        """Whether nothing more has come for so long; what is late is not lost."""
        now = time.monotonic()
        if self._until is not None and now < self._until:
            return False
        self._look()
        came = sum(each.seen - each.duplicates for some in self._several() for each in some)
        if self._until is not None and (came == self._came or self.board[STOP]):
            return True
        self._until, self._came = now + self.plan.drain_s, came
        return False

    def _several(self) -> list[Iterable[Shared | Sequence]]:
        """By subscriber, or for all who share, what came of each publisher."""
        if self.plan.subscription:
            return [self.shared]
        return [each.sequences for each in self._subscribers]

    def measure(self, place: int, read_ns: int, due_ns: int) -> None:
        """One delivery of the message at this place."""
        self.latencies.record(read_ns - due_ns)
        if place >= len(self.has_it):
            more = place + 1 - len(self.has_it)
            self.has_it.extend([0] * more)
            self.slowest_ns.extend([0] * more)
        self.has_it[place] += 1
        self.slowest_ns[place] = max(self.slowest_ns[place], read_ns - due_ns)
        self.last_ns = max(self.last_ns, read_ns)

    def _look(self) -> None:
        began = time.process_time()
        self.kept.look()
        self.looking_s += time.process_time() - began

    def _has_all(self) -> bool:
        due = self.board[SENT] - self.board[REFUSED]
        seen = sum(each.seen for each in self._subscribers)
        return seen >= due * (1 if self.plan.subscription else self.plan.subscribers)

    def received(self, cores: float) -> Received:
        """What came of it."""
        checks, missing = Checks(), []
        dues = [self.board[DUE + number] for number in range(self.plan.publishers)]
        for each in self._several():
            for publisher, (seen, due) in enumerate(zip(each, dues, strict=True)):
                checks += seen.checks(due)
                gone = seen.missing(due)
                missing += [(publisher, start, stop) for start, stop in gone]
        if self.plan.system.numbers_messages and not missing and not self.plan.subscription:
            checks.disordered += sum(each.differs for each in self._subscribers)
        last, everybody = Latencies(), 1 if self.plan.subscription else self.plan.subscribers
        for count, latency_ns in zip(self.has_it, self.slowest_ns, strict=True):
            if count == everybody:
                last.record(latency_ns)
        seconds = max((self.last_ns - self.board[SINCE]) / 1e9, 0.0)
        return Received(
            self.latencies,
            last,
            self.readings,
            checks,
            missing,
            seconds,
            self.bytes_read,
            self.closed,
            cores,
        )


class _Subscriber:
    """One subscriber."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        plan = crowd.plan
        self.incoming = plan.system.incoming(plan, number)
        blocking(self.incoming.connection)
        self.sequences = [Sequence() for _ in range(plan.publishers)]
        self.seen = 0
        self.differs = 0
        """How often another message came than to the others."""
        self._crowd = crowd
        self._number = number
        self._find = plan.fields.finditer
        self._rest = b""

    def take(self, woken_ns: int) -> bool:
        """Read once; whether it goes on."""
        crowd, connection = self._crowd, self.incoming.connection
        while True:
            data = read_now(connection, READ_BYTES)
            if data is None:
                return True
            if not data:
                crowd.kept.look()
                crowd.closed.append(_why(self._rest))
                return False
            read_ns = time.monotonic_ns()
            crowd.kept.add(self._look, woken_ns, read_ns, data)
            crowd.bytes_read += len(data)
            crowd.board[RECEIVED] += data.count(_MARK)
            if (reply := self.incoming.reply(data)) and not self._send(reply):
                return False
            if not has_more(connection):
                return True

    def _send(self, reply: bytes) -> bool:
        """Whether it can go on."""
        try:
            self.incoming.connection.sendall(reply)
        except ConnectionError:
            # Why, the rest of what it has sent may say.
            return True
        except OSError as error:
            self._crowd.closed.append(f"the server takes no acks: {error}")
            return False
        return True

    def _look(self, woken_ns: int, read_ns: int, chunk: bytes) -> None:
        self._crowd.readings.record(read_ns - woken_ns)
        data, end = self._rest + chunk, 0
        for found in self._find(data):
            self._see(int(found[1]), int(found[2]), int(found[3]), read_ns)
            end = found.end()
        self._rest = data[max(end, len(data) - _REST_MAX_BYTES) :]

    def _see(self, number: int, publisher: int, due_ns: int, read_ns: int) -> None:
        crowd = self._crowd
        place = number * crowd.plan.publishers + publisher
        if crowd.plan.subscription:
            crowd.shared[publisher].add(self._number, number)
        else:
            self.sequences[publisher].see(number)
            if self.seen < len(crowd.order):
                self.differs += crowd.order[self.seen] != place
            else:
                crowd.order.append(place)
        self.seen += 1
        if due_ns >= crowd.board[SINCE]:
            crowd.measure(place, read_ns, due_ns)


def _why(rest: bytes) -> str:
    """What the server's close frame says, which was the last."""
    at = rest.rfind(b"\x88")
    if at < 0 or len(rest) < at + 4:
        return "without a close frame"
    code = int.from_bytes(rest[at + 2 : at + 4], "big")
    return f"{code} {rest[at + 4 :].decode(errors='replace')}".strip()
