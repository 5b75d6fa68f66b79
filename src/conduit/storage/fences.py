"""Who may store progress, in a store that belongs to one process: fences need not outlive it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from conduit.core.message import Death, Progress, Redriven

T = TypeVar("T", Progress, Death, Redriven)


class Fences:
    """The newest fence of every subscription that was claimed."""

    def __init__(self) -> None:
        self._newest: dict[int, int] = {}

    def claim(self, subscription_id: int) -> int:
        """See `Store.subscription_claim`."""
        fence = self._newest[subscription_id] = self._newest.get(subscription_id, 0) + 1
        return fence

    def refused(self, progress: Sequence[Progress]) -> set[int]:
        """The subscriptions whose rows are of an owner that is not the newest."""
        return {
            row.subscription_id
            for row in progress
            if row.fence is not None and row.fence < self._newest.get(row.subscription_id, 0)
        }


def allowed(refused: set[int], given: Sequence[T]) -> list[T]:
    """What is left without the subscriptions that are refused."""
    return [one for one in given if one.subscription_id not in refused]
