"""Sessions of pages that were signed out before their time: what a signature cannot say."""

from __future__ import annotations

from collections import Counter

import msgspec

# Of one key, and of all: beyond it all sessions of the key that has most, as old as those, are over.
KEY_MAX_COUNT = 1_000
ENDED_MAX_COUNT = 10_000


class SignedOut(msgspec.Struct, frozen=True, array_like=True):
    """One session that is over, or all of a key until an end."""

    key: str
    ends_at_ms: int
    id: str = ""
    """Empty: all of this key that end no later."""


class Ended:
    """Those that are over, until they would have ended.

    What is kept is bounded, and nobody's session is forgotten for another's: a key with too many has its
    older sessions ended altogether, and whoever was in one signs in again.
    """

    def __init__(
        self, max_count: int = ENDED_MAX_COUNT, key_max_count: int = KEY_MAX_COUNT
    ) -> None:
        self._max_count = max_count
        self._key_max_count = key_max_count
        # By key: ids with their ends, in the order in which they were signed out.
        self._ids: dict[str, dict[str, int]] = {}
        self._count = 0
        # By key: its sessions that end no later are over.
        self._all_until: dict[str, int] = {}

    def __len__(self) -> int:
        return self._count + len(self._all_until)

    def add(self, one: SignedOut, now_ms: int) -> None:
        """One more."""
        if one.ends_at_ms <= now_ms:
            return
        if not one.id:
            self._end_all(one.key, one.ends_at_ms)
            return
        ids = self._ids.setdefault(one.key, {})
        self._count += one.id not in ids
        ids[one.id] = one.ends_at_ms
        if len(ids) > self._key_max_count or self._count > self._max_count:
            self._make_room(now_ms)

    def has(self, key: str, session_id: str, ends_at_ms: int) -> bool:
        """Whether it is over."""
        return session_id in self._ids.get(key, ()) or ends_at_ms <= self._all_until.get(key, 0)

    def all(self, now_ms: int) -> list[SignedOut]:
        """What others have to know as well."""
        found = [SignedOut(key, end) for key, end in self._all_until.items() if end > now_ms]
        for key, ids in self._ids.items():
            found += [SignedOut(key, end, one) for one, end in ids.items() if end > now_ms]
        return found

    def _make_room(self, now_ms: int) -> None:
        self._all_until = {key: end for key, end in self._all_until.items() if end > now_ms}
        for key, ids in self._ids.items():
            self._ids[key] = {one: end for one, end in ids.items() if end > now_ms}
        counts = Counter({key: len(ids) for key, ids in self._ids.items() if ids})
        for key, count in counts.most_common():
            if count <= self._key_max_count and counts.total() <= self._max_count:
                break
            self._end_all(key, max(self._ids[key].values()))
            del counts[key]
        self._ids = {key: self._ids[key] for key in counts}
        self._count = counts.total()

    def _end_all(self, key: str, ends_at_ms: int) -> None:
        self._all_until[key] = max(ends_at_ms, self._all_until.get(key, 0))
