"""From an HTTP upgrade request to a running WebSocket (RFC 6455 §4.2).

The front parses the request; here it is judged, and its transport is handed to picows, which wants
to read a request itself: it is given one with nothing in it but what it needs.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import re
from collections.abc import Mapping

from picows import WSAutoPingStrategy

from conduit.errors import InvalidRequest
from conduit.server.incoming import Incoming
from conduit.server.intake import Intake
from conduit.server.websocket import WebSocket

VERSION = "13"
# The least that picows takes, because the buffer of an idle connection is never given back.
READ_BUFFER_INITIAL_BYTES = 2048

_TICKET = re.compile(rb"[?&]ticket=([^&]*)")
_CLOSE_FRAME = 0x88
_KEY_LENGTH = 24
_ANY_KEY = base64.b64encode(bytes(16))
_NONCE_BYTES = 16
_REQUEST = (
    b"GET / HTTP/1.1\r\nHost: conduit\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n"
)


def check_upgrade(headers: Mapping[str, str]) -> str:
    """Judge an upgrade request by its headers, names in lower case. Returns the key for `accept`.

    Raises InvalidRequest: `upgrade_required` if the client does not ask for this protocol in this
    version (the answer must carry `Upgrade: websocket` and `Sec-WebSocket-Version: 13`), else
    `invalid_request`.
    """
    if "websocket" not in _tokens(headers.get("upgrade", "")):
        raise websocket_only()
    if "upgrade" not in _tokens(headers.get("connection", "")):
        raise InvalidRequest("the Connection header lacks 'Upgrade'", code="upgrade_required")
    if headers.get("sec-websocket-version", "").strip() != VERSION:
        raise InvalidRequest(f"only WebSocket version {VERSION} is spoken", code="upgrade_required")
    key = headers.get("sec-websocket-key", "").strip()
    if not _is_key(key):
        raise InvalidRequest("the key is not 16 bytes in base64", field="Sec-WebSocket-Key")
    return key


def websocket_only() -> InvalidRequest:
    """What a request is told that asks for nothing else than HTTP."""
    return InvalidRequest("this address speaks WebSocket only", code="upgrade_required")


def ticket_in(target: bytes) -> bytes | None:
    """The ticket in an address; None for none."""
    found = _TICKET.search(target)
    return None if found is None else found[1]


def accept(
    transport: asyncio.Transport,
    key: str,
    rest: bytes,
    websocket: WebSocket,
    max_frame_bytes: int,
    intake: Intake,
) -> None:
    """Answer 101 and give the transport to `websocket`; the protocol that had it is called no more.

    `key` comes from `check_upgrade`; `rest` is what was read after the request's head;
    `max_frame_bytes` bounds a frame and a whole message (1009). `on_open`, and `on_text` for the first of
    what `rest` holds, are called before this returns. An error of `on_open` comes out of here; the
    caller must then drop the transport.
    """
    protocol = _begin(transport, websocket, max_frame_bytes, intake)
    websocket.start(transport, protocol, max_frame_bytes)
    protocol.give(memoryview(_REQUEST % key.encode()))
    _forget_request(protocol)
    websocket.on_open()
    if rest:
        protocol.take(memoryview(rest))


def renew(
    transport: asyncio.Transport, websocket: WebSocket, max_frame_bytes: int, intake: Intake
) -> None:
    """Give the buffer back that picows reads long frames into; what was read has to be handled. It grows with
    the largest frame and never shrinks, so another protocol goes on with a new one."""
    fresh = _begin(transport, websocket, max_frame_bytes, intake, silent=True)
    websocket.start(transport, fresh, max_frame_bytes)
    fresh.give(memoryview(_REQUEST % _ANY_KEY))
    _forget_request(fresh)


def _forget_request(protocol: Incoming) -> None:
    """picows keeps them as long as the connection: 2 KiB that nobody reads again."""
    protocol.transport.request.headers.clear()
    protocol.transport.response.headers.clear()


def _begin(
    transport: asyncio.Transport,
    websocket: WebSocket,
    max_frame_bytes: int,
    intake: Intake,
    *,
    silent: bool = False,
) -> Incoming:
    """Have picows read from the transport; `silent`: and answer no request."""
    # By name, and tests/server/test_picows.py holds what is relied on: the class is not picows' public face.
    protocol = Incoming(
        host_port=None,
        ws_path=None,
        is_client_side=False,
        ws_listener_factory=lambda _request: websocket,
        logger=_log,
        disconnect_on_exception=True,  # an error in a callback closes with 1011
        websocket_handshake_timeout=None,  # the request is here, so nothing can time out
        enable_auto_ping=False,  # pings are sent by WebSocket.check
        auto_ping_idle_timeout=0,
        auto_ping_reply_timeout=0,
        auto_ping_strategy=WSAutoPingStrategy.PING_WHEN_IDLE,
        enable_auto_pong=False,  # pongs are sent by WebSocket, which bounds them
        max_frame_size=max_frame_bytes,
        extra_headers=None,
        read_buffer_init_size=READ_BUFFER_INITIAL_BYTES,
    )
    protocol.begin(websocket, transport, intake)
    protocol.connection_made(_Outlet(transport, websocket, silent=silent))
    transport.set_protocol(protocol)
    return protocol


class _Outlet:
    """The transport as picows sees it: it may answer the handshake, but not cut in later.

    picows parses one frame ahead. If that one is bad, picows would send its close frame before the
    frame in front has been handed over and answered, and 10 ms later close the socket; with input
    unread that resets the connection, and the peer may lose the close frame that says why. So the
    close frame becomes a call of `WebSocket.close` once the good frames are through, and the socket
    is read until the peer closes it too, or `WebSocket.check` drops it.
    """

    __slots__ = ("_silent", "_transport", "_websocket")

    def __init__(self, transport: asyncio.Transport, websocket: WebSocket, *, silent: bool) -> None:
        self._transport = transport
        self._websocket = websocket
        # The handshake was answered already, by another.
        self._silent = silent

    def get_extra_info(self, name: str) -> object:
        return self._transport.get_extra_info(name)

    def get_write_buffer_size(self) -> int:
        # Were it nothing, picows would write to the socket itself.
        return 1

    def write(self, data: bytes) -> None:
        if data[0] == _CLOSE_FRAME:
            self._websocket.broken()
            code, reason = int.from_bytes(data[2:4], "big"), data[4:].decode()
            asyncio.get_running_loop().call_soon(self._refuse, code, reason)
        elif not self._silent:
            self._transport.write(data)

    def close(self) -> None:
        """Nothing: picows calls it after a close frame, and `_refuse` sees to the rest."""

    def _refuse(self, code: int, reason: str) -> None:
        self._websocket.close(code, reason)
        if not self._transport.is_closing():
            self._transport.write_eof()
            self._transport.set_protocol(_Drain(self._transport.get_protocol()))


class _Drain(asyncio.Protocol):
    """Reads to the end what can no longer be parsed."""

    __slots__ = ("_protocol",)

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)


class _Log(logging.LoggerAdapter[logging.Logger]):
    """What picows says of peers is for debugging: a peer could fill the log with it.

    Only `exception` keeps its level: it tells of an error of ours. Because it is no Logger, picows
    makes no child logger for each connection.
    """

    info = warning = error = logging.LoggerAdapter.debug


_log = _Log(logging.getLogger(__name__))


def _tokens(value: str) -> list[str]:
    return [token.strip() for token in value.lower().split(",")]


def _is_key(key: str) -> bool:
    try:
        return len(key) == _KEY_LENGTH and len(base64.b64decode(key, validate=True)) == _NONCE_BYTES
    except ValueError:
        return False
