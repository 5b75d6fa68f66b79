"""Deliveries with a history as they are stored: in pages by number, of which only the changed are written.

Few are one page beside the floor, in the row that is written anyway. More are pages of their own, each for a
range of numbers: what is stored then follows from what changed, not from how many wait.

A stored wait is how long it lasted yet when it was stored. A wall clock that was wrong then, or is now, can
make it shorter, never longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from conduit.core.retries import NOBODY, PAGE_COUNT, Retries, Retry

# So many retries are stored in the row of the floor, as long as there are no pages.
INLINE_MAX_COUNT = 64


class Kept(msgspec.Struct, array_like=True, gc=False):
    """One retry. `left_ms`: until it is due; of one that was out, 0."""

    seq: int
    attempt: int
    left_ms: int = 0
    reason: str = ""
    failures: int = 0
    losses: int = 0
    is_redriven: bool = False


class Page(msgspec.Struct, array_like=True):
    """Some retries, and the wall time at which they were stored."""

    at_ms: int
    retries: list[Kept]


class Snapshot(msgspec.Struct, array_like=True):
    """What is open, in the row of the floor: runs as (first, last), and the retries, unless they are in pages
    beside it."""

    runs: list[tuple[int, int]] = []
    retries: list[tuple[int, Retry]] = []
    """Due at once: deliveries that died, and whose deaths are stored in the next commits. Versions before had
    all of them here, with times of the wall clock."""
    page: Page | None = None
    lost: list[tuple[int, int]] = []
    """See core/lost.py."""


class Moment(msgspec.Struct, frozen=True):
    """One moment: `now` is the time of the machine, `wall_ms` that of the wall clock."""

    now: float
    wall_ms: int


class Pages:
    """Which pages the store has of some retries, and which of them changed since."""

    __slots__ = ("_retries", "_stored")

    def __init__(self, retries: Retries) -> None:
        self._retries = retries
        # Or may have: it was told of them.
        self._stored: set[int] = set()

    def take_changes(self, at: Moment) -> tuple[Page | None, dict[int, Page]]:
        """What is to be stored: the page in the row, and those beside it; an empty one is removed. The
        changes count as stored until `put_back`."""
        by_seq, changed = self._retries.by_seq, self._retries.changed
        if not self._stored:
            if len(by_seq) <= INLINE_MAX_COUNT:
                changed.clear()
                return (_page(by_seq.items(), at) if by_seq else None), {}
            changed.update(seq // PAGE_COUNT for seq in by_seq)
        pages = {number: self._page(number, at) for number in changed}
        changed.clear()
        pages = {
            number: page for number, page in pages.items() if page.retries or number in self._stored
        }
        self._stored.update(pages)
        return None, pages

    def put_back(self, numbers: Iterable[int]) -> None:
        """It is not known whether these changes are stored: they are among the next."""
        self._retries.changed.update(numbers)

    def did_store(self, pages: Mapping[int, Page]) -> None:
        """These changes are stored."""
        self._stored.difference_update(number for number, page in pages.items() if not page.retries)

    def restore(self, snapshot: Snapshot, pages: Mapping[int, Page], at: Moment) -> None:
        """Take over what was stored. What was out waits to be handed out again at once."""
        self._stored = set(pages)
        for page in pages.values():
            self._restore(page, at)
        # They are stored as they are; what follows is not, in pages.
        self._retries.changed.clear()
        if snapshot.page is not None:
            self._restore(snapshot.page, at)
        for first, last in snapshot.runs:
            for seq in range(first, last + 1):
                self._retries.put_back(seq, Retry(attempt=1), at.now)
        for seq, retry in snapshot.retries:
            left_s = retry.at - at.wall_ms / 1000 if retry.holder == NOBODY else 0.0
            # Holders are numbers of the process that stored them.
            retry.holder = retry.last_holder = NOBODY
            self._retries.put_back(seq, retry, at.now + max(0.0, left_s))

    def _restore(self, page: Page, at: Moment) -> None:
        passed_ms = max(0, at.wall_ms - page.at_ms)
        for kept in page.retries:
            left_ms = max(0, kept.left_ms - passed_ms)
            retry = Retry(kept.attempt, 0.0, NOBODY, kept.reason, kept.failures, kept.losses)
            retry.is_redriven = kept.is_redriven
            self._retries.put_back(kept.seq, retry, at.now + left_ms / 1000)

    def _page(self, number: int, at: Moment) -> Page:
        by_seq = self._retries.by_seq
        first = number * PAGE_COUNT
        if len(by_seq) < PAGE_COUNT:
            found = [item for item in by_seq.items() if item[0] // PAGE_COUNT == number]
        else:
            numbers = range(first, first + PAGE_COUNT)
            found = [(seq, by_seq[seq]) for seq in numbers if seq in by_seq]
        return _page(found, at)


def _page(retries: Iterable[tuple[int, Retry]], at: Moment) -> Page:
    now, kept = at.now, []
    for seq, retry in retries:
        left_ms = 0
        if retry.holder == NOBODY and retry.at > now:
            left_ms = round((retry.at - now) * 1000)
        history = (retry.reason, retry.failures, retry.losses)
        kept.append(Kept(seq, retry.attempt, left_ms, *history, retry.is_redriven))
    return Page(at.wall_ms, kept)
