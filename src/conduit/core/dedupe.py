"""The publish idempotency window: the first publish under a key answers for all that repeat it.

Under its topic, a key is absent, pending (its first publish is being committed) or known (that
publish has a result). `begin` says which. Whoever finds it absent publishes and then calls
`complete` or `fail`, exactly once. Whoever finds it pending leaves a waiter, which comes back with
the outcome: the window never calls it.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import msgspec

from conduit.errors import Overloaded, StateError

R = TypeVar("R")
W = TypeVar("W")

# A commit takes milliseconds; more repeats than this in that time are an attack or a loop.
WAITERS_MAX_COUNT = 1_000


class Pending(Generic[W]):
    """The first publish under the key is being committed; `waiters` are told how it ends."""

    __slots__ = ("begun_at", "waiters")

    def __init__(self, begun_at: float) -> None:
        self.begun_at = begun_at
        self.waiters: list[W] = []

    def wait(self, waiter: W) -> None:
        """Have `waiter` handed back with the outcome. Raises Overloaded at WAITERS_MAX_COUNT."""
        if len(self.waiters) >= WAITERS_MAX_COUNT:
            raise Overloaded(f"{WAITERS_MAX_COUNT} publishes wait for the same idempotency key")
        self.waiters.append(waiter)


class Known(msgspec.Struct, Generic[R], frozen=True, eq=False, gc=False):
    """What the first publish under the key resulted in. `begun_at` is when it came, in seconds."""

    topic_id: int
    key: str
    begun_at: float
    result: R


class DedupeWindow(Generic[R, W]):
    """Keys with their results of type R and waiters of type W. `len` counts the known ones.

    A key is known for `window_s` from its first publish, unless `max_count` newer ones push it out
    before: `forgotten_early_count` says how often that happened. There are as many pending keys as their
    owner has publishes under way, which is the owner's to bound.
    """

    def __init__(self, window_s: float = 600.0, max_count: int = 250_000) -> None:
        self.forgotten_early_count = 0
        self._window_s = window_s
        self._max_count = max_count
        self._known_count = 0
        # Nested, so that a topic can be dropped at the cost of its own keys.
        self._topics: dict[int, dict[str, Pending[W] | Known[R]]] = {}
        # Oldest first. Holds entries of dropped topics too, never more of them than of others.
        self._order: deque[Known[R]] = deque()

    def __len__(self) -> int:
        return self._known_count

    def begin(self, topic_id: int, key: str, now: float) -> Pending[W] | Known[R] | None:
        """What the key stands for. None: nothing so far, and from now on the caller's publish."""
        keys = self._topics.get(topic_id)
        if keys is None:
            keys = self._topics[topic_id] = {}
        entry = keys.get(key)
        if entry is None:
            keys[key] = Pending(now)
        return entry

    def complete(self, topic_id: int, key: str, result: R) -> list[W]:
        """The pending key is known from now on. The caller gives the result to these waiters."""
        pending = self._pending(topic_id, key)
        self.restore(topic_id, key, result, pending.begun_at)
        return pending.waiters

    def fail(self, topic_id: int, key: str) -> list[W]:
        """The pending key is absent again. The caller gives the failure to these waiters."""
        pending = self._pending(topic_id, key)
        self._remove(topic_id, key)
        return pending.waiters

    def take_waiters(self, topic_id: int, key: str) -> list[W]:
        """Those who wait for the pending key, which stays pending: the caller tells them something else."""
        pending = self._pending(topic_id, key)
        waiters, pending.waiters = pending.waiters, []
        return waiters

    def restore(self, topic_id: int, key: str, result: R, begun_at: float) -> None:
        """Take over a known result, at start; oldest first, and no key twice."""
        known = Known(topic_id, key, begun_at, result)
        self._topics.setdefault(topic_id, {})[key] = known
        self._order.append(known)
        self._known_count += 1
        while self._known_count > self._max_count:
            is_early = self._order[0].begun_at > begun_at - self._window_s
            stood_for_a_key = self._forget_oldest()
            if stood_for_a_key and is_early:
                self.forgotten_early_count += 1

    def expire(self, now: float) -> None:
        """Forget the keys whose time is over."""
        while self._order and self._order[0].begun_at <= now - self._window_s:
            self._forget_oldest()

    def drop_topic(self, topic_id: int) -> None:
        """Forget what is known of a deleted topic. Pending keys stay: their outcome will come."""
        keys = self._topics.pop(topic_id, {})
        pending: dict[str, Pending[W] | Known[R]] = {
            key: entry for key, entry in keys.items() if isinstance(entry, Pending)
        }
        if pending:
            self._topics[topic_id] = pending
        self._known_count -= len(keys) - len(pending)
        if len(self._order) > 2 * self._known_count:
            self._order = deque(known for known in self._order if self._is_current(known))

    def _pending(self, topic_id: int, key: str) -> Pending[W]:
        entry = self._topics.get(topic_id, {}).get(key)
        if not isinstance(entry, Pending):
            raise StateError(f"no publish to topic {topic_id} is pending under the key {key!r}")
        return entry

    def _is_current(self, known: Known[R]) -> bool:
        return self._topics.get(known.topic_id, {}).get(known.key) is known

    def _forget_oldest(self) -> bool:
        """Whether the oldest entry stood for a key, and not for one of a dropped topic."""
        oldest = self._order.popleft()
        if not self._is_current(oldest):
            return False
        self._remove(oldest.topic_id, oldest.key)
        self._known_count -= 1
        return True

    def _remove(self, topic_id: int, key: str) -> None:
        keys = self._topics[topic_id]
        del keys[key]
        if not keys:
            del self._topics[topic_id]
