"""Idempotency keys in memory."""

from __future__ import annotations

from collections.abc import Callable

from conduit.core.shares import Kept, Shares
from conduit.storage.base import KnownKey
from conduit.storage.keys import shared_out


class Keys:
    """Keeps at most `max_count` keys; the tenant that has the most makes room, with the oldest of its topic
    that has the most. `tenant_of` says whose a topic is, as long as it has keys."""

    def __init__(self, max_count: int, tenant_of: Callable[[int], str]) -> None:
        self._tenant_of = tenant_of
        self._known: Shares[KnownKey] = Shares(max_count, tenant_of)

    def remember(self, known: KnownKey) -> None:
        """Record a key; a key that is there already now stands for this result."""
        self._known.put(Kept(known.topic_id, known.key, known.published_at_ms, known))

    def since(self, since_ms: int, limit: int) -> list[KnownKey]:
        """See `Store.known_keys`."""
        found = [kept.value for kept in self._known if kept.at >= since_ms]
        found.sort(key=lambda known: (known.published_at_ms, known.seq))
        tenants = {known.topic_id: self._tenant_of(known.topic_id) for known in found}
        return shared_out(found, tenants, limit)

    def forget(self, before_ms: int, limit: int) -> int:
        """Remove up to `limit` of the oldest keys, as long as they are older than `before_ms`."""
        return self._known.pop_until(before_ms - 1, limit)

    def drop_topic(self, topic_id: int) -> None:
        """Forget all keys of a topic."""
        self._known.drop(topic_id)
