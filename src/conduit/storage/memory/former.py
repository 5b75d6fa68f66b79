"""Which deleted topics the durable subscriptions followed, in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from conduit.storage.base import FORMER_MAX_COUNT, Former

# Of all subscriptions; what was deleted first makes room.
MAX_COUNT = 250_000


class FormerTopics:
    """One topic for each subscription and name. Synchronous."""

    def __init__(self) -> None:
        # With the time (ms) of the deletion, in the order of deletions. Not a dict: to find its first item it
        # passes all that were removed from its front.
        self._all: OrderedDict[tuple[int, str], tuple[Former, int]] = OrderedDict()
        # Subscription id → names, in the same order.
        self._names: dict[int, OrderedDict[str, None]] = {}

    def remember(self, subscription_id: int, former: Former, now_ms: int) -> None:
        """The topic was deleted; it takes the place of an earlier one of that name."""
        self._forget(subscription_id, former.name)
        if len(self._all) >= MAX_COUNT:
            self._forget(*next(iter(self._all)))
        self._all[subscription_id, former.name] = former, now_ms
        self._names.setdefault(subscription_id, OrderedDict())[former.name] = None

    def of(self, subscription_id: int, is_known: Callable[[str], bool]) -> list[Former]:
        """See `Store.former`. `is_known`: whether the subscription knows a successor of that name."""
        names = list(self._names.get(subscription_id, ()))
        for name in names:
            if is_known(name):
                self._forget(subscription_id, name)
        left = list(self._names.get(subscription_id, ()))[-FORMER_MAX_COUNT:]
        return [self._all[subscription_id, name][0] for name in left]

    def trim(self, before_ms: int, limit: int) -> int:
        """See `Store.former_trim`."""
        removed = 0
        while removed < limit and self._all:
            place, (_, deleted_at_ms) = next(iter(self._all.items()))
            if deleted_at_ms >= before_ms:
                break
            self._forget(*place)
            removed += 1
        return removed

    def forget_subscription(self, subscription_id: int) -> None:
        """It is deleted."""
        for name in self._names.pop(subscription_id, ()):
            del self._all[subscription_id, name]

    def _forget(self, subscription_id: int, name: str) -> None:
        if self._all.pop((subscription_id, name), None) is not None:
            names = self._names[subscription_id]
            del names[name]
            if not names:
                del self._names[subscription_id]
