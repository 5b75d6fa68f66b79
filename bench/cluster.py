"""What do several nodes cost, and how soon does one go on with what another had?

- From a publish at one node to subscribers at another, beside subscribers at the same node: the open loop of
  `latency`. Nodes, PostgreSQL, Redis and the load share the machine.
- Publishing at one of three nodes while nobody is interested elsewhere, beside one node alone: `publish`. Its
  CPU is that of the node and of all PostgreSQL, so also what the others ask of that all the time.
- Durable subscriptions whose clients are at another node than their owner, when the owner is killed or
  stopped: how long each hears nothing of what is published all the time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import json
import socket
import time

from bench import lanes, latency, loads, publish, wire
from bench.harness import Case, Outcome, percentile
from bench.nodes import Nodes, nodes
from bench.open_loop import PAYLOAD_BYTES, SUBSCRIBERS, TOPIC, plan_for
from bench.systems import conduit, directory, running
from conduit.core.ring import Ring
from conduit.load.checks import Checks

RATE = 1_000
# Of those that follow what happens to an owner.
SUBSCRIPTIONS = 100
# Between two messages to each of them; a pause is known to this.
BEAT_S = 0.02
WATCHED_S = 8.0


def cases(short: bool) -> list[Case]:
    """Each beside what it is compared with."""
    seconds = 3.0 if short else 10.0
    ways: dict[str, int | float | str] = {
        "subscribers": SUBSCRIBERS,
        "messages_per_s": RATE,
        "seconds": seconds,
        "payload_bytes": PAYLOAD_BYTES,
        "nodes": 3,
    }
    sends: dict[str, int | float | str] = {
        "clients": publish.CLIENTS,
        "payload_bytes": lanes.PAYLOAD_BYTES,
        "interest": "none elsewhere",
    }
    goes: dict[str, int | float | str] = {"nodes": 3, "subscriptions": SUBSCRIPTIONS}
    count = 2 if short else 6

    def case(work: dict[str, int | float | str], run: functools.partial[Outcome]) -> Case:
        return Case("cluster", "conduit", "postgresql", work, run)

    return [
        case(ways | {"to": "the same node"}, functools.partial(_way, seconds, is_across=False)),
        case(ways | {"to": "another node"}, functools.partial(_way, seconds, is_across=True)),
        case(sends | {"nodes": 1}, functools.partial(_alone, count)),
        case(sends | {"nodes": 3}, functools.partial(_beside, count)),
        case(goes | {"the owner": "is killed"}, functools.partial(_goes, is_killed=True)),
        case(goes | {"the owner": "stops"}, functools.partial(_goes, is_killed=False)),
    ]


def _way(seconds: float, *, is_across: bool) -> Outcome:
    with directory() as path, contextlib.ExitStack() as stack:
        made = stack.enter_context(nodes(path, 3))
        wire.call(made.first.port, "POST", "/api/topics", {"name": TOPIC})
        to = made.others[0] if is_across else made.first
        plan = plan_for("conduit", RATE, seconds, (made.first.port, to.port))
        return latency.measured(plan, made.first)


def _alone(seconds: int) -> Outcome:
    with directory() as path, running(conduit(path, "postgresql")) as server:
        return publish.measured(server, seconds)


def _beside(seconds: int) -> Outcome:
    with directory() as path, nodes(path, 3) as made:
        return publish.measured(made.first, seconds)


# An owner that goes -------------------------------------------------------------------------------


@dataclasses.dataclass
class _Follower:
    """A durable subscriber, which acks all that comes: when messages came, and which."""

    topic: str
    connection: socket.socket
    came: list[float] = dataclasses.field(default_factory=list)
    numbers: set[int] = dataclasses.field(default_factory=set)
    again_count: int = 0
    rest: bytes = b""

    def take(self, data: bytes) -> None:
        texts = wire.NUMBER.findall(self.rest + data)
        self.rest = wire.after_last(self.rest + data, texts)
        found = [int(text) for text in texts]
        if found:
            self.came.append(time.monotonic())
            ack = {"type": "ack", "topic": self.topic, "seq": max(found)}
            self.connection.sendall(wire.text_frame(json.dumps(ack).encode()))
        self.again_count += len(found) - len(set(found) - self.numbers)
        self.numbers.update(found)

    def longest_s(self, since: float) -> float:
        """The longest time without a message, from then on."""
        times = [since, *(each for each in self.came if each > since)]
        return max((b - a for a, b in itertools.pairwise(times)), default=WATCHED_S)


def _goes(*, is_killed: bool) -> Outcome:
    with directory() as path, nodes(path, 3) as made:
        followers, poll, sockets = _followers(made)
        with contextlib.ExitStack() as stack:
            for each in sockets:
                stack.callback(each.close)
            return _watched(made, followers, poll, is_killed=is_killed)


def _followers(made: Nodes) -> tuple[list[_Follower], wire.Poll, list[socket.socket]]:
    """At the first node, of subscriptions that the last one owns."""
    ring = Ring([f"n{number}" for number in range(3)])
    names = (f"s{n}" for n in range(100_000) if ring.owner(f"default/s{n}") == "n2")
    followers, sockets, poll = [], [], wire.Poll()
    for number in range(SUBSCRIPTIONS):
        topic = f"{TOPIC}.{number}"
        wire.call(made.first.port, "POST", "/api/topics", {"name": topic})
        connection = wire.subscribe(made.first.port, topic=topic, subscription=next(names))
        follower = _Follower(topic, connection)
        poll.add(connection, follower.take)
        followers.append(follower)
        sockets.append(connection)
    return followers, poll, sockets


def _watched(
    made: Nodes, followers: list[_Follower], poll: wire.Poll, *, is_killed: bool
) -> Outcome:
    """Publish to all of them, one after the other all the time, and have the owner go after a second."""
    with contextlib.ExitStack() as stack:
        publisher = stack.enter_context(loads.Load(_publish, made.first.port, WATCHED_S))
        publisher.wait_ready()
        publisher.go()
        began, gone_at = time.monotonic(), 0.0
        while time.monotonic() < began + WATCHED_S + 2.0:
            poll.once(0.05)
            if not gone_at and time.monotonic() > began + 1.0:
                gone_at = time.monotonic()
                _go(made, is_killed=is_killed)
        sent: int = publisher.result()
    pauses = sorted(each.longest_s(gone_at) * 1_000 for each in followers)
    lost = sum(sent - len(each.numbers) for each in followers)
    seen = sum(len(each.numbers) for each in followers)
    return Outcome(
        {
            "pause_p50_ms": percentile(pauses, 0.5),
            "pause_max_ms": pauses[-1],
            "again_per_subscription": sum(each.again_count for each in followers) / len(followers),
        },
        Checks(sent * len(followers), seen, lost, 0, 0),
        throughput=False,
    )


def _go(made: Nodes, *, is_killed: bool) -> None:
    last = made.others[-1]
    if is_killed:
        last.kill()
    else:
        last.ask_to_stop()


def _publish(ready: object, port: int, seconds: float) -> int:
    """The load: a message to each in one batch, and again; returns how many each was sent."""
    assert callable(ready)
    ready()
    until, number = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        number += 1
        payload = {"n": number, "order_id": "abc-123"}
        several = [{"topic": f"{TOPIC}.{n}", "payload": payload} for n in range(SUBSCRIPTIONS)]
        body = json.dumps({"messages": several}, separators=(",", ":")).encode()
        wire.call(port, "POST", "/api/publish/batch", body)
        time.sleep(BEAT_S)
    return number
