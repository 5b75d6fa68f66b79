"""What the broker does with a delivery machine: hands out again what is due, in the order that it gives, and
stores its progress."""

import msgspec

from conduit.core.delivery import Delivery
from conduit.core.pages import Moment, Page, Snapshot

encode, decode = msgspec.msgpack.encode, msgspec.msgpack.decode


class Shelf:
    """What a store has of one subscription in one topic."""

    def __init__(self):
        self.floor = self.cursor = 0
        self.open = encode(Snapshot())
        self.pages = {}

    def flush(self, delivery, now, wall_ms=None, *, is_lost=False):
        """Store the progress; returns which pages were written. `is_lost`: the answer is."""
        snapshot, pages = delivery.snapshot(moment(now, wall_ms))
        self.floor, self.cursor, self.open = delivery.floor, delivery.cursor, encode(snapshot)
        self.pages.update((number, encode(page)) for number, page in pages.items())
        self.pages = {n: page for n, page in self.pages.items() if decode(page, type=Page).retries}
        if is_lost:
            delivery.pages.put_back(pages)
        else:
            delivery.pages.did_store(pages)
        return sorted(pages)

    def restore(self, delivery, now, wall_ms=None):
        """Load the progress into a machine, which it returns."""
        pages = {number: decode(page, type=Page) for number, page in self.pages.items()}
        stored = decode(self.open, type=Snapshot), pages
        delivery.restore(self.floor, self.cursor, stored, moment(now, wall_ms))
        return delivery


def moment(now, wall_ms=None):
    """Unless it is said otherwise, the wall clock agrees with the machine's."""
    return Moment(now, round(now * 1000) if wall_ms is None else wall_ms)


def redelivered(delivery: Delivery, holder: int, now: float, limit: int) -> list[tuple[int, int]]:
    """Give the holder up to `limit` of what is due; returns numbers and attempts.

    Suspects come last, and one at a time.
    """
    handed: list[tuple[int, int]] = []
    while len(handed) < limit:
        seq = delivery.due(now)
        if seq is None:
            seq = delivery.due_suspect(now)
        if seq is None:
            break
        handed.append((seq, delivery.hand_again(seq, holder, now).attempt))
    return handed
