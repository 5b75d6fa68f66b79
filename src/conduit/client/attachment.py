"""One subscription on one connection after the other: connect, subscribe, and resume where it was."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable

import msgspec

from conduit.client.connection import Closed, Connection, api_error
from conduit.client.credential import Credential
from conduit.client.faults import ApiError, ClientError, ConnectionFailed, NoToken
from conduit.client.place import Place
from conduit.client.renewal import AUTH_REF
from conduit.client.resume import STABLE_S, Backoff, Positions, may_reconnect
from conduit.protocol.codes import (
    CLOSE_FORBIDDEN,
    CLOSE_OVER_LIMIT,
    CLOSE_UNAUTHENTICATED,
    CODES,
)
from conduit.protocol.frames import (
    AnyServerFrame,
    Auth,
    Closing,
    ErrorFrame,
    Gap,
    MessageFrame,
    StartSpec,
    Subscribe,
    Subscribed,
)

# A durable subscription may have to be loaded before it is confirmed.
ANSWER_TIMEOUT_S = 30.0
# How long a topic that was deleted may take to be made anew.
TOPIC_PATIENCE_S = 10.0

_REF = "subscribe"
# What another token may be the answer to.
_REFUSALS = {CLOSE_UNAUTHENTICATED: "unauthenticated", CLOSE_FORBIDDEN: "forbidden"}

_log = logging.getLogger("conduit.client")
_dice = random.Random()


class _Patience:
    """With something that may pass, for so long from when it is first met."""

    def __init__(self, for_s: float) -> None:
        self._for_s = for_s
        self._ends_at: float | None = None

    def left_s(self, error: Exception) -> float:
        """Seconds; raises the error when there are none."""
        now = asyncio.get_running_loop().time()
        if self._ends_at is None:
            self._ends_at = now + self._for_s
        if now >= self._ends_at:
            raise error
        return self._ends_at - now


Take = Callable[[AnyServerFrame], Awaitable[None]]
"""Acts on a frame that comes before the subscription is confirmed."""


class Attachment:
    """Knows what to subscribe to, from where, and when to try again."""

    def __init__(
        self, place: Place, credential: Credential, subscribe: Subscribe, take: Take
    ) -> None:
        self._place = place
        self._credential = credential
        self._subscribe = subscribe
        self._take = take
        # The server keeps the progress of a durable subscription.
        self._positions = (
            Positions(subscribe.topic, subscribe.start, explicit=subscribe.ack != "auto")
            if subscribe.subscription is None
            else None
        )
        self._backoff = Backoff()
        self._closing: Closing | None = None
        # Why the connection is about to be closed, if the server says so.
        self._told: ErrorFrame | None = None
        # The last connection was refused, and this one is with another token.
        self._has_renewed = False

    # What happens ---------------------------------------------------------------------------------

    def received(self, message: MessageFrame) -> None:
        """A delivery came."""
        if self._positions is not None:
            self._positions.received(message)

    def settled(self, message: MessageFrame) -> None:
        """The application is done with a message."""
        if self._positions is not None:
            self._positions.settled(message)

    def gap(self, frame: Gap) -> None:
        """Messages will not come."""
        if self._positions is not None:
            self._positions.gap(frame)

    def closing(self, frame: Closing) -> None:
        """The server says when to come back."""
        self._closing = frame

    def told(self, frame: ErrorFrame) -> None:
        """The server says what is wrong, after which it may close."""
        self._told = frame

    def forgot(self) -> bool:
        """Whether positions were dropped since this was asked last: messages may be missing."""
        if self._positions is None or not self._positions.forgotten_count:
            return False
        self._positions.forgotten_count = 0
        return True

    # Connecting -----------------------------------------------------------------------------------

    async def open(self, *, again: bool = False) -> Connection:
        """Connect and subscribe; `again` to what was there before, and nothing is made then. If what it signs
        in with is refused, another token is tried, if there is a function that gives it. Raises
        ConnectionFailed, ApiError, BadAnswer, NoToken."""
        try:
            return await self._open(again=again)
        except ApiError as error:
            if error.code not in _REFUSALS.values() or not self._credential.can_renew:
                raise
        return await self._open(again=again)

    async def _open(self, *, again: bool) -> Connection:
        secret = await self._credential.fresh()
        connection = await Connection.open(self._place, self._credential.headers(secret))
        self._closing = self._told = None
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                # If it is closed by now, what was said before that is still to be read.
                with contextlib.suppress(Closed):
                    if secret is not None and self._credential.can_renew:
                        # The answer says until when it is good.
                        await connection.send(Auth(str(secret), AUTH_REF))
                    await connection.send(self._request(again))
                await self._subscribed(connection)
        except Closed as end:
            if end.code in _REFUSALS:
                raise self._fault(end) from end
            if not may_reconnect(end.code):
                raise ApiError(f"the server refuses: {end}", code="closed") from end
            raise ConnectionFailed(f"lost while subscribing: {end}") from end
        except TimeoutError as error:
            await connection.close()
            raise ConnectionFailed(f"{self._place.shown} does not answer") from error
        except BaseException:
            await connection.close()
            raise
        return connection

    async def open_again(self, end: Closed, lived_s: float) -> Connection:
        """Connect and subscribe after a connection ended, as often as it takes. Raises what ends the
        subscription: ConnectionFailed, ApiError, BadAnswer.

        A topic that is gone is waited for, TOPIC_PATIENCE_S: whoever deletes one may be making it anew.
        """
        if not self._may_go_on(end, lived_s):
            raise self._fault(end)
        after_s = self._closing.reconnect_after_ms / 1000 if self._closing is not None else 0.0
        if self._told is not None and self._told.retry_after_ms is not None:
            after_s = max(after_s, self._told.retry_after_ms / 1000)
        delay_s = self._backoff.lost(lived_s, after_s, _dice.random())
        _log.warning("%s; connecting again in %.1f s", end, delay_s)
        gone = _Patience(TOPIC_PATIENCE_S)
        while True:
            await asyncio.sleep(delay_s)
            try:
                return await self.open(again=True)
            except (ApiError, ConnectionFailed, NoToken) as error:
                delay_s = self._backoff.failed(_dice.random(), error.retry_after_s)
                if error.code == "topic_not_found":
                    delay_s = min(delay_s, gone.left_s(error))
                elif not error.retryable:
                    raise
                _log.warning("%s; trying again in %.1f s", error.detail, delay_s)

    def _may_go_on(self, end: Closed, lived_s: float) -> bool:
        """Whether another connection can help after this one."""
        if lived_s >= STABLE_S:
            self._has_renewed = False
        if end.code in _REFUSALS:
            is_first, self._has_renewed = not self._has_renewed, True
            return is_first and self._credential.can_renew
        if end.code == CLOSE_OVER_LIMIT:
            # Of a rate, later; of what no client may send, never.
            known = None if self._told is None else CODES.get(self._told.code)
            return known is not None and known.retryable
        return may_reconnect(end.code)

    def _fault(self, end: Closed) -> ClientError:
        """What a close code that ends the stream is for the application."""
        told, code = self._told, _REFUSALS.get(end.code)
        if code is None:
            return ConnectionFailed(f"the server ended the stream: {end}")
        if told is not None and told.code == code:
            return api_error(told)
        return api_error(ErrorFrame(code, f"the server ended the stream: {end}"))

    def _request(self, again: bool) -> Subscribe:
        """The `subscribe` frame; after a lost connection, from where it was."""
        start: StartSpec | None = self._subscribe.start
        if self._positions is not None:
            start = self._positions.resume()
        create = self._subscribe.create and not again
        return msgspec.structs.replace(self._subscribe, start=start, create=create, ref=_REF)

    async def _subscribed(self, connection: Connection) -> None:
        """Wait for the answer to `subscribe`."""
        while True:
            frame = await connection.receive()
            if isinstance(frame, Subscribed):
                if frame.paused:
                    name = self._subscribe.subscription
                    _log.warning(
                        "subscription %s is paused: nothing comes until it is resumed", name
                    )
                if self._positions is not None:
                    self._positions.began(frame)
                return
            if isinstance(frame, ErrorFrame):
                error = api_error(frame)
                # The place may be that of the connection before, of which the server does not know yet that
                # it is lost.
                error.retryable = error.retryable or error.limit == "connections"
                raise error
            await self._take(frame)
