"""Who may store progress, in a store that belongs to one process: fences and owners need not outlive it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from conduit.core.message import Death, Progress, Redriven

T = TypeVar("T", Progress, Death, Redriven)


class Fences:
    """The newest fence of every subscription that was claimed or moved, and who has which.

    A store without leases of nodes has no other node that lives: whoever claims takes.
    """

    def __init__(self) -> None:
        self._newest: dict[int, int] = {}
        self._owners: dict[int, str] = {}

    def claim(self, subscription_id: int, owner: str | None = None) -> int:
        """See `Store.subscription_claim`."""
        self._owners.pop(subscription_id, None)
        if owner is not None:
            self._owners[subscription_id] = owner
        return self._raise(subscription_id)

    def release(self, owner: str, claimed: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """See `Store.subscription_release`."""
        kept = []
        for subscription_id, fence in claimed:
            if self.owner_of(subscription_id) != owner:
                continue
            if self._newest[subscription_id] == fence:
                del self._owners[subscription_id]
            else:
                kept.append((subscription_id, self._newest[subscription_id]))
        return kept

    def owner_of(self, subscription_id: int) -> str | None:
        """Who has it."""
        return self._owners.get(subscription_id)

    def owned(self, owner: str) -> list[tuple[int, int]]:
        """See `Store.subscriptions_owned`."""
        return [(id_, self._newest[id_]) for id_, has in self._owners.items() if has == owner]

    def of(self, subscription_ids: Sequence[int]) -> dict[int, int]:
        """See `Store.subscription_fences`; also of what is gone."""
        return {id_: self._newest.get(id_, 0) for id_ in subscription_ids}

    def moved(self, subscription_id: int, fence: int | None) -> None:
        """By a `seek` with this fence."""
        if self._newest.get(subscription_id, 0) != fence:
            self._raise(subscription_id)

    def forget(self, subscription_id: int) -> None:
        """It is deleted: nobody has it. Ids are not given again, so what is stored of it is skipped."""
        self._owners.pop(subscription_id, None)

    def refused(self, progress: Sequence[Progress]) -> set[int]:
        """The subscriptions whose rows are of an owner that is not the newest."""
        return {
            row.subscription_id
            for row in progress
            if row.fence is not None and row.fence < self._newest.get(row.subscription_id, 0)
        }

    def _raise(self, subscription_id: int) -> int:
        fence = self._newest[subscription_id] = self._newest.get(subscription_id, 0) + 1
        return fence


def allowed(refused: set[int], given: Sequence[T]) -> list[T]:
    """What is left without the subscriptions that are refused."""
    return [one for one in given if one.subscription_id not in refused]
