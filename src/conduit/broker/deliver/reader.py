"""Reading the log for cursors that are behind its tail: one read serves all that wait at one place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from conduit.broker.catalog import Topic
from conduit.broker.deliver.entry import Entry, make_entry
from conduit.broker.deliver.index import MessageIndex
from conduit.broker.turn import guarded
from conduit.core.message import Message
from conduit.errors import ConduitError, StateError
from conduit.names import is_id
from conduit.storage.base import Store

logger = logging.getLogger(__name__)

# Of one page, which a cursor holds until it is handed out.
PAGE_MAX_BYTES = 256 << 10
# Messages that are read at once to be handed out again.
AGAIN_MAX_COUNT = 64


class Page:
    """Consecutive messages of a topic, as they were read.

    Entries are made when they are first handed out, so that no turn of the loop makes a whole page of
    them, and shared by all who read the page.
    """

    __slots__ = ("_entries", "_index", "_messages", "_topic", "size_bytes")

    def __init__(self, topic: Topic, messages: list[Message], index: MessageIndex) -> None:
        self._topic = topic
        self._messages = messages
        self._index = index
        self._entries: list[Entry] = []
        self.size_bytes = sum(len(message.payload) for message in messages)

    @property
    def first_seq(self) -> int | None:
        """The number of the first message; None if there is none."""
        return self._messages[0].seq if self._messages else None

    def has(self, seq: int) -> bool:
        """Whether the message with this number is on the page."""
        return bool(self._messages) and self._messages[0].seq <= seq <= self._messages[-1].seq

    def slice(self, seq: int, limit: int) -> list[Entry]:
        """Up to `limit` entries, beginning with `seq`, which the page `has`."""
        offset = seq - self._messages[0].seq
        topic, entries = self._topic, self._entries
        for message in self._messages[len(entries) : offset + limit]:
            entries.append(make_entry(topic, message, message.seq))
            self._index.put(message.message_id, topic.topic_id, message.seq)
        return entries[offset : offset + limit]


Arrived = Callable[[int, Page | ConduitError, int], None]
Found = Callable[[int, dict[int, Entry] | ConduitError], None]


class Reader:
    """Reads in tasks, one per page, and tells those who asked; whatever happens, they are told."""

    def __init__(self, store: Store, index: MessageIndex) -> None:
        self._store = store
        self._index = index
        # (topic_id, first number) -> who waits for that page.
        self._waiting: dict[tuple[int, int], list[Arrived]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def fetch(self, topic: Topic, first: int, limit: int, last_seq: int, arrived: Arrived) -> None:
        """Read up to `limit` messages from `first` on, or what another asked for who waits for that place.

        `arrived` gets `first`, the page or the error that prevented it, and the end of the log as it was
        known when the read began, which is `last_seq`: what is missing up to there is gone.
        """
        place = (topic.topic_id, first)
        waiting = self._waiting.setdefault(place, [])
        waiting.append(arrived)
        if len(waiting) == 1:
            self.spawn(self._read(topic, first, limit, last_seq))

    def fetch_again(self, topic: Topic, subscription: str, seq: int, found: Found) -> None:
        """Read the message with this number and some that follow, to hand them out once more.

        `found` gets `seq`, and entries by number, or the error. What the log has lost may be in the
        dead letter of the subscription's delivery; if `seq` is not among the entries, it is nowhere.
        """
        self.spawn(self._read_again(topic, subscription, seq, found))

    async def find(self, tenant: str, message_id: str) -> tuple[int, int] | None:
        """Topic id and number of a stored message, or None. Raises StoreUnavailable."""
        found = await self._store.find(tenant, message_id) if is_id(message_id) else None
        return None if found is None else (found[0], found[1].seq)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task that `close` waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait for the reads that are under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self, topic: Topic, first: int, limit: int, last_seq: int) -> None:
        page: Page | ConduitError
        try:
            messages = await self._store.read(
                topic.topic_id, first, limit=limit, max_bytes=PAGE_MAX_BYTES
            )
            page = Page(topic, messages, self._index)
        except Exception as error:  # noqa: BLE001 - the root of a read: whoever waits is told
            page = _told(error)
        for arrived in self._waiting.pop((topic.topic_id, first)):
            guarded(arrived, first, page, last_seq)

    async def _read_again(self, topic: Topic, subscription: str, seq: int, found: Found) -> None:
        entries: dict[int, Entry] | ConduitError
        try:
            entries = await self._entries(topic, subscription, seq)
        except Exception as error:  # noqa: BLE001 - the root of a read: whoever waits is told
            entries = _told(error)
        guarded(found, seq, entries)

    async def _entries(self, topic: Topic, subscription: str, seq: int) -> dict[int, Entry]:
        messages = await self._store.read(
            topic.topic_id, seq, limit=AGAIN_MAX_COUNT, max_bytes=PAGE_MAX_BYTES
        )
        entries = {message.seq: make_entry(topic, message, message.seq) for message in messages}
        if seq not in entries:
            letter = await self._store.dead_of(subscription, topic.topic_id, seq)
            if letter is not None:
                entries[seq] = make_entry(topic, letter, seq)
        return entries


def _told(error: Exception) -> ConduitError:
    if isinstance(error, ConduitError):
        return error
    logger.error("the log could not be read", exc_info=error)
    return StateError.of(error)
