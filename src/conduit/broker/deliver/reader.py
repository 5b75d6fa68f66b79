"""Reading the log for cursors that are behind its tail: one read serves all that wait at one place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any
from weakref import WeakValueDictionary

from conduit.broker.catalog import Topic
from conduit.broker.deliver.budget import READ_BYTES, Budget
from conduit.broker.deliver.entry import MakeEntry
from conduit.broker.deliver.page import PAGE_MAX_BYTES, Page
from conduit.broker.stats import Stats
from conduit.broker.turn import guarded
from conduit.core.message import DeadLetter, Message
from conduit.errors import ConduitError, StateError
from conduit.names import is_id
from conduit.storage.base import Store

logger = logging.getLogger(__name__)

# Messages that are read at once to be handed out again.
AGAIN_MAX_COUNT = 64
# Who asks for more than this is content with so many that are here already.
CACHED_MIN_COUNT = 64

Arrived = Callable[[int, Page | ConduitError, int], None]
Found = Callable[[int, Page | ConduitError], None]


class Reader:
    """Reads in tasks, one per page, and tells those who asked; whatever happens, they are told.

    Pages stay as long as there is room for them (budget.py), for those who come to the same place.
    """

    def __init__(self, store: Store, budget: Budget, stats: Stats, make_entry: MakeEntry) -> None:
        self._store = store
        self._budget = budget
        self._stats = stats
        self._make_entry = make_entry
        # (topic_id, first number) -> who waits for that page.
        self._waiting: dict[tuple[int, int], list[Arrived]] = {}
        # Pages by topic id and first number, as long as somebody has them or they are kept.
        self._pages: WeakValueDictionary[tuple[int, int], Page] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    def cached(self, topic: Topic, first: int, limit: int, last_seq: int) -> Page | None:
        """A page that begins with `first` and has what `fetch` would read, or enough of it; or None."""
        page = self._pages.get((topic.topic_id, first))
        enough_seq = min(first + min(limit, CACHED_MIN_COUNT) - 1, last_seq)
        if page is None or not (page.has(first) and page.has(enough_seq)):
            return None
        page.was_looked_at()
        return page

    def fetch(self, topic: Topic, first: int, limit: int, last_seq: int, arrived: Arrived) -> None:
        """Read up to `limit` messages from `first` on, or what another asked for who waits for that place.

        `arrived` gets `first`, the page or the error that prevented it, and the end of the log as it was
        known when the read began, which is `last_seq`: what is missing up to there is gone.
        """
        place = (topic.topic_id, first)
        waiting = self._waiting.setdefault(place, [])
        waiting.append(arrived)
        if len(waiting) == 1:
            self._begin(self._read(topic, first, limit, last_seq))

    def fetch_again(self, topic: Topic, subscription: str, seq: int, found: Found) -> None:
        """Read the message with this number and some that follow, to hand them out once more.

        `found` gets `seq`, and a page, or the error. What the log has lost may be in the dead letter of the
        subscription's delivery; if the page does not have it, it is nowhere.
        """
        self._begin(self._read_again(topic, subscription, seq, found))

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

    def _begin(self, read: Coroutine[Any, Any, None]) -> None:
        # At once, so that those who ask next see it.
        self._budget.use(READ_BYTES)
        self._stats.log_read_count += 1
        self.spawn(read)

    async def _read(self, topic: Topic, first: int, limit: int, last_seq: int) -> None:
        page = await self._page(self._messages(topic, first, limit), topic)
        if isinstance(page, Page) and page.first_seq == first:
            self._pages[topic.topic_id, first] = page
        for arrived in self._waiting.pop((topic.topic_id, first)):
            guarded(arrived, first, page, last_seq)
        if isinstance(page, Page):
            page.end_use()

    async def _read_again(self, topic: Topic, subscription: str, seq: int, found: Found) -> None:
        page = await self._page(self._messages_again(topic, subscription, seq), topic)
        guarded(found, seq, page)
        if isinstance(page, Page):
            page.end_use()

    async def _page(
        self, messages: Awaitable[Sequence[Message | DeadLetter]], topic: Topic
    ) -> Page | ConduitError:
        """A page of what is being read, which is in use; or why it could not be read."""
        try:
            page = Page(topic, await messages, self._budget, self._make_entry)
            page.begin_use()
        except Exception as error:  # noqa: BLE001 - the root of a read: whoever waits is told
            return _told(error)
        else:
            return page
        finally:
            self._budget.use(-READ_BYTES)

    async def _messages(self, topic: Topic, first: int, limit: int) -> list[Message]:
        return await self._store.read(topic.topic_id, first, limit=limit, max_bytes=PAGE_MAX_BYTES)

    async def _messages_again(
        self, topic: Topic, subscription: str, seq: int
    ) -> Sequence[Message | DeadLetter]:
        messages = await self._messages(topic, seq, AGAIN_MAX_COUNT)
        if messages and messages[0].seq == seq >= topic.first_seq:
            return messages
        letter = await self._store.dead_of(subscription, topic.topic_id, seq)
        return [] if letter is None or letter.is_lost else [letter]


def _told(error: Exception) -> ConduitError:
    if isinstance(error, ConduitError):
        return error
    logger.error("the log could not be read", exc_info=error)
    return StateError.of(error)
