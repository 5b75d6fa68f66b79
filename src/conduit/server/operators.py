"""The operator's port: whatever comes goes to the application, which has here what tells of the node."""

from __future__ import annotations

from conduit.server.framing import Request
from conduit.server.front import SMALL_MAX_BYTES, Front


class OperatorsFront(Front):
    """One connection there."""

    __slots__ = ()

    def on_request(self, request: Request, at_once_bytes: int = SMALL_MAX_BYTES) -> None:
        """See `HttpConnection`: nothing is published here, and no WebSocket opened."""
        self.hold(request)

    def on_turn(self, request: Request) -> None:
        """See `HttpConnection`."""
        if self._transport is not None:
            self.serve(self._transport, request)
