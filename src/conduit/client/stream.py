"""A subscription as an application sees it: an iterator that outlives connections.

One task owns the connection: it receives, connects again with backoff, and resumes. Deliveries wait
in a bounded inbox. With explicit acks the server's `max_in_flight` bounds what can be there; with
automatic acks a full inbox stops the reading, and the server waits, or closes and is resumed later.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from types import TracebackType

import msgspec

from conduit.client.connection import Closed, Connection, api_error
from conduit.client.delivery import Delivery, GapEvent
from conduit.client.faults import ApiError, ConnectionFailed
from conduit.client.inbox import HOLD_INTERVAL_S, HOLD_MS, Holds, Inbox
from conduit.client.resume import Backoff, Positions, may_reconnect
from conduit.protocol.frames import (
    Ack,
    AnyServerFrame,
    ClientFrame,
    Closing,
    ErrorFrame,
    Extend,
    Gap,
    MessageFrame,
    Nack,
    Subscribe,
    Subscribed,
)

# A durable subscription may have to be loaded before it is confirmed.
ANSWER_TIMEOUT_S = 30.0
INBOX_AUTO_COUNT = 256
# With explicit acks: more than any window, so that reading never stops and pings are answered.
INBOX_EXPLICIT_COUNT = 100_000

_REF = "subscribe"

_log = logging.getLogger("conduit.client")
_dice = random.Random()

OnGap = Callable[[GapEvent], None]


def log_gap(gap: GapEvent) -> None:
    """What happens to a gap when the application does not say: a warning in the log."""
    _log.warning("gap in %s: %s to %s (%s)", gap.topic, gap.from_seq, gap.to_seq, gap.reason)


class Stream:
    """The deliveries of one subscription; made by `AsyncConduit.subscribe`.

    Use it as an async context manager and iterate over it. Entering subscribes, and raises
    ConnectionFailed or ApiError if that fails; afterwards lost connections are renewed without end.
    Iteration raises ApiError or ConnectionFailed when the server refuses to have it back.
    """

    def __init__(self, url: str, subscribe: Subscribe, on_gap: OnGap = log_gap) -> None:
        self._url = url
        self._subscribe = subscribe
        self._on_gap = on_gap
        self._is_explicit = subscribe.ack != "auto"
        # The server keeps the progress of a durable subscription.
        self._positions = (
            Positions(subscribe.topic, subscribe.start, explicit=self._is_explicit)
            if subscribe.subscription is None
            else None
        )
        size = INBOX_EXPLICIT_COUNT if self._is_explicit else INBOX_AUTO_COUNT
        self._inbox = Inbox(size)
        self._holds = Holds()
        self._connection: Connection | None = None
        self._backoff = Backoff()
        self._closing: Closing | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Stream:
        connection = await self._open()
        roots = [self._run(connection), *([self._hold()] if self._is_explicit else [])]
        self._tasks = [
            asyncio.create_task(root)  # noqa: TID251 - __aexit__ cancels and awaits them
            for root in roots
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave in good order: acks that were sent are handled by the server before it closes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._connection is not None:
            await self._connection.close()

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Delivery:
        """The next delivery. Cancelling loses nothing; one that was taken meanwhile comes again."""
        while True:
            item = await self._inbox.get()
            if isinstance(item, Exception):
                # Whoever asks again is told again.
                self._inbox.put_nowait(item)
                raise item
            if self._positions is not None and self._positions.is_settled(item.message_id):
                # It came again after a lost connection, or crossed its own ack.
                await self._settle(item, Ack(item.message_id))
                continue
            if self._holds.is_held(item):
                await self._send(Extend(item.message_id, subscription=item.subscription))
            return Delivery(item, self._settle)

    # Settling -------------------------------------------------------------------------------------

    async def _settle(self, message: MessageFrame, frame: ClientFrame) -> None:
        if not self._is_explicit:
            return
        if self._positions is not None and not isinstance(frame, Nack | Extend):
            self._positions.settled(message.message_id, message.topic, message.seq)
        await self._send(frame)

    async def _send(self, frame: ClientFrame) -> None:
        if self._connection is not None:
            try:
                await self._connection.send(frame)
            except Closed:
                # The message comes again on the next connection, or is known to be settled there.
                return

    async def _hold(self) -> None:
        """Keep alive what waits for the application."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(HOLD_INTERVAL_S)
            for message in self._holds.due(self._inbox.messages(), loop.time()):
                extend = Extend(message.message_id, subscription=message.subscription, ms=HOLD_MS)
                await self._send(extend)

    # The task that owns the connection ------------------------------------------------------------

    async def _run(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                opened_at = loop.time()
                end = await self._receive_all(connection)
                self._connection = None
                connection = await self._open_again(end, loop.time() - opened_at)
        except Exception as error:  # noqa: BLE001 - the root of the task; iteration raises it
            await self._inbox.put(error)

    async def _receive_all(self, connection: Connection) -> Closed:
        """Receive until the connection ends."""
        self._closing = None
        try:
            while True:
                await self._take(await connection.receive())
        except Closed as end:
            return end

    async def _take(self, frame: AnyServerFrame) -> None:
        """Act on one frame; waits while the inbox is full."""
        if isinstance(frame, MessageFrame):
            if self._positions is not None:
                self._positions.received(frame)
            await self._inbox.put(frame)
        elif isinstance(frame, Gap):
            if self._positions is not None:
                self._positions.gap(frame)
            self._on_gap(GapEvent(frame.topic, frame.from_seq, frame.to_seq, frame.reason))
        elif isinstance(frame, Closing):
            self._closing = frame
        elif isinstance(frame, ErrorFrame):
            _log.warning("%s: %s (code %s)", self._subscribe.topic, frame.message, frame.code)

    async def _open_again(self, end: Closed, lived_s: float) -> Connection:
        if not may_reconnect(end.code):
            raise ConnectionFailed(f"the server ended the stream: {end}")
        after_s = self._closing.reconnect_after_ms / 1000 if self._closing is not None else 0.0
        delay_s = self._backoff.lost(lived_s, after_s, _dice.random())
        if self._is_explicit:
            # Nobody has taken it, so it is unsettled and comes again.
            self._inbox.drop()
        while True:
            _log.warning("%s; connecting again in %.1f s", end, delay_s)
            await asyncio.sleep(delay_s)
            try:
                return await self._open()
            except (ApiError, ConnectionFailed) as error:
                if not error.retryable:
                    raise
                _log.info("%s", error.detail)
                delay_s = self._backoff.failed(_dice.random())

    async def _open(self) -> Connection:
        """Connect and subscribe. Raises ConnectionFailed, ApiError, BadAnswer."""
        connection = await Connection.open(self._url)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await connection.send(self._request())
                await self._subscribed(connection)
        except Closed as end:
            if not may_reconnect(end.code):
                raise ApiError(f"the server refuses: {end}", code="closed") from end
            raise ConnectionFailed(f"lost while subscribing: {end}") from end
        except TimeoutError as error:
            await connection.close()
            raise ConnectionFailed(f"{self._url} does not answer") from error
        except BaseException:
            await connection.close()
            raise
        self._connection = connection
        return connection

    def _request(self) -> Subscribe:
        """The `subscribe` frame; again for a lost connection, from where it was."""
        start = self._subscribe.start
        if self._positions is not None:
            start = self._positions.resume()
            if self._positions.forgotten_count:
                self._positions.forgotten_count = 0
                topic = self._subscribe.topic
                self._on_gap(GapEvent(topic, None, None, "positions_forgotten"))
        return msgspec.structs.replace(self._subscribe, start=start, ref=_REF)

    async def _subscribed(self, connection: Connection) -> None:
        """Wait for the answer to `subscribe`."""
        while True:
            frame = await connection.receive()
            if isinstance(frame, Subscribed):
                if self._positions is not None:
                    self._positions.began(frame)
                return
            if isinstance(frame, ErrorFrame):
                raise api_error(frame)
            await self._take(frame)
