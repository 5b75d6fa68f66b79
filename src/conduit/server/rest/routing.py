"""What all routes have in common.

Each route carries it itself, and applications take the routes as they are. FastAPI's `include_router` would
work out every route anew, for every application and in the turn of its first request.
"""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.routing import APIRoute

from conduit.server.rest.inputs import EACH_ONCE
from conduit.server.rest.replies import ANY_FAILURE


def routes(prefix: str = "", tag: str | None = None, *, each_once: bool = True) -> APIRouter:
    """Routes that begin with `prefix`; without a tag, the document does not have them. `each_once`: no query
    parameter may come twice."""
    return APIRouter(
        prefix=prefix,
        tags=None if tag is None else [tag],
        include_in_schema=tag is not None,
        responses=ANY_FAILURE,
        dependencies=[EACH_ONCE] if each_once else [],
        generate_unique_id_function=_name,
    )


def _name(route: APIRoute) -> str:
    return route.name
