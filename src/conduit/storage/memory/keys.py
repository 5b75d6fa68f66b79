"""Idempotency keys in memory, in the order in which they were recorded."""

from __future__ import annotations

from collections import OrderedDict

from conduit.storage.base import KnownKey


class Keys:
    """Keeps at most `max_count` keys; the oldest makes room."""

    def __init__(self, max_count: int) -> None:
        # Not a dict: to find its first item it passes all that were removed from its front.
        self._known: OrderedDict[tuple[int, str], KnownKey] = OrderedDict()
        self._max_count = max_count

    def remember(self, known: KnownKey) -> None:
        """Record a key; a key that is there already now stands for this result."""
        place = (known.topic_id, known.key)
        self._known.pop(place, None)
        if len(self._known) >= self._max_count:
            self._known.popitem(last=False)
        self._known[place] = known

    def since(self, since_ms: int) -> list[KnownKey]:
        """The keys recorded at or after `since_ms`, oldest first."""
        found = [known for known in self._known.values() if known.published_at_ms >= since_ms]
        return sorted(found, key=lambda known: known.published_at_ms)

    def forget(self, before_ms: int, limit: int) -> int:
        """Remove up to `limit` of the oldest keys, as long as they are older than `before_ms`."""
        old: list[tuple[int, str]] = []
        for place, known in self._known.items():
            if known.published_at_ms >= before_ms or len(old) >= limit:
                break
            old.append(place)
        for place in old:
            del self._known[place]
        return len(old)
