"""Those who use a server that somebody else attacks: a publisher, its subscriber, and newcomers.

The neighbour publishes at fixed times, each message over the next of several connections, so that an answer
that is late delays no other; beside it a subscriber reads. Newcomers open a connection each, ask one question
and leave. All are in one process, which does little: what they see is the server's, and the machine's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import gc
import os
import re
import select
import socket
import time
from collections import deque
from collections.abc import Callable

from bench import attacks, loads, wire
from conduit.load.checks import Checks

TOPIC = "neighbour"
RATE = 100
CONNECTIONS = 64
# Each newcomer's question in turn: one of both comes every 0.25 s, each of them every 0.5 s.
PATHS = ("/health", "/health/ready")
NEWCOMER_EVERY_S = 0.25
# When there is nothing new any more, answers are waited for so long.
DRAIN_S = 30.0
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


@dataclasses.dataclass
class Asked:
    """One publish, or one newcomer's question."""

    due: float
    """When it should have left; what follows counts from there."""
    late_ms: float = 0.0
    """When it left."""
    took_ms: float = 0.0
    """When it was answered; if it was not, for how long nobody has."""
    status: int = 0
    """Of HTTP; 0 if there was no answer."""
    delivered_ms: float | None = None
    """When the subscriber had it."""
    path: str = ""
    """What a newcomer asked for."""

    def answered(self, status: int) -> None:
        """It is answered now."""
        self.status, self.took_ms = status, (time.monotonic() - self.due) * 1000


@dataclasses.dataclass
class Seen:
    """What all of them saw, in the order in which it was due."""

    publishes: list[Asked]
    newcomers: list[Asked]
    delivered_twice: int = 0
    is_cut_off: bool = False
    """Whether the subscriber was disconnected."""

    def checks(self) -> Checks:
        """Whether what was answered with a 2xx was delivered, once."""
        stored = [each for each in self.publishes if each.status == 200]
        seen = sum(each.delivered_ms is not None for each in self.publishes)
        lost = sum(each.delivered_ms is None for each in stored)
        return Checks(len(stored), seen + self.delivered_twice, lost, self.delivered_twice)


def stand_by(ready: Callable[[], None], port: int, numbers: loads.Counters, key: str = "") -> Seen:
    """The load: be there until the number is not 0; the neighbour signs in with the key."""
    wire.CALLER.key = key
    loads.run_promptly()
    bystanders = _Bystanders(port)
    gc.disable()
    ready()
    bystanders.run(numbers)
    return bystanders.seen


class _Bystanders:
    """All of them, and the one loop that serves them."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.seen = Seen([], [])
        self._poll = select.epoll()
        self._takers: dict[int, Callable[[int], None]] = {}
        self._publishers = [_Publisher(wire.connect(port)) for _ in range(CONNECTIONS)]
        for publisher in self._publishers:
            self._watch(publisher.socket, publisher.take)
        self._subscriber = wire.subscribe(port, topic=TOPIC, ack="auto")
        self._subscriber.setblocking(False)
        self._rest = b""
        self._watch(self._subscriber, self._deliver)

    def run(self, numbers: loads.Counters) -> None:
        """Until the number is not 0, and then until all is answered and delivered."""
        began = time.monotonic()
        publishes, newcomers = self.seen.publishes, self.seen.newcomers
        while not numbers[0]:
            publish_at = began + len(publishes) / RATE
            newcomer_at = began + len(newcomers) * NEWCOMER_EVERY_S
            now = time.monotonic()
            if publish_at <= now:
                self._publish(Asked(publish_at, (now - publish_at) * 1000))
            elif newcomer_at <= now:
                path = PATHS[len(newcomers) % len(PATHS)]
                self._come(Asked(newcomer_at, (now - newcomer_at) * 1000, path=path))
            else:
                self._serve(min(publish_at, newcomer_at) - now)
        end = time.monotonic() + DRAIN_S
        while self._are_waiting() and time.monotonic() < end:
            self._serve(0.05)
        for each in (*publishes, *newcomers):
            if not each.took_ms:
                each.answered(0)

    def _are_waiting(self) -> bool:
        asked = (*self.seen.publishes, *self.seen.newcomers)
        is_missing = self.seen.checks().lost > 0 and not self.seen.is_cut_off
        return is_missing or any(not each.took_ms for each in asked)

    def _serve(self, timeout_s: float) -> None:
        for fd, events in self._poll.poll(max(0.0, timeout_s)):
            if (take := self._takers.get(fd)) is not None:
                take(events)

    def _watch(self, own: socket.socket, take: Callable[[int], None], events: int = 0) -> None:
        self._takers[own.fileno()] = take
        self._poll.register(own.fileno(), select.EPOLLIN | events)

    # The publisher and its subscriber -------------------------------------------------------------

    def _publish(self, asked: Asked) -> None:
        number = len(self.seen.publishes)
        self.seen.publishes.append(asked)
        payload = wire.PAYLOAD % number
        body = b'{"topic":"%b","payload":%b}' % (TOPIC.encode(), payload)
        at = number % CONNECTIONS
        if self._publishers[at].is_over:
            self._publishers[at] = _Publisher(wire.connect(self._port))
            self._watch(self._publishers[at].socket, self._publishers[at].take)
        self._publishers[at].send(wire.request("/api/publish", body), asked)

    def _deliver(self, _events: int) -> None:
        now = time.monotonic()
        data = b""
        with contextlib.suppress(ConnectionError):
            data = self._subscriber.recv(wire.READ_BYTES)
        if not data:
            self.seen.is_cut_off = True
            self._subscriber.close()
            return
        data = self._rest + data
        if wire.PING in data:
            # It acks nothing, and would be taken for gone.
            self._subscriber.sendall(wire.PONG)
            data = data.replace(wire.PING, b"")
        found = wire.NUMBER.findall(data)
        self._rest = wire.after_last(data, found)
        for number in found:
            asked = self.seen.publishes[int(number)]
            self.seen.delivered_twice += asked.delivered_ms is not None
            asked.delivered_ms = (now - asked.due) * 1000

    # Newcomers ------------------------------------------------------------------------------------

    def _come(self, asked: Asked) -> None:
        self.seen.newcomers.append(asked)
        newcomer = _Newcomer(asked, self._port, self._poll)
        self._watch(newcomer.socket, newcomer.take, select.EPOLLOUT)


class _Publisher:
    """One of the neighbour's connections, and what is not answered on it."""

    def __init__(self, own: socket.socket) -> None:
        self.socket = own
        self.is_over = False
        self._waiting: deque[Asked] = deque()
        self._rest = b""

    def send(self, request: bytes, asked: Asked) -> None:
        """Send it; the kernel takes it whole."""
        self._waiting.append(asked)
        with contextlib.suppress(OSError):
            self.socket.sendall(request)

    def take(self, _events: int) -> None:
        """Answers come in the order of the requests; if the connection ends, none come."""
        try:
            data = self.socket.recv(wire.READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self.is_over = True
            self.socket.close()
            while self._waiting:
                self._waiting.popleft().answered(0)
            return
        data = self._rest + data
        end = 0
        for found in _STATUS.finditer(data):
            end = found.end()
            # It may say that it closes the connection without having been asked anything.
            if self._waiting:
                self._waiting.popleft().answered(int(found[1]))
        # A status line may be cut in two; one that was counted must not be seen again.
        self._rest = data[max(end, len(data) - 12) :]


class _Newcomer:
    """A new connection, one question, its answer, and the end."""

    def __init__(self, asked: Asked, port: int, poll: select.epoll) -> None:
        self._asked, self._poll = asked, poll
        self._answer = b""
        self.socket = socket.socket()
        self.socket.setblocking(False)
        code = self.socket.connect_ex(("127.0.0.1", port))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))

    def take(self, events: int) -> None:
        """It is connected, or there is an answer, or the end."""
        try:
            if events & select.EPOLLOUT:
                self.socket.sendall(attacks.get(self._asked.path))
                self._poll.modify(self.socket.fileno(), select.EPOLLIN)
            if not events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                return
            data = self.socket.recv(wire.READ_BYTES)
        except OSError:
            data = b""
        self._answer += data
        status = _STATUS.match(self._answer)
        if data and status is None:
            return
        self._asked.answered(int(status[1]) if status else 0)
        self.socket.close()
