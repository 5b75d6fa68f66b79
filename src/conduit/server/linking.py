"""`/internal/link`: from the socket of a stranger to the link of a node, or to its end.

Until it has proved that it is a node, a socket counts as any other, may say two small messages, and has five
seconds. `UNPROVED_MAX_COUNT` of them may be there; with one more the address that has most loses its oldest.
Who has proved it is no client: no bound of clients is for it, and what it may send is bounded by its link.
"""

from __future__ import annotations

import asyncio

from picows import WSFrame

from conduit.broker.turn import guarded
from conduit.cluster.links.buffers import keep_short
from conduit.cluster.links.frames import MESSAGE_MAX_BYTES
from conduit.cluster.links.handshake import MESSAGE_MAX_BYTES as HANDSHAKE_MAX_BYTES
from conduit.cluster.links.handshake import Proved, refusal
from conduit.cluster.links.link import Link
from conduit.cluster.links.links import Links
from conduit.core.quota import Kind
from conduit.errors import ConduitError, Forbidden, InvalidRequest, Unauthenticated
from conduit.protocol.codec import binary_frame
from conduit.protocol.codes import (
    CLOSE_PROTOCOL_ERROR,
    CLOSE_RESTART,
    CLOSE_TRY_LATER,
    CLOSE_UNAUTHENTICATED,
    CLOSE_UNSUPPORTED,
)
from conduit.server import kernel
from conduit.server.context import Context
from conduit.server.handshake import renew
from conduit.server.head import Head
from conduit.server.websocket import WebSocket

__all__ = ["HANDSHAKE_MAX_BYTES", "LinkSocket", "link_socket"]


def link_socket(context: Context, links: Links, head: Head) -> LinkSocket:
    """What a request to link becomes. Raises Forbidden for a page in a browser: no page is a node, and it may
    come from where strangers do not get."""
    if head.is_of_page:
        raise Forbidden("this address is for nodes, not for pages")
    return LinkSocket(context, links)


class LinkSocket(WebSocket):
    """The acceptor's side of the socket. Once it is proved, the `Wire` of a link."""

    __slots__ = ("_acceptor", "_context", "_is_busy", "_is_node", "_link", "_links", "_why")

    def __init__(self, context: Context, links: Links) -> None:
        super().__init__(context.timing)
        self._context = context
        self._links = links
        self._acceptor = links.acceptor()
        self._link: Link | None = None
        # Whether a message of the handshake is about to be looked at: there is never another one before that.
        self._is_busy = False
        # Whether it has proved that it is one.
        self._is_node = False
        # What the other side has closed it for.
        self._why = ""

    # Wire -----------------------------------------------------------------------------------------

    @property
    def is_writable(self) -> bool:
        """See `Wire`."""
        return self.writable and not self.closing

    @property
    def unsent_bytes(self) -> int:
        """See `Wire`."""
        return self._transport.get_write_buffer_size()

    def send(self, message: bytes) -> None:
        """See `Wire`."""
        self.write(binary_frame(message))

    def close(self, code: int, reason: str = "") -> None:
        """See `WebSocket.close`, and `Wire`."""
        if not (self._is_node or self.closing or self._peer_closed or code == CLOSE_RESTART):
            self._context.closings.count("link", self._transport)
        super().close(code, reason)
        if self._link is not None:
            # Nothing, if it was the link that has closed it.
            self._link.broken(reason or self._why)

    # WebSocket ------------------------------------------------------------------------------------

    def on_open(self) -> None:
        """Count it among strangers."""
        self._context.sessions.add(self)
        self._context.entrance.enter(self, self._transport)
        self._context.unproved.add(self)

    def on_binary(self, data: bytes) -> None:
        """A message of the handshake, or of the link."""
        if self._link is not None:
            self._link.received(data)
        elif self._is_busy:
            self.close(CLOSE_PROTOCOL_ERROR, "a message came before the last one was answered")
        else:
            # Not at once: picows, which has it, may have to be replaced.
            self._is_busy = True
            asyncio.get_running_loop().call_soon(guarded, self._shake, data)

    def on_text(self, text: bytes) -> None:
        """Of no node."""
        self.close(CLOSE_UNSUPPORTED, "nodes speak in binary frames")

    def on_writable(self, writable: bool) -> None:
        """Let the link go on."""
        if writable and self._link is not None:
            self._link.flush()

    def on_closed(self) -> None:
        """The connection is gone."""
        self._leave()
        if self._link is not None:
            self._link.lost(self._why or "the connection has ended")
            self._link = None

    def _on_close(self, frame: WSFrame) -> None:
        reason = frame.get_payload_as_bytes()[2:].decode(errors="replace") or "without a reason"
        shown = "".join(each if each.isprintable() else "?" for each in reason)
        self._why = f"the other side has closed it: {shown}"
        super()._on_close(frame)

    # For who sweeps and stops, as long as it has not proved itself ----------------------------------

    def check(self, now: float) -> None:
        """See `OpenSession`: a proof has to come in time."""
        super().check(now)
        if not self.closing and self._acceptor.is_late(self._links.now()):
            self._refuse(Unauthenticated("there was no proof in time"))

    @property
    def address(self) -> str:
        """See `Waiting` and `OpenSession`."""
        return kernel.peer_address(self._transport)

    def turn_away(self) -> None:
        """See `Waiting`."""
        self._context.closings.count("link", self._transport)
        self._leave()
        self.abort()

    def announce_restart(self, reconnect_after_ms: int) -> None:
        """See `OpenSession`."""
        self.close(CLOSE_RESTART, "the node stops")

    def leave_tenant(self, tenant: str) -> None:
        """See `OpenSession`: it is in none."""

    def give_way(self, kind: Kind) -> None:
        """See `OpenSession`: it keeps next to nothing."""

    # The handshake --------------------------------------------------------------------------------

    def _shake(self, data: bytes) -> None:
        self._is_busy = False
        if self.closing:
            return
        try:
            answer = self._acceptor.receive(data)
            if answer is not None:
                self.send(answer)
            elif self._acceptor.proved is not None:
                self._begin(self._acceptor.proved)
        except ConduitError as error:
            self._refuse(error)

    def _begin(self, proved: Proved) -> None:
        """It is a node. Raises ConduitError if there can be no link with it now."""
        self._is_node = True
        self._links.check(proved)
        if self._source is None or not self._source.is_idle:
            raise InvalidRequest("more came behind the proof")
        self._leave()
        keep_short(self._transport)
        renew(self._transport, self, MESSAGE_MAX_BYTES, self._context.link_intake)
        self.send(self._acceptor.welcome())
        self._link = self._links.accept(proved, self)

    def _refuse(self, error: ConduitError) -> None:
        self._links.refused(self._acceptor.caller, str(error))
        self.send(refusal(error))
        code = CLOSE_TRY_LATER
        if isinstance(error, Unauthenticated):
            code = CLOSE_UNAUTHENTICATED
        elif isinstance(error, InvalidRequest):
            code = CLOSE_PROTOCOL_ERROR
        self.close(code, error.code)

    def _leave(self) -> None:
        """It is no stranger any more. Idempotent."""
        self._context.sessions.discard(self)
        self._context.entrance.leave(self)
        self._context.unproved.remove(self)
