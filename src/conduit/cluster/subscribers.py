"""How many subscribers this node has of what, told to whoever wants to know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from conduit.broker.deliver.running import Running

Tell = Callable[[str, str, str, int], None]
"""Gets a tenant, a subscription ('' for subscribers without one), a pattern, and how many there are of it."""


class Subscribers:
    """Counts from the start; tells from `begin` on, all that there are by then first."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._tell: Tell | None = None

    def changed(self, running: Running, change: int) -> None:
        """So many have come (above 0), or gone."""
        entry = (running.tenant, running.group.name or "", running.pattern)
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
