"""A subscription as an application sees it: an iterator that outlives connections.

One task owns the connection: it receives, and connects again (`attachment.py`). Deliveries wait in a
bounded inbox. With explicit acks the server's `max_in_flight` bounds what can be there, and a second
task keeps alive what is not settled (`holds.py`); with automatic acks a full inbox stops the reading,
and the server waits. After some 40 s the connection is closed and made anew: an ephemeral stream is resumed
where it was, and a durable one has lost what was on the way, because that was settled when it was written.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType

from conduit.client.attachment import Attachment
from conduit.client.connection import CLOSE_TIMEOUT_S, Closed, Connection
from conduit.client.credential import Credential
from conduit.client.delivery import Delivery, GapEvent, OnGap, Verb, gap_event, log_gap
from conduit.client.faults import ApiError
from conduit.client.holds import Held, Holds
from conduit.client.inbox import Inbox
from conduit.client.loop import Loop
from conduit.client.place import Place
from conduit.client.renewal import Renewal
from conduit.protocol.frames import (
    Ack,
    AnyServerFrame,
    Authenticated,
    ClientFrame,
    Closing,
    ErrorFrame,
    Gap,
    MessageFrame,
    Reject,
    Subscribe,
    Unsubscribed,
)

INBOX_AUTO_COUNT = 256
# With explicit acks: more than any window, so that reading never stops and pings are answered.
INBOX_EXPLICIT_COUNT = 100_000

_log = logging.getLogger("conduit.client")


class Stream:
    """The deliveries of one subscription; made by `AsyncConduit.subscribe`.

    Use it as an async context manager and iterate over it. Entering subscribes, and raises
    ConnectionFailed or ApiError if that fails; afterwards lost connections are renewed without end.
    Iteration raises ApiError when what it follows was deleted (`topic_not_found`,
    `subscription_not_found`), and ApiError or ConnectionFailed when the server refuses to have it back:
    `unauthenticated` for a key that was revoked, for example.
    """

    def __init__(
        self, place: Place, credential: Credential, subscribe: Subscribe, on_gap: OnGap = log_gap
    ) -> None:
        self._subscribe = subscribe
        self._on_gap = on_gap
        self._is_explicit = subscribe.ack != "auto"
        self._attachment = Attachment(place, credential, subscribe, self._take)
        self._renewal = Renewal(credential, self._send) if credential.can_renew else None
        size = INBOX_EXPLICIT_COUNT if self._is_explicit else INBOX_AUTO_COUNT
        self._inbox = Inbox(size)
        self._holds = Holds(subscribe.ack_wait_ms, is_durable=subscribe.subscription is not None)
        self._connection: Connection | None = None
        self._tasks: list[asyncio.Task[None]] = []
        # What wakes the task that keeps deliveries alive, and when it wakes by itself.
        self._wake = asyncio.Event()
        self._wakes_at: float | None = None

    async def __aenter__(self) -> Stream:
        self._connection = await self._attachment.open()
        roots = [self._run]
        if self._is_explicit:
            roots.append(self._keep)
        if self._renewal is not None:
            roots.append(self._renewal.run)
        self._tasks = [
            asyncio.create_task(self._report(root))  # noqa: TID251 - __aexit__ cancels and awaits them
            for root in roots
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave in good order: acks that were sent are handled by the server before it closes, and it
        sees that nothing was lost. That holds when leaving is cancelled, too: see `Connection.close`.
        """
        for task in self._tasks:
            task.cancel()
        try:
            await self._close()
        finally:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _close(self) -> None:
        if self._connection is None:
            return
        try:
            # What came again after it was settled, and is not answered yet.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    for answer in self._holds.take_answers():
                        await self._send(answer)
        finally:
            await self._connection.close()

    def __aiter__(self) -> AsyncIterator[Delivery]:
        return Loop(self.__anext__, self._holds)

    async def __anext__(self) -> Delivery:
        """The next delivery. Cancelling loses nothing; one that was taken meanwhile comes again."""
        item = await self._inbox.get()
        if isinstance(item, Exception):
            # Whoever asks again is told again.
            self._inbox.put_nowait(item)
            raise item
        delivery = Delivery(item.message, self._settle)
        if self._is_explicit:
            self._holds.taken(item, delivery, self._now())
        return delivery

    # Settling -------------------------------------------------------------------------------------

    async def _settle(self, delivery: Delivery, verb: Verb) -> None:
        if not self._is_explicit:
            return
        said, again = self._holds.said(delivery, verb, self._now())
        if again is not None:
            await self._inbox.put(again)
        if said is None:
            return
        if isinstance(said, Ack):
            self._attachment.settled(delivery.message)
        is_sent = await self._send(said)
        if isinstance(said, Reject) and is_sent:
            # Else it has to come again: nobody but the server can make a dead letter of it.
            self._attachment.settled(delivery.message)

    async def _send(self, frame: ClientFrame) -> bool:
        """False if there is no connection: the message comes again on the next one, or is known to be settled
        there."""
        if self._connection is None:
            return False
        try:
            await self._connection.send(frame)
        except Closed:
            return False
        return True

    async def _keep(self) -> None:
        """Keep from timing out what is not settled, and settle again what came again."""
        while True:
            frames, waiting = self._holds.due(self._now())
            for held in waiting:
                await self._inbox.put(held)
            for frame in frames:
                await self._send(frame)
            self._wake.clear()
            self._wakes_at = self._holds.next_at()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._wakes_at):
                    await self._wake.wait()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    # The task that owns the connection ------------------------------------------------------------

    async def _report(self, root: Callable[[], Awaitable[None]]) -> None:
        """The root of a task: iteration raises what ends it."""
        try:
            await root()
        except Exception as error:  # noqa: BLE001 - the root of the task; iteration raises it
            await self._inbox.put(error)

    async def _run(self) -> None:
        connection = self._connection
        assert connection is not None
        while True:
            opened_at = self._now()
            end = await self._receive_all(connection)
            self._connection = None
            if self._renewal is not None:
                self._renewal.lost()
            if self._is_explicit:
                # What nobody has taken is unsettled and comes again.
                self._inbox.drop()
                self._holds.lost()
            connection = await self._attachment.open_again(end, self._now() - opened_at)
            self._connection = connection

    async def _receive_all(self, connection: Connection) -> Closed:
        """Receive until the connection ends."""
        if self._attachment.forgot():
            self._on_gap(GapEvent(self._subscribe.topic, None, None, "positions_forgotten"))
        try:
            while True:
                await self._take(await connection.receive())
        except Closed as end:
            return end

    async def _take(self, frame: AnyServerFrame) -> None:
        """Act on one frame; waits while the inbox is full."""
        if isinstance(frame, MessageFrame):
            await self._received(frame)
        elif isinstance(frame, Gap):
            self._attachment.gap(frame)
            self._on_gap(gap_event(frame))
        elif isinstance(frame, Closing):
            self._attachment.closing(frame)
        elif isinstance(frame, Unsubscribed):
            self._deleted()
        elif isinstance(frame, Authenticated):
            if self._renewal is not None:
                self._renewal.authenticated(frame)
        elif isinstance(frame, ErrorFrame):
            self._refused(frame)

    def _refused(self, frame: ErrorFrame) -> None:
        """The server could not use something that was sent; what that was to settle is not settled."""
        what = self._subscribe.topic
        if frame.message_id is not None:
            what = f"{what}: message {frame.message_id} is not settled, and comes again"
            self._holds.refused(frame.message_id)
        else:
            self._attachment.told(frame)
        _log.warning("%s: %s (code %s)", what, frame.message, frame.code)

    def _deleted(self) -> None:
        """Nobody asked to unsubscribe: the subscription was deleted. Raises ApiError."""
        if self._is_explicit:
            # What waits there is forgotten with it, and cannot be settled.
            self._inbox.drop()
        name = self._subscribe.subscription
        raise ApiError(
            f"subscription {name!r} was deleted", code="subscription_not_found", status=404
        )

    async def _received(self, message: MessageFrame) -> None:
        """A delivery came: to the inbox with it, unless the application has it or is done with it."""
        self._attachment.received(message)
        now = self._now()
        if not self._is_explicit:
            await self._inbox.put(Held(message, now))
            return
        if self._holds.is_settled(message, now):
            self._attachment.settled(message)
        elif (held := self._holds.came(message, now)) is not None:
            await self._inbox.put(held)
        if self._wakes_at is None or self._wakes_at > now + self._holds.first_s:
            # The keeper sleeps past the time at which this has to be looked at.
            self._wake.set()
