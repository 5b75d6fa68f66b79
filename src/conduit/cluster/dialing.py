"""Calling another node: from its address to a link.

picows carries the socket. Its `ws_connect` is not used: cancelled while it waits for the answer to the
upgrade, it would leave the socket open. There is no compression, and no TLS (docs/threat-model.md).
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
from collections.abc import Callable

from picows import (
    WSAutoPingStrategy,
    WSError,
    WSFrame,
    WSHandshakeError,
    WSListener,
    WSMsgType,
    WSTransport,
)
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # missing from picows' stubs

from conduit.cluster.frames import MESSAGE_MAX_BYTES
from conduit.cluster.handshake import HANDSHAKE_TIMEOUT_S, Dialer, Proved
from conduit.cluster.ports import Receiver, Wire
from conduit.errors import ConduitError, InvalidRequest, Unavailable
from conduit.protocol.codes import CLOSE_PROTOCOL_ERROR, CLOSE_UNSUPPORTED

PATH = "/internal/link"
# The socket wants no more above the first, and more again below the second.
WRITE_HIGH_BYTES = 131_072
WRITE_LOW_BYTES = 32_768
READ_BUFFER_BYTES = 65_536

_ADDRESS = re.compile(
    r"(?:\[(?P<v6>[0-9A-Za-z:.%]+)\]|(?P<host>[^\s:/?#@\[\]]+)):(?P<port>[0-9]{1,5})"
)
# What a refused upgrade is told to mean, where the status says that.
_STATUSES = {
    404: "it has no /internal/link: its INTERNAL_SECRET is not set, or it is an older version",
    503: "it is stopping, or has as many connections as it may",
}

Opened = Callable[[Proved, Wire], Receiver]
"""Begins the link; raises ConduitError if there shall be none."""


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[v6]:port`. Raises InvalidRequest."""
    found = _ADDRESS.fullmatch(address)
    port = 0 if found is None else int(found["port"])
    if found is None or not 0 < port <= 65_535:
        raise InvalidRequest(f"{address!r} is no address: it must be host:port or [IPv6]:port")
    return found["v6"] or found["host"], port


async def dial(address: str, handshake: Dialer, opened: Opened) -> None:
    """Call a node and begin a link: `opened` has been called when this returns.

    Raises ConduitError, with a text for the log, if there is none within HANDSHAKE_TIMEOUT_S. Cancelling is
    safe: the socket is dropped, unless the link has begun.
    """
    host, port = split_address(address)
    wire = DialedWire(handshake, opened)
    try:
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
            await _connect(wire, host, port)
            await wire.settled
    except TimeoutError:
        raise Unavailable(f"there was no link within {HANDSHAKE_TIMEOUT_S:g} s") from None
    finally:
        if not wire.is_linked:
            wire.abort()


async def _connect(wire: DialedWire, host: str, port: int) -> None:
    """Open the WebSocket. Raises Unavailable."""
    try:
        await wire.open(host, port)
    except socket.gaierror as error:
        raise Unavailable(f"the name {host!r} cannot be resolved: {error.strerror}") from error
    except WSHandshakeError as error:
        status = None if error.response is None else int(error.response.status)
        told = "something else than HTTP" if status is None else f"HTTP status {status}"
        meaning = _STATUSES.get(status or 0, "what answers there is no node of this cluster")
        raise Unavailable(f"it answers with {told}: {meaning}") from error
    except WSError as error:
        raise Unavailable("what answers there is no node of this cluster") from error
    except OSError as error:
        raise Unavailable(_why(error)) from error


def _why(error: OSError) -> str:
    # uvloop and asyncio put addresses into their texts, and several errors into one.
    return os.strerror(error.errno) if error.errno else str(error) or type(error).__name__


class DialedWire(WSListener):
    """The dialer's side of the socket. See `Wire`."""

    def __init__(self, handshake: Dialer, opened: Opened) -> None:
        self._handshake = handshake
        self._opened = opened
        self._socket: asyncio.Transport | None = None
        # While it is a WebSocket.
        self._transport: WSTransport | None = None
        self._receiver: Receiver | None = None
        # Whether nothing more is sent.
        self._is_over = False
        # With which reason the other side has closed it, or we did.
        self._why = ""
        self.is_writable = True
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done with the handshake; its error is a ConduitError."""

    async def open(self, host: str, port: int) -> None:
        """Connect, and become a WebSocket. Raises OSError, WSError. After cancelling, `abort` is needed."""
        protocol = WSProtocol(
            host_port=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            ws_path=PATH,
            is_client_side=True,
            ws_listener_factory=lambda _request, _response: self,
            logger=_log,
            disconnect_on_exception=True,
            websocket_handshake_timeout=None,  # `dial` has one for all
            enable_auto_ping=False,
            auto_ping_idle_timeout=0,
            auto_ping_reply_timeout=0,
            auto_ping_strategy=WSAutoPingStrategy.PING_WHEN_IDLE,
            enable_auto_pong=False,
            max_frame_size=MESSAGE_MAX_BYTES,
            extra_headers=None,
            read_buffer_init_size=READ_BUFFER_BYTES,
        )
        loop = asyncio.get_running_loop()
        self._socket, _ = await loop.create_connection(lambda: protocol, host, port)
        await protocol.wait_until_handshake_complete()
        if self._transport is None:
            raise ConnectionResetError("the connection ended before it was a WebSocket")

    @property
    def is_linked(self) -> bool:
        """Whether the link has begun."""
        return self._receiver is not None

    # Wire -----------------------------------------------------------------------------------------

    @property
    def unsent_bytes(self) -> int:
        """See `Wire`."""
        return (
            0
            if self._transport is None
            else self._transport.underlying_transport.get_write_buffer_size()
        )

    def send(self, message: bytes) -> None:
        """See `Wire`."""
        if self._transport is not None and not self._is_over:
            self._transport.send(WSMsgType.BINARY, message)

    def close(self, code: int, reason: str) -> None:
        """See `Wire`. If the other side does not answer, `abort` is needed."""
        if self._transport is None or self._is_over:
            return
        self._is_over = True
        self._why = self._why or reason
        # What a close frame can hold.
        text = reason.encode()[:123].decode(errors="ignore")
        self._transport.send_close(code, text)  # type: ignore[arg-type]  # codes from 3000 on have no name
        # It has to be read, and what comes in front of it.
        self.resume_reading()

    def abort(self) -> None:
        """See `Wire`."""
        self._is_over = True
        if self._socket is not None:
            self._socket.abort()

    def pause_reading(self) -> None:
        """See `Wire`."""
        if self._transport is not None and not self._is_over:
            self._transport.underlying_transport.pause_reading()

    def resume_reading(self) -> None:
        """See `Wire`."""
        if self._transport is not None:
            self._transport.underlying_transport.resume_reading()

    # For picows -----------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The socket is a WebSocket: begin the handshake."""
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(
            high=WRITE_HIGH_BYTES, low=WRITE_LOW_BYTES
        )
        self.send(self._handshake.begin())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One frame of the other side. A node sends whole binary messages and nothing else."""
        kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            self._on_close(frame)
        elif self._is_over:
            return
        elif kind != WSMsgType.BINARY or not frame.fin or frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._refuse(InvalidRequest("what came is no frame of a link"), CLOSE_UNSUPPORTED)
        elif self._receiver is not None:
            self._receiver.received(frame.get_payload_as_bytes())
        else:
            self._shake(frame.get_payload_as_bytes())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The socket has ended."""
        self._is_over = True
        self._transport = self._socket = None
        # None at first, whatever picows' stubs say.
        sent = getattr(transport.close_handshake, "sent", None)
        told = "" if sent is None else f"what came breaks the protocol: {sent.reason}"
        why = self._why or told or "the connection has ended"
        if self._receiver is not None:
            self._receiver.lost(why)
        self._settle(Unavailable(why))

    def pause_writing(self) -> None:
        """The socket takes no more."""
        self.is_writable = False

    def resume_writing(self) -> None:
        """It does again."""
        self.is_writable = True
        if self._receiver is not None and not self._is_over:
            self._receiver.flush()

    # Inside ---------------------------------------------------------------------------------------

    def _shake(self, data: bytes) -> None:
        try:
            answer = self._handshake.receive(data)
            if answer is not None:
                self.send(answer)
            if self._handshake.proved is not None:
                self._receiver = self._opened(self._handshake.proved, self)
                self._settle(None)
        except ConduitError as error:
            self._refuse(error, CLOSE_PROTOCOL_ERROR)

    def _on_close(self, frame: WSFrame) -> None:
        reason = frame.get_close_reason() or "without a reason"
        shown = "".join(each if each.isprintable() else "?" for each in reason)
        self._why = self._why or f"the other side has closed it: {shown}"
        if self._transport is not None:
            if not self._is_over:
                self._transport.send_close(frame.get_close_code())
            self._is_over = True
            self._transport.disconnect()

    def _refuse(self, error: ConduitError, code: int) -> None:
        """It is no link, or cannot go on as one."""
        self._settle(error)
        self.close(code, str(error))
        if self._receiver is not None:
            self._receiver.broken(str(error))

    def _settle(self, error: ConduitError | None) -> None:
        if self.settled.done():
            return
        if error is None:
            self.settled.set_result(None)
        else:
            self.settled.set_exception(error)
            # Nobody may wait any more.
            self.settled.exception()


class _Log(logging.LoggerAdapter[logging.Logger]):
    """What picows says is for debugging: `links.py` says what an operator has to know. Because it is no
    Logger, picows makes no child logger for each connection."""

    info = warning = error = logging.LoggerAdapter.debug


_log = _Log(logging.getLogger(__name__))
