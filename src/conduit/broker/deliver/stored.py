"""A delivery machine as a row of progress, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from conduit.broker.clock import Clock
from conduit.broker.deliver.group import policy_of
from conduit.broker.deliver.marks import Recorded
from conduit.core.delivery import Delivery
from conduit.core.message import Death, Progress, SubscriptionSettings
from conduit.core.pages import Moment, Page, Pages, Snapshot
from conduit.core.retries import Retry

_encode = msgspec.msgpack.Encoder().encode
_decode_snapshot = msgspec.msgpack.Decoder(Snapshot).decode
_decode_page = msgspec.msgpack.Decoder(Page).decode


class Rows:
    """The rows that one commit stores, until it is known what became of them."""

    __slots__ = ("_pages", "progress")

    def __init__(
        self,
        changed: Iterable[Recorded],
        later: Mapping[Recorded, Sequence[Death]],
        clock: Clock,
    ) -> None:
        """`later`: what died and is stored in a commit after this one is open in this one."""
        self._pages: list[tuple[Pages, dict[int, Page]]] = []
        at = moment(clock)
        self.progress = [
            self._row(who, later.get(who, ()), at) for who in changed if who.group.name is not None
        ]

    def did_store(self) -> None:
        """They are stored."""
        for pages, given in self._pages:
            pages.did_store(given)

    def put_back(self) -> None:
        """They are not, or nobody knows."""
        for pages, given in self._pages:
            pages.put_back(given)

    def _row(self, who: Recorded, later: Sequence[Death], at: Moment) -> Progress:
        delivery, group = who.delivery, who.group
        row = Progress(
            subscription_id=group.subscription_id,
            topic_id=who.topic.topic_id,
            floor=delivery.floor,
            cursor=delivery.cursor,
            fence=group.fence,
        )
        snapshot, pages = delivery.snapshot(at)
        snapshot.retries = [
            (death.seq, Retry(death.attempts)) for death in later if not delivery.is_open(death.seq)
        ]
        if not delivery.is_idle or delivery.lost or snapshot.retries:
            row.open = _encode(snapshot)
        if pages:
            row.pages = {n: _encode(page) if page.retries else b"" for n, page in pages.items()}
            self._pages.append((delivery.pages, pages))
        return row


def moment(clock: Clock) -> Moment:
    """Now."""
    return Moment(clock.now(), clock.wall_ms())


def pending_count(progress: Progress | None) -> int:
    """How many deliveries wait for their next attempt once this is restored."""
    if progress is None or not progress.open:
        return 0
    snapshot = _decode_snapshot(progress.open)
    count = len(snapshot.retries) + sum(last - first + 1 for first, last in snapshot.runs)
    if snapshot.page is not None:
        count += len(snapshot.page.retries)
    return count + sum(len(_decode_page(page).retries) for page in progress.pages.values())


def open_in(progress: Progress, first_seq: int) -> int:
    """As `open_from` counts them: `first_seq` is the first that is stored."""
    if not progress.open:
        return 0
    snapshot = _decode_snapshot(progress.open)
    pages = [_decode_page(page) for page in progress.pages.values()]
    if snapshot.page is not None:
        pages.append(snapshot.page)
    count = sum(
        last - max(first, first_seq) + 1 for first, last in snapshot.runs if last >= first_seq
    )
    count += sum(seq >= first_seq for seq, _ in snapshot.retries)
    floor = progress.floor
    # What is open at or below the floor was redriven: versions before did not say it of each.
    return count + sum(
        kept.seq >= first_seq or kept.is_redriven or kept.seq <= floor
        for page in pages
        for kept in page.retries
    )


def restore(delivery: Delivery, progress: Progress, clock: Clock) -> None:
    """Take over stored progress."""
    snapshot = _decode_snapshot(progress.open) if progress.open else Snapshot()
    pages = {number: _decode_page(page) for number, page in progress.pages.items()}
    delivery.restore(progress.floor, progress.cursor, (snapshot, pages), moment(clock))


def restored(settings: SubscriptionSettings, progress: Progress, clock: Clock) -> Delivery:
    """The machine that stored progress stands for; it does not run."""
    delivery = Delivery(policy_of(settings), progress.floor, {})
    restore(delivery, progress, clock)
    return delivery
