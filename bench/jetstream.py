"""JetStream over NATS's protocol: streams, publishes that are acknowledged, and what a stream holds."""

from __future__ import annotations

import re
import socket

from bench import nats, wire
from bench.lanes import Dialect, Log

# Messages asked for at once when a stream is read back.
_PULL_COUNT = 10_000
# `$JS.ACK.STREAM.CONSUMER.ATTEMPT.SEQ.…` is where an ack would go, and says which message it is.
_PULLED = re.compile(rb'\$JS\.ACK\.[^.]+\.[^.]+\.\d+\.(\d+)\.[^{]+\{"n":(\d+),"order_id"')


def create_stream(port: int, name: str, storage: str = "file", max_consumers: int = 1_000) -> None:
    """A stream that keeps all of the subject `name`; `storage` is "file" or "memory".

    Whether a file is synced before a publish is acknowledged is the server's setting: see
    `systems.Nats`. 1,000 consumers is what a stream without a number takes. Raises NatsError.
    """
    client = nats.NatsClient(port)
    config = {
        "name": name,
        "subjects": [name],
        "storage": storage,
        "retention": "limits",
        "num_replicas": 1,
        "max_consumers": max_consumers,
    }
    client.call(f"$JS.API.STREAM.CREATE.{name}", config)
    client.close()


def stored_count(port: int, name: str) -> int:
    """How many messages the stream holds. Raises NatsError."""
    client = nats.NatsClient(port)
    state = client.call(f"$JS.API.STREAM.INFO.{name}")["state"]
    client.close()
    return int(state["messages"])


def read_log(port: int, name: str) -> Log:
    """All messages of a stream, by a consumer that pulls and does not ack. Raises NatsError."""
    count = stored_count(port, name)
    client = nats.NatsClient(port)
    config = {"ack_policy": "none", "deliver_policy": "all", "inactive_threshold": 60_000_000_000}
    made = client.call(f"$JS.API.CONSUMER.CREATE.{name}", {"stream_name": name, "config": config})
    ask = f"$JS.API.CONSUMER.MSG.NEXT.{name}.{made['name']}".encode()
    connection = client.connection
    connection.sendall(b"SUB _PULLED 2\r\n")
    log: Log = []
    rest, due = b"", 0
    while len(log) < count:
        if len(log) >= due:
            due += min(_PULL_COUNT, count - due)
            body = b'{"batch":%d,"expires":20000000000}' % (due - len(log))
            connection.sendall(b"PUB %b _PULLED %d\r\n%b\r\n" % (ask, len(body), body))
        part = connection.recv(wire.READ_BYTES)
        if not part:
            raise nats.NatsError("the connection ended")
        data = rest + part
        end = data.rfind(b"}\r\n") + 3
        if end > 2:
            log += _PULLED.findall(data, 0, end)
            data = data[end:]
        rest = data
    client.close()
    return log


def _connect(port: int, lane: int) -> socket.socket:
    connection = wire.connect(port)
    connection.sendall(
        b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n'
        b"SUB _INBOX.%d.* 1\r\nPING\r\n" % lane
    )
    seen = b""
    while not seen.endswith(b"PONG\r\n"):
        part = connection.recv(4096)
        if not part:
            raise nats.NatsError(f"closed: {seen!r}")
        seen += part
    return connection


def _publishes(topic: str, lane: int, payloads: list[bytes]) -> bytes:
    return b"".join(
        [
            b"PUB %b _INBOX.%d.%b %d\r\n%b\r\n"
            % (topic.encode(), lane, wire.NUMBER.findall(payload)[0], len(payload), payload)
            for payload in payloads
        ]
    )


PUBLISHES = Dialect(
    connect=_connect,
    publishes=_publishes,
    # The PubAck, on the subject that ends in the message's number.
    answer=re.compile(rb'\.(\d+) 1 \d+\r\n\{"stream":"[^"]+",\s?"seq":(\d+)'),
    end=b"}\r\n",
    refusal=b'"error":',
)
"""Publishes with a reply subject each, and their PubAcks."""
