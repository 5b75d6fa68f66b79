"""Dead letters in memory: in piles that have a bound each, in the order of their ids, and by age."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from msgspec.structs import replace

from conduit.core.message import DeadLetter, Death, Message, Redriven
from conduit.errors import StoreDataError
from conduit.storage.dead import Candidate, Losses, Shelf, bounds_of, shelf_of, surplus
from conduit.storage.dead_letters import (
    DEAD,
    DISCARDED,
    DROPPED,
    REDRIVEN,
    DeadBounds,
    DeadFilter,
    DeadTally,
    DeadTenants,
    Fate,
)
from conduit.storage.memory.gone import GoneLetters
from conduit.storage.memory.piles import Ids, Pile

# What a letter takes beside its message.
LETTER_BYTES = 1_024
# Of the times by which letters go for their age, as many are stale as there are letters, and these.
STALE_MAX_COUNT = 1_024
# Letters that turn out to be younger than it was known, in one call.
DATED_MAX_COUNT = 10_000
# What passes the bound of the process makes so much of it free at once, in parts of the largest pile.
ROOM_SHARE = 64

_NONE = DeadTally(0, 0, 0)

FirstSeq = Callable[[int], int | None]
"""The first number that the log has of a topic, by id; None if there is no topic."""


class DeadLetters:
    """Synchronous. What is given out is a copy; `dead_search.py` finds them in slices."""

    def __init__(self, max_bytes: int) -> None:
        self.by_id: dict[str, DeadLetter] = {}
        self.losses = Losses()
        self.gone = GoneLetters()
        self.size_bytes = 0
        """Of all of them, with what they take beside their messages."""
        self._max_bytes = max_bytes
        self._of: dict[tuple[str, int, int], DeadLetter] = {}
        self._ids: dict[str, Ids] = {}
        self._counts: Counter[str] = Counter()
        self._piles: dict[Shelf, Pile] = {}
        # Those that grew since they were last seen to keep to these bounds.
        self._grown: set[Shelf] = set()
        self._bounds: DeadBounds | None = None
        # (time, id), one of each letter, also of some that are gone. If it was redriven or died again since,
        # it is younger than that, which is seen when the time has come.
        self._by_age: list[tuple[int, str]] = []

    # Coming ---------------------------------------------------------------------------------------

    def check(self, deaths: Sequence[Death]) -> None:
        """Raise StoreDataError for an id that stands for another delivery."""
        for death in deaths:
            known = self.by_id.get(death.dead_id)
            if known is not None and _delivery(known) != _delivery(death):
                raise StoreDataError(f"dead letter {death.dead_id!r} exists for another delivery")

    def bury(self, death: Death, topic: str, message: Message | None) -> None:
        """Record a death."""
        letter = self._of.get(_delivery(death))
        if letter is None:
            self._add(_letter(death, topic, message))
            if message is None:
                self.losses.lost(shelf_of(death.tenant, death.subscription, topic), 1)
        else:
            letter.attempts = death.attempts
            letter.reason = death.reason
            letter.died_at_ms = death.died_at_ms
            letter.redriven_at_ms = None
            self._pile(letter).redriven.pop(letter.dead_id, None)

    def _add(self, letter: DeadLetter) -> None:
        shelf = _shelf(letter)
        pile = self._piles.get(shelf)
        if pile is None:
            pile = self._piles[shelf] = Pile(self.by_id)
        self.by_id[letter.dead_id] = self._of[_delivery(letter)] = letter
        for ids in (pile.ids, self._ids_of(letter.tenant)):
            ids.add(letter.dead_id)
        self._counts[letter.tenant] += 1
        pile.count += 1
        pile.size_bytes += letter.size_bytes
        self._grown.add(shelf)
        self.size_bytes += letter.size_bytes + LETTER_BYTES
        heapq.heappush(self._by_age, (_since_ms(letter), letter.dead_id))
        self.gone.is_back(letter.subscription, letter.topic_id, letter.seq)

    def mark(self, redriven: Sequence[Redriven]) -> None:
        """These were redriven; unknown ids are ignored."""
        for one in redriven:
            self.gone.is_back(one.subscription, one.topic_id, one.seq)
            letter = self.by_id.get(one.dead_id)
            if letter is not None:
                letter.redriven_at_ms = one.at_ms
                self._pile(letter).redriven.setdefault(one.dead_id)

    # Looking --------------------------------------------------------------------------------------

    def get(self, tenant: str, dead_id: str) -> DeadLetter | None:
        """See `Store.dead_get`."""
        letter = self.by_id.get(dead_id)
        return replace(letter) if letter is not None and letter.tenant == tenant else None

    def of(self, subscription: str, topic_id: int, seq: int) -> DeadLetter | None:
        """See `Store.dead_of`."""
        letter = self._of.get((subscription, topic_id, seq))
        return None if letter is None else replace(letter)

    def fates(self, topic_id: int, seq: int, subscriptions: Sequence[str]) -> dict[str, Fate]:
        """See `Store.dead_fates`."""
        found: dict[str, Fate] = {}
        for name in subscriptions:
            letter = self._of.get((name, topic_id, seq))
            gone = self.gone.fate(name, topic_id, seq)
            if letter is not None:
                died_ms, redriven_ms = letter.died_at_ms, letter.redriven_at_ms
                now = DEAD if redriven_ms is None else REDRIVEN
                found[name] = Fate(now, letter.attempts, letter.reason, died_ms, redriven_ms)
            elif gone is not None:
                found[name] = Fate(gone)
        return found

    def ids(self, tenant: str, which: DeadFilter) -> Ids | None:
        """Of all that may match, as few as are known; None if there are none."""
        if which.subscription:
            pile = self._piles.get(Shelf(tenant, which.subscription, ""))
        elif which.subscription == "" and which.topic is not None:
            pile = self._piles.get(Shelf(tenant, "", which.topic))
        else:
            return self._ids.get(tenant)
        return None if pile is None else pile.ids

    def of_tenant(self, tenant: str) -> list[str]:
        """The ids of all that it has."""
        ids = self._ids.get(tenant)
        return [] if ids is None else ids.below(None, len(self.by_id) * 2 + 1)

    def tally(self, tenant: str, subscription: str | None) -> DeadTally:
        """See `Store.dead_tally`."""
        if subscription is None:
            tallies = [pile.tally for shelf, pile in self._piles.items() if shelf.tenant == tenant]
            return DeadTally(*map(sum, zip(*tallies, strict=True))) if tallies else _NONE
        pile = self._piles.get(Shelf(tenant, subscription, ""))
        return _NONE if pile is None else pile.tally

    def tenants(self, limit: int) -> DeadTenants:
        """See `Store.dead_tenants`."""
        counts: Counter[str] = Counter()
        for shelf, pile in self._piles.items():
            counts[shelf.tenant] += pile.count - len(pile.redriven)
        found = sorted((-count, tenant) for tenant, count in counts.items() if count)
        most = [(tenant, -count) for count, tenant in found[:limit]]
        return DeadTenants(most, len(found), counts.total())

    # Going ----------------------------------------------------------------------------------------

    def delete(self, tenant: str, dead_ids: Sequence[str], first_seq: FirstSeq) -> int:
        """See `Store.dead_delete`."""
        letters = [self.by_id[dead_id] for dead_id in set(dead_ids) if dead_id in self.by_id]
        letters = [letter for letter in letters if letter.tenant == tenant]
        self._remove(letters, DISCARDED, first_seq)
        return len(letters)

    def trim(self, before_ms: int, bounds: DeadBounds, limit: int, first_seq: FirstSeq) -> int:
        """See `Store.dead_trim`."""
        going = self._aged(before_ms, limit)
        self._drop(going, first_seq)
        removed = len(going)
        if bounds != self._bounds:
            self._bounds, self._grown = bounds, set(self._piles)
        while self._grown and removed < limit:
            shelf = self._grown.pop()
            removed += self._trim_pile(shelf, bounds_of(bounds, shelf), limit - removed, first_seq)
        return removed + self._trim_tenants(bounds, limit - removed, first_seq)

    def _trim_tenants(self, bounds: DeadBounds, limit: int, first_seq: FirstSeq) -> int:
        going: list[str] = []
        if bounds.has_tenants:
            for tenant, count in self._counts.items():
                max_count = bounds.of_tenant(tenant)
                if max_count is not None and count > max_count:
                    surplus_count = min(count - max_count, limit - len(going))
                    going += islice(self._ids[tenant].oldest(), surplus_count)
        self._drop([self.by_id[dead_id] for dead_id in going], first_seq)
        return len(going)

    def _trim_pile(
        self, shelf: Shelf, limits: tuple[int, int], limit: int, first_seq: FirstSeq
    ) -> int:
        pile = self._piles.get(shelf)
        if pile is None:
            return 0
        candidates = (self._candidate(one) for one in islice(self._going(pile, first_seq), limit))
        crowded = surplus(candidates, pile.tally, limits)
        self._drop([self.by_id[one.dead_id] for one in crowded], first_seq)
        if len(crowded) == limit:
            self._grown.add(shelf)
        return len(crowded)

    def make_room(self, first_seq: FirstSeq) -> None:
        """Drop letters while all together pass their share of the memory: of the tenant that has the most,
        those of its largest piles."""
        if self.size_bytes <= self._max_bytes:
            return
        room_bytes = self._max_bytes // ROOM_SHARE
        while self.size_bytes > self._max_bytes - room_bytes:
            pile = self._heaviest()
            going: list[DeadLetter] = []
            excess_bytes = min(
                self.size_bytes - self._max_bytes + room_bytes, (_weight(pile) + 1) // 2
            )
            for dead_id in self._going(pile, first_seq):
                if excess_bytes <= 0:
                    break
                going.append(self.by_id[dead_id])
                excess_bytes -= going[-1].size_bytes + LETTER_BYTES
            self._drop(going, first_seq)

    def _heaviest(self) -> Pile:
        weights: Counter[str] = Counter()
        for shelf, pile in self._piles.items():
            weights[shelf.tenant] += _weight(pile)
        ((tenant, _),) = weights.most_common(1)
        own = (pile for shelf, pile in self._piles.items() if shelf.tenant == tenant)
        return max(own, key=_weight)

    def _going(self, pile: Pile, first_seq: FirstSeq) -> Iterator[str]:
        def is_left(dead_id: str) -> bool:
            letter = self.by_id[dead_id]
            return (first_seq(letter.topic_id) or 0) > letter.seq

        return pile.going(is_left)

    def _aged(self, before_ms: int, limit: int) -> list[DeadLetter]:
        """Up to `limit` that are older than that time."""
        found: dict[str, DeadLetter] = {}
        dated_count = 0
        while self._by_age and self._by_age[0][0] < before_ms and len(found) < limit:
            at_ms, dead_id = heapq.heappop(self._by_age)
            letter = self.by_id.get(dead_id)
            if letter is None:
                continue
            if _since_ms(letter) == at_ms:
                found[dead_id] = letter
                continue
            heapq.heappush(self._by_age, (_since_ms(letter), dead_id))
            dated_count += 1
            if dated_count == DATED_MAX_COUNT:
                break
        return list(found.values())

    def _drop(self, letters: Iterable[DeadLetter], first_seq: FirstSeq) -> None:
        letters = list(letters)
        self.losses.dropped([self._candidate(letter.dead_id) for letter in letters])
        self._remove(letters, DROPPED, first_seq)

    def _remove(self, letters: list[DeadLetter], fate: str, first_seq: FirstSeq) -> None:
        for letter in letters:
            del self.by_id[letter.dead_id]
            del self._of[_delivery(letter)]
            shelf = _shelf(letter)
            pile = self._piles[shelf]
            pile.count -= 1
            pile.size_bytes -= letter.size_bytes
            pile.redriven.pop(letter.dead_id, None)
            pile.ids.removed()
            self._ids[letter.tenant].removed()
            self._counts[letter.tenant] -= 1
            self.size_bytes -= letter.size_bytes + LETTER_BYTES
            if not pile.count:
                del self._piles[shelf]
            if (
                letter.subscription
                and letter.redriven_at_ms is None
                and first_seq(letter.topic_id) is not None
            ):
                self.gone.remember(letter.subscription, letter.topic_id, letter.seq, fate)
        if len(self._by_age) > 2 * len(self.by_id) + STALE_MAX_COUNT:
            self._by_age = [(_since_ms(one), one.dead_id) for one in self.by_id.values()]
            heapq.heapify(self._by_age)

    # Parts ----------------------------------------------------------------------------------------

    def _candidate(self, dead_id: str) -> Candidate:
        letter = self.by_id[dead_id]
        return Candidate(dead_id, _shelf(letter), letter.topic_id, letter.size_bytes)

    def _pile(self, letter: DeadLetter) -> Pile:
        return self._piles[_shelf(letter)]

    def _ids_of(self, tenant: str) -> Ids:
        ids = self._ids.get(tenant)
        if ids is None:
            ids = self._ids[tenant] = Ids(self.by_id)
        return ids


def _delivery(dead: DeadLetter | Death) -> tuple[str, int, int]:
    return dead.subscription, dead.topic_id, dead.seq


def _since_ms(letter: DeadLetter) -> int:
    """From when its age counts: until its delivery is settled, it may be all that is left of the message."""
    return letter.died_at_ms if letter.redriven_at_ms is None else letter.redriven_at_ms


def _shelf(letter: DeadLetter) -> Shelf:
    return shelf_of(letter.tenant, letter.subscription, letter.topic)


def _weight(pile: Pile) -> int:
    return pile.size_bytes + pile.count * LETTER_BYTES


def _letter(death: Death, topic: str, message: Message | None) -> DeadLetter:
    message = message or Message("", death.seq, 0, b"")
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
