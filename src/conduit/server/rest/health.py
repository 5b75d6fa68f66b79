"""`/health`, `/health/ready` and `/metrics`: for probes and scrapers."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from fastapi import Request, Response
from fastapi.responses import PlainTextResponse
from msgspec import UNSET, UnsetType

from conduit import __version__
from conduit.errors import Unavailable
from conduit.server.cluster_health import ClusterHealth, cluster_health
from conduit.server.exposure import Exposure
from conduit.server.metrics import CONTENT_TYPE, render
from conduit.server.rest.access import Watching, sees_node
from conduit.server.rest.inputs import NO_QUERY, Shared
from conduit.server.rest.replies import answers, reply
from conduit.server.rest.routing import routes

router = routes(tag="health")


class NotReady(msgspec.Struct):
    """Why requests are not served, as `/health/ready` says it."""

    code: str
    detail: str


class Health(msgspec.Struct):
    """The process runs. With authentication only operators hear more than that.

    `ready` is what `/health/ready` would say, of this node at this moment, and `not_ready` why it is not.
    `store` has `kind`, `durable`, the settings that durability rests on, and how much room it takes; `auth`
    says who may do everything. `phase` is there where nodes may share the log: `serving`, or how far the node
    is in leaving the others, as in `NodeDrain`. `cluster` is how
    this node is among others, if it may be one of several.
    """

    status: Literal["ok"]
    version: str | UnsetType = UNSET
    node_id: str | UnsetType = UNSET
    ready: bool | UnsetType = UNSET
    not_ready: NotReady | UnsetType = UNSET
    phase: str | UnsetType = UNSET
    store: dict[str, Any] | UnsetType = UNSET
    auth: Exposure | UnsetType = UNSET
    cluster: ClusterHealth | UnsetType = UNSET


class Ready(msgspec.Struct):
    """Requests are served."""

    status: Literal["ready"]


@router.get("/health", dependencies=[NO_QUERY], responses=answers(Health))
async def health(request: Request, shared: Shared) -> Response:
    """Whether the process runs, and what it runs on."""
    if not sees_node(request):
        return reply(Health("ok"))
    sizes = msgspec.to_builtins(shared.broker.sizes) or {}
    store = {**shared.broker.store.describe(), **sizes}
    cluster = cluster_health(shared)
    phase = UNSET if shared.leaving is None else shared.leaving.phase
    problem = shared.not_ready()
    return reply(
        Health(
            "ok",
            __version__,
            shared.node.name,
            problem is None,
            UNSET if problem is None else NotReady(problem.code, problem.told),
            phase,
            store,
            shared.exposure,
            cluster,
        )
    )


@router.get(
    "/health/ready",
    dependencies=[NO_QUERY],
    responses=answers(Ready, "shutting_down", "draining", "store_unavailable", "unavailable"),
)
async def ready(request: Request, shared: Shared) -> Response:
    """Whether requests are served: 503 while the server stops or was drained, its store takes no writes, or
    it has not got its name among the nodes that share the store.

    The store is not asked now: every second the server has it commit a row.
    """
    if (problem := shared.not_ready()) is not None:
        raise problem if sees_node(request) else Unavailable("not ready", code=problem.code)
    return reply(Ready("ready"))


@router.get("/metrics", dependencies=[NO_QUERY], response_class=PlainTextResponse)
async def metrics(request: Request, shared: Shared, _caller: Watching) -> Response:
    """The counters of this node in Prometheus' text format."""
    await shared.broker.standings.look()
    return Response(render(request.app.state.metrics), media_type=CONTENT_TYPE)
