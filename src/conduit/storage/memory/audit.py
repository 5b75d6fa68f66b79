"""The audit log in memory: in the order of time and id, of each tenant and of all."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Sequence

from conduit.core.access import AuditEntry
from conduit.storage.access import AuditLook
from conduit.storage.dead_letters import Found

# Beyond it the oldest go of the tenant that has most, or of all if none has many.
MAX_COUNT = 100_000
# Before it is looked whether there are too many, and at least so many go.
SLACK_COUNT = 1_000


def _place(entry: AuditEntry) -> tuple[int, str]:
    return entry.at_ms, entry.entry_id


class Audit:
    """Synchronous."""

    def __init__(self) -> None:
        self._by_id: dict[str, AuditEntry] = {}
        self._all: list[AuditEntry] = []
        self._of: defaultdict[str, list[AuditEntry]] = defaultdict(list)

    def add(self, entries: Sequence[AuditEntry]) -> None:
        """See `AccessStore.audit_add`."""
        for entry in entries:
            if entry.entry_id not in self._by_id:
                self._by_id[entry.entry_id] = entry
                # Mostly at the end.
                insort(self._all, entry, key=_place)
                insort(self._of[entry.tenant], entry, key=_place)
        if len(self._all) > MAX_COUNT + SLACK_COUNT:
            self._make_room(len(self._all) - MAX_COUNT)

    def page(self, look: AuditLook) -> Found[AuditEntry]:
        """See `AccessStore.audit_page`."""
        entries = self._all if look.tenant is None else self._of.get(look.tenant, [])
        low, high = 0, len(entries)
        if look.from_ms is not None:
            low = bisect_left(entries, (look.from_ms, ""), key=_place)
        if look.to_ms is not None:
            high = bisect_left(entries, (look.to_ms, ""), key=_place)
        if look.before_id is not None:
            before = self._by_id.get(look.before_id)
            if before is None or look.tenant not in (None, before.tenant):
                return Found()
            high = min(high, bisect_left(entries, _place(before), key=_place))
        end = max(low, high - look.max_count)
        found = []
        for at in range(high - 1, end - 1, -1):
            entry = entries[at]
            if look.actor in (None, entry.actor) and look.action in (None, entry.action):
                found.append(entry)
        low_id = entries[end].entry_id if high - end == look.max_count else None
        return look.found(found[: look.limit], low_id)

    def trim(self, before_ms: int, limit: int) -> int:
        """See `AccessStore.audit_trim`."""
        count = min(bisect_left(self._all, (before_ms, ""), key=_place), limit)
        self._remove(count)
        return count

    def _make_room(self, count: int) -> None:
        of_it = max(self._of.values(), key=len)
        own = of_it[: min(count, len(of_it) // 2)]
        del of_it[: len(own)]
        for entry in own:
            del self._by_id[entry.entry_id]
        self._all = [entry for entry in self._all if entry.entry_id in self._by_id]
        self._remove(count - len(own))

    def _remove(self, count: int) -> None:
        """The oldest of all, which are the oldest of their tenants."""
        gone = self._all[:count]
        del self._all[:count]
        for entry in gone:
            del self._by_id[entry.entry_id]
        for tenant, of_it in Counter(entry.tenant for entry in gone).items():
            del self._of[tenant][:of_it]
            if not self._of[tenant]:
                del self._of[tenant]
