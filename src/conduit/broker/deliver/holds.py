"""Subscriptions that stay loaded without a subscriber."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable


class Holds:
    """Of one node. `is_meant` says whether a subscription of a tenant is to run here: what is not, nobody
    keeps loaded. `on_release` is called when some may be unloaded."""

    def __init__(
        self, is_meant: Callable[[str, str], bool], on_release: Callable[[], None]
    ) -> None:
        self._is_meant = is_meant
        self._on_release = on_release
        # (tenant, name) -> how many hold it.
        self._counts: Counter[tuple[str, str]] = Counter()

    def hold(self, tenant: str, names: Iterable[str]) -> None:
        """Once these are loaded, unload none of them before `release`: who uses them again and again, and has
        no subscriber, need not load them every time."""
        self._counts.update((tenant, name) for name in names)

    def release(self, tenant: str, names: Iterable[str]) -> None:
        """The end of `hold`, for the same names."""
        self._counts -= Counter((tenant, name) for name in names)
        self._on_release()

    def has(self, place: tuple[str, str]) -> bool:
        """Whether somebody holds it, which is to run here."""
        return place in self._counts and self._is_meant(*place)
