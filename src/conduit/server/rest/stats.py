"""`/api/stats` and `/api/stats/history`"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from fastapi import Query, Request, Response
from pydantic import BeforeValidator, Field

from conduit.broker.history import BY_INTERVAL, DEFAULT_INTERVAL_S
from conduit.cluster.figures import Point, joined, total
from conduit.cluster.inquiries import HISTORY, STATS, Question
from conduit.core.histogram import LONG_S, SHORT_S, quantile
from conduit.names import NODE_SCHEMA
from conduit.protocol.codec import format_time
from conduit.server.rest.access import Managing
from conduit.server.rest.inputs import Number, QueryModel, Shared, Text
from conduit.server.rest.polling import Polled, look
from conduit.server.rest.replies import answers, reply
from conduit.server.rest.routing import routes
from conduit.tenancy.principal import Principal

router = routes("/api/stats", "stats")

# Points that are put together in one turn of the loop.
STEP_COUNT = 100
POINTS_MAX_COUNT = max(each.points_max_count for each in BY_INTERVAL.values())


def _whole(value: object) -> object:
    """What a query string says, as a number if it is one."""
    return int(value) if isinstance(value, str) and value.isdecimal() and value.isascii() else value


class StatsQuery(QueryModel):
    """Of which node."""

    node: Text | None = Field(
        None,
        description="A node's name, `NODE_ID`: its figures alone. Needs `admin`.",
        json_schema_extra=NODE_SCHEMA,
    )


class HistoryQuery(StatsQuery):
    """How far to look back, and how closely."""

    interval_s: Annotated[
        Literal[1, 5, 60],
        BeforeValidator(_whole),
        Field(description="1: the last five minutes; 5: the last hour; 60: the last day."),
    ] = DEFAULT_INTERVAL_S
    limit: Number | None = Field(
        None, ge=1, le=POINTS_MAX_COUNT, description="The newest so many; all if it is left out."
    )


class StatsAnswer(Polled):
    """All nodes together, or a tenant on them, now. Rates are means of the last ten seconds; totals count
    from the start of each node, and `uptime_seconds` from that of the first.

    `backlog`: messages that durable subscriptions have not settled, whether anybody is attached or not.
    """

    messages_per_sec: float
    total_messages: int
    active_subscribers: int
    active_topics: int
    uptime_seconds: float
    deliveries_per_sec: float
    acks_per_sec: float
    redeliveries_per_sec: float
    dead_letters_per_sec: float
    backlog: int
    connections: int
    total_deliveries: int
    total_acks: int
    total_redeliveries: int
    total_dead_letters: int


class SampleAnswer(msgspec.Struct):
    """One point of the history: of those nodes, `node_count`, that were there then and still are. Rates and
    latencies are those of its interval, all else is as it was at its end.

    `publish`: from the coming of a publish to its answer; `delivery`: from its being published to its first
    hand-out to a subscriber, end to end. Null where there was none, and for a tenant, of which it is not
    known.
    """

    at: str
    messages_per_sec: float
    deliveries_per_sec: float
    acks_per_sec: float
    redeliveries_per_sec: float
    dead_letters_per_sec: float
    backlog: int
    active_subscribers: int
    active_topics: int
    connections: int
    node_count: int
    publish_p50_ms: float | None
    publish_p99_ms: float | None
    delivery_p50_ms: float | None
    delivery_p99_ms: float | None


class History(Polled):
    """Samples, one each `interval_s`, oldest first."""

    interval_s: int
    samples: list[SampleAnswer]


def show(point: Point, now_ms: int) -> SampleAnswer:
    """The point as it is answered."""
    return SampleAnswer(
        at=format_time(now_ms - point.age_ms),
        messages_per_sec=point.rates.published,
        deliveries_per_sec=point.rates.delivered,
        acks_per_sec=point.rates.acked,
        redeliveries_per_sec=point.rates.redelivered,
        dead_letters_per_sec=point.rates.dead_lettered,
        backlog=point.gauges.backlog_count,
        active_subscribers=point.gauges.subscriber_count,
        active_topics=point.gauges.topic_count,
        connections=point.gauges.connection_count,
        node_count=point.node_count,
        publish_p50_ms=_ms(SHORT_S, point.publish_counts, 0.5),
        publish_p99_ms=_ms(SHORT_S, point.publish_counts, 0.99),
        delivery_p50_ms=_ms(LONG_S, point.delivery_counts, 0.5),
        delivery_p99_ms=_ms(LONG_S, point.delivery_counts, 0.99),
    )


def _ms(bounds: Sequence[float], counts: Sequence[int], part: float) -> float | None:
    seconds = quantile(bounds, counts, part)
    return None if seconds is None else round(seconds * 1000, 3)


def tenant_of(shared: Shared, caller: Principal) -> str | None:
    """Whose figures it is told; None: all of them. Those are for everybody without authentication, and for an
    operator that names no tenant."""
    is_of_all = shared.gate.is_open or (caller.may("admin") and not caller.is_acting)
    return None if is_of_all else caller.tenant


@router.get("", responses=answers(StatsAnswer, "node_not_found", "node_unreachable"))
async def stats(
    request: Request, shared: Shared, caller: Managing, query: Annotated[StatsQuery, Query()]
) -> Response:
    """What is done now: by all nodes, or for the caller's tenant on them. To an operator that names none in
    `X-Conduit-Tenant`, for all tenants."""
    tenant = tenant_of(shared, caller)
    every, seen = await look(
        request,
        query.node,
        STATS,
        Question(tenant=tenant),
        lambda: shared.own_state.figures(tenant),
    )
    found = total(every)
    return reply(
        StatsAnswer(
            messages_per_sec=found.rates.published,
            total_messages=found.published_count,
            active_subscribers=found.gauges.subscriber_count,
            active_topics=found.gauges.topic_count,
            uptime_seconds=found.uptime_s,
            deliveries_per_sec=found.rates.delivered,
            acks_per_sec=found.rates.acked,
            redeliveries_per_sec=found.rates.redelivered,
            dead_letters_per_sec=found.rates.dead_lettered,
            backlog=found.gauges.backlog_count,
            connections=found.connection_count,
            total_deliveries=found.delivered_count,
            total_acks=found.acked_count,
            total_redeliveries=found.redelivered_count,
            total_dead_letters=found.dead_lettered_count,
            **seen.fields(),
        )
    )


@router.get(
    "/history", responses=answers(History, "node_not_found", "node_unreachable", "overloaded")
)
async def history(
    request: Request, shared: Shared, caller: Managing, query: Annotated[HistoryQuery, Query()]
) -> Response:
    """Samples for charts: of all nodes that are there now, or of the caller's tenant since somebody asked."""
    tenant = tenant_of(shared, caller)
    interval_s = query.interval_s
    limit = query.limit or BY_INTERVAL[interval_s].points_max_count
    every, seen = await look(
        request,
        query.node,
        HISTORY,
        Question(tenant=tenant, interval_s=interval_s, limit=limit),
        lambda: shared.own_state.history(tenant, interval_s, limit),
    )
    now_ms = shared.broker.clock.wall_ms()
    samples = []
    for point in joined(every, limit, interval_s):
        samples.append(show(point, now_ms))
        if len(samples) % STEP_COUNT == 0:
            # Others have their turns.
            await asyncio.sleep(0)
    return reply(History(interval_s, samples, **seen.fields()))
