"""How many messages per second can a durable subscription take, with an ack for each message?

One process publishes in batches of 100, another holds the subscribers, one or eight that compete. The
publisher goes on as long as no more than OUTSTANDING messages are published and not consumed, so that
subscribers stay near the end of the log and the rate is that of all three steps: stored, delivered,
acked. `server_us_per_message` is the server's CPU for all three. Time counts until the last message
has been consumed.

No message may be lost or come twice, a single subscriber must get them in order (among eight there is
no order to check), and in the end the server must know every message as acked. Acks are single in all
systems and not synced before the next is taken, but on Redis with a synced file. A batch of Conduit is
one request; JetStream has none and takes its messages one by one; Redis takes a pipeline.
"""

from __future__ import annotations

import functools
import gc
import select
import time
from collections.abc import Callable

from bench import batches, consumers, jetstream, lanes, loads, wire
from bench.harness import Case, Outcome
from bench.lanes import TOPIC, Dialect
from bench.loads import Counters
from bench.systems import Busy, Conduit, Nats, Redis, Server, directory, running
from conduit.load.checks import Checks

BATCH = 100
OUTSTANDING = 2_000
NAME = "bench"
# Published and consumed before what is measured; verified like the rest.
WARM_COUNT = 2_000
# How often the publisher looks whether it may go on.
LOOK_S = 0.001
# Without a message for so long the rest is lost.
DRAIN_S = 20.0

DIALECTS = {"conduit": batches.CONDUIT, "jetstream": jetstream.PUBLISHES, "redis": batches.REDIS}
FSYNC = {"memory": "no", "file, synced": "always"}
SYNC = {"file, not synced": "2m", "file, synced": "always"}

# What the processes tell each other: each is written by one of them.
CONSUMED, STOP, DUE = range(3)


def cases(short: bool) -> list[Case]:
    """One subscriber, then eight: Conduit and its peers, in memory and on files."""
    seconds = 1.5 if short else 6.0
    systems = [
        ("conduit", "memory"),
        ("redis", "memory"),
        ("conduit", "sqlite"),
        ("jetstream", "file, synced"),
        ("redis", "file, synced"),
        ("jetstream", "file, not synced"),
    ]
    return [
        Case(
            "durable",
            system,
            store,
            {
                "subscribers": subscribers,
                "acks": "one per message",
                "in_flight_per_subscriber": consumers.WINDOW,
                "messages_per_batch": BATCH,
                "outstanding": OUTSTANDING,
                "payload_bytes": lanes.PAYLOAD_BYTES,
                "loop": f"closed, {seconds:g} s",
            },
            functools.partial(_run, system, store, subscribers, seconds),
        )
        for subscribers in (1, 8)
        for system, store in systems
    ]


def _run(system: str, store: str, subscribers: int, seconds: float) -> Outcome:
    with directory() as path:
        server: Server
        if system == "conduit":
            server = Conduit(path, store)
        elif system == "jetstream":
            server = Nats(path, SYNC[store])
        else:
            server = Redis(path, FSYNC[store])
        with running(server):
            if system == "jetstream":
                jetstream.create_stream(server.port, TOPIC)
            consumers.create(system, server.port, TOPIC, NAME)
            return _measure(server, system, subscribers, seconds)


def _measure(server: Server, system: str, subscribers: int, seconds: float) -> Outcome:
    board = loads.counters(3)
    with loads.Load(consume, system, server.port, subscribers, board) as reading:
        reading.wait_ready()
        reading.go()
        with loads.Load(publish, DIALECTS[system], server.port, board) as writing:
            writing.wait_ready()
            busy, began = Busy(server), time.monotonic()
            writing.go()
            time.sleep(seconds)
            board[STOP] = 1
            board[DUE] = writing.result()
            seen_at, checks = reading.result()
            cpu_s, took_s = busy.cpu_s(), seen_at - began
    count = board[DUE] - WARM_COUNT
    return Outcome(
        {"messages_per_s": count / took_s, "server_us_per_message": cpu_s / count * 1e6},
        checks,
        cpu_s / took_s,
        max(reading.cores, writing.cores),
        consumers.unacked(system, server.port, TOPIC, NAME),
    )


def publish(ready: Callable[[], None], dialect: Dialect, port: int, board: Counters) -> int:
    """The load that publishes, until it is stopped; returns how many, all of them answered."""
    lane = lanes.Lane(dialect, TOPIC, 0, dialect.connect(port, 0))
    gc.disable()
    with select.epoll() as poll:
        poll.register(lane.connection.fileno(), select.EPOLLIN)
        _publish(lane, poll, board, lambda: lane.sent >= WARM_COUNT)
        while board[CONSUMED] < WARM_COUNT:
            time.sleep(LOOK_S)
        ready()
        _publish(lane, poll, board, lambda: board[STOP] == 1)
    return lane.sent


def _publish(
    lane: lanes.Lane, poll: select.epoll, board: Counters, is_over: Callable[[], bool]
) -> None:
    unanswered = 0
    while not (ending := is_over()) or unanswered:
        may = not ending and lane.sent - board[CONSUMED] <= OUTSTANDING - BATCH
        if may:
            lane.send(BATCH)
        if poll.poll(0 if may else LOOK_S):
            unanswered = lane.take()


def consume(
    ready: Callable[[], None], system: str, port: int, subscribers: int, board: Counters
) -> tuple[float, Checks]:
    """The load that consumes until it has seen what was published; when that was, and the checks."""
    alone = subscribers == 1
    tally = wire.Sequence(lanes.FIRST) if alone else wire.Marks(lanes.FIRST)
    poll = wire.Poll()
    for _ in range(subscribers):
        each = consumers.consumer(system, port, TOPIC, NAME, tally)
        poll.add(each.connection, each.take)
    gc.disable()
    ready()
    last_at = time.monotonic()
    while not board[DUE] or tally.seen < board[DUE]:
        seen = tally.seen
        poll.once(0.05)
        if tally.seen > seen:
            board[CONSUMED] = tally.seen
            last_at = time.monotonic()
        elif board[DUE] and time.monotonic() - last_at > DRAIN_S:
            break
    return last_at, tally.checks(board[DUE])
