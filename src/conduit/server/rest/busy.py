"""`/api/stats/topics` and `/api/stats/attention`: what of many things is worth a look"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from fastapi import Query, Request, Response
from pydantic import Field

from conduit.broker.activities import BUSIEST_MAX_COUNT
from conduit.broker.administer.attention import Attended, Troubled, worst
from conduit.broker.administer.quotas import Quota, fullest
from conduit.cluster.figures import TopicFigures, topics_together
from conduit.cluster.inquiries import ACTIVITY, ATTENTION, BUSIEST, Question
from conduit.core.activity import LATELY_ROUNDS_COUNT, ROUND_S
from conduit.errors import InvalidRequest
from conduit.names import check_topic
from conduit.server.rest.access import Managing, Reading, readable, readable_patterns, whole
from conduit.server.rest.inputs import NO_QUERY, Number, QueryModel, Shared
from conduit.server.rest.polling import Polled, Seen, alone, look
from conduit.server.rest.replies import answers, reply
from conduit.server.rest.routing import routes
from conduit.server.rest.stats import tenant_of
from conduit.storage.dead_letters import NO_TENANTS, DeadTenants
from conduit.tenancy.principal import Principal

router = routes("/api/stats", "stats")

NAMES_MAX_COUNT = 50
# Of all these names together: a request's head is bounded.
NAMES_MAX_LENGTH = 2_000
NAMES_PATTERN = "^{name}(?:,{name})*$".format(name=r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
LATELY_S = LATELY_ROUNDS_COUNT * ROUND_S
# Subscriptions that one request has looked at for that, and the store asked for.
COUNTED_MAX_COUNT = 2_000
# Tenants that are named with their dead letters.
DEAD_TENANTS_MAX_COUNT = 20
# Another node that has not looked lately looks now, and is asked once more after this time.
FIRST_LOOK_S = 0.25


class TopicsQuery(QueryModel):
    """Which topics: these, or the busiest."""

    names: str | None = Field(
        None,
        description="Names of topics with commas between them, 50 at most, in 2,000 characters.",
        json_schema_extra={"pattern": NAMES_PATTERN},
    )
    limit: Number = Field(10, ge=1, le=BUSIEST_MAX_COUNT, description="How many, without `names`.")


class TopicActivity(msgspec.Struct):
    """What went through one topic. Rates are means of the last minute."""

    tenant: str
    name: str
    messages_per_sec: float
    deliveries_per_sec: float
    published_counts: Sequence[int]
    """In each of the last 30 intervals, oldest first."""
    delivered_counts: Sequence[int]
    backlog: int
    """What durable subscriptions have not settled in it, as far as that is in memory …"""
    more_backlog: bool
    """… and whether there may be more."""
    is_known: bool
    """False: a node has no room for what goes through this topic; rates and counts are zeros, or too low."""


class TopicActivities(Polled):
    """The topics that were asked for and are there, or the busiest ones, the busiest first."""

    interval_s: int
    topics: list[TopicActivity]


class TenantLetters(msgspec.Struct):
    """How many dead letters a tenant has that were not redriven."""

    tenant: str
    dead_letters: int


class Attentive(Polled):
    """What somebody should look at: up to 20 durable subscriptions, the worst first, with how many there are
    of each trouble; bounds of tenants that are used to 80 % or more; and how many dead letters there are that
    were not redriven, of the tenant, or of all together. `dead_letters_by_tenant`: up to 20 tenants that have
    any, those with the most first; `more_dead_tenants` have some too. `age_s`: how long ago a node looked at
    its subscriptions, of several the longest; null: one has not looked yet."""

    subscriptions: list[Troubled]
    counts: dict[str, int]
    quotas: list[Quota]
    dead_letters: int
    dead_letters_by_tenant: list[TenantLetters]
    more_dead_tenants: int
    age_s: float | None
    is_fresh: bool
    """Whether each has looked as lately as it should have."""


@router.get("/topics", responses=answers(TopicActivities))
async def topics(
    request: Request, shared: Shared, caller: Reading, query: Annotated[TopicsQuery, Query()]
) -> Response:
    """What went through single topics in the last five minutes: through those that are named, or the busiest
    ones."""
    names = _names(query.names)
    if names is None:
        found, seen = await _busiest(request, shared, caller, query.limit)
    else:
        found, seen = await _named(request, shared, caller, names)
    found = await _counted(shared, found)
    return reply(TopicActivities(ROUND_S, [_shown(each) for each in found], **seen.fields()))


async def _named(
    request: Request, shared: Shared, caller: Principal, names: Sequence[str]
) -> tuple[list[TopicFigures], Seen]:
    own, tenant, is_meant = shared.own_state, caller.tenant, readable(caller)
    meant = [name for name in names if is_meant is None or is_meant(name)]
    if not meant:
        return [], alone(request)
    question = Question(tenant=tenant, names=meant)
    every, seen = await look(request, None, ACTIVITY, question, lambda: own.activity(tenant, meant))
    # A node of another version may say more.
    asked = set(meant)
    return [each for each in topics_together(every) if each.name in asked], seen


async def _busiest(
    request: Request, shared: Shared, caller: Principal, limit: int
) -> tuple[list[TopicFigures], Seen]:
    own, tenant, is_meant = shared.own_state, tenant_of(shared, caller), readable(caller)
    patterns = readable_patterns(caller)
    question = Question(tenant=tenant, limit=limit, patterns=patterns)
    every, seen = await look(
        request, None, BUSIEST, question, lambda: own.busiest(tenant, limit, patterns)
    )
    found = [each for each in topics_together(every) if is_meant is None or is_meant(each.name)]
    found.sort(key=lambda each: -sum(each.lately))
    return found[:limit], seen


async def _counted(shared: Shared, found: Sequence[TopicFigures]) -> list[TopicFigures]:
    """With backlogs from the store, where no node has them in memory and they are few enough."""
    if shared.meeting is not None:
        # Nodes with a log each: what others have is not in this one's store.
        return [*found]
    broker = shared.broker
    sought = {
        number: topic
        for number, one in enumerate(found)
        if not one.is_whole and (topic := broker.topics.find(one.tenant, one.name)) is not None
    }
    counts = await broker.backlogs.counted([*sought.values()], COUNTED_MAX_COUNT)
    whole = [*found]
    for number, count in zip(sought, counts, strict=True):
        if count is not None:
            whole[number] = msgspec.structs.replace(
                found[number], backlog_count=count, is_whole=True
            )
    return whole


def _names(text: str | None) -> list[str] | None:
    """Raises InvalidRequest naming `names`."""
    if text is None:
        return None
    names = list(dict.fromkeys(text.split(",")))
    if len(names) > NAMES_MAX_COUNT or len(text) > NAMES_MAX_LENGTH:
        raise InvalidRequest(
            f"names has more than {NAMES_MAX_COUNT} names or {NAMES_MAX_LENGTH} characters",
            field="names",
        )
    return [check_topic(name, "names") for name in names]


def _shown(found: TopicFigures) -> TopicActivity:
    published_count, delivered_count = found.lately
    return TopicActivity(
        tenant=found.tenant,
        name=found.name,
        messages_per_sec=round(published_count / LATELY_S, 2),
        deliveries_per_sec=round(delivered_count / LATELY_S, 2),
        published_counts=found.published,
        delivered_counts=found.delivered,
        backlog=found.backlog_count,
        more_backlog=not found.is_whole,
        is_known=found.is_known,
    )


@router.get(
    "/attention", dependencies=[NO_QUERY], responses=answers(Attentive, "store_unavailable")
)
async def attention(request: Request, shared: Shared, caller: Managing) -> Response:
    """Which durable subscriptions lag for a reason that somebody can do something about, and which bounds are
    nearly reached: of the caller's tenant, or for an operator of all. Not for who may manage only some
    topics."""
    tenant, own = tenant_of(shared, whole(caller)), shared.own_state
    await shared.broker.attention.looked()
    question = Question(tenant=tenant)
    every, seen = await look(request, None, ATTENTION, question, lambda: own.attention(tenant))
    if not all(each.is_fresh for each in every):
        await asyncio.sleep(FIRST_LOOK_S)
        every, seen = await look(request, None, ATTENTION, question, lambda: own.attention(tenant))
    dead = await _dead(shared, tenant)
    return reply(_together(every, dead, seen.fields()))


async def _dead(shared: Shared, tenant: str | None) -> DeadTenants:
    """Who has dead letters: of all, or the one that is meant. Raises StoreUnavailable."""
    store = shared.broker.store
    if tenant is None:
        return await store.dead_tenants(DEAD_TENANTS_MAX_COUNT)
    count = (await store.dead_tally(tenant, None)).open_count
    return DeadTenants([(tenant, count)], 1, count) if count else NO_TENANTS


def _together(every: Sequence[Attended], dead: DeadTenants, fields: dict[str, Any]) -> Attentive:
    counts: Counter[str] = Counter()
    # Each node knows bounds as far as it uses them.
    quotas: dict[tuple[str, str], Quota] = {}
    for each in every:
        counts.update(each.counts)
        for quota in each.quotas:
            place = (quota.tenant, quota.limit)
            quotas[place] = max(quota, quotas.get(place, quota), key=lambda one: one.part)
    ages = [each.age_s for each in every if each.age_s is not None]
    troubled = worst(one for each in every for one in each.subscriptions)
    return Attentive(
        subscriptions=troubled,
        counts=dict(counts),
        quotas=fullest(quotas.values()),
        dead_letters=dead.open_count,
        dead_letters_by_tenant=[TenantLetters(*each) for each in dead.most],
        more_dead_tenants=dead.tenant_count - len(dead.most),
        age_s=max(ages) if len(ages) == len(every) else None,
        is_fresh=all(each.is_fresh for each in every),
        **fields,
    )
