"""What do others notice while one client does its worst?

One attack after the other (bench/attacks.py), each alone and on a fresh server, for some seconds: small
frames and requests by the thousand, connections that are left with something unread or unfinished, questions
that scan, connections that say nothing. The attacker uses plain sockets and bytes that were made before; for
a connection that the server closes another one is opened at once, up to a number.

Meanwhile a neighbour publishes 100 messages a second, each due at its time, with a subscriber beside it, and
every 0.5 s somebody new connects and asks `GET /health`; another one asks `GET /health/ready`. Latencies
count from when something was due; what was never answered counts with the time that it waited. p50 and p99
are of what was due during the attack, maxima also of what was due after it, and `quiet_p99_ms` is the
neighbour's before it. `failed_count` is how many publishes and newcomers were refused or had no answer,
`not_ready_count` how many times the server said that it was not ready.

Promised, whatever the attack: somebody new is served within 200 ms, the neighbour's p99 is below 50 ms,
nobody fails, the server stays ready, and its memory grows by at most 384 MiB, half as much again as the 256
that connections may keep, and is back within 64 MiB some seconds later; 128 where the server gets to know
tokens, of which it keeps 64 MiB. How many of these do not hold is
`broken_limits_count`, and stderr says which. What was sent is in the figures, so that an attack that the
machine was too slow for is not taken for one that did nothing.

Those of `bench/strangers.py` are on a server with authentication: nobody attacks, or a tenant, and the
neighbour is another one. Of all of them it is looked at what the server has open before, shortly before the
end, and some seconds after it: all files, connections and WebSockets that came are gone then.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
import time
from pathlib import Path

from bench import (
    attacking,
    attacks,
    bystanders,
    filling,
    filling_much,
    loads,
    provider,
    strangers,
    tenants,
    wire,
)
from bench.attacking import Sent
from bench.attacks import Attack, Then
from bench.bystanders import Asked, Seen
from bench.harness import Case, Outcome, percentile
from bench.loads import Load
from bench.systems import Busy, Server, conduit, directory, running
from bench.tenants import NO_KEYS, Held, Keys

NEWCOMER_MAX_MS = 200.0
NEIGHBOUR_P99_MAX_MS = 50.0
GROWTH_MAX_MIB = 384.0
LEFT_MAX_MIB = 64.0
# Files more than before: the store opens some as it needs them, and a newcomer may just be there.
LEFT_MAX_FILES = 16
# HTTP connections more than before, for the same reason.
LEFT_MAX_CONNECTIONS = 4
# What is open is looked at so long before the end of the attack.
LOOK_BEFORE_S = 0.3
# After it whoever is gone without a word must have been noticed, also on a busy machine.
GONE_WITHIN_S = 60.0
# A bystander that ran so late was not held up by the server.
LATE_MAX_MS = 10.0
LETTER_BYTES = 512
# 80 MiB: more than SQLite's caches.
WARMING_COUNT, WARMING_EACH = 40, 500
STORES = ("memory", "sqlite", "postgresql")
# Together more than a page of messages may have, each less than a message may have.
BIG_COUNT, BIG_EACH_BYTES = 24, 250_000


@dataclasses.dataclass(frozen=True)
class Size:
    """How long, and how much there is to scan."""

    quiet_s: float
    attack_s: float
    after_s: float
    letters: int
    tokens: int = 60


FULL = Size(quiet_s=5.0, attack_s=20.0, after_s=15.0, letters=100_000, tokens=600)
SHORT = Size(quiet_s=2.0, attack_s=5.0, after_s=5.0, letters=20_000, tokens=60)


@dataclasses.dataclass
class Memory:
    """Resident, in MiB: before the attack, the most, and some seconds after it."""

    before: float
    peak: float = 0.0
    after: float = 0.0
    known: float = 0.0
    """What may stay of it; see `Attack`."""


@dataclasses.dataclass
class Open:
    """What the server had open: before the attack, shortly before its end, and some seconds after it."""

    before: Held
    then: Held
    after: Held


def cases(short: bool) -> list[Case]:
    """Every attack on SQLite; those that are about the store on each."""
    return [
        Case(
            "hostile",
            "conduit",
            store,
            {
                "attack": attack.name,
                "connections": attack.connections,
                "seconds": (SHORT if short else FULL).attack_s,
                "neighbour_messages_per_s": bystanders.RATE,
                "loop": "open",
                **({"auth": "keys"} if attack.auth else {}),
            },
            functools.partial(_run, store, attack.name, short, SHORT if short else FULL),
        )
        for attack in strangers.every(short)
        for store in (STORES if attack.needs in ("messages", "letters") else ("sqlite",))
    ]


def _run(store: str, name: str, short: bool, size: Size) -> Outcome:
    attack = strangers.named(name, short)
    settings = dict(attack.settings) | (tenants.SETTINGS if attack.auth else {})
    with directory() as path, contextlib.ExitStack() as stack:
        if attack.needs == "provider":
            settings |= stack.enter_context(provider.running())
        server = conduit(path, store, **settings)
        stack.enter_context(running(server))
        keys = tenants.settle(server) if attack.auth else NO_KEYS
        _fill(server.port, attack, size, keys)
        numbers = loads.counters(1)
        standing = stack.enter_context(
            Load(bystanders.stand_by, server.port, numbers, keys.neighbour)
        )
        plan = _plan(server.port, attack, short, size, keys)
        attackers = _attackers(stack, attack, plan)
        standing.wait_ready()
        for attacker in attackers:
            attacker.wait_ready()
        standing.go()
        time.sleep(size.quiet_s)
        memory, before = _before(server), tenants.held(server, keys.operator)
        busy, began = Busy(server), time.monotonic()
        for attacker in attackers:
            attacker.go()
        then = _attacked(server, attack, size, keys)
        sent: Sent | None = None if attack.then is Then.VANISH else attackers[0].result()
        ended, cores = time.monotonic(), busy.cores()
        if attack.then is Then.VANISH:
            _wait_until_gone(server, before, keys)
        time.sleep(size.after_s)
        memory.peak, memory.after = server.peak_kib() / 1024, server.resident_kib() / 1024
        memory.known = attack.known_mib
        opened = Open(before, then, tenants.held(server, keys.operator))
        plan.is_seen[0] = 1
        sent = sent or attackers[0].result()
        numbers[0] = 1
        seen: Seen = standing.result()
        outcome = _outcome(seen, (began, ended), memory, opened, sent)
        outcome.problems += _problems(server, path)
    outcome.server_cores, outcome.load_cores = cores, attackers[0].cores
    _print(name, store, sent, outcome.figures)
    return outcome


def _plan(port: int, attack: Attack, short: bool, size: Size, keys: Keys) -> attacking.Plan:
    count = size.tokens if attack.needs == "tokens" else 0
    return attacking.Plan(
        port,
        attack.name,
        short,
        size.attack_s,
        loads.counters(1),
        (keys.attacker, keys.second),
        tenants.large_tokens(port, keys.attacker, count),
    )


def _attackers(stack: contextlib.ExitStack, attack: Attack, plan: attacking.Plan) -> list[Load]:
    """The one that attacks, and who is beside."""
    plans = [plan]
    if attack.beside:
        plans.append(dataclasses.replace(plan, name=attack.beside, keys=plan.keys[1:], tokens=()))
    return [stack.enter_context(Load(attacking.attack, each)) for each in plans]


def _attacked(server: Server, attack: Attack, size: Size, keys: Keys) -> Held:
    """Nearly until the end; what is open then."""
    end = time.monotonic() + size.attack_s
    if attack.drops:
        time.sleep(size.attack_s / 2)
        tenants.revoke(server.port, keys)
    time.sleep(max(0.0, end - LOOK_BEFORE_S - time.monotonic()))
    then = tenants.held(server, keys.operator)
    time.sleep(max(0.0, end - time.monotonic()))
    return then


def _wait_until_gone(server: Server, before: Held, keys: Keys) -> None:
    """Until the server knows that nobody is there, which takes it some of its deadlines; or for so long."""
    end = time.monotonic() + GONE_WITHIN_S
    while time.monotonic() < end:
        if tenants.held(server, keys.operator).websockets <= before.websockets:
            return
        time.sleep(LOOK_BEFORE_S)


def _before(server: Server) -> Memory:
    server.forget_peak()
    return Memory(server.resident_kib() / 1024)


def _problems(server: Server, path: Path) -> list[str]:
    """Of a server that was attacked: whether it lives, and has met nothing that it did not expect."""
    wire.call(server.port, "GET", "/health")
    is_surprised = "Traceback" in (path / "server.log").read_text(errors="replace")
    return ["the server has logged a traceback"] if is_surprised else []


def _fill(port: int, attack: Attack, size: Size, keys: Keys) -> None:
    for topic, key in ((attacks.TOPIC, keys.attacker), (bystanders.TOPIC, keys.neighbour)):
        wire.CALLER.key = key
        filling.topics(port, (topic,))
    if attack.beside:
        _warm(port, keys)
    wire.CALLER.key = ""
    if attack.needs == "messages":
        message = {"topic": attacks.BIG_TOPIC, "payload": "x" * BIG_EACH_BYTES}
        filling.topics(port, (attacks.BIG_TOPIC,))
        filling.post(port, "/api/publish", [message] * BIG_COUNT, 1)
    elif attack.needs == "letters":
        _bury(port, size.letters)


def _warm(port: int, keys: Keys) -> None:
    """Publish what is published beside, so that what the store keeps of it is there before the attack."""
    wire.CALLER.key = keys.attacker
    message = {"topic": attacks.TOPIC, "payload": "x" * strangers.PUBLISHED_BYTES}
    batch = {"messages": [message] * WARMING_EACH}
    filling.post(port, "/api/publish/batch", [batch] * WARMING_COUNT, 1)


def _bury(port: int, count: int) -> None:
    """Dead letters with something to look through."""
    topic, each = filling_much.LETTERS_TOPIC, min(count, filling_much.LETTERS_EACH)
    names = [f"buries-{number}" for number in range(count // each)]
    filling.topics(port, (topic,))
    filling.subscriptions(port, ({"name": name, "topic": topic} for name in names))
    payload = {"order_id": "abc-123", "text": "x" * LETTER_BYTES}
    batch = {"messages": [{"topic": topic, "payload": payload}] * 500}
    filling.post(port, "/api/publish/batch", [batch] * (each // 500), 1)
    for name in names:
        filling_much.reject(port, name, each)


def _outcome(
    seen: Seen, attacked: tuple[float, float], memory: Memory, opened: Open, sent: Sent
) -> Outcome:
    problems = []
    began, ended = attacked
    during = _took([each for each in seen.publishes if began <= each.due < ended])
    newcomers = [each for each in seen.newcomers if each.due >= began]
    new_ones = [each for each in newcomers if each.path == bystanders.PATHS[0]]
    delivered = [each.delivered_ms for each in seen.publishes if each.due >= began]
    since = [each for each in seen.publishes if each.due >= began]
    figures = {
        "neighbour_p50_ms": percentile(during, 0.5),
        "neighbour_p99_ms": percentile(during, 0.99),
        "neighbour_max_ms": _took(since)[-1],
        "delivery_p99_ms": percentile(sorted(ms for ms in delivered if ms is not None), 0.99),
        "quiet_p99_ms": percentile(_took([e for e in seen.publishes if e.due < began]), 0.99),
        "newcomer_p99_ms": percentile(_took([e for e in new_ones if e.due < ended]), 0.99),
        "newcomer_max_ms": _took(new_ones)[-1],
        "failed_count": sum(each.status != 200 for each in (*since, *new_ones)),
        "not_ready_count": sum(e.status != 200 for e in newcomers if e.path == "/health/ready"),
        "resident_before_mib": memory.before,
        "resident_peak_mib": memory.peak,
        "resident_after_mib": memory.after,
        "known_mib": memory.known,
        "files_before_count": opened.before.files,
        "files_then_count": opened.then.files,
        "files_after_count": opened.after.files,
        "websockets_then_count": opened.then.websockets,
        "connections_left_count": opened.after.connections - opened.before.connections,
        "websockets_left_count": opened.after.websockets - opened.before.websockets,
        "unsigned_left_count": opened.after.unsigned,
        "sent_mib": sent.sent_bytes / (1 << 20),
        "sent_count": sent.units,
        "opened_connections": sent.opened,
        "late_p99_ms": percentile(sorted(each.late_ms for each in seen.publishes), 0.99),
    }
    figures["broken_limits_count"] = len(broken(figures))
    if seen.is_cut_off:
        problems.append("the neighbour's subscriber was disconnected")
    if figures["late_p99_ms"] > LATE_MAX_MS:
        problems.append(f"1 % of the publishes left {figures['late_p99_ms']:.1f} ms late and more")
    if not sent.sent_bytes and not sent.opened:
        problems.append("nothing was attacked")
    return Outcome(figures, seen.checks(), problems=problems, throughput=False)


def _took(several: list[Asked]) -> list[float]:
    return sorted(each.took_ms for each in several)


def broken(figures: dict[str, float]) -> list[str]:
    """Which of the limits do not hold, as text."""
    growth = figures["resident_peak_mib"] - figures["resident_before_mib"]
    left = figures["resident_after_mib"] - figures["resident_before_mib"] - figures["known_mib"]
    files = figures["files_after_count"] - figures["files_before_count"]
    bounded = (
        ("somebody new waited", figures["newcomer_max_ms"], NEWCOMER_MAX_MS, "ms"),
        ("the neighbour's p99 was", figures["neighbour_p99_ms"], NEIGHBOUR_P99_MAX_MS, "ms"),
        ("failed", figures["failed_count"], 0, "times"),
        ("not ready", figures["not_ready_count"], 0, "times"),
        ("memory grew by", growth, GROWTH_MAX_MIB, "MiB"),
        ("memory is still more by", left, LEFT_MAX_MIB, "MiB"),
        ("open files are still more by", files, LEFT_MAX_FILES, ""),
        (
            "HTTP connections are still more by",
            figures["connections_left_count"],
            LEFT_MAX_CONNECTIONS,
            "",
        ),
        ("WebSockets are still more by", figures["websockets_left_count"], 0, ""),
        ("sockets that did not sign in are still there:", figures["unsigned_left_count"], 0, ""),
    )
    return [
        f"{what} {value:.0f} {unit}".rstrip() + f" (at most {most:g})"
        for what, value, most, unit in bounded
        if value > most
    ]


def _print(name: str, store: str, sent: Sent, figures: dict[str, float]) -> None:
    held = "; ".join(broken(figures)) or "all limits hold"
    print(
        f"{name}, {store}: {figures['sent_mib']:,.0f} MiB, {sent.units:,} sent; {sent.opened:,} connections "
        f"opened, {sent.closed:,} of them closed by the server, {sent.refused:,} refused: {held}",
        file=sys.stderr,
    )
