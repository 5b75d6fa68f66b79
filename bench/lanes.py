"""Closed-loop publishers in one process: a few connections, each with so many publishes unanswered.

What every system is asked alike is here; how it is asked is its `Dialect`. Lane i, a connection,
publishes the numbers from FIRST + i * STRIDE on, so that the log tells whose a message is and
whether the order was kept. Every answer is noted: it names a place in the log, and there the message
must be found afterwards.
"""

from __future__ import annotations

import dataclasses
import gc
import re
import select
import socket
import time
from collections.abc import Callable, Iterable

from bench import loads, wire
from bench.harness import Outcome, percentile
from bench.systems import Busy, Server
from conduit.load.checks import Checks

# All numbers have nine digits, so all payloads have the same length.
FIRST = 100_000_000
STRIDE = 1_000_000
PAYLOAD_BYTES = len(wire.PAYLOAD % FIRST)
TOPIC = "bench"
WARM_TOPIC = "warm"
WARM_S = 0.5
# Together with what is measured less than Conduit's memory store keeps.
WARM_MAX_COUNT = 100_000
# Without an answer for so long something is lost, or was refused in words that nobody expects.
STALLED_S = 20.0

Noted = list[bytes] | list[tuple[bytes, bytes]]
"""Answers as they came: places in the log, or numbers with their places."""
Log = list[tuple[bytes, bytes]]
"""What a system holds, in its order: place and number."""


@dataclasses.dataclass(frozen=True)
class Dialect:
    """How one system is published to, and how it answers. Its functions are modules', for pickle."""

    connect: Callable[[int, int], socket.socket]
    """From port and lane to a connection on which nothing is left to read."""
    publishes: Callable[[str, int, list[bytes]], bytes]
    """From topic, lane and payloads to what is sent for them."""
    answer: re.Pattern[bytes]
    """An answer: number and place, or only the place where answers keep the order of publishes."""
    end: bytes
    """What ends an answer, and stands nowhere in the middle of what `answer` matches."""
    refusal: bytes
    """What stands in no answer but a refusal."""


@dataclasses.dataclass(frozen=True)
class Shape:
    """How hard: connections, publishes unanswered on each, and how many of them are sent at once."""

    connections: int
    outstanding: int
    unit: int = 1
    most: int = 800_000
    """The load ends after so many messages: Conduit's memory store keeps a million."""


@dataclasses.dataclass(frozen=True)
class Published:
    """What the load did."""

    seconds: float
    """Until the last answer."""
    noted: list[Noted]
    """The answers of each lane."""
    latencies_s: list[float]
    """From sending a unit to all of its answers; only where no more than one is on the way."""


def measure(
    server: Server,
    dialect: Dialect,
    shape: Shape,
    seconds: float,
    read: Callable[[int, str], Log],
) -> Outcome:
    """Publish for so long; `read` gives the log from port and topic.

    Figures count messages; latencies, of a whole unit, are there only if one is on the way at a time.
    """
    with loads.Load(publish, dialect, server.port, shape, seconds) as load:
        load.wait_ready()
        busy = Busy(server)
        load.go()
        result: Published = load.result()
        cpu_s = busy.cpu_s()
    checks = compare(result.noted, read(server.port, TOPIC))
    figures = {"messages_per_s": checks.expected / result.seconds}
    if result.latencies_s:
        ordered = sorted(result.latencies_s)
        figures["p50_ms"] = percentile(ordered, 0.50) * 1000
        figures["p99_ms"] = percentile(ordered, 0.99) * 1000
    figures["server_us_per_message"] = cpu_s / max(checks.expected, 1) * 1e6
    return Outcome(figures, checks, cpu_s / result.seconds, load.cores)


def compare(noted: list[Noted], log: Log) -> Checks:
    """Check answers against the log: each message is where its answer says, once, in lane order.

    `noted` has the answers of each lane. What is stored without an answer counts as a duplicate:
    the load ends with every answer.
    """
    answered = [answer for index, found in enumerate(noted) for answer in _numbered(index, found)]
    # Where each message stands first.
    place_of = {number: place for place, number in reversed(log)}
    numbers = {number for number, _ in answered}
    lost = sum([place_of.get(number) != place for number, place in answered])
    twice = len(log) - len(place_of) + len(answered) - len(numbers)
    disordered = 0
    last: dict[int, int] = {}
    for _, text in log:
        index, number = divmod(int(text) - FIRST, STRIDE)
        if number < last.get(index, 0):
            disordered += 1
        last[index] = number
    beyond = len(place_of.keys() - numbers)
    return Checks(len(answered), len(log), lost, twice + beyond, disordered)


def _numbered(index: int, found: Noted) -> Iterable[tuple[bytes, bytes]]:
    start = FIRST + index * STRIDE
    for number, each in enumerate(found, start):
        yield each if isinstance(each, tuple) else (b"%d" % number, each)


def publish(
    ready: Callable[[], None], dialect: Dialect, port: int, shape: Shape, seconds: float
) -> Published:
    """The load: publish to WARM_TOPIC, then for `seconds` to TOPIC. Raises RuntimeError on a refusal."""
    connections = [dialect.connect(port, index) for index in range(shape.connections)]
    warming = dataclasses.replace(shape, most=WARM_MAX_COUNT)
    _run([Lane(dialect, WARM_TOPIC, *each) for each in enumerate(connections)], warming, WARM_S)
    # What is noted only grows: the collector would walk all of it again and again.
    gc.disable()
    lanes = [Lane(dialect, TOPIC, *each) for each in enumerate(connections)]
    ready()
    return _run(lanes, shape, seconds)


def _run(lanes: list[Lane], shape: Shape, seconds: float) -> Published:
    by_fd = {lane.connection.fileno(): lane for lane in lanes}
    most = shape.most // len(lanes)
    busy = set(by_fd)
    latencies_s: list[float] = []
    with select.epoll() as poll:
        for fd in by_fd:
            poll.register(fd, select.EPOLLIN)
        began = time.monotonic()
        for lane in lanes:
            lane.send(shape.outstanding)
        while busy:
            events = poll.poll(STALLED_S)
            if not events:
                raise RuntimeError(f"no answer for {STALLED_S} s: {[*map(str, lanes)]}")
            now = time.monotonic()
            is_over = now - began > seconds
            for fd, _ in events:
                lane = by_fd[fd]
                unanswered = lane.take()
                if not unanswered and shape.outstanding == shape.unit:
                    latencies_s.append(now - lane.sent_at)
                free = (shape.outstanding - unanswered) // shape.unit * shape.unit
                if free and not is_over and lane.sent + free <= most:
                    lane.send(free)
                elif not unanswered:
                    # What comes later is no answer, such as NATS's PING.
                    busy.discard(fd)
        took_s = time.monotonic() - began
    return Published(took_s, [lane.found for lane in lanes], latencies_s)


class Lane:
    """One connection."""

    def __init__(self, dialect: Dialect, topic: str, index: int, connection: socket.socket) -> None:
        self.connection = connection
        self.found: Noted = []
        self.sent = 0
        self.sent_at = 0.0
        """When the last ones were sent, monotonic."""
        self._dialect = dialect
        self._topic = topic
        self._index = index
        self._rest = b""
        # By count: what is sent for so many publishes, and how often it has each number.
        self._forms: dict[int, tuple[bytes, int]] = {}

    def __str__(self) -> str:
        return f"{len(self.found)} of {self.sent} answered, then {self._rest[-300:]!r}"

    def send(self, count: int) -> None:
        """Publish the next ones."""
        form, times = self._forms.get(count) or self._form(count)
        start = FIRST + self._index * STRIDE + self.sent
        numbers: Iterable[int] = range(start, start + count)
        if times > 1:
            numbers = [number for number in numbers for _ in range(times)]
        self.sent_at = time.monotonic()
        self.connection.sendall(form % tuple(numbers))
        self.sent += count

    def take(self) -> int:
        """Read and note answers; returns how many publishes are unanswered then."""
        data = self.connection.recv(wire.READ_BYTES)
        if not data:
            raise RuntimeError("a connection was closed by the server")
        if self._rest:
            data = self._rest + data
        if self._dialect.refusal in data:
            raise RuntimeError(f"a publish failed: {data[-500:]!r}")
        end = data.rfind(self._dialect.end)
        if end >= 0:
            end += len(self._dialect.end)
            self.found += self._dialect.answer.findall(data, 0, end)
            data = data[end:]
        self._rest = data
        return self.sent - len(self.found)

    def _form(self, count: int) -> tuple[bytes, int]:
        number = b"%d" % FIRST
        payloads = [wire.PAYLOAD % FIRST] * count
        said = self._dialect.publishes(self._topic, self._index, payloads)
        form = said.replace(b"%", b"%%").replace(number, b"%d")
        self._forms[count] = form, said.count(number) // count
        return self._forms[count]
