"""Which idempotency keys are known again after a start, where the store has more than may be known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from conduit.core.shares import cap_of
from conduit.storage.base import KnownKey

# Of the keys that a store has, so many times those that may be known are looked at, the newest. Where a few
# topics had more than that, older keys of the others are not known again.
LOOKED_AT_TIMES = 4


class Shares:
    """How many keys of each topic come back: all of those that have few, and as many of each other as there
    is room for. `counts` has how many there are of each topic; together not more than `limit` come back."""

    def __init__(self, counts: Mapping[int, int], limit: int) -> None:
        self._cap = max(1, cap_of(counts.values(), limit))
        self.whole = [topic_id for topic_id, count in counts.items() if count <= self._cap]
        """Topics of which all do."""
        self._left = dict.fromkeys(counts.keys() - set(self.whole), self._cap)
        self._left_count = len(self._left) * self._cap

    @property
    def has_more(self) -> bool:
        """Whether `takes` can be true again."""
        return self._left_count > 0

    def takes(self, topic_id: int) -> bool:
        """Whether the next key of this topic comes back, if it is none of `whole`. Ask for the newest
        first."""
        left = self._left.get(topic_id, 0)
        if not left:
            return False
        self._left[topic_id] = left - 1
        self._left_count -= 1
        return True


def in_order(found: Sequence[KnownKey], limit: int) -> list[KnownKey]:
    """The newest `limit` of these, oldest first."""
    ordered = sorted(found, key=lambda known: (known.published_at_ms, known.seq))
    return ordered[max(len(ordered) - limit, 0) :]


def shared_out(found: Sequence[KnownKey], limit: int) -> list[KnownKey]:
    """Of these, which are oldest first, those that come back, in the same order."""
    if len(found) <= limit:
        return list(found)
    shares = Shares(Counter(known.topic_id for known in found), limit)
    whole = set(shares.whole)
    taken = [
        known
        for known in reversed(found)
        if known.topic_id in whole or shares.takes(known.topic_id)
    ]
    return taken[:limit][::-1]
