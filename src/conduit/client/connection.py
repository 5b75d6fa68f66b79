"""One WebSocket connection that carries one subscription."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Mapping
from typing import NoReturn

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from conduit.client.faults import (
    ApiError,
    BadAnswer,
    ClientError,
    ConnectionFailed,
    no_connection,
)
from conduit.client.log import WEBSOCKETS
from conduit.client.place import Place, without_password
from conduit.client.rest import refusal
from conduit.client.text import encoded
from conduit.protocol.codec import decode_server_frame
from conduit.protocol.codes import CODES
from conduit.protocol.frames import AnyServerFrame, ClientFrame, ErrorFrame

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 5.0
# The largest payload that a server can be set to take, and what stands around it in a frame; it bounds
# what a broken one can do.
FRAME_MAX_BYTES = (64 << 20) + (1 << 20)
# Frames that wait to be decoded; what fills it stops the socket from being read.
RECEIVE_BUFFER_COUNT = 64
# A connection that ended without a close frame (RFC 6455 §7.1.5).
CLOSE_ABNORMAL = 1006

_log = logging.getLogger(WEBSOCKETS)


class _Connect(connect):
    """Without redirects: where one leads is not where the key is for."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Closed(Exception):
    """The connection has ended. `code` is the close code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"closed with {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class Connection:
    """Frames out and in. Faults of the wire are `Closed`."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        # websockets lets one task receive at a time.
        self._reading = asyncio.Lock()

    @classmethod
    async def open(cls, place: Place, headers: Mapping[str, str]) -> Connection:
        """Connect to the server. Raises ConnectionFailed, ApiError."""
        try:
            socket = await _Connect(
                place.websocket_url,
                additional_headers=headers,
                logger=_log,
                proxy=place.proxy,
                compression=None,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
                max_size=FRAME_MAX_BYTES,
                max_queue=RECEIVE_BUFFER_COUNT,
            )
        except InvalidStatus as error:
            raise _refused(error, without_password(place.websocket_url)) from error
        except (OSError, TimeoutError, InvalidHandshake, ssl.SSLError, EOFError) as error:
            raise no_connection(f"cannot connect to {place.shown}", error) from error
        return cls(socket)

    async def send(self, frame: ClientFrame) -> None:
        """Send one frame; waits while the socket does not drain. Raises Closed, InvalidRequest."""
        text = encoded(frame)
        try:
            await self._socket.send(text, text=True)
        except ConnectionClosed as error:
            _closed(error)

    async def receive(self) -> AnyServerFrame:
        """The next frame. Cancelling loses nothing. Raises Closed, BadAnswer."""
        try:
            async with self._reading:
                text = await self._socket.recv(decode=False)
        except ConnectionClosed as error:
            _closed(error)
        try:
            return decode_server_frame(text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadAnswer(f"a frame is not what Conduit would send: {error}") from error

    async def close(self) -> None:
        """Close in good order: the server has handled what was sent before. Idempotent.

        Whoever is receiving must have been cancelled. The close frame is written before this waits for
        anything, so cancelling does not turn leaving into a lost connection, which the server counts
        against what is in flight.
        """
        draining = asyncio.create_task(self._drain())  # noqa: TID251 - cancelled and awaited below
        try:
            await self._socket.close()
        finally:
            draining.cancel()
            await asyncio.gather(draining, return_exceptions=True)

    async def _drain(self) -> None:
        """Throw away what still comes, because the server's close frame stands behind it, and a full
        buffer would keep it from being seen."""
        with contextlib.suppress(ConnectionClosed):
            async with self._reading:
                while True:
                    await self._socket.recv(decode=False)


def api_error(frame: ErrorFrame) -> ApiError:
    """What an `error` frame stands for."""
    error = ApiError(frame.message, code=frame.code, field=frame.field)
    error.limit = frame.limit
    if (known := CODES.get(frame.code)) is not None:
        error.status = known.status
        error.retryable = known.retryable
    if frame.retry_after_ms is not None:
        error.retry_after_s = frame.retry_after_ms / 1000
    return error


def _closed(error: ConnectionClosed) -> NoReturn:
    # Our own close frame names the fault when the server's bytes could not be used.
    close = error.rcvd or error.sent
    if close is None:
        raise Closed(CLOSE_ABNORMAL, "without a close frame") from error
    raise Closed(close.code, close.reason) from error


def _refused(error: InvalidStatus, url: str) -> ClientError:
    answer = error.response
    status = answer.status_code
    told = refusal(status, bytes(answer.body), answer.headers.get("retry-after"))
    # Of a place where connections come and go: also one that is refused by a limit may be let in later.
    is_for_now = status >= 500 or status == 429
    if told is not None:
        told.retryable = told.retryable or is_for_now or told.code == "limit_reached"
        return told
    if is_for_now:
        return ConnectionFailed(f"{url} is not ready: HTTP {status}")
    other = ApiError(f"{url} does not take WebSockets: HTTP {status}", code="upgrade_refused")
    other.status = status
    return other
