"""Looking at stored messages without consuming them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec

from conduit.broker.administer.looking import LISTS_MAX_COUNT, SEARCHES_MAX_COUNT, Line
from conduit.broker.administer.subscriptions import Subscriptions
from conduit.broker.administer.views import DeliveryState, state_after
from conduit.broker.catalog import Catalog, Topic
from conduit.broker.deliver.tails import Tails
from conduit.core.message import Message
from conduit.core.scan import Bounds as ScanBounds
from conduit.core.scan import Scan, Wanted, parts, size_of
from conduit.errors import NotFound
from conduit.names import is_id
from conduit.storage.base import Store

# One page stops before the message that would pass this, whatever its limit, unless it is the first.
PAGE_MAX_BYTES = 4 << 20
# What one request looks at to find messages, whether they match or not; it ends after some seconds as well
# (`looking.py`). And what it reads in its turn, and looks at in one turn of the loop, or one message that is
# larger: a millisecond or two.
SCAN_MAX_COUNT = 20_000
SCAN_MAX_BYTES = 32 << 20
STEP_MAX_COUNT = 500
STEP_MAX_BYTES = 1 << 20
PART_MAX_BYTES = 256 << 10
# Subscriptions that are told of a message, if nothing else is said.
DELIVERIES_COUNT = 500
# What may have died before.
_BEGUN = frozenset({"acked", "in_flight", "retrying"})


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages of a topic are meant.

    `from_seq` is where to begin, upwards or downwards. Times in ms bound the window in both
    directions, `from` inclusive, `to` exclusive.
    """

    from_seq: int | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    descending: bool = False


class Scanned(msgspec.Struct, frozen=True):
    """What was found. `scanned_to`: the last number that was looked at; None if there was none. `following`:
    where to go on; None at the end of the window."""

    messages: list[Message]
    scanned_to: int | None = None
    following: int | None = None


class Browser:
    """Reads pages of the log, and single messages with what became of them."""

    def __init__(
        self, store: Store, catalog: Catalog, tails: Tails, subscriptions: Subscriptions
    ) -> None:
        self._store = store
        self._tails = tails
        self._catalog = catalog
        self._subscriptions = subscriptions
        # A page may have PAGE_MAX_BYTES, and making an answer of it takes some milliseconds.
        self._pages = Line(LISTS_MAX_COUNT, "stored messages")
        # A list does not wait for those who search.
        self._searches = Line(SEARCHES_MAX_COUNT, "stored messages")

    async def browse(
        self, tenant: str, name: str, window: Window, limit: int
    ) -> tuple[list[Message], int | None]:
        """A page, and the `from_seq` of the next page or None at the end of the window.

        Raises NotFound `topic_not_found`, StoreUnavailable; Overloaded if too many ask for pages, or it takes
        too long.
        """
        topic = self._catalog.get(tenant, name)
        low, high = await self._bounds(topic, window)
        if low > high:
            return [], None
        start = high if window.descending else low
        read = partial(
            self._store.read,
            topic.topic_id,
            start,
            limit=min(limit, high - low + 1),
            max_bytes=PAGE_MAX_BYTES,
            descending=window.descending,
        )
        with self._pages.joined(tenant) as looker:
            messages = await looker.look(read) or []
        # Retention may have removed a part of the window meanwhile.
        messages = _fitting([message for message in messages if low <= message.seq <= high])
        if not messages:
            return [], None
        following = messages[-1].seq + (-1 if window.descending else 1)
        return messages, following if low <= following <= high else None

    async def search(
        self, tenant: str, name: str, window: Window, wanted: Wanted, limit: int
    ) -> Scanned:
        """Up to `limit` messages of the window that are wanted, of SCAN_MAX_COUNT that are looked at.

        Raises as `browse` does.
        """
        topic = self._catalog.get(tenant, name)
        low, high = await self._bounds(topic, window)
        if low > high:
            return Scanned([])
        bounds = ScanBounds(limit, PAGE_MAX_BYTES, SCAN_MAX_COUNT, SCAN_MAX_BYTES)
        start = high if window.descending else low
        scan = Scan(wanted, bounds, start, descending=window.descending)
        with self._searches.joined(tenant) as looker:
            while low <= scan.seq <= high and not scan.is_over:
                ahead_count = scan.seq - low + 1 if window.descending else high - scan.seq + 1
                read = partial(
                    self._store.read,
                    topic.topic_id,
                    scan.seq,
                    limit=min(STEP_MAX_COUNT, ahead_count),
                    max_bytes=STEP_MAX_BYTES,
                    descending=window.descending,
                )
                is_there = await looker.look(partial(_step, scan, read, (low, high)))
                if is_there is None:
                    break
                if not is_there:
                    # Retention has removed the rest meanwhile.
                    return Scanned(scan.found, low if window.descending else high)
        following = scan.seq if low <= scan.seq <= high else None
        # What took too long goes on, and finds more.
        return Scanned(scan.found[:], scan.scanned_to, following)

    async def _bounds(self, topic: Topic, window: Window) -> tuple[int, int]:
        """The first and the last number of the window; empty when the first is the greater."""
        found = (await self._tails.fresh([topic])).get(topic.topic_id, topic)
        low, high = found.first_seq, found.last_seq
        if window.from_ms is not None:
            low = max(low, await self._store.seq_at(topic.topic_id, window.from_ms))
        if window.to_ms is not None:
            high = min(high, await self._store.seq_at(topic.topic_id, window.to_ms) - 1)
        if window.from_seq is not None and window.descending:
            high = min(high, window.from_seq)
        elif window.from_seq is not None:
            low = max(low, window.from_seq)
        return low, high

    async def get(
        self,
        tenant: str,
        message_id: str,
        *,
        limit: int = DELIVERIES_COUNT,
        after: str | None = None,
    ) -> tuple[Topic, Message, list[DeliveryState]]:
        """One stored message, its topic, and its state in up to `limit` durable subscriptions of the topic,
        by name, of those that come after `after`.

        Raises NotFound `message_not_found`, StoreUnavailable; Overloaded as `browse` does.
        """
        found = await self._store.find(tenant, message_id) if is_id(message_id) else None
        topic = self._catalog.by_id(found[0]) if found is not None else None
        if found is None or topic is None:
            raise no_message()
        ask = partial(self._states, topic, found[1].seq, limit, after)
        with self._pages.joined(tenant) as looker:
            states = await looker.look(ask) or []
        return topic, found[1], states

    async def _states(
        self, topic: Topic, seq: int, limit: int, after: str | None
    ) -> list[DeliveryState]:
        states = await self._subscriptions.delivery_states(topic, seq, limit=limit, after=after)
        begun = [state.subscription for state in states if state.state in _BEGUN]
        if not begun:
            return states
        # One may be settled by its death, which only the dead letters know, also by those that are gone; or
        # it was redriven, and is under way once more.
        fates = await self._store.dead_fates(topic.topic_id, seq, begun)
        return [
            state_after(state, fates[state.subscription])
            if state.state in _BEGUN and state.subscription in fates
            else state
            for state in states
        ]


async def _step(
    scan: Scan, read: Callable[[], Awaitable[Sequence[Message]]], window: tuple[int, int]
) -> bool:
    """Look at what is read next; others have their turns meanwhile. False if nothing is there any more."""
    low, high = window
    messages = [message for message in await read() if low <= message.seq <= high]
    for part in parts(messages, PART_MAX_BYTES):
        scan.take(part)
        if scan.is_over:
            break
        await asyncio.sleep(0)
    return bool(messages)


def no_message() -> NotFound:
    """There is none of this id."""
    return NotFound("no stored message has this id", code="message_not_found")


def _fitting(messages: list[Message]) -> list[Message]:
    """The first of them that are together within PAGE_MAX_BYTES, or the first alone."""
    size_bytes = 0
    for at, message in enumerate(messages):
        size_bytes += size_of(message)
        if size_bytes > PAGE_MAX_BYTES and at:
            return messages[:at]
    return messages
