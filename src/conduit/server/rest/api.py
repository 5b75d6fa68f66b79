"""The FastAPI application of one node."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from conduit import __version__
from conduit.protocol.draining import NodeDrain
from conduit.protocol.frames import PublishBatchRequest, PublishRequest, StartSpec
from conduit.protocol.job_records import JobAnswer, JobList
from conduit.protocol.node_records import NodeAnswer, NodeList, RingAnswer, RouteAnswer
from conduit.protocol.records import (
    AuditAnswer,
    AuditList,
    BatchAnswer,
    DeadLetterGroups,
    KeyAnswer,
    KeyCreated,
    KeyList,
    Moved,
    PurgeAnswer,
    Receipt,
    SessionAnswer,
    SubscriptionAnswer,
    SubscriptionCreated,
    SubscriptionList,
    SubscriptionTopics,
    TenantAnswer,
    TenantList,
    TicketAnswer,
    TokenAnswer,
    TopicAnswer,
    TopicList,
    WhoAmI,
)
from conduit.protocol.subscriber_records import SubscribersAnswer
from conduit.server.context import Context
from conduit.server.dashboard.built import Built
from conduit.server.metrics import create_registry
from conduit.server.rest import (
    audit,
    busy,
    dead_groups,
    dead_letters,
    docs,
    draining,
    health,
    index,
    internal,
    keys,
    letter_jobs,
    messages,
    nodes,
    pages,
    problems,
    publish,
    ring,
    route,
    sessions,
    stats,
    subscriptions,
    tenants,
    tokens,
    topics,
    upgrade,
)
from conduit.server.rest.access import Wall
from conduit.server.rest.edge import Edge
from conduit.server.rest.replies import Problem

_NOUNS = (
    publish,
    topics,
    messages,
    subscriptions,
    # Before the one that takes what is behind /api/dlq for an id.
    dead_groups,
    letter_jobs,
    dead_letters,
    stats,
    busy,
    sessions,
    keys,
    tokens,
    tenants,
    audit,
    nodes,
    route,
    ring,
    draining,
    health,
    index,
)
# Records that the document describes; what they are made of comes with them.
_SHAPES = (
    PublishRequest,
    PublishBatchRequest,
    Receipt,
    BatchAnswer,
    TopicAnswer,
    TopicList,
    PurgeAnswer,
    messages.MessageList,
    messages.MessageDetail,
    SubscriptionAnswer,
    SubscriptionCreated,
    SubscriptionList,
    SubscriptionTopics,
    Moved,
    SubscribersAnswer,
    dead_letters.DeadLetterAnswer,
    dead_letters.DeadLetterList,
    DeadLetterGroups,
    JobAnswer,
    JobList,
    stats.StatsAnswer,
    stats.History,
    busy.TopicActivities,
    busy.Attentive,
    health.Health,
    health.Ready,
    SessionAnswer,
    WhoAmI,
    KeyAnswer,
    KeyCreated,
    KeyList,
    TenantAnswer,
    TenantList,
    TokenAnswer,
    TicketAnswer,
    AuditAnswer,
    AuditList,
    NodeAnswer,
    NodeDrain,
    NodeList,
    RouteAnswer,
    RingAnswer,
    index.Index,
    Problem,
)
_REF = "#/components/schemas/{name}"
# FastAPI cannot build two documents at a time; routes are shared, so not of two applications either.
_building = threading.Lock()


def create_api(context: Context) -> FastAPI:
    """The application that serves everything but the hot path; it keeps no state of its own."""
    app = _described()
    app.state.context = context
    app.state.metrics = create_registry(context)
    app.state.dashboard = Built()
    for others in (docs, pages, upgrade, internal):
        app.router.routes.extend(others.router.routes)
    problems.install(app)
    app.add_middleware(Wall)
    app.add_middleware(Edge, context=context)
    return app


def describe() -> dict[str, Any]:
    """The API as an OpenAPI document, of a server that does not run."""
    return _described().openapi()


def _described() -> FastAPI:
    """The application with all that its document has."""
    app = FastAPI(
        title="Conduit",
        version=__version__,
        description="Publish, look at and manage topics, messages, subscriptions and dead letters. "
        "HEAD is answered wherever GET is. A body with a Content-Encoding is refused (415).",
        # Our own page: FastAPI's loads its scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        # And it says which version this is only to those who may know.
        openapi_url=None,
        redirect_slashes=False,
    )
    for noun in _NOUNS:
        app.router.routes.extend(noun.router.routes)
    app.router.routes.extend(tenants.own.routes)
    app.openapi = _built_once(partial(_document, app))  # type: ignore[method-assign]  # FastAPI's documented hook
    return app


def _built_once(build: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """The same, also when several threads ask for it at once."""
    built = cache(build)

    def once() -> dict[str, Any]:
        with _building:
            return built()

    return once


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    _, shapes = msgspec.json.schema_components(_SHAPES, ref_template=_REF)
    (start,), parts = msgspec.json.schema_components((StartSpec,), ref_template=_REF)
    document["components"]["schemas"] |= {**shapes, **parts, "Start": start}
    return document
