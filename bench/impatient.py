"""Publishers that do not wait for ever: a closed loop that finds what a server takes, and an open one in
which requests leave at fixed times, whatever became of those before, and end after so long.

A request is a batch, alone on its connection. Whoever gives up closes the connection, as clients do.
"""

from __future__ import annotations

import dataclasses
import gc
import re
import select
import time
from collections import Counter, deque
from collections.abc import Callable

from bench import wire

BATCH = 50
# In the closed loop: after a refusal it is tried again so soon.
AGAIN_S = 0.05
_HEAD = re.compile(rb"HTTP/1.1 (\d+) .*?content-length: (\d+).*?\r\n\r\n", re.DOTALL | re.I)
_CODE = re.compile(rb'"code":"(\w+)"')


@dataclasses.dataclass(frozen=True)
class Plan:
    """An open loop: `count` requests, the n-th with messages n * BATCH … to `topic`."""

    port: int
    topic: str
    requests_per_s: float
    count: int
    wait_s: float


@dataclasses.dataclass
class Outcomes:
    """What became of the requests, by their numbers."""

    acked: list[int] = dataclasses.field(default_factory=list)
    latencies_ms: list[float] = dataclasses.field(default_factory=list)
    refused: list[int] = dataclasses.field(default_factory=list)
    """Answered with an error that says that nothing is stored."""
    unknown: list[int] = dataclasses.field(default_factory=list)
    """Answered that it may be, or not answered in time."""
    codes: Counter[str] = dataclasses.field(default_factory=Counter)
    late_ms: list[float] = dataclasses.field(default_factory=list)


class _Connection:
    """One connection with at most one request on it."""

    def __init__(self, port: int) -> None:
        self.socket = wire.connect(port)
        self.socket.setblocking(False)
        self.number = -1
        self.due = 0.0
        self._answer = b""

    def send(self, request: bytes, number: int, due: float) -> None:
        """Send it; the kernel takes a whole request."""
        self.number, self.due, self._answer = number, due, b""
        self.socket.setblocking(True)
        self.socket.sendall(request)
        self.socket.setblocking(False)

    def receive(self) -> tuple[int, bytes] | None:
        """Status and body, if all of the answer is here. Raises ConnectionError."""
        part = self.socket.recv(wire.READ_BYTES)
        if not part:
            raise ConnectionError("closed")
        self._answer += part
        head = _HEAD.match(self._answer)
        if head is None or len(self._answer) < head.end() + int(head[2]):
            return None
        return int(head[1]), self._answer[head.end() :]


def request(topic: str, number: int) -> bytes:
    """The request with this number."""
    start = number * BATCH
    messages = b",".join(
        b'{"topic":"%b","payload":%b}' % (topic.encode(), wire.PAYLOAD % each)
        for each in range(start, start + BATCH)
    )
    return wire.request("/api/publish/batch", b'{"messages":[%b]}' % messages)


def saturate(
    ready: Callable[[], None], port: int, topic: str, connections: int, seconds: float
) -> float:
    """The load of a closed loop; returns how many messages were acked per second."""
    clients = [_Connection(port) for _ in range(connections)]
    poll = select.epoll()
    by_fd = {each.socket.fileno(): each for each in clients}
    for fd in by_fd:
        poll.register(fd, select.EPOLLIN)
    body = request(topic, 0)
    ready()
    for each in clients:
        each.send(body, 0, 0.0)
    began = now = time.monotonic()
    acked: list[float] = []
    refused: deque[tuple[float, _Connection]] = deque()
    while now < began + seconds:
        for fd, _ in poll.poll(AGAIN_S):
            answer = by_fd[fd].receive()
            if answer is None:
                continue
            if answer[0] == 200:
                acked.append(time.monotonic())
                by_fd[fd].send(body, 0, 0.0)
            else:
                refused.append((time.monotonic() + AGAIN_S, by_fd[fd]))
        now = time.monotonic()
        while refused and refused[0][0] <= now:
            refused.popleft()[1].send(body, 0, 0.0)
    if not acked:
        raise RuntimeError(f"nothing was acked within {seconds:g} s")
    # From commit to commit: what comes with the first says nothing of how long it took.
    rest = [at for at in acked if at > acked[0] + 0.01]
    return BATCH * len(rest) / (acked[-1] - acked[0])


def publish(ready: Callable[[], None], plan: Plan) -> Outcomes:
    """The load of an open loop; returns what became of it."""
    loop = _Loop(plan)
    gc.disable()
    ready()
    return loop.run()


class _Loop:
    """The connections of one open loop."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._outcomes = Outcomes()
        self._poll = select.epoll()
        self._by_fd: dict[int, _Connection] = {}
        self._idle: list[_Connection] = []
        # In the order in which they give up.
        self._waiting: deque[tuple[float, _Connection, int]] = deque()
        self.began = 0.0

    def run(self) -> Outcomes:
        self.began = time.monotonic() + 0.1
        plan, sent = self._plan, 0
        while sent < plan.count or self._waiting:
            now = time.monotonic()
            due = self.began + sent / plan.requests_per_s
            if sent < plan.count and due <= now:
                self._send(sent, due, now)
                sent += 1
                continue
            self._give_up(now)
            ends = [due] if sent < plan.count else []
            ends += [self._waiting[0][0]] if self._waiting else []
            for fd, _ in self._poll.poll(max(0.0, min(ends, default=now) - now)):
                self._receive(self._by_fd[fd])
        return self._outcomes

    def _send(self, number: int, due: float, now: float) -> None:
        self._outcomes.late_ms.append((now - due) * 1000)
        connection = self._idle.pop() if self._idle else self._connect()
        connection.send(request(self._plan.topic, number), number, due)
        self._waiting.append((due + self._plan.wait_s, connection, number))

    def _connect(self) -> _Connection:
        connection = _Connection(self._plan.port)
        self._by_fd[connection.socket.fileno()] = connection
        self._poll.register(connection.socket.fileno(), select.EPOLLIN)
        return connection

    def _receive(self, connection: _Connection) -> None:
        try:
            answer = connection.receive()
        except ConnectionError:
            self._lost(connection, "connection lost")
            return
        if answer is None:
            return
        status, body = answer
        number, connection.number = connection.number, -1
        self._idle.append(connection)
        if status == 200:
            self._outcomes.acked.append(number)
            self._outcomes.latencies_ms.append((time.monotonic() - connection.due) * 1000)
            return
        found = _CODE.search(body)
        code = found[1].decode() if found else str(status)
        self._outcomes.codes[code] += 1
        is_unknown = code == "outcome_unknown"
        (self._outcomes.unknown if is_unknown else self._outcomes.refused).append(number)

    def _give_up(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            _, connection, number = self._waiting.popleft()
            if connection.number == number:
                self._lost(connection, "no answer in time")

    def _lost(self, connection: _Connection, why: str) -> None:
        if connection.number >= 0:
            self._outcomes.codes[why] += 1
            self._outcomes.unknown.append(connection.number)
        connection.number = -1
        if connection in self._idle:
            self._idle.remove(connection)
        del self._by_fd[connection.socket.fileno()]
        connection.socket.close()
