"""`/api/subscriptions`: the durable ones"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal

import msgspec
from fastapi import Query, Request, Response
from pydantic import Field

from conduit.broker.administer.views import SubscriptionView
from conduit.broker.deliver.settings import DURABLE, RANGES
from conduit.core.message import SubscriptionSettings
from conduit.core.topics import matches
from conduit.names import PATTERN_SCHEMA, SUBSCRIPTION_SCHEMA
from conduit.protocol.codec import format_time
from conduit.protocol.records import (
    Moved,
    SubscriptionAnswer,
    SubscriptionCreated,
    SubscriptionList,
    SubscriptionTopics,
)
from conduit.protocol.subscriber_records import SubscriberAnswer, SubscribersAnswer
from conduit.server.rest.access import From, Managing, manageable, sees_node
from conduit.server.rest.inputs import (
    NO_QUERY,
    Body,
    Page,
    Shared,
    Start,
    SubscriptionName,
    Text,
    Topic,
    cut_page,
    decode_cursor,
    encode_cursor,
)
from conduit.server.rest.replies import answers, fails, reply
from conduit.server.rest.routing import routes
from conduit.tenancy.principal import Principal

router = routes("/api/subscriptions", "subscriptions")

_DEFAULT = DURABLE
# Of those who are attached so many are listed; the others are in the counts.
SUBSCRIBERS_SHOWN_COUNT = 100


def _range(name: str) -> object:
    low, high = RANGES[name]
    return Field(ge=low, le=high)


class SubscriptionChange(Body):
    """Settings that may change; what is left out stays as it is."""

    max_in_flight: Annotated[int, _range("max_in_flight")] = _DEFAULT.max_in_flight
    ack_wait_ms: Annotated[int, _range("ack_wait_ms")] = _DEFAULT.ack_wait_ms
    max_ack_wait_ms: Annotated[int, _range("max_ack_wait_ms")] = _DEFAULT.max_ack_wait_ms
    max_attempts: Annotated[int, _range("max_attempts")] = _DEFAULT.max_attempts
    max_lost: Annotated[int, _range("max_lost")] | None = _DEFAULT.max_lost

    def given(self) -> dict[str, Any]:
        """The settings that are in the body, by field of SubscriptionSettings."""
        names = self.model_fields_set & set(SubscriptionSettings.__struct_fields__)
        return {name: getattr(self, name) for name in names}


class NewSubscription(SubscriptionChange):
    """`topic` is a topic's name or a pattern; settings that are left out get their defaults."""

    name: str = Field(json_schema_extra=SUBSCRIPTION_SCHEMA)
    topic: str = Field(json_schema_extra=PATTERN_SCHEMA)
    ack: Literal["explicit", "auto"] = "explicit"
    order: Literal["publish", "strict"] = "publish"
    start: Start | None = None


class Seek(Body):
    """Where to go on. With `dry_run` nothing moves."""

    start: Start
    dry_run: bool = False


class SubscriptionQuery(Page):
    """Which subscriptions to list."""

    q: Text | None = Field(None, description="A part of the name.")
    topic: Topic | None = Field(
        None,
        description="A topic's name: only subscriptions that its messages go to, and of the topics of each"
        " only this one.",
    )


def check_own(shared: Shared, caller: Principal, name: str) -> str | None:
    """What the subscription is to, if the caller may not manage all topics: its name may become another
    subscription's, which is not meant then. Raises Forbidden if it is to topics that he may not manage."""
    if caller.is_whole("manage"):
        return None
    pattern = shared.subscriptions.pattern_of(caller.tenant, name)
    check_pattern(caller, name, pattern)
    return pattern


def check_pattern(caller: Principal, name: str, pattern: str) -> None:
    """The same of one that is to these topics; also for what an owner answers: the name may have become
    another subscription's meanwhile."""
    if not caller.may("manage", pattern):
        raise caller.refusal(("manage",), name)


def show(view: SubscriptionView) -> SubscriptionAnswer:
    """The subscription as it is answered."""
    record = view.record
    return SubscriptionAnswer(
        name=record.name,
        topic=record.pattern,
        created_at=format_time(record.created_at_ms),
        paused=record.paused,
        **msgspec.structs.asdict(record.settings),
        subscribers=view.subscribers,
        in_flight_count=view.in_flight_count,
        pending_retry_count=view.pending_retry_count,
        full=view.full,
        dead_count=view.dead_count,
        redriven_count=view.redriven_count,
        lag=view.lag,
        topics=view.topics,
        more_topics=view.more_topics,
    )


@router.get("", responses=answers(SubscriptionList, "invalid_topic"))
async def list_subscriptions(
    shared: Shared, caller: Managing, query: Annotated[SubscriptionQuery, Query()]
) -> Response:
    """List durable subscriptions by name."""
    after = decode_cursor("subscriptions", query.cursor)
    is_meant = manageable(caller)
    page = await shared.subscriptions.list(
        caller.tenant,
        q=query.q,
        topic=query.topic,
        limit=query.limit,
        after=after,
        is_meant=is_meant,
    )
    following = page.next_after and encode_cursor("subscriptions", page.next_after)
    # A name may have become another subscription's since it was looked up.
    shown = [
        show(view)
        for view in page.views
        if (is_meant is None or is_meant(view.record.pattern))
        and (query.topic is None or matches(view.record.pattern, query.topic))
    ]
    return reply(SubscriptionList(shown, following))


@router.post(
    "",
    status_code=201,
    dependencies=[NO_QUERY],
    responses=answers(
        SubscriptionCreated,
        "invalid_name",
        "invalid_pattern",
        "subscription_exists",
        "limit_reached",
        status=201,
    ),
)
async def create_subscription(shared: Shared, caller: Managing, body: NewSubscription) -> Response:
    """Create a durable subscription before anyone attaches to it."""
    caller.check(("manage",), body.topic)
    settings = msgspec.structs.replace(DURABLE, **body.given())
    view = await shared.subscriptions.create(
        caller.tenant, body.name, body.topic, settings, body.start
    )
    shown = msgspec.structs.asdict(show(view))
    return reply(SubscriptionCreated(**shown, gaps=view.gaps, more_gaps=view.more_gaps), 201)


@router.get(
    "/{name}",
    dependencies=[NO_QUERY],
    responses=answers(SubscriptionAnswer, "subscription_not_found"),
)
async def get_subscription(shared: Shared, caller: Managing, name: SubscriptionName) -> Response:
    """Look at one subscription."""
    check_own(shared, caller, name)
    view = await shared.subscriptions.get(caller.tenant, name)
    check_pattern(caller, name, view.record.pattern)
    return reply(show(view))


@router.get(
    "/{name}/topics",
    responses=answers(SubscriptionTopics, "subscription_not_found"),
)
async def list_subscription_topics(
    shared: Shared, caller: Managing, name: SubscriptionName, query: Annotated[Page, Query()]
) -> Response:
    """List how far a subscription is in each of its topics, by name."""
    check_own(shared, caller, name)
    after = decode_cursor("subscription-topics", query.cursor)
    topics = shared.subscriptions.topics
    found = await topics(caller.tenant, name, limit=query.limit + 1, after=after)
    check_own(shared, caller, name)
    page, following = cut_page(found, query.limit, "subscription-topics", lambda place: place.topic)
    return reply(SubscriptionTopics(page, following))


@router.get(
    "/{name}/subscribers",
    dependencies=[NO_QUERY],
    responses=answers(SubscribersAnswer, "subscription_not_found", "unavailable"),
)
async def list_subscribers(
    shared: Shared, caller: Managing, request: Request, name: SubscriptionName
) -> Response:
    """Look who is attached to a subscription, and at which nodes."""
    check_own(shared, caller, name)
    found = await shared.subscriptions.attached(caller.tenant, name)
    check_own(shared, caller, name)
    is_told = sees_node(request)
    for each in found:
        each.node = (each.node or shared.node.name) if is_told else None
    by_node = dict(Counter(each.node for each in found if each.node)) if is_told else None
    shown = [SubscriberAnswer(**msgspec.structs.asdict(each)) for each in found]
    return reply(SubscribersAnswer(len(found), by_node, shown[:SUBSCRIBERS_SHOWN_COUNT]))


@router.patch(
    "/{name}",
    dependencies=[NO_QUERY],
    responses=answers(SubscriptionAnswer, "subscription_not_found"),
)
async def change_subscription(
    shared: Shared, caller: Managing, origin: From, name: SubscriptionName, body: SubscriptionChange
) -> Response:
    """Change settings; what is in flight keeps its deadlines."""
    pattern = check_own(shared, caller, name)
    async with shared.audit.if_unsure(caller, origin, "subscription.change", name):
        view = await shared.subscriptions.update(caller.tenant, name, body.given(), pattern=pattern)
    await shared.audit.done(caller, origin, "subscription.change", name, **body.given())
    return reply(show(view))


@router.delete(
    "/{name}",
    status_code=204,
    dependencies=[NO_QUERY],
    responses=fails("subscription_not_found"),
)
async def delete_subscription(
    shared: Shared, caller: Managing, origin: From, name: SubscriptionName
) -> Response:
    """Delete a subscription with its progress; its dead letters stay."""
    pattern = check_own(shared, caller, name)
    async with shared.audit.if_unsure(caller, origin, "subscription.delete", name):
        await shared.subscriptions.delete(caller.tenant, name, pattern=pattern)
    await shared.audit.done(caller, origin, "subscription.delete", name)
    return Response(status_code=204)


@router.post(
    "/{name}/seek",
    dependencies=[NO_QUERY],
    responses=answers(Moved, "subscription_not_found"),
)
async def seek(
    shared: Shared, caller: Managing, origin: From, name: SubscriptionName, body: Seek
) -> Response:
    """Move a subscription back or forth; what was unsettled is forgotten."""
    pattern = check_own(shared, caller, name)
    seek = shared.subscriptions.seek
    async with shared.audit.if_unsure(caller, origin, "subscription.seek", name):
        moved = await seek(caller.tenant, name, body.start, dry_run=body.dry_run, pattern=pattern)
    if not body.dry_run:
        start = msgspec.to_builtins(body.start)
        if isinstance(start, dict) and "positions" in start:
            start["positions"] = len(start["positions"])
        await shared.audit.done(caller, origin, "subscription.seek", name, start=start)
    return reply(moved)


@router.post(
    "/{name}/pause",
    dependencies=[NO_QUERY],
    responses=answers(SubscriptionAnswer, "subscription_not_found"),
)
async def pause(shared: Shared, caller: Managing, origin: From, name: SubscriptionName) -> Response:
    """Stop delivering; messages go on being kept."""
    pattern = check_own(shared, caller, name)
    async with shared.audit.if_unsure(caller, origin, "subscription.pause", name):
        view = await shared.subscriptions.pause(caller.tenant, name, pattern=pattern)
    await shared.audit.done(caller, origin, "subscription.pause", name)
    return reply(show(view))


@router.post(
    "/{name}/resume",
    dependencies=[NO_QUERY],
    responses=answers(SubscriptionAnswer, "subscription_not_found"),
)
async def resume(
    shared: Shared, caller: Managing, origin: From, name: SubscriptionName
) -> Response:
    """Deliver again."""
    pattern = check_own(shared, caller, name)
    async with shared.audit.if_unsure(caller, origin, "subscription.resume", name):
        view = await shared.subscriptions.resume(caller.tenant, name, pattern=pattern)
    await shared.audit.done(caller, origin, "subscription.resume", name)
    return reply(show(view))
