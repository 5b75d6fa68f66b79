"""Does a history of a cluster break what it promises? Pure: no clock, no dice, nothing to wait for.

The log and the answers to publishers are judged as those of one server (tests/crash/checker.py), each stream
by streams.py, and here what nodes do with each other: claims, writes, how late a live subscriber gets a
message, and how often publishes fail while Redis is away.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict

from tests.chaos.history import ClusterHistory, Kind, Leased
from tests.chaos.owners import AFTERWARDS_S, FOREVER, Faults, Leases, Owners, Window
from tests.chaos.report import Place, Report
from tests.chaos.streams import Event, Known, StreamCheck
from tests.crash.checker import check_log, check_publishes
from tests.crash.history import Connected, Delivered, Stream

# A lease that is renewed in the moment of a claim may be committed after it.
COMMIT_S = 0.1
# How late a message may come to a live subscriber of a node that has no fault: the log is looked at every
# second, and two cores have much to do.
LATE_S = 4.0
# A link that is cut off is noticed after 3 s.
UNNOTICED_S = 3.0
# In which a node cannot be expected to pass on anything. It can while it is cut off from others, and from
# Redis.
SILENCES: frozenset[Kind] = frozenset({"kill", "stop", "node-postgres", "postgres", "rolling"})
# Of the publishes that are tried while Redis is away, so many succeed.
REDIS_AWAY_SUCCESS_MIN = 0.999
# TCP sends again what was lost in a cut only after about as long as that has lasted.
RECOVERED_S = 8.0
REDIS_KINDS: frozenset[Kind] = frozenset({"redis", "node-redis"})


def check(history: ClusterHistory) -> Report:
    """Judge a whole run."""
    report = Report()
    log = {(entry.topic, entry.seq): entry for entry in history.stored}
    check_log(history, report)
    check_publishes(history, log, report)
    owners = _owners(history)
    leases, faults = Leases(history.leased), Faults(history)
    known = Known(log, {each.connection: each.at for each in history.left}, leases, faults)
    _check_streams(history, owners, known, report)
    for name, each in owners.items():
        _check_claims(name, each, history.leased, report)
    _check_writes(history, owners, report)
    _check_lateness(history, faults, report)
    _check_redis(history, faults, report)
    _count(history, owners, report)
    return report


def _owners(history: ClusterHistory) -> dict[str, Owners]:
    """By stream. Of a version that records no owners nothing is known."""
    claims = defaultdict(list)
    for claim in history.claimed:
        claims[claim.stream].append(claim)
    return {
        name: Owners(some) for name, some in claims.items() if any(claim.node for claim in some)
    }


def _check_streams(
    history: ClusterHistory, owners: dict[str, Owners], known: Known, report: Report
) -> None:
    events: dict[str, list[Event]] = defaultdict(list)
    for event in history.events:
        events[event.stream].append(event)
    dead: dict[str, Counter[Place]] = defaultdict(Counter)
    for letter in history.dead:
        dead[letter.stream][letter.topic, letter.seq] += 1
    for stream in history.streams:
        judged = StreamCheck(stream, owners.get(stream.name), known, report)
        judged.run(events[stream.name], dead[stream.name])
        judged.check_idle(events[stream.name])


def _check_claims(name: str, owners: Owners, leased: list[Leased], report: Report) -> None:
    """Nobody takes what another has whose lease holds."""
    leases = Leases(leased)
    for before, after in zip(owners.periods, owners.periods[1:], strict=False):
        if not after.node:
            continue
        report.count("owner_changes")
        if not before.node or before.incarnation == after.incarnation:
            continue
        until = leases.until(before.incarnation, after.since - COMMIT_S)
        if until > after.since:
            report.breaks("claimed_too_early", f"{name}: {after}, {before} until {until:.3f}", name)


def _check_writes(history: ClusterHistory, owners: dict[str, Owners], report: Report) -> None:
    """Who is not the owner stores nothing."""
    for write in history.wrote:
        of = owners.get(write.stream)
        if of is None:
            continue
        index = of.index(write.at)
        if index >= 0 and of.periods[index].node != write.node:
            sample = f"{write.stream}: {write} while it was {of.periods[index]}"
            report.breaks("stored_by_another", sample, write.stream)
    report.counts["progress_writes"] = len(history.wrote)


class _Arrivals:
    """What one ephemeral stream got when, and on which connections."""

    def __init__(self) -> None:
        self.came: dict[Place, float] = {}
        self.connected: list[Connected] = []

    def add(self, event: Event) -> None:
        """One more, in the order of their times."""
        if isinstance(event, Delivered):
            self.came.setdefault((event.topic, event.seq), event.at)
        elif isinstance(event, Connected):
            self.connected.append(event)

    def connection(self, at: float) -> Connected | None:
        """The last one that was there then."""
        index = bisect_right(self.connected, at, key=lambda each: each.at) - 1
        return self.connected[index] if index >= 0 else None


def _arrivals(history: ClusterHistory) -> tuple[list[Stream], dict[str, _Arrivals]]:
    """The ephemeral streams, and by their names what they got."""
    streams = [stream for stream in history.streams if not stream.durable]
    arrivals = {stream.name: _Arrivals() for stream in streams}
    for event in history.events:
        if event.stream in arrivals:
            arrivals[event.stream].add(event)
    return streams, arrivals


def _check_lateness(history: ClusterHistory, faults: Faults, report: Report) -> None:
    """What was acked is soon at every live subscriber of the topic whose node has no fault."""
    streams, arrivals = _arrivals(history)
    left_at = {each.connection: each.at for each in history.left}
    for publish in history.published:
        for stream in streams:
            if publish.outcome != "ok" or publish.topic not in stream.topics:
                continue
            arrived, place = arrivals[stream.name], (publish.topic, publish.seq)
            late_at = publish.at + LATE_S
            if arrived.came.get(place, FOREVER) <= late_at:
                continue
            there = arrived.connection(publish.sent_at - AFTERWARDS_S)
            if there is None or left_at.get(there.connection, FOREVER) < late_at:
                continue
            if not faults.felt(there.node, SILENCES, publish.sent_at, late_at):
                sample = f"{stream.name}: {there}, {publish}"
                report.breaks("late_by_far", sample, stream.name, place)


def _latencies_without_links_ms(history: ClusterHistory) -> list[int]:
    """From the answer to a publish to each ephemeral subscriber, while no node tells another; sorted."""
    cuts = [
        Window(each.at + UNNOTICED_S, each.until - LATE_S)
        for each in history.struck
        if each.kind == "links"
    ]
    _, arrivals = _arrivals(history)
    found = []
    for publish in history.published:
        if publish.outcome == "ok" and any(cut.since < publish.at < cut.until for cut in cuts):
            place = (publish.topic, publish.seq)
            came = [each.came[place] for each in arrivals.values() if place in each.came]
            found += [max(0, round(1000 * (at - publish.at))) for at in came]
    return sorted(found)


def _check_redis(history: ClusterHistory, faults: Faults, report: Report) -> None:
    """Publishing goes on without Redis, at nodes that do not feel another fault."""
    windows = [(each.at, each.until) for each in history.struck if each.kind in REDIS_KINDS]
    codes = Counter(
        attempt.code
        for attempt in history.attempts
        if any(since <= attempt.at <= until for since, until in windows)
        and not faults.felt(attempt.node, SILENCES, attempt.sent_at - RECOVERED_S, attempt.at)
    )
    tried, failed = codes.total(), codes.total() - codes["ok"]
    report.counts |= {"tried_without_redis": tried, "failed_without_redis": failed}
    # A failure among less than a thousand says nothing of a share.
    if failed > max(1.0, tried * (1 - REDIS_AWAY_SUCCESS_MIN)):
        report.breaks("publishes_failed_without_redis", (tried, dict(codes)))


def _takeover_max_ms(history: ClusterHistory, owners: dict[str, Owners]) -> int:
    """How long, at most, a subscription of a killed node had no other owner."""
    took_s = [
        period.until - fault.at
        for fault in history.struck
        if fault.kind == "kill"
        for each in owners.values()
        for period in each.periods
        if period.since < fault.at < period.until < FOREVER and period.node in fault.nodes
    ]
    return round(1000 * max(took_s, default=0.0))


def _count(history: ClusterHistory, owners: dict[str, Owners], report: Report) -> None:
    outcomes = Counter(each.outcome for each in history.published)
    if latencies := _latencies_without_links_ms(history):
        for share in (0.5, 0.99):
            name = f"without_links_p{100 * share:.0f}_ms"
            report.counts[name] = latencies[int(share * len(latencies))]
    report.counts |= {
        "takeover_max_ms": _takeover_max_ms(history, owners),
        "acked": outcomes["ok"],
        "refused": outcomes["fail"],
        "unknown": outcomes["info"],
        "stored": len(history.stored),
        "dead": len(history.dead),
        "tries": len(history.attempts),
        "tries_failed": sum(each.code != "ok" for each in history.attempts),
    }
