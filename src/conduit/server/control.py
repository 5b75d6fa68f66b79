"""The control plane's end of a connection: uvicorn's HTTP protocol, fed whole requests one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from conduit.server.doors import DOOR, Door
from conduit.server.framing import Request
from conduit.server.outgoing import Outgoing

_KEPT = (b"connection", b"keep-alive")
# In the scope of a request: who asks, a Principal.
CALLER = "conduit.caller"


class Control(HttpToolsProtocol):
    """Runs the ASGI app for the requests that the front does not answer itself.

    The front owns the connection: it has judged and bounded every request before it comes here,
    waits for the answer before it gives the next, keeps all deadlines, and is what uvicorn's server
    and the sweep know. So nothing is pipelined, malformed, oversize or slow here. Flow control and
    the loss of the connection are passed on by the front.
    """

    def __init__(
        self,
        on_answered: Callable[[], None],
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        super().__init__(config, server_state, app_state, loop)
        self._on_answered = on_answered
        # The app has answered, and not all of it is written.
        self._is_writing = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Prepare for requests on this transport."""
        self.outgoing = Outgoing(transport)
        super().connection_made(cast(asyncio.Transport, self.outgoing))
        self.connections.discard(self)

    def handle(self, request: Request, door: Door) -> None:
        """Give one request, which came by this door, to the app; `on_answered` follows unless the connection
        ends with it."""
        head, caller, body = request.head, request.caller, bytes(request.body)
        length = b"content-length: %d\r\n" % len(body) if head.chunked else b""
        self.data_received(b"%b%b\r\n%b" % (head.forward, length, body))
        # The app has not begun yet: it is a task.
        scope = cast(dict[str, object], self.cycle.scope)
        scope[CALLER], scope[DOOR] = caller, door
        if head.says_kept:
            self.cycle.default_headers = [*self.cycle.default_headers, _KEPT]

    def shutdown(self) -> None:
        """The connection ends with the answer that is due, and that is what it says."""
        if self.cycle is not None:
            self.cycle.default_headers = self.server_state.default_headers
        super().shutdown()

    def on_response_complete(self) -> None:
        """The app has answered; how long the connection may then be idle is the front's matter."""
        super().on_response_complete()
        # Whoever answers without reading the body leaves it with the cycle, which stays until the next one.
        self.cycle.body = bytearray()
        self._unset_keepalive_if_required()
        self._is_writing = True
        self._go_on()

    def pause_writing(self) -> None:
        """The peer does not read: the app waits, and so do the pieces."""
        self.outgoing.pause()
        super().pause_writing()

    def resume_writing(self) -> None:
        """The peer has read: the pieces first, and then the app."""
        takes_more = self.outgoing.resume()
        self._go_on()
        if takes_more:
            super().resume_writing()

    def leave(self) -> None:
        """Another protocol gets the transport. Every answer is written."""
        # It and its parser hold each other: without this they, and the front, would stay in memory until the
        # collector comes.
        del self.parser

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go what was not written."""
        self.outgoing.drop()
        super().connection_lost(exc)

    def _go_on(self) -> None:
        if self._is_writing and not self.outgoing.waiting_bytes:
            self._is_writing = False
            if not self.transport.is_closing():
                self._on_answered()
