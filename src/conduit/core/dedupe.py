"""The publish idempotency window: the first publish under a key answers for all that repeat it.

Under its topic, a key is absent, pending (its first publish is being committed) or known (that
publish has a result). `begin` says which. Whoever finds it absent publishes and then calls
`complete` or `fail`, exactly once. Whoever finds it pending leaves a waiter, which comes back with
the outcome: the window never calls it. Whoever finds it has to compare what was published.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from hashlib import blake2b
from typing import Generic, TypeVar

from conduit.core.shares import Kept, Shares
from conduit.errors import Overloaded, StateError

R = TypeVar("R")
W = TypeVar("W")

# A commit takes milliseconds; more repeats than this in that time are an attack or a loop.
WAITERS_MAX_COUNT = 1_000


def payload_hash(payload: bytes) -> bytes:
    """8 bytes that tell one payload from another, in every process."""
    return blake2b(payload, digest_size=8).digest()


class Pending(Generic[W]):
    """The first publish under the key is being committed; `waiters` are told how it ends."""

    __slots__ = ("begun_at", "payload_hash", "waiters")

    def __init__(self, begun_at: float, payload_hash: bytes | None) -> None:
        self.begun_at = begun_at
        self.payload_hash = payload_hash
        self.waiters: list[W] = []

    def wait(self, waiter: W) -> None:
        """Have `waiter` handed back with the outcome. Raises Overloaded at WAITERS_MAX_COUNT."""
        if len(self.waiters) >= WAITERS_MAX_COUNT:
            raise Overloaded(f"{WAITERS_MAX_COUNT} publishes wait for the same idempotency key")
        self.waiters.append(waiter)


class DedupeWindow(Generic[R, W]):
    """Keys with their results of type R and waiters of type W. `len` counts the known ones.

    A key is known for `window_s` from its first publish, unless there are more than `max_count`: then the
    tenant that has the most loses something, and of its topics the one that has the most its oldest key. So
    publishing to it pushes out no keys of others. `tenant_of` a topic is asked when it gets its first key.
    `forgotten_early_count` says how often that happened. There are as many pending keys as their owner has
    publishes under way, which is the owner's to bound.
    """

    def __init__(
        self,
        window_s: float = 600.0,
        max_count: int = 250_000,
        tenant_of: Callable[[int], Hashable] = lambda _topic_id: None,
    ) -> None:
        self.forgotten_early_count = 0
        self._window_s = window_s
        self._known: Shares[R] = Shares(max_count, tenant_of)
        self._pending: dict[tuple[int, str], Pending[W]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def find(self, topic_id: int, key: str) -> Pending[W] | Kept[R] | None:
        """What the key stands for."""
        return self._known.get(topic_id, key) or self._pending.get((topic_id, key))

    def begin(
        self, topic_id: int, key: str, now: float, payload_hash: bytes | None = None
    ) -> Pending[W] | Kept[R] | None:
        """What the key stands for. None: nothing so far, and from now on the caller's publish, of a payload
        with this hash."""
        known = self._known.get(topic_id, key)
        if known is not None:
            return known
        place = topic_id, key
        pending = self._pending.get(place)
        if pending is None:
            self._pending[place] = Pending(now, payload_hash)
        return pending

    def complete(self, topic_id: int, key: str, result: R) -> list[W]:
        """The pending key is known from now on. The caller gives the result to these waiters."""
        pending = self._take(topic_id, key)
        self.restore(topic_id, key, result, pending.begun_at)
        return pending.waiters

    def fail(self, topic_id: int, key: str) -> list[W]:
        """The pending key is absent again. The caller gives the failure to these waiters."""
        return self._take(topic_id, key).waiters

    def take_waiters(self, topic_id: int, key: str) -> list[W]:
        """Those who wait for the pending key, which stays pending: the caller tells them something else."""
        pending = self._take(topic_id, key)
        self._pending[topic_id, key] = Pending(pending.begun_at, pending.payload_hash)
        return pending.waiters

    def restore(self, topic_id: int, key: str, result: R, begun_at: float) -> None:
        """Take over a known result, at start; oldest first, and no key twice."""
        gone = self._known.put(Kept(topic_id, key, begun_at, result))
        if gone is not None and gone.at > begun_at - self._window_s:
            self.forgotten_early_count += 1

    def expire(self, now: float) -> None:
        """Forget the keys whose time is over."""
        self._known.pop_until(now - self._window_s)

    def drop_topic(self, topic_id: int) -> None:
        """Forget what is known of a deleted topic. Pending keys stay: their outcome will come."""
        self._known.drop(topic_id)

    def _take(self, topic_id: int, key: str) -> Pending[W]:
        pending = self._pending.pop((topic_id, key), None)
        if pending is None:
            raise StateError(f"no publish to topic {topic_id} is pending under the key {key!r}")
        return pending
