"""`/api/stats` and `/api/stats/history`"""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from fastapi import Query, Request, Response
from pydantic import Field

from conduit.broker.stats import SAMPLE_INTERVAL_S, SAMPLES_COUNT_MAX
from conduit.cluster.figures import Point, joined, total
from conduit.cluster.inquiries import HISTORY, STATS, Question
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


class StatsQuery(QueryModel):
    """Of which node."""

    node: Text | None = Field(
        None,
        description="A node's name, `NODE_ID`: its figures alone. Needs `admin`.",
        json_schema_extra=NODE_SCHEMA,
    )


class HistoryQuery(StatsQuery):
    """How far to look back."""

    limit: Number = Field(SAMPLES_COUNT_MAX, ge=1, le=SAMPLES_COUNT_MAX)


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
    """One point of the history: of those nodes, `node_count`, that were there then and still are."""

    at: str
    messages_per_sec: float
    deliveries_per_sec: float
    acks_per_sec: float
    redeliveries_per_sec: float
    dead_letters_per_sec: float
    backlog: int
    active_subscribers: int
    active_topics: int
    node_count: int


class History(Polled):
    """Samples of the last hour, oldest first."""

    interval_s: float
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
        node_count=point.node_count,
    )


def _tenant_of(shared: Shared, caller: Principal) -> str | None:
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
    tenant = _tenant_of(shared, caller)
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


@router.get("/history", responses=answers(History, "node_not_found", "node_unreachable"))
async def history(
    request: Request, shared: Shared, caller: Managing, query: Annotated[HistoryQuery, Query()]
) -> Response:
    """Samples of the last hour, for charts: of all nodes that are there now, or of the caller's tenant since
    somebody asked."""
    tenant = _tenant_of(shared, caller)
    every, seen = await look(
        request,
        query.node,
        HISTORY,
        Question(tenant=tenant),
        lambda: shared.own_state.history(tenant),
    )
    now_ms = shared.broker.clock.wall_ms()
    samples = []
    for point in joined(every, query.limit):
        samples.append(show(point, now_ms))
        if len(samples) % STEP_COUNT == 0:
            # Others have their turns.
            await asyncio.sleep(0)
    return reply(History(SAMPLE_INTERVAL_S, samples, **seen.fields()))
