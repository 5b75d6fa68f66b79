"""Does a publish to one topic cost the same when everything around it has grown?

One thing grows in each case; all else is equal. Two servers run, a small one and a grown one, and are
loaded in turn — small, grown, small, grown … — because a machine's speed drifts within minutes by more
than what is looked for. `cost_percent` is the grown server's CPU per publish as a part of the small
one's, `rate_percent` the same of the rates: the medians over the pairs. While one is loaded the other
is idle, and what it uses then is `…_idle_us_per_s`.

What grows:
- topics: others, which nobody publishes to; in "topics, log at its bound" both servers hold as many
  messages as they may, ten in each other topic and the rest in the one that is published to, and
  remove as many as they take;
- durable subscriptions: with nobody attached, on other topics, or on the pattern `>`, which the topic
  that is published to matches;
- the log: messages in the topic that is published to. Each slice of the load has a new small server,
  whose log is empty. In memory the bounds of the log are set so high that nothing is removed; in "log
  at its bound" the grown server's bound is what it was filled with, so that it removes as much as it
  takes;
- connections: WebSockets with an ephemeral subscription each to a topic without messages.

Every slice of the load is read back from the log and compared with what was answered.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import statistics
from collections.abc import Callable
from typing import Any

from bench import filling, lanes, readback, wire, wrk
from bench.harness import Case, Outcome
from bench.holding import Crowd
from bench.systems import Busy, Conduit, Server, directory, running
from conduit.load.checks import Checks

CLIENTS = 64
TOPIC = "bench"
OTHERS = [f"other.{number}" for number in range(10)]
WARM_UP = 5_000
# Nothing is removed below these.
ROOM = {
    "CONDUIT_MEMORY_MAX_MESSAGES": "8000000",
    "CONDUIT_MEMORY_MAX_BYTES": str(2 << 30),
    "CONDUIT_RETENTION_MAX_BYTES": "none",
}


@dataclasses.dataclass(frozen=True)
class Grown:
    """What grows from `small` to `size`, by `fill(stack, server, size)`, and how it is found again.

    `fill` may keep things open on the stack. `count(port, size)` says how many there are.
    """

    what: str
    small: int
    size: int
    fill: Callable[[contextlib.ExitStack, Server, int], object]
    count: Callable[[int, int], int]
    settings: dict[str, str] = dataclasses.field(default_factory=dict)
    settings_of_small: dict[str, str] = dataclasses.field(default_factory=dict)
    has_new_small: bool = False
    """Whether the load makes a small server grow, so that each slice needs a new one."""


def cases(short: bool) -> list[Case]:
    """Everything that grows, in memory and on SQLite."""
    thousands, messages = (1_000, 100_000) if short else (10_000, 1_000_000)
    # More than a slice of the load, which is read back.
    bound = max(messages, 200_000)
    seconds, pairs = (1, 2) if short else (2, 5)
    grown = [
        Grown("topics", 1, thousands, _topics, _topic_count),
        Grown("durable subscriptions", 0, thousands, _subscriptions, _subscription_count),
        Grown("those on a pattern", 0, thousands, _patterns, _subscription_count),
        Grown("log", 0, messages, _messages, _message_count, has_new_small=True),
        Grown("connections", 0, 2_000, _connections, _connection_count),
    ]
    most = {"CONDUIT_MEMORY_MAX_MESSAGES": str(bound)}
    fill = functools.partial(_full_topics, messages=bound)
    full = [
        dataclasses.replace(grown[3], what="log at its bound", size=bound, settings=most),
        Grown("topics, log at its bound", 1, thousands, fill, _topic_count, most, most),
    ]
    # A thousand topics do not show what the last one asks.
    stores = {"memory": [*grown, *(full[:1] if short else full)], "sqlite": grown}
    return [
        Case(
            "growth",
            "conduit",
            store,
            {
                "grows": each.what,
                "small": each.small,
                "grown": each.size,
                "clients": CLIENTS,
                "payload_bytes": lanes.PAYLOAD_BYTES,
                "loop": "closed",
                "pairs": pairs,
                "slice_s": seconds,
            },
            functools.partial(_run, store, each, pairs, seconds),
        )
        for store, several in stores.items()
        for each in several
    ]


def _run(store: str, grown: Grown, pairs: int, seconds: int) -> Outcome:
    with contextlib.ExitStack() as stack, contextlib.ExitStack() as stack_of_small:
        large = _server(stack, store, grown, grown.size)
        small = _server(stack_of_small, store, grown, grown.small)
        slices = []
        for number in range(pairs):
            if number and grown.has_new_small:
                stack_of_small.close()
                small = _server(stack_of_small, store, grown, grown.small)
            # One after the other, as both share the machine with the load.
            slices.append((_slice(small, large, seconds), _slice(large, small, seconds)))
        there = [
            grown.count(server.port, size)
            for server, size in ((small, grown.small), (large, grown.size))
        ]
    outcome = _outcome(slices)
    if there != [grown.small, grown.size]:
        outcome.problems.append(f"there were {there} of {grown.what}")
    return outcome


def _server(stack: contextlib.ExitStack, store: str, grown: Grown, size: int) -> Server:
    settings = ROOM | (grown.settings if size == grown.size else grown.settings_of_small)
    path = stack.enter_context(directory())
    server = stack.enter_context(running(Conduit(path, store, **settings)))
    # Nothing is to be kept, so it need not take its time to stop.
    stack.callback(server.kill)
    filling.topics(server.port, [TOPIC, *OTHERS])
    filling.publishes(server.port, OTHERS[0], WARM_UP)
    if size:
        grown.fill(stack, server, size)
    return server


@dataclasses.dataclass
class _Slice:
    """One server loaded, and the other one idle, for some seconds."""

    answered: wrk.Answered
    checks: Checks
    cpu_s: float
    cores: float
    idle_cores: float

    @property
    def us(self) -> float:
        """CPU of the server per publish."""
        return self.cpu_s / self.answered.requests * 1e6


def _slice(server: Server, idle: Server, seconds: int) -> _Slice:
    before = readback.call_topic(server.port, TOPIC)["last_seq"]
    busy, idly = Busy(server), Busy(idle)
    answered = wrk.publish(server.port, CLIENTS, seconds, TOPIC)
    cores, cpu_s, idle_cores = busy.cores(), busy.cpu_s(), idly.cores()
    checks = readback.answered(server.port, TOPIC, answered.requests, CLIENTS, before)
    return _Slice(answered, checks, cpu_s, cores, idle_cores)


def _outcome(slices: list[tuple[_Slice, _Slice]]) -> Outcome:
    every = [each for pair in slices for each in pair]
    small, large = ([pair[side] for pair in slices] for side in (0, 1))
    failed = sum(each.answered.failed for each in every)
    mean, median = statistics.fmean, statistics.median
    return Outcome(
        {
            "small_publishes_per_s": mean([each.answered.per_s for each in small]),
            "grown_publishes_per_s": mean([each.answered.per_s for each in large]),
            "small_server_us_per_publish": mean([each.us for each in small]),
            "grown_server_us_per_publish": mean([each.us for each in large]),
            "cost_percent": median([b.us / a.us * 100 for a, b in slices]),
            "rate_percent": median([b.answered.per_s / a.answered.per_s * 100 for a, b in slices]),
            "small_idle_us_per_s": mean([each.idle_cores for each in large]) * 1e6,
            "grown_idle_us_per_s": mean([each.idle_cores for each in small]) * 1e6,
        },
        sum((each.checks for each in every), Checks()),
        mean([each.cores for each in every]),
        max(each.answered.cores for each in every),
        [f"{failed} requests failed"] if failed else [],
    )


# What grows ---------------------------------------------------------------------------------------


def _topics(_stack: contextlib.ExitStack, server: Server, size: int) -> None:
    filling.topics(server.port, _idle_topics(size))


def _full_topics(_stack: contextlib.ExitStack, server: Server, size: int, messages: int) -> None:
    others = _idle_topics(size)
    filling.topics(server.port, others)
    filling.messages(server.port, others, 10 * len(others))
    filling.messages(server.port, [TOPIC], messages - 10 * len(others))


def _idle_topics(size: int) -> list[str]:
    return [f"idle.{number}" for number in range(size - 1)]


def _topic_count(port: int, _size: int) -> int:
    # Beside the ones that every server has here.
    return _stat(port, "active_topics") - len(OTHERS)


def _subscriptions(_stack: contextlib.ExitStack, server: Server, size: int) -> None:
    _subscribe(server.port, [OTHERS[number % len(OTHERS)] for number in range(size)])


def _patterns(_stack: contextlib.ExitStack, server: Server, size: int) -> None:
    _subscribe(server.port, [">"] * size)


def _subscribe(port: int, topics: list[str]) -> None:
    filling.subscriptions(
        port, ({"name": f"idle-{number}", "topic": topic} for number, topic in enumerate(topics))
    )


def _subscription_count(port: int, _size: int) -> int:
    return len(filling.all_subscriptions(port))


def _messages(_stack: contextlib.ExitStack, server: Server, size: int) -> None:
    filling.messages(server.port, [TOPIC], size)


def _message_count(port: int, size: int) -> int:
    topic = readback.call_topic(port, TOPIC)
    stored = topic["last_seq"] - topic["first_seq"] + 1
    # What was published meanwhile came on top, or at the bound took the place of others.
    return size if stored >= size - size // 50 else stored


def _connections(stack: contextlib.ExitStack, server: Server, size: int) -> None:
    stack.enter_context(Crowd(server, size))


def _connection_count(port: int, _size: int) -> int:
    return _stat(port, "active_subscribers")


def _stat(port: int, name: str) -> int:
    stats: dict[str, Any] = wire.call(port, "GET", "/api/stats")
    return int(stats[name])
