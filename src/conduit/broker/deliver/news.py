"""What other nodes have changed of topics and subscriptions, looked at anew here.

The store says which were changed (`Store.changes`); what they are now is read then. So it does not matter in
which order that is heard, nor whether twice. They are looked at every second as long as others use the store,
and before somebody is told that there is no such thing.

At every await. The store may be asked while topics and subscriptions are changed here: what was touched
meanwhile is known better than the store's answer (`Catalog.learn_of`, `Owned.learn_of`). If one of the
questions fails, the position stays where it was, and all of it is asked again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection

from conduit.broker.catalog import Catalog
from conduit.broker.company import Company
from conduit.broker.deliver.owned import Owned
from conduit.broker.rounds import Rounds
from conduit.errors import ConduitError
from conduit.names import is_pattern
from conduit.storage.base import Store

# Between two looks; and how much less or more that is, so that nodes do not ask at one time.
INTERVAL_S = 1.0
JITTER = 0.1

# Not for secrets: it spreads the looks of several nodes in time.
_dice = random.Random()


FindTopics = Callable[[str, Collection[str]], Awaitable[None]]
"""Makes topics of a tenant here, if they are at nodes that share no log with this one. Ends soon, whatever
those do. Raises ConduitError."""


def _pause_s() -> float:
    return INTERVAL_S * _dice.uniform(1 - JITTER, 1 + JITTER)


class News:
    """`begin` it before topics and subscriptions are loaded, and `start` it when they are."""

    def __init__(self, store: Store, catalog: Catalog, owned: Owned, company: Company) -> None:
        self._store = store
        self._catalog = catalog
        self._owned = owned
        self._company = company
        self._position: str | None = None
        self._looking = asyncio.Lock()
        # Looks that have begun, the last that has ended well, and the last that has not, with its error.
        self._begun_count = 0
        self._known_count = 0
        self._failed_count = 0
        self._error: ConduitError | None = None
        self.find_topics: FindTopics | None = None
        """Where there are such nodes."""
        self._rounds = Rounds("a look at what other nodes have changed", _pause_s, self.catch_up)

    async def begin(self) -> None:
        """What is changed from now on will be looked at. Raises StoreUnavailable."""
        self._position = (await self._store.changes(None)).position

    def start(self) -> None:
        """Look every second."""
        self._rounds.start()

    async def stop(self) -> None:
        """Look no more. Idempotent."""
        await self._rounds.stop()

    @property
    def may_be_shared(self) -> bool:
        """Whether others may have made what is not known here."""
        return self._company.may_be_shared or self.find_topics is not None

    @property
    def may_share_log(self) -> bool:
        """Whether others may use the same store."""
        return self._company.may_be_shared

    async def catch_up(self) -> None:
        """Know what others have changed before this call, as far as there are others. Many who ask at once
        share one look. Raises StoreUnavailable."""
        if self._company.is_shared:
            await self._catch_up()

    async def ask(self) -> None:
        """As `catch_up`, also if no others were seen: before somebody is told that there is no such thing.
        One that has just begun may have made it."""
        if self._company.may_be_shared:
            await self._catch_up()

    async def ask_for(self, tenant: str, topics: Collection[str]) -> None:
        """The same before somebody is told that there are no such topics. Raises ConduitError."""
        await self.ask()
        if self.find_topics is not None:
            await self.find_topics(tenant, topics)

    async def _catch_up(self) -> None:
        wanted = self._begun_count + 1
        async with self._looking:
            if self._known_count >= wanted:
                return
            if self._failed_count >= wanted and self._error is not None:
                raise self._error
            self._begun_count += 1
            try:
                await self._look()
            except ConduitError as error:
                self._failed_count, self._error = self._begun_count, error
                raise
            self._known_count = self._begun_count

    async def hear_of(self, tenant: str, topic: str, subscription: str | None) -> None:
        """Catch up unless the topic (a pattern has none) and the subscription are known here."""
        is_known = is_pattern(topic) or self._catalog.find(tenant, topic) is not None
        if not is_known:
            await self.ask_for(tenant, [topic])
        elif subscription and self._owned.find(tenant, subscription) is None:
            await self.ask()

    async def learn(self) -> None:
        """Know what the store has, although this node was told otherwise: it has refused to make what is not
        known here. Raises StoreUnavailable."""
        if self._company.may_be_shared:
            await self._catch_up()
        else:
            await self._learn_all()

    async def _look(self) -> None:
        found = await self._store.changes(self._position)
        if found.is_all:
            await self._learn_all()
            await self._owned.ownership.notice(self._owned.running())
        else:
            await self._catalog.learn_of(found.topic_ids)
            await self._owned.learn_of(found.subscription_ids)
        self._position = found.position

    async def _learn_all(self) -> None:
        await self._catalog.learn()
        await self._owned.learn()
