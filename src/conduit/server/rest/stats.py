"""`/api/stats` and `/api/stats/history`"""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Response
from pydantic import Field

from conduit.broker.counts import Counts
from conduit.broker.stats import SAMPLE_INTERVAL_S, SAMPLES_COUNT_MAX, Sample, Stats
from conduit.protocol.codec import format_time
from conduit.server.rest.access import Managing
from conduit.server.rest.inputs import NO_QUERY, Number, QueryModel, Shared
from conduit.server.rest.replies import answers, reply
from conduit.tenancy.principal import Principal

router = APIRouter(prefix="/api/stats", tags=["stats"])


class HistoryQuery(QueryModel):
    """How far to look back."""

    limit: Number = Field(SAMPLES_COUNT_MAX, ge=1, le=SAMPLES_COUNT_MAX)


class StatsAnswer(msgspec.Struct):
    """The node, or a tenant on it, now. Rates are means of the last ten seconds; totals count from its start.

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
    """One point of the history."""

    at: str
    messages_per_sec: float
    deliveries_per_sec: float
    acks_per_sec: float
    redeliveries_per_sec: float
    dead_letters_per_sec: float
    backlog: int
    active_subscribers: int
    active_topics: int


class History(msgspec.Struct):
    """Samples of the last hour, oldest first."""

    interval_s: float
    samples: list[SampleAnswer]


def show(sample: Sample) -> SampleAnswer:
    """The sample as it is answered."""
    return SampleAnswer(
        at=format_time(sample.at_ms),
        messages_per_sec=sample.rates.published,
        deliveries_per_sec=sample.rates.delivered,
        acks_per_sec=sample.rates.acked,
        redeliveries_per_sec=sample.rates.redelivered,
        dead_letters_per_sec=sample.rates.dead_lettered,
        backlog=sample.gauges.backlog_count,
        active_subscribers=sample.gauges.subscriber_count,
        active_topics=sample.gauges.topic_count,
    )


def _is_of_node(shared: Shared, caller: Principal) -> bool:
    """Whether it is told of the node: without authentication, and to an operator that names no tenant."""
    return shared.gate.is_open or (caller.may("admin") and not caller.is_acting)


@router.get("", dependencies=[NO_QUERY], responses=answers(StatsAnswer))
async def stats(shared: Shared, caller: Managing) -> Response:
    """What is done now: by the node, or for the caller's tenant on it. To an operator that names none in
    `X-Conduit-Tenant`, by the node."""
    broker = shared.broker
    now = broker.clock.now()
    counts: Stats | Counts
    if _is_of_node(shared, caller):
        counts, rates, gauges = broker.stats, broker.stats.rates(now), broker.gauges()
        connections = shared.connection_count
    else:
        counts, rates, gauges, connections = broker.stats_of(caller.tenant)
    return reply(
        StatsAnswer(
            messages_per_sec=rates.published,
            total_messages=counts.published_count,
            active_subscribers=gauges.subscriber_count,
            active_topics=gauges.topic_count,
            uptime_seconds=round(now - broker.stats.started_at, 3),
            deliveries_per_sec=rates.delivered,
            acks_per_sec=rates.acked,
            redeliveries_per_sec=rates.redelivered,
            dead_letters_per_sec=rates.dead_lettered,
            backlog=gauges.backlog_count,
            connections=connections,
            total_deliveries=counts.delivered_count,
            total_acks=counts.acked_count,
            total_redeliveries=counts.redelivered_count,
            total_dead_letters=counts.dead_lettered_count,
        )
    )


@router.get("/history", responses=answers(History))
async def history(
    shared: Shared, caller: Managing, query: Annotated[HistoryQuery, Query()]
) -> Response:
    """Samples of the last hour, for charts: of the node, or of the caller's tenant since somebody asked."""
    is_of_node = _is_of_node(shared, caller)
    found = shared.broker.stats.history if is_of_node else shared.broker.history_of(caller.tenant)
    samples = list(found)[-query.limit :]
    return reply(History(SAMPLE_INTERVAL_S, [show(sample) for sample in samples]))
