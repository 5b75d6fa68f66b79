"""Many idle subscribers in a process of their own, which does nothing but answer pings."""

from __future__ import annotations

import dataclasses
import select
import socket
import threading
import time
from collections.abc import Callable

from bench import loads, nats, wire
from bench.systems import Nats, Server
from conduit.load.checks import Checks

TOPIC = "quiet"
READ_BYTES = 4096
# How long the message that reaches all of them may take.
REACHED_WITHIN_S = 15.0
# What comes twice would come in this time.
QUIET_S = 0.3
_PING = b"\x89\x00"
_NATS_PING = b"PING\r\n"
_NATS_PONG = wire.binary_frame(b"PONG\r\n")


@dataclasses.dataclass
class Held:
    """What came of it."""

    checks: Checks
    """Of the one message that was due to each subscriber."""
    pings: int
    """How many were answered before it."""
    cores: float
    """CPU seconds per second before it."""


class Crowd:
    """So many idle subscribers while the block runs; at its end a message is published to them.

    `held` has the result after the block. The first one on a server makes the topic.
    """

    held: Held

    def __init__(self, server: Server, count: int) -> None:
        self._server = server
        if isinstance(server, Nats):
            self._load = loads.Load(hold, "nats", server.ws_port, count)
        else:
            self._load = loads.Load(hold, "conduit", server.port, count)

    def __enter__(self) -> Crowd:
        try:
            self._load.wait_ready()
        except BaseException:
            self._load.__exit__()
            raise
        return self

    def __exit__(self, kind: object, *exc: object) -> None:
        with self._load:
            if kind is None:
                self._load.go()
                _publish(self._server)
                self.held = self._load.result()


def _publish(server: Server) -> None:
    payload = wire.PAYLOAD % 0
    if isinstance(server, Nats):
        client = nats.NatsClient(server.port)
        client.connection.sendall(b"PUB %b %d\r\n%b\r\n" % (TOPIC.encode(), len(payload), payload))
        # The answer to a later request says that the server has read it.
        client.call("$JS.API.INFO")
        client.close()
    else:
        connection = wire.connect(server.port)
        body = b'{"topic":"%b","payload":%b}' % (TOPIC.encode(), payload)
        connection.sendall(wire.request("/api/publish", body))
        answer = connection.recv(READ_BYTES)
        connection.close()
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"not published: {answer!r}")


def hold(ready: Callable[[], None], system: str, port: int, count: int) -> Held:
    """The load: `count` subscribers, idle until `go`; then one message is due to each of them."""
    holder = _Holder(system, port, count)
    # Time goes by in `ready`, and pings are to be answered meanwhile.
    threading.Thread(target=holder.serve, daemon=True).start()
    began, cpu_s = time.monotonic(), time.process_time()
    ready()
    cores = (time.process_time() - cpu_s) / (time.monotonic() - began)
    pings = holder.pings
    until = time.monotonic() + REACHED_WITHIN_S
    while holder.reached() < count and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(QUIET_S)
    return Held(holder.checks(), pings, cores)


class _Follower:
    """One subscriber, and what it has seen."""

    __slots__ = ("connection", "sequence")

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.sequence = wire.Sequence()


class _Holder:
    """All subscribers. A connection that the server ends gets no message: it counts as a loss."""

    def __init__(self, system: str, port: int, count: int) -> None:
        self.pings = 0
        self._is_nats = system == "nats"
        self._followers: dict[int, _Follower] = {}
        self._epoll = select.epoll()
        for _ in range(count):
            if self._is_nats:
                connection = nats.follow(port, TOPIC)
            else:
                connection = wire.subscribe(port, topic=TOPIC, ack="auto")
            connection.settimeout(None)
            self._followers[connection.fileno()] = _Follower(connection)
            self._epoll.register(connection, select.EPOLLIN)

    def serve(self) -> None:
        """Answer pings and note messages, for ever."""
        ping = _NATS_PING if self._is_nats else _PING
        pong = _NATS_PONG if self._is_nats else wire.PONG
        while True:
            for fd, _ in self._epoll.poll():
                follower = self._followers[fd]
                data = _received(follower.connection)
                if not data:
                    self._epoll.unregister(fd)
                    continue
                follower.sequence.feed(data)
                if ping in data:
                    follower.connection.sendall(pong)
                    self.pings += 1

    def reached(self) -> int:
        """How many have seen the message."""
        return sum(follower.sequence.seen > 0 for follower in self._followers.values())

    def checks(self) -> Checks:
        """Of one message for each."""
        return sum((each.sequence.checks(1) for each in self._followers.values()), Checks())


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(READ_BYTES)
    except OSError:
        return b""
