"""Subscribers that consume a log: Conduit's, JetStream's and Redis's, each on a connection of its own.

With a `name` they belong to a durable subscription and ack every message on its own: an ack frame of
Conduit, a publish to the reply subject of JetStream, an XACK of Redis. All acks for what one read
brought are one write, and none is answered, but by Redis, which answers all. Without a name they
follow the log from its beginning and ack nothing.

Conduit pushes up to WINDOW unacked messages. JetStream's consumers pull: half a window is asked for
whenever half a window has come, so that the server always has a request. Redis's send the acks of one
answer together with the request for the next.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from typing import Protocol

from bench import nats, resp, wire

WINDOW = 256
# Longer than any run, so that what is delivered twice was not a matter of waiting.
ACK_WAIT_S = 60
# How long the last acks may be on their way.
SETTLE_S = 5.0
# Messages asked for at once by one who does not ack.
PLAIN_WINDOW = 1000

_CONDUIT = re.compile(rb'"message_id":"([^"]+)","topic":"[^"]+","payload":\{"n":(\d+),')
_ACK_TEXT = b'{"type":"ack","message_id":"%b"}'
_ACK = wire.text_frame(_ACK_TEXT % (b"%b" * 18)).replace(b"%b" * 18, b"%b")
_JETSTREAM = re.compile(rb'(\$JS\.ACK\.\S+) \d+\r\n\{"n":(\d+),')
_REDIS = re.compile(rb'\r\n(\d+-\d+)\r\n\*2\r\n\$1\r\np\r\n\$\d+\r\n\{"n":(\d+),[^}]+\}\r\n')
_REDIS_HEAD = re.compile(rb"\*1\r\n\*2\r\n\$\d+\r\n[^\r]+\r\n\*(\d+)\r\n")


class Tally(Protocol):
    """What compares the numbers that arrive with those that are due: `wire.Sequence`, `wire.Marks`."""

    seen: int

    def add(self, found: list[bytes]) -> None:
        """Take the numbers of one read, in their order."""


class Consumer(Protocol):
    """One subscriber; `take` gets what was read from `connection`."""

    connection: socket.socket

    def take(self, data: bytes) -> None:
        """Count what is whole in it, ack it, and ask for more."""


def create(system: str, port: int, topic: str, name: str) -> None:
    """A durable subscription from the beginning of the log, before anyone attaches to it."""
    if system == "conduit":
        settings = {"max_in_flight": WINDOW, "ack_wait_ms": ACK_WAIT_S * 1000}
        body = {"name": name, "topic": topic, "start": "earliest", **settings}
        wire.call(port, "POST", "/api/subscriptions", body)
    elif system == "jetstream":
        config = {
            "durable_name": name,
            "ack_policy": "explicit",
            "deliver_policy": "all",
            "ack_wait": ACK_WAIT_S * 1_000_000_000,
            # Of all subscribers together.
            "max_ack_pending": 100_000,
        }
        _jetstream_create(port, topic, name, config)
    else:
        client = resp.RedisClient(port)
        client.call("XGROUP", "CREATE", topic, name, "0", "MKSTREAM")
        client.close()


def unacked(system: str, port: int, topic: str, name: str) -> list[str]:
    """The problem that the server does not know all messages of a durable subscription as acked.

    Conduit says how far the oldest unacked one is from the end, so for it the count is a bound.
    """
    until = time.monotonic() + SETTLE_S
    while (count := _open_count(system, port, topic, name)) and time.monotonic() < until:
        time.sleep(0.05)
    return [f"up to {count} were not acked in the end"] if count else []


def _open_count(system: str, port: int, topic: str, name: str) -> int:
    if system == "conduit":
        found = wire.call(port, "GET", f"/api/subscriptions/{name}")
        return int(found["topics"][0]["lag"]) + int(found["dead_count"])
    if system == "jetstream":
        client = nats.NatsClient(port)
        said = client.call(f"$JS.API.CONSUMER.INFO.{topic}.{name}")
        client.close()
        return int(said["num_pending"]) + int(said["num_ack_pending"])
    redis = resp.RedisClient(port)
    pending, groups = redis.call("XPENDING", topic, name), redis.call("XINFO", "GROUPS", topic)
    redis.close()
    assert isinstance(pending, list)
    assert isinstance(groups, list)
    lag = groups[0][groups[0].index(b"lag") + 1]
    return int(pending[0]) + int(lag)


def consumer(system: str, port: int, topic: str, name: str | None, tally: Tally) -> Consumer:
    """A subscriber that begins at once; its durable subscription, if it has a `name`, exists."""
    return _SYSTEMS[system](port, topic, name, tally)


class _Conduit:
    def __init__(self, port: int, topic: str, name: str | None, tally: Tally) -> None:
        if name is None:
            self.connection = wire.subscribe(port, topic=topic, start="earliest", ack="auto")
        else:
            self.connection = wire.subscribe(port, topic=topic, subscription=name)
        self._acks = name is not None
        self._tally = tally
        self._rest = b""

    def take(self, data: bytes) -> None:
        """Answers pings too: who does not ack is silent."""
        data = self._rest + data
        found = _CONDUIT.findall(data)
        if found:
            ids, numbers = zip(*found, strict=True)
            if self._acks:
                self.connection.sendall(_ACK * len(ids) % ids)
            self._tally.add(list(numbers))
            data = _after(data, numbers[-1])
        if wire.PING in data:
            self.connection.sendall(wire.PONG)
            data = data.replace(wire.PING, b"")
        self._rest = data


class _JetStream:
    def __init__(self, port: int, topic: str, name: str | None, tally: Tally) -> None:
        if name is None:
            name = "plain"
            config: dict[str, object] = {
                "name": name,
                "ack_policy": "none",
                "deliver_policy": "all",
            }
            _jetstream_create(port, topic, name, config)
            self._acks, window = False, PLAIN_WINDOW
        else:
            self._acks, window = True, WINDOW
        self.connection = nats.NatsClient(port).connection
        inbox = b"_PULLED.%d" % self.connection.getsockname()[1]
        body = b'{"batch":%d,"expires":600000000000}' % (window // 2)
        ask = b"$JS.API.CONSUMER.MSG.NEXT.%b.%b" % (topic.encode(), name.encode())
        self._pull = b"PUB %b %b %d\r\n%b\r\n" % (ask, inbox, len(body), body)
        self._pull_count = window // 2
        self._since_pull = 0
        self._tally = tally
        self._rest = b""
        self.connection.sendall(b"SUB %b 2\r\n" % inbox + 2 * self._pull)

    def take(self, data: bytes) -> None:
        """Raises NatsError when the server says anything but messages and pings."""
        data = self._rest + data
        found = _JETSTREAM.findall(data)
        answer = b""
        if found:
            replies, numbers = zip(*found, strict=True)
            if self._acks:
                answer = b"PUB %b 4\r\n+ACK\r\n" * len(replies) % replies
            self._tally.add(list(numbers))
            data = _after(data, numbers[-1])
            self._since_pull += len(numbers)
            pulls, self._since_pull = divmod(self._since_pull, self._pull_count)
            answer += pulls * self._pull
        if b"PING\r\n" in data:
            answer += b"PONG\r\n"
            data = data.replace(b"PING\r\n", b"")
        if b"-ERR" in data or b"NATS/1.0 4" in data:
            raise nats.NatsError(f"pulling failed: {data[-300:]!r}")
        self._rest = data
        if answer:
            self.connection.sendall(answer)


class _Redis:
    def __init__(self, port: int, topic: str, name: str | None, tally: Tally) -> None:
        self.connection = wire.connect(port)
        self._topic = topic
        self._group = name
        self._tally = tally
        self._rest = b""
        # Messages of the answer that are not here yet, and where those that are here go.
        self._due = 0
        self._ids: list[bytes] = []
        member = str(self.connection.getsockname()[1])
        self._read = resp.command(
            *("XREADGROUP", "GROUP", name or "", member, "COUNT", WINDOW, "BLOCK", 0),
            *("STREAMS", topic, ">"),
        )
        # As `resp.command`, with a hole for the id.
        words = (b"XACK", topic.encode(), (name or "").encode())
        parts = [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
        self._ack = b"*4\r\n%b$%%d\r\n%%b\r\n" % b"".join(parts)
        self.connection.sendall(self._read if name else self._read_after(b"0"))

    def take(self, data: bytes) -> None:
        """Raises RedisError for an error."""
        data = self._rest + data
        if not self._due:
            head = _REDIS_HEAD.search(data)
            if head is None:
                if data.startswith(b"-") or b"\n-" in data:
                    raise resp.RedisError(data[-300:].decode())
                self._rest = data
                return
            self._due = int(head[1])
            data = data[head.end() :]
        found = _REDIS.findall(data)
        self._rest = data
        if not found:
            return
        ids, numbers = zip(*found, strict=True)
        self._ids += ids
        self._due -= len(ids)
        self._rest = _after(data, numbers[-1])
        if not self._due:
            self._go_on()
        self._tally.add(list(numbers))

    def _go_on(self) -> None:
        """Ack what one answer brought, and ask for the next."""
        ids, self._ids = self._ids, []
        self._rest = b""
        if self._group:
            acks = [self._ack % (len(each), each) for each in ids]
            self.connection.sendall(b"".join([*acks, self._read]))
        else:
            self.connection.sendall(self._read_after(ids[-1]))

    def _read_after(self, last: bytes) -> bytes:
        words = ("XREAD", "COUNT", PLAIN_WINDOW, "BLOCK", 0, "STREAMS", self._topic, last)
        return resp.command(*words)


_SYSTEMS: dict[str, Callable[[int, str, str | None, Tally], Consumer]] = {
    "conduit": _Conduit,
    "jetstream": _JetStream,
    "redis": _Redis,
}


def _after(data: bytes, number: bytes) -> bytes:
    """What comes after the number that was found last, to be put before the next read."""
    return data[data.rfind(b'"n":%b,' % number) :]


def _jetstream_create(port: int, stream: str, name: str, config: dict[str, object]) -> None:
    client = nats.NatsClient(port)
    request = {"stream_name": stream, "config": config}
    client.call(f"$JS.API.CONSUMER.CREATE.{stream}.{name}", request)
    client.close()
