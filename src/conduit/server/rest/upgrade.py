"""`/ws` for whoever cannot become a WebSocket there; the front keeps every `GET` for itself."""

from __future__ import annotations

from fastapi import Response

from conduit.errors import Unavailable
from conduit.server.handshake import websocket_only
from conduit.server.rest.inputs import Shared
from conduit.server.rest.routing import routes

router = routes()


@router.get("/ws")
async def upgrade(shared: Shared) -> Response:
    """To `HEAD` what the front says to a `GET` that does not upgrade."""
    if shared.is_stopping:
        raise Unavailable("the server is stopping", code="shutting_down")
    raise websocket_only()
