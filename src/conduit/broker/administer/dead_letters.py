"""Dead letters: looking at them, discarding one, and delivering one again."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import msgspec

from conduit.broker.administer.letter_jobs import LetterJobs
from conduit.broker.administer.looking import Lines
from conduit.broker.administer.redriving import Redrive
from conduit.broker.clock import Clock
from conduit.core.message import DeadLetter
from conduit.errors import NotFound
from conduit.names import is_id
from conduit.storage.base import Store
from conduit.storage.dead_letters import LOOK_MAX_COUNT, DeadFilter, DeadGroup

# Dead letters that one read takes from the store: each may carry a whole payload.
PAGE_COUNT = 50
# A list stops before the dead letter that would pass this, whatever its limit, unless it is the first.
LIST_MAX_BYTES = 4 << 20

# A page of groups ends when it has so many; it may have as many more as one look finds.
GROUPS_MAX_COUNT = 1_000

COUNT_ALL = 1 << 62

_ONE_SUBSCRIPTION = {"subscription", "is_redriven"}


class Counted(msgspec.Struct):
    """How many match. `before_id`: there may be more, below it."""

    matched_count: int = 0
    before_id: str | None = None


class Listed(NamedTuple):
    """A page. `before_id`: there may be more, below it. `is_cut`: it ended because its time was over."""

    letters: list[DeadLetter]
    before_id: str | None
    is_cut: bool = False


class Grouped(NamedTuple):
    """Groups of those that were looked at. `before_id`: how far that came, if not to the end."""

    groups: list[DeadGroup]
    before_id: str | None


class DeadLetters:
    """The dead letters of all tenants. Every method raises StoreUnavailable when the store is; those that are
    about many raise Overloaded when too many ask for that. `jobs` deal with many."""

    def __init__(
        self, store: Store, clock: Clock, redrive: Redrive, jobs: LetterJobs, lines: Lines
    ) -> None:
        self._store = store
        self._clock = clock
        self._redrive = redrive
        self._lines = lines
        self.jobs = jobs

    async def count(
        self,
        tenant: str,
        which: DeadFilter,
        max_count: int = COUNT_ALL,
    ) -> Counted:
        """How many match; no more than `max_count` are looked for."""
        counted = Counted()
        asked = {name for name, value in msgspec.structs.asdict(which).items() if value is not None}
        if which.subscription and asked <= _ONE_SUBSCRIPTION:
            tally = await self._store.dead_tally(tenant, which.subscription)
            all_count = tally.open_count + tally.redriven_count
            counts = {None: all_count, False: tally.open_count, True: tally.redriven_count}
            counted.matched_count = counts[which.is_redriven]
            return counted
        with self._lines.of(which).joined(tenant) as looker:
            while counted.matched_count < max_count:
                limit = min(LOOK_MAX_COUNT, max_count - counted.matched_count)
                ask = partial(self._store.dead_places, tenant, which, limit=limit)
                page = await looker.look(partial(ask, before_id=counted.before_id))
                if page is None:
                    break
                counted.matched_count += len(page)
                counted.before_id = page.reached_id
                if page.reached_id is None:
                    break
        return counted

    async def get(self, tenant: str, dead_id: str) -> DeadLetter:
        """One of them. Raises NotFound `dead_letter_not_found`."""
        letter = await self._store.dead_get(tenant, dead_id) if is_id(dead_id) else None
        if letter is None:
            raise no_letter()
        return letter

    async def discard(self, tenant: str, dead_id: str) -> None:
        """Forget it. Raises NotFound `dead_letter_not_found`."""
        if not is_id(dead_id) or not await self._store.dead_delete(tenant, [dead_id]):
            raise no_letter()

    async def groups(self, tenant: str, which: DeadFilter, before_id: str | None = None) -> Grouped:
        """Those that match, by topic and reason, of those below `before_id`, the largest groups first. It
        ends after some seconds (`looking.py`), or with GROUPS_MAX_COUNT groups: what is found from
        `before_id` on is to be added."""
        found: dict[tuple[str, str], DeadGroup] = {}
        with self._lines.of(which).joined(tenant) as looker:
            while len(found) < GROUPS_MAX_COUNT:
                ask = partial(self._store.dead_groups, tenant, which, before_id=before_id)
                page = await looker.look(ask)
                if page is None:
                    break
                for group in page:
                    known = found.setdefault((group.topic, group.reason), group)
                    if known is not group:
                        known.add(group)
                if (before_id := page.reached_id) is None:
                    break
        groups = sorted(found.values(), key=lambda group: (-group.count, group.topic, group.reason))
        return Grouped(groups, before_id)

    async def redrive(self, tenant: str, dead_id: str) -> DeadLetter:
        """Deliver it again, and mark it; raises NotFound, or why it cannot be: see `Redriver`."""
        letter = await self.get(tenant, dead_id)
        at_ms = self._clock.wall_ms()
        failed = await self._redrive(tenant, [letter.place], at_ms)
        if dead_id in failed:
            raise failed[dead_id]
        letter.redriven_at_ms = at_ms
        return letter

    async def list(
        self, tenant: str, which: DeadFilter, *, limit: int, before_id: str | None = None
    ) -> Listed:
        """Newest first, those below `before_id`. A page ends with `limit` letters, with LIST_MAX_BYTES of
        payloads, keys and headers, or after some seconds (`looking.py`)."""
        letters: list[DeadLetter] = []
        left_bytes = LIST_MAX_BYTES
        with self._lines.of(which).joined(tenant) as looker:
            while len(letters) < limit:
                wanted = min(PAGE_COUNT, limit - len(letters))
                ask = partial(self._store.dead_list, tenant, which, limit=wanted)
                page = await looker.look(partial(ask, before_id=before_id, max_bytes=left_bytes))
                if page is None:
                    return Listed(letters, before_id, is_cut=True)
                left_bytes -= sum(letter.size_bytes for letter in page)
                if left_bytes < 0 and letters:
                    # It has looked at one, which does not fit any more.
                    break
                letters += page
                if (before_id := page.reached_id) is None or left_bytes <= 0:
                    break
        return Listed(letters, before_id)


def no_letter() -> NotFound:
    """There is none of this id."""
    return NotFound("no dead letter has this id", code="dead_letter_not_found")
