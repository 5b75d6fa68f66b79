"""Reading the log for streams that are behind its tail: one read serves all that wait at one place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from conduit.broker.entry import Entry, make_entry
from conduit.broker.index import MessageIndex
from conduit.broker.turn import guarded
from conduit.errors import ConduitError, StateError
from conduit.storage.base import Store

if TYPE_CHECKING:
    from conduit.broker.feed import Feed

logger = logging.getLogger(__name__)

# One page, which a stream holds until it is handed out.
PAGE_MAX_COUNT = 512
PAGE_MAX_BYTES = 256 << 10

Arrived = Callable[[int, list[Entry] | ConduitError, int], None]


class Reader:
    """Reads pages in tasks, one per page, and tells those who asked for them."""

    def __init__(self, store: Store, index: MessageIndex) -> None:
        self._store = store
        self._index = index
        # (topic_id, first number) -> who waits for that page.
        self._waiting: dict[tuple[int, int], list[Arrived]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def fetch(self, feed: Feed, first: int, arrived: Arrived) -> None:
        """Read from `first` on; `arrived` gets the page and the end of the log when the read began."""
        place = (feed.topic.topic_id, first)
        waiting = self._waiting.setdefault(place, [])
        waiting.append(arrived)
        if len(waiting) == 1:
            self.spawn(self._read(feed, first))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task that `close` waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait for the reads that are under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self, feed: Feed, first: int) -> None:
        last_seq = feed.position
        page: list[Entry] | ConduitError
        try:
            messages = await self._store.read(
                feed.topic.topic_id, first, limit=PAGE_MAX_COUNT, max_bytes=PAGE_MAX_BYTES
            )
            page = [make_entry(feed.topic_name, message, message.seq) for message in messages]
            for message in messages:
                self._index.put(message.message_id, feed.topic.topic_id, message.seq)
        except ConduitError as error:
            page = error
        except Exception as error:
            logger.exception("a page of the log could not be read")
            page = StateError.of(error)
        for arrived in self._waiting.pop((feed.topic.topic_id, first)):
            guarded(arrived, first, page, last_seq)
