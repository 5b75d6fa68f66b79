"""What nodes do, in numbers, and those of several nodes as one. Pure.

Topics are shared by all nodes, so they are nobody's to add up: they are as the node has them that answers.
What is timed goes as counts by bounds, which can be added up, as percentiles cannot.

Histories of several nodes are brought together by how long ago each point was, and not by what the nodes'
clocks said then, which may differ.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from conduit.broker.history import DEFAULT_INTERVAL_S, Sample
from conduit.broker.stats import Gauges, Rates
from conduit.core.activity import LATELY_ROUNDS_COUNT

# By so much a point may be late.
LATE_MAX_MS = 1_000


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a node does, or does for one tenant. Totals count from its start."""

    rates: Rates
    gauges: Gauges
    connection_count: int
    uptime_s: float
    published_count: int
    delivered_count: int
    acked_count: int
    redelivered_count: int
    dead_lettered_count: int


class Point(msgspec.Struct, frozen=True):
    """One point of a history."""

    age_ms: int
    """How long ago it was when it was sent."""
    rates: Rates
    gauges: Gauges
    node_count: int = 1
    """Of how many nodes it is."""
    publish_counts: Sequence[int] = ()
    """As in `Sample` …"""
    delivery_counts: Sequence[int] = ()


class TopicFigures(msgspec.Struct, frozen=True):
    """What went through one topic, as one node knows it: see core/activity.py."""

    tenant: str
    name: str
    published: Sequence[int]
    """In each of the last rounds, oldest first; at all nodes."""
    delivered: Sequence[int]
    """The same of what this node delivered."""
    backlog_count: int
    """What the durable subscriptions of this node have not settled in it."""
    is_whole: bool
    """See `Backlog.is_whole`."""
    is_known: bool = True
    """False: there was no room for its counts at this node; they are zeros."""

    @property
    def lately(self) -> tuple[int, int]:
        """Published, and delivered, in the last minute."""
        rounds = slice(-LATELY_ROUNDS_COUNT, None)
        return sum(self.published[rounds]), sum(self.delivered[rounds])


def topics_together(every: Iterable[Sequence[TopicFigures]]) -> list[TopicFigures]:
    """What several nodes know of topics, as one for each of these: the first that has counts of one says what
    was published to it, and all else is added up."""
    by_name: dict[tuple[str, str], list[TopicFigures]] = {}
    for some in every:
        for one in some:
            by_name.setdefault((one.tenant, one.name), []).append(one)
    return [
        msgspec.structs.replace(
            next((each for each in several if each.is_known), several[0]),
            delivered=_summed([each.delivered for each in several]),
            backlog_count=sum(each.backlog_count for each in several),
            is_whole=all(each.is_whole for each in several),
            is_known=all(each.is_known for each in several),
        )
        for several in by_name.values()
    ]


def total(every: Sequence[Figures]) -> Figures:
    """Of several nodes together, one at least; the first has the topics. `uptime_s` is of the one that was
    started first."""
    return Figures(
        rates=_rates([each.rates for each in every]),
        gauges=_gauges(every[0].gauges, [each.gauges for each in every]),
        connection_count=sum(each.connection_count for each in every),
        uptime_s=max(each.uptime_s for each in every),
        published_count=sum(each.published_count for each in every),
        delivered_count=sum(each.delivered_count for each in every),
        acked_count=sum(each.acked_count for each in every),
        redelivered_count=sum(each.redelivered_count for each in every),
        dead_lettered_count=sum(each.dead_lettered_count for each in every),
    )


def points(history: Iterable[Sample], now_ms: int) -> list[Point]:
    """A history as it is sent; `now_ms` is of the clock of its stamps."""
    return [
        Point(
            max(0, now_ms - each.at_ms),
            each.rates,
            each.gauges,
            publish_counts=each.publish_counts,
            delivery_counts=each.delivery_counts,
        )
        for each in history
    ]


def apart_max_ms(interval_s: int) -> int:
    """Points of two nodes are of one time if they are no further apart: half of what is between two points,
    and by how much one may be late."""
    return interval_s * 500 + LATE_MAX_MS


def joined(
    every: Sequence[Sequence[Point]], limit: int, interval_s: int = DEFAULT_INTERVAL_S
) -> Iterator[Point]:
    """Histories, each oldest first, as one: its newest points, up to `limit`, oldest first. The first history
    has the topics. The times are those of the longest, and each point says of how many nodes it is: of those
    that had one at about that time."""
    longest = max(every, key=len)
    ages = [[-point.age_ms for point in history] for history in every]
    for point in longest[-limit:]:
        yield _joined_at(point, every, ages, apart_max_ms(interval_s))


def _joined_at(
    at: Point, every: Sequence[Sequence[Point]], ages: Sequence[list[int]], apart_ms: int
) -> Point:
    near = [_nearest(at.age_ms, *each, apart_ms) for each in zip(every, ages, strict=True)]
    found = [each for each in near if each is not None]
    # Topics as this node had them, if it was there.
    of_topics = near[0] or at
    return Point(
        at.age_ms,
        _rates([each.rates for each in found]),
        _gauges(of_topics.gauges, [each.gauges for each in found]),
        len(found),
        _summed([each.publish_counts for each in found]),
        _summed([each.delivery_counts for each in found]),
    )


def _summed(every: Iterable[Sequence[int]]) -> Sequence[int]:
    """Counts by the same bounds, added up. A node of another version has others, or none: those do not
    count."""
    known = [counts for counts in every if counts]
    return [sum(some) for some in zip(*known, strict=True)] if _are_alike(known) else ()


def _are_alike(every: Sequence[Sequence[int]]) -> bool:
    return len({len(counts) for counts in every}) == 1


def _nearest(age_ms: int, history: Sequence[Point], ages: list[int], apart_ms: int) -> Point | None:
    """The point of about that time; `ages` are those of the history, below 0 and so in order."""
    index = bisect_left(ages, -age_ms)
    near = history[max(0, index - 1) : index + 1]
    found = min(near, key=lambda point: abs(point.age_ms - age_ms), default=None)
    return found if found is not None and abs(found.age_ms - age_ms) <= apart_ms else None


def _rates(every: Sequence[Rates]) -> Rates:
    names = Rates.__struct_fields__
    return Rates(**{name: round(sum(getattr(each, name) for each in every), 2) for name in names})


def _gauges(own: Gauges, every: Sequence[Gauges]) -> Gauges:
    return Gauges(
        topic_count=own.topic_count,
        subscriber_count=sum(each.subscriber_count for each in every),
        backlog_count=sum(each.backlog_count for each in every),
        connection_count=sum(each.connection_count for each in every),
    )
