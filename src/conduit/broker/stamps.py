"""`published_at`: what the wall clock says when the commit begins, never lower than before in the same topic.

The clock is behind while it says less than the highest stamp. Then the last message of a topic decides,
which is read once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from conduit.broker.store_time import StoreTime
from conduit.core.message import NewMessage
from conduit.errors import ConduitError
from conduit.storage.base import Store

READ_TIMEOUT_S = 1.0


class Stamps:
    """Stamps messages, for the committers of all shards."""

    def __init__(self, store: Store, store_time: StoreTime) -> None:
        self._store = store
        self._store_time = store_time
        # Topic id → its last stamp, of the topics that were published to while the clock is behind.
        self._last_ms: dict[int, int] = {}

    def give(self, messages: Sequence[NewMessage], now_ms: int) -> Coroutine[Any, Any, None] | None:
        """Stamp the messages of one commit, which begins at `now_ms`. If the clock is behind, or was set
        forward, it returns what has to be waited for."""
        store_time = self._store_time
        if now_ms < store_time.highest_ms or now_ms < store_time.noted_ms:
            return self._give_behind(messages, now_ms)
        store_time.highest_ms = now_ms
        if self._last_ms:
            self._last_ms.clear()
        for message in messages:
            message.published_at_ms = now_ms
        return store_time.keep_ahead() if now_ms > store_time.kept_ms else None

    async def _give_behind(self, messages: Sequence[NewMessage], now_ms: int) -> None:
        # Not a moment before the step was noted.
        now_ms = max(now_ms, await self._store_time.behind())
        last_ms = self._last_ms
        unknown = {message.topic_id for message in messages} - last_ms.keys()
        if unknown:
            last_ms.update(await self._read(list(unknown)))
        # Meanwhile the clock may have caught up, and a commit of another shard forgotten what was known.
        highest_ms = self._store_time.highest_ms
        for message in messages:
            topic_id = message.topic_id
            stamp_ms = max(last_ms.get(topic_id, highest_ms), now_ms)
            message.published_at_ms = last_ms[topic_id] = stamp_ms
        # There may be none: a deletion that waits for its turn among the commits has no message.
        await self._know(max((message.published_at_ms for message in messages), default=0))

    async def _know(self, stamp_ms: int) -> None:
        """The clock is behind this stamp, which may be one that another node gave, or a store that was
        restored has."""
        store_time = self._store_time
        if stamp_ms > store_time.highest_ms:
            store_time.highest_ms = stamp_ms
            if stamp_ms > store_time.kept_ms:
                await store_time.keep_ahead()

    async def _read(self, topic_ids: list[int]) -> dict[int, int]:
        """All at once: for two minutes after a server was killed, this is what everybody waits for who
        publishes to a topic for the first time."""
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                found = await self._store.last_stamps(topic_ids)
        except (ConduitError, TimeoutError):
            # No stamp of a topic is higher, and the commit should not wait for long before it begins.
            return dict.fromkeys(topic_ids, self._store_time.highest_ms)
        return {topic_id: found.get(topic_id, 0) for topic_id in topic_ids}
