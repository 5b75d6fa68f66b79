"""Durable subscriptions in memory, and how far each is in each topic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from conduit.core.message import Progress, SubscriptionRecord, SubscriptionSettings
from conduit.errors import Conflict


class Subscriptions:
    """Synchronous. What is given out is a copy."""

    def __init__(self) -> None:
        self._records: dict[int, SubscriptionRecord] = {}
        self._ids: dict[tuple[str, str], int] = {}
        # Subscription id → topic id → what was recorded, and where it began otherwise.
        self._progress: dict[int, dict[int, Progress]] = {}
        self._begins: dict[int, dict[int, int]] = {}
        self._last_id = 0

    def all(self) -> list[SubscriptionRecord]:
        """See `Store.subscriptions`."""
        return [replace(record) for record in self._records.values()]

    def add(self, record: SubscriptionRecord, begins: dict[int, int]) -> SubscriptionRecord:
        """Store a record under a new id, with its floors by topic id. Raises Conflict."""
        place = (record.tenant, record.name)
        if place in self._ids:
            raise Conflict(f"subscription {record.name!r} exists", code="subscription_exists")
        self._last_id += 1
        stored = replace(record, subscription_id=self._last_id)
        self._records[self._last_id] = stored
        self._ids[place] = self._last_id
        self._progress[self._last_id] = {}
        self._begins[self._last_id] = begins
        return replace(stored)

    def update(self, subscription_id: int, settings: SubscriptionSettings, paused: bool) -> None:
        """See `Store.subscription_update`."""
        record = self._records.get(subscription_id)
        if record is not None:
            record.settings, record.paused = settings, paused

    def delete(self, subscription_id: int) -> None:
        """See `Store.subscription_delete`."""
        record = self._records.pop(subscription_id, None)
        if record is not None:
            del self._ids[record.tenant, record.name]
            del self._progress[subscription_id], self._begins[subscription_id]

    def has(self, tenant: str, name: str) -> bool:
        """Whether the tenant has a subscription of this name."""
        return (tenant, name) in self._ids

    def has_any(self, tenant: str) -> bool:
        """Whether the tenant has one."""
        return any(record.tenant == tenant for record in self._records.values())

    def tenant_of(self, subscription_id: int) -> str | None:
        """Whose it is; None if it is gone."""
        record = self._records.get(subscription_id)
        return None if record is None else record.tenant

    def put(self, rows: Sequence[Progress]) -> None:
        """Store progress of subscriptions that exist."""
        for row in rows:
            recorded = self._progress[row.subscription_id]
            before = recorded.get(row.topic_id)
            pages = row.pages if before is None else before.pages | row.pages
            kept = {number: page for number, page in pages.items() if page}
            recorded[row.topic_id] = replace(row, fence=None, pages=kept)

    def topic_ids(self, subscription_id: int) -> list[int]:
        """The topics in which it has progress, or begins after the first message."""
        recorded = self._progress.get(subscription_id, {})
        return list(recorded.keys() | self._begins.get(subscription_id, {}).keys())

    def progress(self, subscription_id: int, topic_ids: Iterable[int]) -> list[Progress]:
        """See `Store.progress`."""
        recorded = self._progress.get(subscription_id, {})
        begins = self._begins.get(subscription_id, {})
        rows = []
        for topic_id in topic_ids:
            row, floor = recorded.get(topic_id), begins.get(topic_id)
            if row is not None:
                rows.append(replace(row, pages=dict(row.pages)))
            elif floor is not None:
                rows.append(Progress(subscription_id, topic_id, floor, floor))
        return rows

    def move(self, subscription_id: int, begins: dict[int, int]) -> str:
        """Begin at these floors, in the place of those before and of what was recorded in these topics. For
        subscriptions that exist; returns its name."""
        self._begins[subscription_id] = begins
        for topic_id in self._progress[subscription_id].keys() & begins.keys():
            del self._progress[subscription_id][topic_id]
        return self._records[subscription_id].name

    def floor(self, subscription_id: int, topic_id: int) -> int | None:
        """Its floor in one topic; None without progress there."""
        row = self._progress.get(subscription_id, {}).get(topic_id)
        return self._begins.get(subscription_id, {}).get(topic_id) if row is None else row.floor

    def forget_topic(self, topic_id: int) -> None:
        """Remove the progress of a deleted topic."""
        for recorded in self._progress.values():
            recorded.pop(topic_id, None)
        for begins in self._begins.values():
            begins.pop(topic_id, None)
