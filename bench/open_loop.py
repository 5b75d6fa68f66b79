"""Publishers that send at fixed times, and subscribers that note when each message came, to the ns.

Both do as little as they can while it lasts, because they share the cores with the server: requests are
built before, and what is read is only kept, with the time; it is looked at in the end.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import re
import select
import socket
import time
from collections.abc import Callable

from bench import nats, wire
from bench.harness import Checks

TOPIC = "bench"
SUBSCRIBERS = 10
PUBLISHERS = 4
# Sent at the same rate before what is measured; verified like the rest.
WARM_UP_S = 0.5
# From the start of the processes to the first send; the requests are built in this time.
LEAD_S = 0.6
# Timers are late by this much (the default slack of Linux), so sleeping ends this much earlier. The
# median publish then leaves 35 µs late, not 85, and the publisher takes no more CPU: 6 % of a core at
# 2,000 a second with or without.
TIMER_SLACK_S = 50e-6
ANSWERS_EVERY_S = 0.005
# With everything received, and nothing more for so long, the end has come. With acks, longer than
# Conduit's first wait for one, so that needless redeliveries would be seen.
QUIET_S, QUIET_AFTER_ACKS_S = 0.3, 1.5
# A system that cannot keep up may have this much more time: its latency is then a matter of the run's
# length, but nothing was lost.
DRAIN_S = 60.0
READ_BYTES = 16_384

# Behind `due` is the time at which it should leave, in ns of CLOCK_MONOTONIC.
PAYLOAD = b'{"n":%d,"order_id":"abc-123","amount":99.95,"from":%d,"due":%d}'
PAYLOAD_BYTES = len(PAYLOAD % (1000, 0, 10**13))
_FIELDS = re.compile(rb'"n":(\d+),"order_id":"abc-123","amount":99\.95,"from":(\d+),"due":(\d+)\}')


@dataclasses.dataclass(frozen=True)
class Plan:
    """What one run does; `ports` are those of publishers and subscribers."""

    system: str
    rate: int
    seconds: float
    acks: bool = False
    ports: tuple[int, int] = (0, 0)

    @property
    def warm_up(self) -> int:
        """How many of the messages come before those that are measured."""
        return int(self.rate * WARM_UP_S)

    @property
    def count(self) -> int:
        """How many messages there are, a multiple of the number of publishers."""
        count = self.warm_up + int(self.rate * self.seconds)
        return count - count % PUBLISHERS


@dataclasses.dataclass
class Received:
    """What the subscribers saw: sorted latencies, sorted waits for the reader, checks."""

    latencies_ms: list[float]
    readings_ms: list[float]
    checks: Checks
    cores: float


@dataclasses.dataclass
class Sent:
    """What the publishers saw; `answered` counts acknowledgements."""

    late_ms: list[float]
    answered: int
    cores: float


# The subscribers ----------------------------------------------------------------------------------


def receive(ready: Callable[[], None], plan: Plan) -> Received:
    """The load: hold all subscribers, note when what was read, and look at it in the end."""
    subscribers = [_Subscriber(plan, number) for number in range(SUBSCRIBERS)]
    gc.disable()
    ready()
    began, cpu_s = time.monotonic(), time.process_time()
    _read(subscribers, plan)
    cores = (time.process_time() - cpu_s) / (time.monotonic() - began)
    latencies: list[float] = []
    orders = [subscriber.order(plan.warm_up, latencies) for subscriber in subscribers]
    latencies.sort()
    readings = sorted((r - woken) / 1e6 for each in subscribers for woken, r, _ in each.reads)
    checks = sum((_compare(order, plan.count) for order in orders), Checks())
    if plan.system != "nats":
        for order in orders[1:]:
            checks.disordered += sum(a != b for a, b in zip(orders[0], order, strict=False))
    return Received(latencies, readings, checks, cores)


def _read(subscribers: list[_Subscriber], plan: Plan) -> None:
    """Read until the time is over, all is there and it is quiet; gives up after DRAIN_S."""
    epoll = select.epoll()
    by_fd = {each.connection.fileno(): each for each in subscribers}
    for fd in by_fd:
        epoll.register(fd, select.EPOLLIN)
    clock = time.monotonic_ns
    end = clock() + int((LEAD_S + WARM_UP_S + plan.seconds + DRAIN_S) * 1e9)
    due, quiet_s = plan.count * SUBSCRIBERS, QUIET_AFTER_ACKS_S if plan.acks else QUIET_S
    while clock() < end:
        events = epoll.poll(quiet_s)
        woken = clock()
        for fd, _ in events:
            subscriber = by_fd[fd]
            data = subscriber.connection.recv(READ_BYTES)
            subscriber.reads.append((woken, clock(), data))
            if plan.acks:
                subscriber.ack(data)
            if not data:
                raise RuntimeError("a subscriber was disconnected")
        if not events and sum(each.seen() for each in subscribers) >= due:
            break


class _Subscriber:
    """One subscriber and all that it read."""

    def __init__(self, plan: Plan, number: int) -> None:
        self.reads: list[tuple[int, int, bytes]] = []
        """Time of the wake-up, time of the read (ns) and data."""
        self._rest = b""
        port = plan.ports[1]
        if plan.system == "conduit":
            ack = "explicit" if plan.acks else "auto"
            self.connection = wire.subscribe(port, topic=TOPIC, ack=ack)
        else:
            subject = f"{TOPIC}.{number}" if plan.system == "jetstream" else TOPIC
            self.connection = nats.follow(port, subject)
            if plan.system == "jetstream":
                _consume(plan.ports[0], subject)
        # A socket with a timeout polls before each call.
        self.connection.settimeout(None)

    def ack(self, data: bytes) -> None:
        """Ack each message that was read with a frame of its own."""
        acks, self._rest = wire.acks_for(self._rest + data)
        if acks:
            self.connection.sendall(acks)

    def seen(self) -> int:
        """How many messages were read so far."""
        return b"".join([data for _, _, data in self.reads]).count(b'"due":')

    def order(self, warm_up: int, latencies: list[float]) -> list[tuple[bytes, bytes]]:
        """Number and publisher of all messages; appends the latencies (ms) of those measured."""
        order = []
        rest = b""
        for _, read, chunk in self.reads:
            data, end = rest + chunk, 0
            for match in _FIELDS.finditer(data):
                number, publisher, due = match.groups()
                order.append((number, publisher))
                if int(number) * PUBLISHERS >= warm_up:
                    latencies.append((read - int(due)) / 1e6)
                end = match.end()
            rest = data[end:]
        return order


def _consume(port: int, subject: str) -> None:
    """Have JetStream push the stream to a subject."""
    client = nats.NatsClient(port)
    config = {"deliver_subject": subject, "deliver_policy": "all", "ack_policy": "none"}
    request = {"stream_name": TOPIC, "config": config}
    client.call(f"$JS.API.CONSUMER.CREATE.{TOPIC}", request)
    client.close()


def _compare(order: list[tuple[bytes, bytes]], count: int) -> Checks:
    """What one subscriber saw, against what each publishing connection sent."""
    checks = Checks()
    for publisher in range(PUBLISHERS):
        sequence = wire.Sequence()
        sequence.add([number for number, sender in order if int(sender) == publisher])
        checks += sequence.checks(count // PUBLISHERS)
    return checks


# The publishers -----------------------------------------------------------------------------------


def publish(ready: Callable[[], None], plan: Plan) -> Sent:
    """The load: send each message when it is due; the answers are read in between, looked at after."""
    publishers = [_Publisher(plan) for _ in range(PUBLISHERS)]
    gc.disable()
    ready()
    first = time.monotonic_ns() + int(LEAD_S * 1e9)
    dues = [first + number * 1_000_000_000 // plan.rate for number in range(plan.count)]
    requests = [
        publishers[number % PUBLISHERS].request(
            PAYLOAD % (number // PUBLISHERS, number % PUBLISHERS, due)
        )
        for number, due in enumerate(dues)
    ]
    began, cpu_s = time.monotonic(), time.process_time()
    late_ms = _send(publishers, dues, requests, max(1, int(plan.rate * ANSWERS_EVERY_S)))
    cores = (time.process_time() - cpu_s) / (time.monotonic() - began)
    answered = sum(publisher.answered(plan.count // PUBLISHERS) for publisher in publishers)
    return Sent(sorted(late_ms[plan.warm_up :]), answered, cores)


def _send(
    publishers: list[_Publisher], dues: list[int], requests: list[bytes], answers_every: int
) -> list[float]:
    """Send each request when it is due (ns); returns how late each left, in ms."""
    late_ms = []
    clock, slack_ns = time.monotonic_ns, int(TIMER_SLACK_S * 1e9)
    for number, (due, request) in enumerate(zip(dues, requests, strict=True)):
        if number % answers_every == 0:
            for publisher in publishers:
                publisher.take()
        if (wait_ns := due - slack_ns - clock()) > 0:
            time.sleep(wait_ns / 1e9)
        while (now := clock()) < due:
            pass
        publishers[number % PUBLISHERS].connection.sendall(request)
        late_ms.append((now - due) / 1e6)
    return late_ms


class _Publisher:
    """One connection of the publishing process; its requests and the answers to them."""

    def __init__(self, plan: Plan) -> None:
        self.connection = wire.connect(plan.ports[0])
        self._system = plan.system
        self._inbox = b"_INBOX.%d" % self.connection.getsockname()[1]
        self._answers: list[bytes] = []
        if self._system != "conduit":
            self.connection.sendall(b'CONNECT {"verbose":false}\r\n')
            self.connection.sendall(b"SUB %b 1\r\n" % self._inbox)
        # A socket with a timeout polls before each call.
        self.connection.settimeout(None)

    def request(self, payload: bytes) -> bytes:
        """A publish as bytes."""
        topic = TOPIC.encode()
        if self._system == "conduit":
            body = b'{"topic":"%b","payload":%b}' % (topic, payload)
            return wire.request("/api/publish", body)
        reply = self._inbox if self._system == "jetstream" else b""
        return b"PUB %b %b %d\r\n%b\r\n" % (topic, reply, len(payload), payload)

    def take(self) -> None:
        """Read what is there; raises RuntimeError if the connection has ended."""
        with contextlib.suppress(BlockingIOError):
            data = self.connection.recv(wire.READ_BYTES, socket.MSG_DONTWAIT)
            if not data:
                raise RuntimeError("a publisher was disconnected")
            self._answers.append(data)

    def answered(self, due: int) -> int:
        """How many were acknowledged, waiting for `due`; NATS without JetStream acknowledges none.

        Raises RuntimeError if one was refused, and TimeoutError if none comes for DRAIN_S.
        """
        self.connection.settimeout(DRAIN_S)
        answer = b'"duplicate":false}' if self._system == "conduit" else b'{"stream":'
        if self._system == "nats":
            self.connection.sendall(b"PING\r\n")
            answer, due = b"PONG\r\n", 1
        while (count := (data := b"".join(self._answers)).count(answer)) < due:
            more = self.connection.recv(wire.READ_BYTES)
            if not more or b"-ERR" in data or b'"error"' in data:
                raise RuntimeError(f"a publish failed: {data[-300:]!r}")
            self._answers = [data, more]
        return 0 if self._system == "nats" else count
