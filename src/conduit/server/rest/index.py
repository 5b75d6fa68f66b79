"""`/`: what this is and where the rest is, for who has nothing but the address."""

from __future__ import annotations

import msgspec
from fastapi import Request, Response
from msgspec import UNSET, UnsetType

from conduit import __version__
from conduit.server.dashboard.choosing import wants_html
from conduit.server.doors import DOOR, Door
from conduit.server.rest.access import sees_node
from conduit.server.rest.inputs import NO_QUERY
from conduit.server.rest.replies import JSON, answers
from conduit.server.rest.routing import routes

router = routes(tag="documents")


class Index(msgspec.Struct):
    """What this is, and where the rest is: paths of the same server, as far as they are at this port."""

    name: str = "Conduit"
    about: str = (
        "real-time event delivery: publish over HTTP or WebSocket, subscribe over WebSocket"
    )
    version: str | UnsetType = UNSET
    """With authentication, for operators only."""
    dashboard: str | UnsetType = "/ui/"
    """The server for people: where a browser that asks for `/` is sent."""
    docs: str | UnsetType = "/docs"
    """The API for people."""
    openapi: str | UnsetType = "/openapi.json"
    """The API for tools."""
    publish: str | UnsetType = "/api/publish"
    websocket: str | UnsetType = "/ws"
    health: str = "/health"
    ready: str = "/health/ready"
    metrics: str | UnsetType = "/metrics"


_PATHS = frozenset(Index.__struct_fields__) - {"name", "about", "version"}


@router.get("/", dependencies=[NO_QUERY], responses=answers(Index))
async def index(request: Request) -> Response:
    """What this is, and where the documents, the health and the WebSocket are; a browser is sent to the
    dashboard, with 307."""
    door: Door = request.scope[DOOR]
    if door.has("/ui/") and wants_html(request.headers.get("accept")):
        # Without the host and the path before it: a proxy may have changed both.
        return Response(status_code=307, headers={"location": "ui/", "vary": "Accept"})
    told = Index(version=__version__ if sees_node(request) else UNSET)
    paths = {name: path for name, path in msgspec.structs.asdict(told).items() if name in _PATHS}
    elsewhere = {name: UNSET for name, path in paths.items() if not door.has(path)}
    text = msgspec.json.encode(msgspec.structs.replace(told, **elsewhere))
    # In lines, because who asks for this is a person.
    content = msgspec.json.format(text, indent=2) + b"\n"
    return Response(content, media_type=JSON, headers={"vary": "Accept"})
