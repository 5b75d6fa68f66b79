"""How many messages per second when a hundred are published at once?

Conduit takes them in one HTTP request and answers when all are stored; Redis in one pipeline of
XADDs; JetStream has no batches: a hundred publishes of each connection are on the way at any time.
Every answer of every message is read and compared with the log: the message must be at the place
that the answer says, nothing else may be there, and each connection's messages must be in order.
Latencies are of a whole batch, so JetStream has none.
"""

from __future__ import annotations

import functools
import re
import socket
from collections.abc import Callable

from bench import jetstream, lanes, readback, resp, wire
from bench.harness import Case, Outcome
from bench.lanes import TOPIC, WARM_TOPIC, Dialect, Shape
from bench.systems import Nats, Redis, conduit, directory, running

BATCH = 100
# Fewer leave servers idle between batches. More share a sync, which every system that syncs gains from.
CONNECTIONS = 8
_TOPICS = (WARM_TOPIC, TOPIC)


def cases(short: bool) -> list[Case]:
    """Conduit on each store beside what does the same work, then JetStream as it comes."""
    seconds = 1.5 if short else 5.0
    whole, sliding = Shape(CONNECTIONS, BATCH, BATCH), Shape(CONNECTIONS, BATCH)
    work: dict[str, int | float | str] = {
        "messages_per_batch": BATCH,
        "clients": CONNECTIONS,
        "payload_bytes": lanes.PAYLOAD_BYTES,
        "loop": f"closed, {seconds:g} s, at most {whole.most:,} messages",
    }

    def case(system: str, store: str, function: Callable[..., Outcome], *args: object) -> Case:
        run = functools.partial(function, *args, seconds=seconds)
        return Case("batches", system, store, work, run)

    return [
        case("conduit", "memory", _conduit, "memory", whole),
        case("redis", "memory", _redis, "no", whole),
        case("conduit", "sqlite", _conduit, "sqlite", whole),
        case("conduit", "postgresql", _conduit, "postgresql", whole),
        case("jetstream", "file, synced", _jetstream, "always", sliding),
        case("redis", "file, synced", _redis, "always", whole),
        case("jetstream", "file, not synced", _jetstream, "2m", sliding),
    ]


def _conduit(store: str, shape: Shape, seconds: float) -> Outcome:
    with directory() as path, running(conduit(path, store)) as server:
        for topic in _TOPICS:
            wire.call(server.port, "POST", "/api/topics", {"name": topic})
        return lanes.measure(server, CONDUIT, shape, seconds, readback.log)


def _jetstream(sync: str, shape: Shape, seconds: float) -> Outcome:
    with directory() as path, running(Nats(path, sync)) as server:
        for topic in _TOPICS:
            jetstream.create_stream(server.port, topic)
        return lanes.measure(server, jetstream.PUBLISHES, shape, seconds, jetstream.read_log)


def _redis(fsync: str, shape: Shape, seconds: float) -> Outcome:
    with directory() as path, running(Redis(path, fsync)) as server:
        return lanes.measure(server, REDIS, shape, seconds, resp.read_log)


def _conduit_batch(topic: str, _lane: int, payloads: list[bytes]) -> bytes:
    messages = [b'{"topic":"%b","payload":%b}' % (topic.encode(), each) for each in payloads]
    return wire.request("/api/publish/batch", b'{"messages":[%b]}' % b",".join(messages))


def _redis_pipeline(topic: str, _lane: int, payloads: list[bytes]) -> bytes:
    return b"".join([resp.command("XADD", topic, "*", "p", each) for each in payloads])


def _connect(port: int, _lane: int) -> socket.socket:
    return wire.connect(port)


# Both answer in the order of the publishes: answers have places only.
CONDUIT = Dialect(
    connect=_connect,
    publishes=_conduit_batch,
    answer=re.compile(rb'"seq":(\d+)'),
    end=b'"duplicate":false',
    refusal=b"urn:conduit:problem",
)
REDIS = Dialect(
    connect=_connect,
    publishes=_redis_pipeline,
    answer=re.compile(rb"(\d+-\d+)\r\n"),
    end=b"\r\n",
    refusal=b"-ERR",
)
