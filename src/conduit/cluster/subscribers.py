"""How many subscribers this node has of what, told to whoever wants to know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from conduit.broker.deliver.running import Running
from conduit.core.message import SubscriptionRecord

# A durable subscription wants its topics also while nobody is attached to it: it counts as so much, which is
# more than all subscribers together. What is left of a sum when it is divided by this are subscribers.
DURABLE = 1 << 40

Tell = Callable[[str, str, str, int], None]
"""Gets a tenant, a subscription ('' for subscribers without one), a pattern, and how many there are of it."""


class Subscribers:
    """Counts from the start; tells from `begin` on, all that there are by then first."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._tell: Tell | None = None

    def changed(self, running: Running, change: int) -> None:
        """So many have come (above 0), or gone."""
        self._add((running.tenant, running.group.name or "", running.pattern), change)

    def durable(self, record: SubscriptionRecord, change: int) -> None:
        """A durable subscription has come (1), or gone (-1): for those who are to be told of messages also
        while nobody is attached to it."""
        self._add((record.tenant, record.name, record.pattern), change * DURABLE)

    def _add(self, entry: tuple[str, str, str], change: int) -> None:
        count = self._counts[entry] + change
        if count:
            self._counts[entry] = count
        else:
            del self._counts[entry]
        if self._tell is not None:
            self._tell(*entry, count)

    def begin(self, tell: Tell) -> None:
        """Tell of all that there are now, and of what changes from now on."""
        self._tell = tell
        for entry, count in self._counts.items():
            tell(*entry, count)
