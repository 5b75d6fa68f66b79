"""`/`: what this is and where the rest is, for who has nothing but the address."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Response

from conduit import __version__
from conduit.server.rest.inputs import NO_QUERY
from conduit.server.rest.replies import JSON, answers

router = APIRouter(tags=["documents"])


class Index(msgspec.Struct):
    """What this is, and where the rest is: paths of the same server."""

    name: str = "Conduit"
    about: str = (
        "real-time event delivery: publish over HTTP or WebSocket, subscribe over WebSocket"
    )
    version: str = __version__
    docs: str = "/docs"
    """The API for people."""
    openapi: str = "/openapi.json"
    """The API for tools."""
    publish: str = "/api/publish"
    websocket: str = "/ws"
    health: str = "/health"
    ready: str = "/health/ready"
    metrics: str = "/metrics"


# In lines, because who asks for this is a person.
_INDEX = msgspec.json.format(msgspec.json.encode(Index()), indent=2) + b"\n"


@router.get("/", dependencies=[NO_QUERY], responses=answers(Index))
async def index() -> Response:
    """What this is, and where the documents, the health and the WebSocket are."""
    return Response(_INDEX, media_type=JSON)
