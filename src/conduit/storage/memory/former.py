"""What durable subscriptions have to be told of topics that are gone, in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice

from conduit.storage.base import FORMER_MAX_COUNT, Former, Heard

# Of all subscriptions; what was deleted first makes room.
MAX_COUNT = 250_000


class FormerTopics:
    """One topic for each subscription and name. Synchronous."""

    def __init__(self) -> None:
        # With the time (ms) of the deletion, in the order of deletions. Not a dict: to find its first item it
        # passes all that were removed from its front.
        self._all: OrderedDict[tuple[int, str], tuple[Former, int]] = OrderedDict()
        # Subscription id → names, in the same order.
        self._names: OrderedDict[int, OrderedDict[str, None]] = OrderedDict()

    def remember(self, subscription_id: int, former: Former, now_ms: int) -> None:
        """The topic was deleted; it takes the place of an earlier one of that name, or of a position."""
        if self._forget(subscription_id, former.name):
            # What was there was not heard, or its topic was made anew and that was not.
            former = former._replace(last_seq=None)
        if len(self._all) >= MAX_COUNT:
            self._forget(*next(iter(self._all)))
        self._all[subscription_id, former.name] = former, now_ms
        self._names.setdefault(subscription_id, OrderedDict())[former.name] = None

    def of(self, subscription_id: int) -> list[Former]:
        """See `Store.former`."""
        names = list(self._names.get(subscription_id, ()))[-FORMER_MAX_COUNT:]
        return [self._all[subscription_id, name][0] for name in names]

    def heard(self, given: Sequence[Heard]) -> None:
        """See `Store.former_heard`."""
        for one in given:
            place = one.subscription_id, one.name
            found = self._all.get(place)
            if found is None or found[0].epoch != one.epoch:
                continue
            if one.is_over:
                self._forget(*place)
            else:
                former, now_ms = found
                self._all[place] = former._replace(last_seq=former.floor), now_ms

    def trim(self, before_ms: int, limit: int) -> int:
        """See `Store.former_trim`."""
        removed = 0
        while removed < limit and self._all:
            place, (_, deleted_at_ms) = next(iter(self._all.items()))
            if deleted_at_ms >= before_ms:
                break
            self._forget(*place)
            removed += 1
        return removed + self._trim_one(limit - removed)

    def _trim_one(self, limit: int) -> int:
        """Of the subscription whose turn it is, what it is not told any more."""
        if not self._names:
            return 0
        subscription_id, names = next(iter(self._names.items()))
        self._names.move_to_end(subscription_id)
        count = min(limit, max(0, len(names) - FORMER_MAX_COUNT))
        for name in list(islice(names, count)):
            self._forget(subscription_id, name)
        return count

    def forget_subscription(self, subscription_id: int) -> None:
        """It is deleted."""
        for name in self._names.pop(subscription_id, ()):
            del self._all[subscription_id, name]

    def _forget(self, subscription_id: int, name: str) -> bool:
        """Whether there was something."""
        if self._all.pop((subscription_id, name), None) is None:
            return False
        names = self._names[subscription_id]
        del names[name]
        if not names:
            del self._names[subscription_id]
        return True
