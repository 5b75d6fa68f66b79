"""Which idempotency keys are known again after a start, where the store has more than may be known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

from conduit.core.shares import cap_of
from conduit.storage.base import KnownKey

# Of the keys that a store has, so many times those that may be known are looked at, the newest. Where a few
# topics had more than that, older keys of the others are not known again.
LOOKED_AT_TIMES = 4


class Shares:
    """How many keys of each topic come back: all of those that have few, and as many of each other as there
    is room for; first of each tenant, then of each of its topics. `counts` has how many there are of each
    topic, `tenants` whose it is; together not more than `limit` come back."""

    def __init__(
        self, counts: Mapping[int, int], tenants: Mapping[int, Hashable], limit: int
    ) -> None:
        self.whole: list[int] = []
        """Topics of which all do."""
        self._tenants = tenants
        self._left: dict[int, int] = {}
        # Of each tenant that has more than come back.
        self._room: dict[Hashable, int] = {}
        by_tenant: dict[Hashable, dict[int, int]] = {}
        for topic_id, count in counts.items():
            by_tenant.setdefault(tenants[topic_id], {})[topic_id] = count
        room = max(1, cap_of((sum(own.values()) for own in by_tenant.values()), limit))
        for tenant, own in by_tenant.items():
            self._share(tenant, own, room)
        self._left_count = sum(self._room.values())

    def _share(self, tenant: Hashable, counts: Mapping[int, int], room: int) -> None:
        cap = cap_of(counts.values(), room)
        whole = [topic_id for topic_id, count in counts.items() if count <= cap]
        self.whole += whole
        left = dict.fromkeys(counts.keys() - set(whole), max(1, cap))
        if left:
            self._left |= left
            free = room - sum(counts[topic_id] for topic_id in whole)
            self._room[tenant] = min(free, sum(left.values()))

    @property
    def has_more(self) -> bool:
        """Whether `takes` can be true again."""
        return self._left_count > 0

    def takes(self, topic_id: int) -> bool:
        """Whether the next key of this topic comes back, if it is none of `whole`. Ask for the newest
        first."""
        left = self._left.get(topic_id, 0)
        if not left or not self._room[tenant := self._tenants[topic_id]]:
            return False
        self._left[topic_id] = left - 1
        self._room[tenant] -= 1
        self._left_count -= 1
        return True


def in_order(found: Sequence[KnownKey], limit: int) -> list[KnownKey]:
    """The newest `limit` of these, oldest first."""
    ordered = sorted(found, key=lambda known: (known.published_at_ms, known.seq))
    return ordered[max(len(ordered) - limit, 0) :]


def shared_out(
    found: Sequence[KnownKey], tenants: Mapping[int, Hashable], limit: int
) -> list[KnownKey]:
    """Of these, which are oldest first, those that come back, in the same order. `tenants`: whose each of
    their topics is."""
    if len(found) <= limit:
        return list(found)
    shares = Shares(Counter(known.topic_id for known in found), tenants, limit)
    whole = set(shares.whole)
    taken = [
        known
        for known in reversed(found)
        if known.topic_id in whole or shares.takes(known.topic_id)
    ]
    return taken[:limit][::-1]
