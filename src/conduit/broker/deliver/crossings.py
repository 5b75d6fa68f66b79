"""Creations of durable subscriptions and deletions of topics that concern one another.

Who deletes a topic tells the store who follows it. A subscription that the store is being told of has no id
yet: it would follow the topic, and nobody would ever tell it that it is gone. So a deletion waits for such
creations, and a creation that comes after it waits for the deletion, or many of them could hold it up for
ever. Whatever concerns no topic in common does not wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from conduit.broker.topics import Topic
from conduit.core.topics import matches

Over = asyncio.Future[None]
"""Set when one of them is over."""


class Crossings:
    """Those that are under way. Nobody who waits has told the store, so they never wait in a circle."""

    def __init__(self) -> None:
        # Tenant and pattern of the subscriptions that the store is being told of.
        self._creations: dict[Over, tuple[str, str]] = {}
        # Topics whose deletion waits for some of these.
        self._deletions: dict[Over, Topic] = {}

    @property
    def creations_count(self) -> int:
        """Subscriptions that the store is being told of."""
        return len(self._creations)

    async def before_creation(self, tenant: str, pattern: str) -> None:
        """Wait for the deletions that come first; call `creation` before you next wait."""
        while ahead := [
            over for over, topic in self._deletions.items() if _meet(tenant, pattern, topic)
        ]:
            await asyncio.wait(ahead)

    @contextmanager
    def creation(self, tenant: str, pattern: str) -> Iterator[None]:
        """The store is told of it, and then it is known with its id."""
        over: Over = asyncio.get_running_loop().create_future()
        self._creations[over] = (tenant, pattern)
        try:
            yield
        finally:
            del self._creations[over]
            over.set_result(None)

    async def before_deletion(self, topic: Topic) -> None:
        """Wait for the creations that come first; tell the store of the deletion before you next wait."""
        over: Over = asyncio.get_running_loop().create_future()
        self._deletions[over] = topic
        try:
            while ahead := [
                under_way
                for under_way, (tenant, pattern) in self._creations.items()
                if _meet(tenant, pattern, topic)
            ]:
                await asyncio.wait(ahead)
        finally:
            del self._deletions[over]
            over.set_result(None)


def _meet(tenant: str, pattern: str, topic: Topic) -> bool:
    return tenant == topic.tenant and matches(pattern, topic.name)
