"""The durable subscriptions of all tenants in memory: found by name and by topic, and listed in order."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Sequence
from itertools import islice

from conduit.broker.allowances import Allowance, Allowances
from conduit.broker.topics import Topic
from conduit.core.message import SubscriptionRecord
from conduit.core.sorted_names import SortedNames
from conduit.core.topics import PatternTrie
from conduit.errors import NotFound
from conduit.names import check_subscription
from conduit.storage.slices import in_slices


class Durable:
    """Those that exist, as this node knows them; whether one runs here is another question (owned.py)."""

    def __init__(self, allowances: Allowances) -> None:
        self._allowances = allowances
        # Of the tenants that have any.
        self._counted: dict[str, Allowance] = {}
        self._records: dict[tuple[str, str], SubscriptionRecord] = {}
        self._ids: dict[int, SubscriptionRecord] = {}
        # tenant -> names by pattern, and in order.
        self._patterns: dict[str, PatternTrie[str]] = {}
        self._names: dict[str, SortedNames] = {}

    # What changes ---------------------------------------------------------------------------------

    def _add(self, record: SubscriptionRecord) -> None:
        self._records[record.tenant, record.name] = record
        self._ids[record.subscription_id] = record
        self._patterns.setdefault(record.tenant, PatternTrie()).add(record.pattern, record.name)
        self._names.setdefault(record.tenant, SortedNames()).add(record.name)
        allowance = self._counted[record.tenant] = self._allowances.of(record.tenant)
        allowance.subscriptions.count += 1

    def _remove(self, record: SubscriptionRecord) -> None:
        del self._records[record.tenant, record.name]
        del self._ids[record.subscription_id]
        self._patterns[record.tenant].remove(record.pattern, record.name)
        self._names[record.tenant].remove(record.name)
        subscriptions = self._counted[record.tenant].subscriptions
        subscriptions.count -= 1
        if not subscriptions.count:
            del self._counted[record.tenant]

    # What is there --------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many there are, of all tenants."""
        return len(self._records)

    def find(self, tenant: str, name: str) -> SubscriptionRecord | None:
        """The record, or None; the name need not be valid."""
        return self._records.get((tenant, name))

    def get(self, tenant: str, name: str) -> SubscriptionRecord:
        """The record. Raises NotFound `subscription_not_found`, InvalidRequest."""
        record = self._records.get((tenant, name))
        if record is None:
            check_subscription(name)
            raise NotFound(f"subscription {name!r} does not exist", code="subscription_not_found")
        return record

    def meant(self, tenant: str, name: str, pattern: str | None) -> SubscriptionRecord:
        """The same, if it is to these topics: else its name was another subscription's."""
        record = self.get(tenant, name)
        if pattern not in (None, record.pattern):
            raise NotFound(
                f"subscription {name!r} was deleted, and is another one now",
                code="subscription_not_found",
            )
        return record

    def everything(self) -> list[SubscriptionRecord]:
        """Of all tenants."""
        return list(self._records.values())

    async def page(
        self,
        tenant: str,
        *,
        q: str | None,
        topic: str | None = None,
        limit: int,
        after: str | None,
        is_meant: Callable[[str], bool] | None = None,
    ) -> Sequence[SubscriptionRecord]:
        """By name: those that contain `q` and come after `after`, if what they are to is meant; None: all
        are. With `topic`, those that its messages go to. What is searched takes as many turns of the loop as
        it needs."""
        if topic is not None:
            return await self._page_of(tenant, topic, q or "", limit, after or "", is_meant)
        page: list[SubscriptionRecord] = []
        for names in self._names.get(tenant, SortedNames()).containing(q or "", after):
            found = (self._records[tenant, name] for name in names)
            meant = (each for each in found if is_meant is None or is_meant(each.pattern))
            page += islice(meant, limit - len(page))
            if len(page) == limit:
                break
            await asyncio.sleep(0)
        return page

    async def _page_of(
        self,
        tenant: str,
        topic: str,
        q: str,
        limit: int,
        after: str,
        is_meant: Callable[[str], bool] | None,
    ) -> Sequence[SubscriptionRecord]:
        patterns = self._patterns.get(tenant)
        first: list[SubscriptionRecord] = []
        async for some in in_slices([] if patterns is None else patterns.match(topic)):
            names = (name for name in some if name > after and q in name)
            # Some may be gone by now.
            found = (each for name in names if (each := self._records.get((tenant, name))))
            meant = (each for each in found if is_meant is None or is_meant(each.pattern))
            first = heapq.nsmallest(limit, [*first, *meant], key=lambda record: record.name)
        return first

    def followers(self, topic: Topic) -> list[SubscriptionRecord]:
        """The subscriptions that the topic belongs to."""
        patterns = self._patterns.get(topic.tenant)
        if patterns is None:
            return []
        return [self._records[topic.tenant, name] for name in patterns.match(topic.name)]
