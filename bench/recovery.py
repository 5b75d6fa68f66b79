"""How soon after `kill -9` does a server with a long log take work again?

The process is killed while a publisher has a window of publishes on the way. `ready_s` is the time
from the start of the next process until it says that it is ready (JetStream: until it answers what
its stream holds), `publish_answered_s` until it has answered a publish. The files are in the system's
cache, as they are when a process is killed and the machine is not.

After that the whole log is read: nothing that was answered may be missing, every message must be at
the place that its answer said, once and in the order of the publishes, and the numbers of Conduit and
of JetStream must have no holes. (Ids of Redis are times and have.) How many durable subscriptions the
peers have is compared; what becomes of Conduit's is verified by `resuming.py`.

Keys that a start has to learn again are a case of its own: every message of the log was published with
an idempotency key within the time for which keys are known. The last one must be known afterwards.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import filling, jetstream, lanes, loads, nats, readback, resp, wire
from bench.batches import REDIS
from bench.harness import Case, Outcome
from bench.resuming import Kept
from bench.systems import Conduit, Nats, Redis, Server, directory, running
from conduit.load.checks import Checks

TOPIC = "bench"
SUBSCRIPTIONS = 1_000
# Conduit takes so many requests of an HTTP connection before it has answered them.
WINDOW = 64
FILL_WINDOW = 1_000
# The number of the first publish after the restart, with which the log ends.
MARK = 9_999_999_999


@dataclasses.dataclass(frozen=True)
class _System:
    """What is different between the systems."""

    start: Callable[[contextlib.ExitStack, Path, int], Server]
    """A server that runs with so many messages and its subscriptions, until the stack is left."""
    dialect: lanes.Dialect
    log: Callable[[int, str], lanes.Log]
    subscription_count: Callable[[int], int]
    look: Callable[[int], object] = lambda _port: None
    """What must have been answered as well before the server counts as ready."""
    is_dense: bool = True
    """Whether places in the log are 1, 2 …"""


def cases(short: bool) -> list[Case]:
    """Conduit on SQLite, then the peers with as many messages, synced before they are answered."""
    messages, work_s = (100_000, 1.0) if short else (1_000_000, 3.0)
    work: dict[str, int | float | str] = {
        "messages": messages,
        "durable_subscriptions": SUBSCRIPTIONS,
        "payload_bytes": len(wire.PAYLOAD % messages),
        "unanswered": WINDOW,
        "killed_after_s": work_s,
    }
    keyed = work | {"idempotency_keys": messages}

    def case(system: str, store: str, work: dict[str, int | float | str]) -> Case:
        has_keys = "idempotency_keys" in work
        run = functools.partial(_run, system, messages, work_s, has_keys)
        return Case("recovery", system, store, work, run)

    return [
        case("conduit", "sqlite", work),
        case("jetstream", "file, synced", work),
        case("redis", "file, synced", work),
        case("conduit", "sqlite", keyed),
    ]


def _run(name: str, messages: int, work_s: float, has_keys: bool) -> Outcome:
    system = _KEYED if has_keys else _SYSTEMS[name]
    with directory() as path, contextlib.ExitStack() as stack:
        server = system.start(stack, path, messages)
        kept = stack.enter_context(Kept(server.port, TOPIC)) if name == "conduit" else None
        load = stack.enter_context(
            loads.Load(publish, system.dialect, server.port, messages, MARK, WINDOW)
        )
        load.wait_ready()
        load.go()
        if kept is not None:
            kept.go()
        time.sleep(work_s)
        server.kill()
        killed_at = time.monotonic()
        places = load.result()
        figures = _restart(system, server)
        problems = _unknown_key(server.port, messages - 1) if has_keys else []
        subscription_count = system.subscription_count(server.port)
        found = kept.resume(killed_at, MARK) if kept is not None else None
        log = system.log(server.port, TOPIC)
        last_number = int(log.pop()[1]) if log else None
        checks = compare(log, messages, places)
        if not places:
            problems.append("nothing was published when the server was killed")
        if last_number != MARK:
            problems.append("what was published after the restart is not the end of the log")
        if system.is_dense and [int(place) for place, _ in log] != [*range(1, len(log) + 1)]:
            problems.append("the numbers of the log have holes")
        # Nothing is to be kept, and JetStream takes ten seconds to stop by itself.
        server.kill()
        if subscription_count != SUBSCRIPTIONS:
            problems.append(f"{subscription_count} durable subscriptions were there")
        if found is not None:
            figures |= found.figures
            checks += found.checks
            problems += found.problems
    return Outcome(figures, checks, problems=problems, throughput=False)


def _restart(system: _System, server: Server) -> dict[str, float]:
    """Start it again and publish one message; how long that took."""
    began = time.monotonic()
    server.start()
    system.look(server.port)
    ready_s = time.monotonic() - began
    publish(lambda: None, system.dialect, server.port, MARK, MARK + 1, 1)
    return {"ready_s": ready_s, "publish_answered_s": time.monotonic() - began}


def _unknown_key(port: int, number: int) -> list[str]:
    key = filling.key(number)
    values = TOPIC.encode(), wire.PAYLOAD % number, key.encode()
    body = b'{"topic":"%b","payload":%b,"idempotency_key":"%b"}' % values
    answer = wire.call(port, "POST", "/api/publish", body)
    is_known = answer["duplicate"] is True and answer["seq"] == number + 1
    return [] if is_known else [f"{key} was not known any more"]


def compare(log: lanes.Log, messages: int, places: list[bytes]) -> Checks:
    """Check the log: the numbers 0, 1 … in order, those from `messages` on at `places`.

    Up to `WINDOW` more may be there: their answers were on the way when the server was killed.
    """
    due = messages + len(places)
    numbers = [int(number) for _, number in log]
    unique = set(numbers)
    lost = len(set(range(due)) - unique)
    elsewhere = sum(
        place != said for (place, _), said in zip(log[messages:due], places, strict=False)
    )
    beyond = len([number for number in unique if number >= due + WINDOW])
    disordered = sum(after < before for before, after in itertools.pairwise(numbers))
    duplicates = len(numbers) - len(unique) + beyond
    return Checks(due, len(log), lost + elsewhere, duplicates, disordered)


def publish(
    ready: Callable[[], None],
    dialect: lanes.Dialect,
    port: int,
    first: int,
    stop: int,
    window: int,
) -> list[bytes]:
    """The load: publish `first` … `stop` - 1 on one connection with `window` on the way.

    Ends with the last answer or with the connection; returns the places in the answers, in order.
    Raises RuntimeError if a publish is refused.
    """
    connection = dialect.connect(port, 0)
    places: list[bytes] = []
    sent, rest = first, b""
    ready()
    with contextlib.closing(connection), contextlib.suppress(ConnectionError):
        while first + len(places) < stop:
            until = min(first + len(places) + window, stop)
            if until > sent:
                payloads = [wire.PAYLOAD % number for number in range(sent, until)]
                connection.sendall(dialect.publishes(TOPIC, 0, payloads))
                sent = until
            part = connection.recv(wire.READ_BYTES)
            if not part:
                break
            data = rest + part
            if dialect.refusal in data:
                raise RuntimeError(f"a publish failed: {data[-500:]!r}")
            end = data.rfind(dialect.end) + len(dialect.end)
            if end >= len(dialect.end):
                places += map(_place, dialect.answer.findall(data, 0, end))
                data = data[end:]
            rest = data
    return places


def _place(answer: bytes | tuple[bytes, bytes]) -> bytes:
    return answer[1] if isinstance(answer, tuple) else answer


# Conduit ------------------------------------------------------------------------------------------


def _conduit(
    stack: contextlib.ExitStack, path: Path, messages: int, *, has_keys: bool = False
) -> Server:
    server = stack.enter_context(running(Conduit(path, "sqlite")))
    filling.topics(server.port, [TOPIC])
    filling.messages(server.port, [TOPIC], messages, has_keys=has_keys)
    # One in each thousandth of the log.
    filling.subscriptions(
        server.port,
        (
            {
                "name": f"sub-{number}",
                "topic": TOPIC,
                "start": {"seq": 1 + number * messages // SUBSCRIPTIONS},
                "ack_wait_ms": 60_000,
            }
            for number in range(SUBSCRIPTIONS)
        ),
    )
    return server


def _post(topic: str, _lane: int, payloads: list[bytes]) -> bytes:
    bodies = [b'{"topic":"%b","payload":%b}' % (topic.encode(), payload) for payload in payloads]
    return b"".join([wire.request("/api/publish", body) for body in bodies])


# JetStream ----------------------------------------------------------------------------------------


def _jetstream(stack: contextlib.ExitStack, path: Path, messages: int) -> Server:
    # Filled without syncs, which would take a thousand times as long.
    with running(Nats(path)) as server:
        # And one by which the stream is read back.
        jetstream.create_stream(server.port, TOPIC, max_consumers=SUBSCRIPTIONS + 1)
        publish(lambda: None, jetstream.PUBLISHES, server.port, 0, messages, FILL_WINDOW)
        client = nats.NatsClient(server.port)
        for number in range(SUBSCRIPTIONS):
            name = f"sub-{number}"
            config = {"durable_name": name, "ack_policy": "explicit", "deliver_policy": "all"}
            client.call(
                f"$JS.API.CONSUMER.DURABLE.CREATE.{TOPIC}.{name}",
                {"stream_name": TOPIC, "config": config},
            )
        client.close()
    return stack.enter_context(running(Nats(path, "always")))


def _consumer_count(port: int) -> int:
    client = nats.NatsClient(port)
    info: dict[str, Any] = client.call(f"$JS.API.STREAM.INFO.{TOPIC}")
    client.close()
    return int(info["state"]["consumer_count"])


# Redis --------------------------------------------------------------------------------------------


def _redis(stack: contextlib.ExitStack, path: Path, messages: int) -> Server:
    server = stack.enter_context(running(Redis(path, "always")))
    publish(lambda: None, REDIS, server.port, 0, messages, FILL_WINDOW)
    client = resp.RedisClient(server.port)
    for number in range(SUBSCRIPTIONS):
        client.call("XGROUP", "CREATE", TOPIC, f"sub-{number}", "0")
    # The file is rewritten in the background when it has doubled; not while it is measured.
    while b"aof_rewrite_in_progress:1" in _bytes(client.call("INFO", "persistence")):
        time.sleep(0.05)
    client.close()
    return server


def _group_count(port: int) -> int:
    client = resp.RedisClient(port)
    groups = client.call("XINFO", "GROUPS", TOPIC)
    client.close()
    assert isinstance(groups, list)
    return len(groups)


def _bytes(answer: object) -> bytes:
    assert isinstance(answer, bytes)
    return answer


def _connect(port: int, _lane: int) -> socket.socket:
    return wire.connect(port)


_CONDUIT = lanes.Dialect(
    connect=_connect,
    publishes=_post,
    answer=re.compile(rb'"seq":(\d+)'),
    end=b'"duplicate":false}',
    refusal=b"urn:conduit:problem",
)
_SYSTEMS = {
    "conduit": _System(
        _conduit, _CONDUIT, readback.log, lambda port: len(filling.all_subscriptions(port))
    ),
    "jetstream": _System(
        _jetstream, jetstream.PUBLISHES, jetstream.read_log, _consumer_count, _consumer_count
    ),
    "redis": _System(_redis, REDIS, resp.read_log, _group_count, is_dense=False),
}
_KEYED = dataclasses.replace(_SYSTEMS["conduit"], start=functools.partial(_conduit, has_keys=True))
