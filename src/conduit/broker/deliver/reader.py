"""Reading the log for streams that are behind its tail: one read serves all that wait at one place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from conduit.broker.deliver.entry import Entry, make_entry
from conduit.broker.deliver.index import MessageIndex
from conduit.broker.turn import guarded
from conduit.core.message import Message
from conduit.errors import ConduitError, StateError
from conduit.storage.base import Store

if TYPE_CHECKING:
    from conduit.broker.deliver.feed import Feed

logger = logging.getLogger(__name__)

# Of one page, which a stream holds until it is handed out.
PAGE_MAX_BYTES = 256 << 10


class Page:
    """Consecutive messages of a topic, as they were read.

    Entries are made when they are first handed out, so that no turn of the loop makes a whole page of
    them, and shared by all who read the page.
    """

    __slots__ = ("_entries", "_feed", "_index", "_messages")

    def __init__(self, feed: Feed, messages: list[Message], index: MessageIndex) -> None:
        self._feed = feed
        self._messages = messages
        self._index = index
        self._entries: list[Entry] = []

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
        topic, entries = self._feed.topic, self._entries
        for message in self._messages[len(entries) : offset + limit]:
            entries.append(make_entry(self._feed.topic_name, message, message.seq))
            self._index.put(message.message_id, topic.topic_id, message.seq)
        return entries[offset : offset + limit]


Arrived = Callable[[int, Page | ConduitError, int], None]


class Reader:
    """Reads pages in tasks, one per page, and tells those who asked for them."""

    def __init__(self, store: Store, index: MessageIndex) -> None:
        self._store = store
        self._index = index
        # (topic_id, first number) -> who waits for that page.
        self._waiting: dict[tuple[int, int], list[Arrived]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def fetch(self, feed: Feed, first: int, limit: int, arrived: Arrived) -> None:
        """Read up to `limit` messages from `first` on, or what another asked for who waits for that place.

        `arrived` gets the page and the end of the log when the read began.
        """
        place = (feed.topic.topic_id, first)
        waiting = self._waiting.setdefault(place, [])
        waiting.append(arrived)
        if len(waiting) == 1:
            self.spawn(self._read(feed, first, limit))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task that `close` waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait for the reads that are under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self, feed: Feed, first: int, limit: int) -> None:
        last_seq = feed.position
        page: Page | ConduitError
        try:
            messages = await self._store.read(
                feed.topic.topic_id, first, limit=limit, max_bytes=PAGE_MAX_BYTES
            )
            page = Page(feed, messages, self._index)
        except ConduitError as error:
            page = error
        except Exception as error:
            logger.exception("a page of the log could not be read")
            page = StateError.of(error)
        for arrived in self._waiting.pop((feed.topic.topic_id, first)):
            guarded(arrived, first, page, last_seq)
