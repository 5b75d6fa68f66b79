"""What does one delivery cost when a message goes to 1,000 WebSocket subscribers, with and without acks?

The subscribers sit in one load process that checks every delivery of every one of them. Bursts are
published at fixed times, the same for every system (an open loop), so that what is compared is the
server's CPU for the same work. How many deliveries a second a server could give is not asked: the
process that checks them would be the limit.
"""

from __future__ import annotations

import functools
import socket
import time
from collections.abc import Callable
from typing import NamedTuple

from bench import loads, wire
from bench.harness import Case, Outcome
from bench.systems import Busy, Conduit, Nats, Server, directory, running
from conduit.load.checks import Checks

BURST = 10
BURSTS_PER_S = 10
# A burst that leaves later than this says that the load was too busy to keep its rate.
LATE_S = 0.05
DRAIN_S = 20.0
TOPIC = "bench"


def cases(short: bool) -> list[Case]:
    """Conduit and NATS over WebSocket without acks; Conduit with an ack frame per message."""
    subscribers, seconds = 1000, 2 if short else 4
    work: dict[str, int | float | str] = {
        "subscribers": subscribers,
        "payload_bytes": 44,
        "messages_per_s": BURST * BURSTS_PER_S,
        "loop": f"open, bursts of {BURST}",
    }
    plain, acked = work | {"acks": "none"}, work | {"acks": "one frame per message"}
    run = functools.partial(_run, subscribers=subscribers, seconds=seconds)
    return [
        Case("fanout", "conduit", "memory", plain, functools.partial(run, "conduit", acks=False)),
        Case("fanout", "nats", "none", plain, functools.partial(run, "nats", acks=False)),
        Case("fanout", "conduit", "memory", acked, functools.partial(run, "conduit", acks=True)),
    ]


def _run(system: str, subscribers: int, seconds: float, acks: bool) -> Outcome:
    with directory() as path:
        server: Server = Nats(path) if system == "nats" else Conduit(path, "memory")
        with running(server):
            if isinstance(server, Conduit):
                wire.call(server.port, "POST", "/api/topics", {"name": TOPIC})
            return measured(server, system, subscribers, seconds, acks)


def measured(server: Server, system: str, subscribers: int, seconds: float, acks: bool) -> Outcome:
    """One run against a server that is ready, as `wire.CALLER`."""
    subscribe_port = server.ws_port if isinstance(server, Nats) else server.port
    target = Target(system, server.port, subscribe_port, wire.CALLER.key)
    with loads.Load(fan_out, target, subscribers, seconds, acks) as load:
        load.wait_ready()
        busy = Busy(server)
        load.go()
        checks, late_s = load.result()
        cpu_s, cores = busy.cpu_s(), busy.cores()
    return Outcome(
        {"server_us_per_delivery": cpu_s / max(checks.seen, 1) * 1e6},
        checks,
        cores,
        load.cores,
        [f"a burst left {late_s * 1000:.0f} ms late"] if late_s > LATE_S else [],
    )


class Target(NamedTuple):
    """What the load speaks to, and as whom."""

    system: str
    publish_port: int
    subscribe_port: int
    key: str


def fan_out(
    ready: Callable[[], None], target: Target, subscribers: int, seconds: float, acks: bool
) -> tuple[Checks, float]:
    """The load: subscribe, publish for so long, wait for the rest; what arrived, the latest burst."""
    system, publish_port, subscribe_port, wire.CALLER.key = target
    poll = wire.Poll()
    followers = [_Follower(system, subscribe_port, acks) for _ in range(subscribers)]
    for follower in followers:
        poll.add(follower.connection, follower.take)
    publisher = _NatsPublisher(publish_port) if system == "nats" else _Publisher(publish_port)
    poll.add(publisher.connection, publisher.take)
    ready()
    began, late_s = time.monotonic(), 0.0
    for number in range(int(seconds * BURSTS_PER_S)):
        at = began + number / BURSTS_PER_S
        while (wait_s := at - time.monotonic()) > 0:
            poll.once(wait_s)
        late_s = max(late_s, -wait_s)
        publisher.send(BURST)
    until = time.monotonic() + DRAIN_S
    due = publisher.sent * subscribers
    while sum([f.sequence.seen for f in followers]) < due and time.monotonic() < until:
        poll.once(0.1)
    return sum((f.sequence.checks(publisher.sent) for f in followers), Checks()), late_s


class _Follower:
    """One subscriber."""

    def __init__(self, system: str, port: int, acks: bool) -> None:
        self.sequence = wire.Sequence()
        self._acks = acks
        self._rest = b""
        if system == "nats":
            self.connection = wire.websocket(port, "/")
            hello = b'CONNECT {"verbose":false}\r\nSUB %b 1\r\nPING\r\n' % TOPIC.encode()
            self.connection.sendall(wire.binary_frame(hello))
            _await(self.connection, b"PONG")
        else:
            ack = "explicit" if acks else "auto"
            self.connection = wire.subscribe(port, topic=TOPIC, ack=ack)

    def take(self, data: bytes) -> None:
        """Check what arrived, and ack each message with a frame of its own."""
        self.sequence.feed(data)
        if self._acks:
            acks, self._rest = wire.acks_for(self._rest + data)
            if acks:
                self.connection.sendall(acks)


class _Publisher:
    """Numbered publishes over one connection, pipelined."""

    def __init__(self, port: int) -> None:
        self.connection = wire.connect(port)
        self.sent = 0
        self.unanswered = 0

    def send(self, count: int) -> None:
        """Publish the next ones."""
        bodies = [
            b'{"topic":"%b","payload":%b}' % (TOPIC.encode(), wire.PAYLOAD % number)
            for number in range(self.sent, self.sent + count)
        ]
        self.connection.sendall(b"".join(wire.request("/api/publish", body) for body in bodies))
        self.sent += count
        self.unanswered += count

    def take(self, data: bytes) -> None:
        """Count the answers."""
        self.unanswered -= data.count(b'"duplicate":false}')
        if data.count(b"HTTP/1.1 ") != data.count(b"HTTP/1.1 200"):
            raise RuntimeError(f"a publish failed: {data[:300]!r}")


class _NatsPublisher:
    """The same over NATS's protocol; a PING after the last stands for the answers."""

    def __init__(self, port: int) -> None:
        self.connection = wire.connect(port)
        self.connection.sendall(b'CONNECT {"verbose":false}\r\n')
        self.sent = 0
        self.unanswered = 0

    def send(self, count: int) -> None:
        """Publish the next ones."""
        payloads = [wire.PAYLOAD % number for number in range(self.sent, self.sent + count)]
        lines = [b"PUB %b %d\r\n%b\r\n" % (TOPIC.encode(), len(p), p) for p in payloads]
        self.connection.sendall(b"".join(lines) + b"PING\r\n")
        self.sent += count
        self.unanswered += 1

    def take(self, data: bytes) -> None:
        """Count the answers."""
        self.unanswered -= data.count(b"PONG")
        if b"-ERR" in data:
            raise RuntimeError(f"a publish failed: {data[:300]!r}")


def _await(connection: socket.socket, what: bytes) -> None:
    seen = b""
    while what not in seen:
        part = connection.recv(4096)
        if not part:
            raise RuntimeError(f"closed: {seen!r}")
        seen += part
