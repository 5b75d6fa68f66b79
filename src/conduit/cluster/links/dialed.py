"""The socket of a link on the side that has dialed: from an address to its end.

picows carries it. Its `ws_connect` is not used: cancelled while it waits for the answer to the upgrade, it
would leave the socket open. There is no compression, and no TLS (docs/threat-model.md).
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any, cast

import picows.picows
from picows import (
    WSAutoPingStrategy,
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
)

from conduit.cluster.links.buffers import keep_short
from conduit.cluster.links.frames import MESSAGE_MAX_BYTES
from conduit.cluster.links.handshake import Dialer, Proved
from conduit.cluster.links.ports import Receiver, Wire
from conduit.errors import ConduitError, Unavailable
from conduit.protocol.codes import CLOSE_INTERNAL, CLOSE_PROTOCOL_ERROR, CLOSE_UNSUPPORTED

PATH = "/internal/link"
# The socket wants no more above the first, and more again below the second.
WRITE_HIGH_BYTES = 131_072
WRITE_LOW_BYTES = 32_768
# Of one read.
READ_BUFFER_BYTES = 65_536

# By name, as picows' stubs lack it; tests/server/test_picows.py holds what is relied on.
_WSProtocol: Any = vars(picows.picows)["WSProtocol"]

Opened = Callable[[Proved, Wire], Receiver]
"""Begins the link; raises ConduitError if there shall be none."""

logger = logging.getLogger(__name__)


def _get_buffer(protocol: asyncio.BufferedProtocol, size_hint: int) -> memoryview:
    """picows' own buffer grows whenever one read fills it, to megabytes, which it handles in one turn."""
    room: memoryview = _WSProtocol.get_buffer(protocol, size_hint)
    return room[:READ_BUFFER_BYTES]


_Protocol: Any = type("DialedProtocol", (_WSProtocol,), {"get_buffer": _get_buffer})


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
        self.doing = "looking up the name"
        """For the log, if it does not come to an end."""
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done with the handshake; its error is a ConduitError."""

    async def open(self, host: str, port: int) -> None:
        """Connect, and become a WebSocket. Raises OSError, WSError. After cancelling, `abort` is needed."""
        protocol = _Protocol(
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
        self._socket = await self._connected(protocol, host, port)
        self.doing = "waiting for the answer to its request"
        await protocol.wait_until_handshake_complete()
        if self._transport is None:
            raise ConnectionResetError("the connection ended before it was a WebSocket")

    async def _connected(
        self, protocol: asyncio.BaseProtocol, host: str, port: int
    ) -> asyncio.Transport:
        """By the first address of the host that can be reached."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        self.doing = "connecting"
        failed: OSError = ConnectionRefusedError("the name has no address")
        for address in dict.fromkeys(each[4][0] for each in found):
            try:
                connected, _ = await loop.create_connection(lambda: protocol, str(address), port)
            except OSError as error:
                failed = error
            else:
                return connected
        raise failed

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
        # Codes from 3000 on have no name there.
        self._transport.send_close(cast(WSCloseCode, code), text)
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
        keep_short(transport.underlying_transport)
        transport.underlying_transport.set_write_buffer_limits(
            high=WRITE_HIGH_BYTES, low=WRITE_LOW_BYTES
        )
        self.doing = "waiting for the proof of the other side"
        self.send(self._handshake.begin())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One frame of the other side."""
        if frame.msg_type == WSMsgType.CLOSE:
            self._on_close(frame)
        elif not (self._is_over or transport.is_close_frame_sent):
            # Else picows could not parse what came before, or we have closed: this is void.
            try:
                self._take(frame)
            except Exception:
                logger.exception("a message of a link failed, which is closed")
                self._end("this node made an error; its log has it", CLOSE_INTERNAL)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The socket has ended."""
        self._transport = self._socket = None
        self._is_over = True
        if (reason := _sent_reason(transport)) is not None:
            self._why = self._why or reason
            # If it is picows that could not go on, its error is for whoever waits for the end, and asyncio
            # logs what nobody takes.
            ending = asyncio.get_running_loop().create_task(transport.wait_disconnected())
            ending.add_done_callback(lambda done: done.cancelled() or done.exception())
        why = self._why or "the connection has ended"
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

    def _take(self, frame: WSFrame) -> None:
        """A node sends whole binary messages and nothing else."""
        is_plain = frame.fin and not (frame.rsv1 or frame.rsv2 or frame.rsv3)
        if frame.msg_type != WSMsgType.BINARY or not is_plain:
            self._end("what came is no frame of a link", CLOSE_UNSUPPORTED)
        elif self._receiver is not None:
            self._receiver.received(frame.get_payload_as_bytes())
        else:
            self._shake(frame.get_payload_as_bytes())

    def _shake(self, data: bytes) -> None:
        try:
            answer = self._handshake.receive(data)
            if answer is not None:
                self.send(answer)
            if self._handshake.proved is not None:
                self._receiver = self._opened(self._handshake.proved, self)
                self._settle(None)
        except ConduitError as error:
            self._settle(error)
            self._end(str(error), CLOSE_PROTOCOL_ERROR)

    def _on_close(self, frame: WSFrame) -> None:
        transport = self._transport
        if transport is None:
            return
        if (reason := _sent_reason(transport)) is None:
            said = frame.get_close_reason() or "without a reason"
            shown = "".join(each if each.isprintable() else "?" for each in said)
            reason = f"the other side has closed it: {shown}"
            transport.send_close(frame.get_close_code())
        self._why = self._why or reason
        self._is_over = True
        transport.disconnect()

    def _end(self, why: str, code: int) -> None:
        """It is no link, or cannot go on as one."""
        self.close(code, why)
        if self._receiver is not None:
            self._receiver.broken(why)

    def _settle(self, error: ConduitError | None) -> None:
        if self.settled.done():
            return
        if error is None:
            self.settled.set_result(None)
        else:
            self.settled.set_exception(error)
            # Nobody may wait any more.
            self.settled.exception()


def _sent_reason(transport: WSTransport) -> str | None:
    """With which reason this side has closed it: this module, or picows, which could not parse what came."""
    # There is none at first, whatever picows' stubs say.
    sent = getattr(transport.close_handshake, "sent", None)
    return None if sent is None else str(sent.reason)


class _Log(logging.LoggerAdapter[logging.Logger]):
    """What picows says is for debugging: `links.py` says what an operator has to know. Because it is no
    Logger, picows makes no child logger for each connection."""

    info = warning = error = logging.LoggerAdapter.debug


_log = _Log(logger)
