"""What one node wants: its subscribers by tenant, subscription and pattern, and how many a topic has."""

from __future__ import annotations

from conduit.core.topics import PatternTrie
from conduit.names import is_pattern

Entry = tuple[str, str, str]
"""Tenant, subscription ('' without one) and pattern."""

# Of one node: 20 MB of names of usual length. What has more wants everything.
ENTRIES_MAX_COUNT = 50_000


class Wants:
    """Entries with how many subscribers each has. Once there are more than `max_count` none is kept, and the
    node wants everything (`has_all`): that only ever costs messages it did not need."""

    __slots__ = ("_entries", "_max_count", "_tenants", "has_all")

    def __init__(self, max_count: int = ENTRIES_MAX_COUNT, *, has_all: bool = False) -> None:
        self._max_count = max_count
        self._entries: dict[Entry, int] = {}
        self._tenants: dict[str, _OfTenant] = {}
        self.has_all = has_all

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, entry: Entry, count: int) -> None:
        """The entry has so many subscribers from now on; with none it is gone."""
        was = self._entries.get(entry, 0)
        if count == was or self.has_all:
            return
        if not was and len(self._entries) >= self._max_count:
            self.want_all()
            return
        if count:
            self._entries[entry] = count
        else:
            del self._entries[entry]
        tenant, _, pattern = entry
        of_tenant = self._tenants.get(tenant)
        if of_tenant is None:
            of_tenant = self._tenants[tenant] = _OfTenant()
        of_tenant.add(pattern, count - was)
        if of_tenant.is_empty:
            del self._tenants[tenant]

    def want_all(self) -> None:
        """From now on no entry is kept."""
        self.has_all = True
        self._entries = {}
        self._tenants = {}

    def count(self, tenant: str, topic: str) -> int | None:
        """How many subscribers the topic has there; None: it is not wanted. Of a node that wants everything
        nobody knows how many: 0."""
        if self.has_all:
            return 0
        of_tenant = self._tenants.get(tenant)
        return None if of_tenant is None else of_tenant.count(topic)


class _OfTenant:
    """The patterns of one tenant, with the subscribers of all subscriptions."""

    __slots__ = ("_patterns", "_topics", "_trie")

    def __init__(self) -> None:
        # Most subscribers name their topic: a dict takes a tenth of a trie's memory.
        self._topics: dict[str, int] = {}
        self._patterns: dict[str, int] = {}
        self._trie: PatternTrie[str] = PatternTrie()

    @property
    def is_empty(self) -> bool:
        return not self._topics and not self._patterns

    def add(self, pattern: str, count: int) -> None:
        """So many more, or fewer."""
        has_wildcard = is_pattern(pattern)
        counts = self._patterns if has_wildcard else self._topics
        was = counts.get(pattern, 0)
        if was + count:
            counts[pattern] = was + count
        else:
            del counts[pattern]
        if has_wildcard and not was:
            self._trie.add(pattern, pattern)
        elif has_wildcard and not was + count:
            self._trie.remove(pattern, pattern)

    def count(self, topic: str) -> int | None:
        count = self._topics.get(topic, 0)
        if self._patterns:
            count += sum(self._patterns[pattern] for pattern in self._trie.match(topic))
        return count or None
