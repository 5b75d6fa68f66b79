"""Dead letters in memory."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from operator import attrgetter

from msgspec.structs import replace

from conduit.core.message import DeadLetter, Death, Message, Redriven
from conduit.errors import StoreDataError
from conduit.storage.base import DeadFilter

by_id = attrgetter("dead_id")


class DeadLetters:
    """Synchronous. What is given out is a copy."""

    def __init__(self) -> None:
        self._by_id: dict[str, DeadLetter] = {}
        self._of: dict[tuple[str, int, int], DeadLetter] = {}

    def check(self, deaths: Sequence[Death]) -> None:
        """Raise StoreDataError for an id that stands for another delivery."""
        for death in deaths:
            known = self._by_id.get(death.dead_id)
            if known is not None and _delivery(known) != _delivery(death):
                raise StoreDataError(f"dead letter {death.dead_id!r} exists for another delivery")

    def bury(self, death: Death, topic: str, message: Message | None) -> None:
        """Record a death; without its message it can only replace an earlier one."""
        letter = self._of.get(_delivery(death))
        if letter is not None:
            letter.attempts = death.attempts
            letter.reason = death.reason
            letter.died_at_ms = death.died_at_ms
            letter.redriven_at_ms = None
        elif message is not None:
            letter = _letter(death, topic, message)
            self._by_id[letter.dead_id] = letter
            self._of[_delivery(letter)] = letter

    def page(
        self, tenant: str, which: DeadFilter, limit: int, before_id: str | None
    ) -> list[DeadLetter]:
        """See `Store.dead_list`."""
        found = self._matching(tenant, which)
        if before_id is not None:
            found = (letter for letter in found if letter.dead_id < before_id)
        return [replace(letter) for letter in heapq.nlargest(limit, found, key=by_id)]

    def count(self, tenant: str, which: DeadFilter) -> int:
        """See `Store.dead_count`."""
        return sum(1 for _ in self._matching(tenant, which))

    def get(self, tenant: str, dead_id: str) -> DeadLetter | None:
        """See `Store.dead_get`."""
        letter = self._by_id.get(dead_id)
        return replace(letter) if letter is not None and letter.tenant == tenant else None

    def of(self, subscription: str, topic_id: int, seq: int) -> DeadLetter | None:
        """See `Store.dead_of`."""
        letter = self._of.get((subscription, topic_id, seq))
        return None if letter is None else replace(letter)

    def mark(self, redriven: Sequence[Redriven]) -> None:
        """These were redriven; unknown ids are ignored."""
        for one in redriven:
            letter = self._by_id.get(one.dead_id)
            if letter is not None:
                letter.redriven_at_ms = one.at_ms

    def delete(self, tenant: str, dead_ids: Sequence[str]) -> int:
        """See `Store.dead_delete`."""
        letters = [self._by_id[dead_id] for dead_id in set(dead_ids) if dead_id in self._by_id]
        return self._remove([letter for letter in letters if letter.tenant == tenant])

    def trim(self, before_ms: int, max_count: int, limit: int) -> int:
        """See `Store.dead_trim`."""
        old = (letter for letter in self._by_id.values() if letter.died_at_ms < before_ms)
        removed = self._remove(heapq.nsmallest(limit, old, key=attrgetter("died_at_ms")))
        tenants: dict[str, list[DeadLetter]] = {}
        for letter in self._by_id.values():
            tenants.setdefault(letter.tenant, []).append(letter)
        for letters in tenants.values():
            surplus = min(max(len(letters) - max_count, 0), limit - removed)
            removed += self._remove(heapq.nsmallest(surplus, letters, key=by_id))
        return removed

    def _matching(self, tenant: str, which: DeadFilter) -> Iterator[DeadLetter]:
        for letter in self._by_id.values():
            if letter.tenant == tenant and _is_meant(letter, which):
                yield letter

    def _remove(self, letters: list[DeadLetter]) -> int:
        for letter in letters:
            del self._by_id[letter.dead_id]
            del self._of[_delivery(letter)]
        return len(letters)


def _delivery(dead: DeadLetter | Death) -> tuple[str, int, int]:
    return dead.subscription, dead.topic_id, dead.seq


def _letter(death: Death, topic: str, message: Message) -> DeadLetter:
    return DeadLetter(
        dead_id=death.dead_id,
        tenant=death.tenant,
        subscription=death.subscription,
        topic=topic,
        topic_id=death.topic_id,
        seq=death.seq,
        message_id=message.message_id,
        attempts=death.attempts,
        reason=death.reason,
        died_at_ms=death.died_at_ms,
        redriven_at_ms=None,
        published_at_ms=message.published_at_ms,
        payload=message.payload,
        key=message.key,
        headers=message.headers,
    )


def _is_meant(letter: DeadLetter, which: DeadFilter) -> bool:
    return (
        (which.topic is None or letter.topic == which.topic)
        and (which.subscription is None or letter.subscription == which.subscription)
        and (which.reason is None or letter.reason == which.reason)
        and (which.from_ms is None or letter.died_at_ms >= which.from_ms)
        and (which.to_ms is None or letter.died_at_ms < which.to_ms)
        and (which.q is None or _contains(letter, which.q))
    )


def _contains(letter: DeadLetter, text: str) -> bool:
    return (
        text.encode(errors="surrogatepass") in letter.payload
        or text in (letter.key or "")
        or text in letter.message_id
        or text in letter.reason
    )
