"""The open loop of `conduit.load` against Conduit and its peers: publishers that send at fixed times, and
subscribers that note when each message came.
"""

from __future__ import annotations

import dataclasses
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench import nats, wire
from bench.loads import Load
from conduit.load import publishing, receiving
from conduit.load.plan import LEAD_S, Plan
from conduit.load.publishing import Sent
from conduit.load.receiving import Received
from conduit.load.system import Conduit
from conduit.load.wire import Target, blocking

TOPIC = "bench"
SUBSCRIBERS = 10
PUBLISHERS = 4
# Sent at the same rate before what is measured; verified like the rest.
WARM_UP_S = 0.5
PAYLOAD_BYTES = 76
# With everything received, and nothing more for so long, the end has come. With acks, longer than
# Conduit's first wait for one, so that needless redeliveries would be seen.
QUIET_S, QUIET_AFTER_ACKS_S = 0.3, 1.5
# A system that cannot keep up may have this much more time: its latency is then a matter of the run's
# length, but nothing was lost.
DRAIN_S = 60.0


def plan_for(
    system: str, rate: int, seconds: float, ports: tuple[int, int], *, acks: bool = False
) -> Plan:
    """What one run does; `ports` are those of publishers and subscribers."""
    spoken = (
        Conduit(Target(ports[0]), Target(ports[1]))
        if system == "conduit"
        else NatsSystem(system, ports[0], ports[1])
    )
    return Plan(
        system=spoken,
        topic=TOPIC,
        rate=rate,
        seconds=seconds,
        warm_up_s=WARM_UP_S,
        publishers=PUBLISHERS,
        subscribers=SUBSCRIBERS,
        size_bytes=PAYLOAD_BYTES,
        acks=acks,
        quiet_s=QUIET_AFTER_ACKS_S if acks else QUIET_S,
        drain_s=DRAIN_S,
    )


class Running:
    """A run that has begun: its first message leaves now."""

    def __init__(self, publisher: Load, receiver: Load) -> None:
        self._publisher = publisher
        self._receiver = receiver

    def sent(self) -> Sent:
        """Wait for the publishers."""
        sent: Sent = self._publisher.result()
        return sent

    def received(self) -> Received:
        """Wait for the subscribers."""
        received: Received = self._receiver.result()
        return received


@contextmanager
def loaded(
    plan: Plan,
    receive: Callable[..., Received] = receiving.receive,
    publish: Callable[..., Sent] = publishing.publish,
) -> Iterator[Running]:
    """Run it: the subscribers are there before the publishers begin."""
    board = plan.board()
    with Load(receive, plan, board) as receiver:
        receiver.wait_ready()
        with Load(publish, plan, board) as publisher:
            publisher.wait_ready()
            receiver.go()
            publisher.go()
            time.sleep(LEAD_S)
            yield Running(publisher, receiver)


# The peers ----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class NatsSystem:
    """NATS, or JetStream, as the name says. Publishes over its own protocol, subscribers over WebSocket."""

    name: str
    port: int
    ws_port: int

    @property
    def numbers_messages(self) -> bool:
        """JetStream does."""
        return self.name == "jetstream"

    def outgoing(self, plan: Plan) -> NatsPublisher:
        """A connection to publish on."""
        return NatsPublisher(self.port, plan.topic, is_stored=self.name == "jetstream")

    def incoming(self, plan: Plan, number: int) -> NatsSubscriber:
        """A subscriber; JetStream pushes the stream to a subject of its own."""
        subject = f"{plan.topic}.{number}" if self.name == "jetstream" else plan.topic
        subscriber = NatsSubscriber(nats.follow(self.ws_port, subject))
        if self.name == "jetstream":
            _consume(self.port, subject)
        return subscriber


class NatsPublisher:
    """One connection. NATS without JetStream acknowledges nothing; its PONG to a PING stands for that."""

    def __init__(self, port: int, topic: str, *, is_stored: bool) -> None:
        self.connection = wire.connect(port)
        inbox = b"_INBOX.%d" % self.connection.getsockname()[1]
        self.connection.sendall(b'CONNECT {"verbose":false}\r\n')
        self.connection.sendall(b"SUB %b 1\r\n" % inbox)
        blocking(self.connection)
        self._subject = b"%b %b" % (topic.encode(), inbox if is_stored else b"")
        self._is_stored = is_stored
        self._answer = b'{"stream":' if is_stored else b"PONG\r\n"
        self._rest = b""

    def request(self, payload: bytes) -> bytes:
        """A publish of this payload."""
        return b"PUB %b %d\r\n%b\r\n" % (self._subject, len(payload), payload)

    def answers(self, data: bytes) -> list[str]:
        """One for each that is acknowledged. Raises NatsError if one was refused."""
        data = self._rest + data
        if b"-ERR" in data or b'"error"' in data:
            raise nats.NatsError(f"a publish failed: {data[-300:]!r}")
        count = data.count(self._answer)
        self._rest = data[max(data.rfind(self._answer) + 1, len(data) - 32) :]
        return [""] * count

    def last(self) -> bytes:
        """What is answered when all before it was read, where publishes have no answers."""
        return b"" if self._is_stored else b"PING\r\n"

    def due(self, sent: int) -> int:
        """One for each; or one in all."""
        return sent if self._is_stored else 1


class NatsSubscriber:
    """One WebSocket connection with one subscription, without acks."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def reply(self, data: bytes) -> bytes:
        """Nothing: a run is over before NATS pings."""
        return b""


def _consume(port: int, subject: str) -> None:
    """Have JetStream push the stream to a subject."""
    client = nats.NatsClient(port)
    config = {"deliver_subject": subject, "deliver_policy": "all", "ack_policy": "none"}
    request = {"stream_name": TOPIC, "config": config}
    client.call(f"$JS.API.CONSUMER.CREATE.{TOPIC}", request)
    client.close()
