"""The way of one subscription through one topic: what is handed to whom, from the tail or the log."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from conduit.broker.deliver.entry import Entry, make_entry
from conduit.broker.deliver.reader import PAGE_MAX_BYTES, Page
from conduit.core.delivery import Delivery
from conduit.errors import ConduitError
from conduit.protocol.codec import server_frame
from conduit.protocol.frames import Gap

if TYPE_CHECKING:
    from conduit.broker.deliver.feed import Feed
    from conduit.broker.deliver.running import Dispatch, Subscriber

# What is written to one subscriber at a time, so that competing ones take turns and a socket that fills
# up is noticed before much more is queued on it.
HAND_MAX_COUNT = 64
HAND_MAX_BYTES = 128 << 10


class Stream:
    """One `Delivery` with the feed it follows.

    It is *live* (ephemeral only, at the feed's position, takes the joined frames of each turn), or a
    follower that `pump` brings forward whenever something changed: new messages, acks, a socket that
    drains, a page from the log, time.
    """

    __slots__ = (
        "_is_closed",
        "_is_fetching",
        "_missing",
        "_page",
        "delivery",
        "dispatch",
        "feed",
    )

    def __init__(self, dispatch: Dispatch, feed: Feed, delivery: Delivery) -> None:
        self.dispatch = dispatch
        self.feed = feed
        self.delivery = delivery
        self._page: Page | None = None
        # (subscriber, seq, attempt) that are out and wait for the log; bounded by the windows.
        self._missing: deque[tuple[Subscriber, int, int]] = deque()
        self._is_fetching = False
        self._is_closed = False

    def open(self) -> None:
        """Follow the feed; deliveries begin with the next `pump`."""
        self.feed.followers[self] = None
        self.feed.subscriber_count += len(self.dispatch.subscribers)
        self.dispatch.hub.open_streams.add(self)
        self.dispatch.hub.turn.add(self)

    def close(self) -> None:
        """Leave the feed for good; nothing is handed out any more."""
        self._is_closed = True
        self.feed.live.pop(self, None)
        self.feed.followers.pop(self, None)
        self.feed.subscriber_count -= len(self.dispatch.subscribers)
        self.dispatch.streams.pop(self.feed.topic.topic_id, None)
        self.dispatch.hub.open_streams.discard(self)
        self.dispatch.hub.ledger.forget(self)

    # Live -----------------------------------------------------------------------------------------

    def write_live(self, entries: list[Entry], data: bytes) -> None:
        """Hand over the frames of one turn as they are, or fall back to `pump` when there is no room."""
        dispatch = self.dispatch
        subscriber = dispatch.subscribers[0]
        if not dispatch.is_auto:
            if subscriber.room < len(entries):
                self.leave_live()
                self.pump()
                return
            now = dispatch.hub.clock.now()
            self.delivery.hand(entries[0].seq, entries[-1].seq, subscriber.holder, now)
            dispatch.hub.open_streams.add(self)
        dispatch.hub.stats.delivered_count += len(entries)
        subscriber.outlet.write(data)

    def leave_live(self) -> None:
        """Become a follower. Does nothing if it is one."""
        if self in self.feed.live:
            del self.feed.live[self]
            self.feed.followers[self] = None
            if self.dispatch.is_auto:
                # Not kept per turn: while live, it is the feed's.
                self.delivery.cursor = self.feed.position

    def _join_live(self) -> None:
        dispatch = self.dispatch
        if dispatch.name is None and not dispatch.is_strict and self in self.feed.followers:
            del self.feed.followers[self]
            self.feed.live[self] = None

    # Following ------------------------------------------------------------------------------------

    def run(self) -> None:
        """`pump`, at the end of a turn."""
        self.pump()

    def step(self, max_count: int) -> None:
        """`pump`, with a few messages of the log; for `CatchUp` to call."""
        self.pump(max_count)

    def pump(self, step_count: int = 0) -> None:
        """Hand out all that may be handed out now: what is due again, then what is new.

        What has to come from the log is handed out in steps, in turns with the other streams: up to
        `step_count` messages of it now.
        """
        dispatch = self.dispatch
        if self._is_closed or self._is_fetching or dispatch.is_paused or self in self.feed.live:
            return
        if self.delivery.retries.by_seq:
            self._redeliver()
        while True:
            first = self.delivery.cursor + 1
            available_count = self.feed.position - first + 1
            if available_count <= 0:
                if available_count == 0:
                    self._join_live()
                return
            if dispatch.is_strict and not self.delivery.is_idle:
                return
            subscriber = dispatch.next_subscriber()
            if subscriber is None:
                return
            limit = 1 if dispatch.is_strict else min(subscriber.room, HAND_MAX_COUNT)
            entries = self._entries(first, min(limit, dispatch.share(available_count)), step_count)
            if not entries:
                return
            # One step is a few messages of a page; what is in the tail has no page.
            if self._page is not None:
                step_count = 0
            self._hand(subscriber, entries)

    def _entries(self, first: int, limit: int, step_count: int) -> list[Entry]:
        """Up to `limit` entries from `first` on; none if a page or a turn has to come before."""
        entries = self.feed.slice(first, limit, self.feed.position)
        if entries:
            self._page = None
        elif self._page is None or not self._page.has(first):
            self._fetch(first)
        elif step_count:
            entries = self._page.slice(first, min(limit, step_count))
        else:
            self.dispatch.hub.catch_up.add(self)
        return self._within_bytes(entries)

    @staticmethod
    def _within_bytes(entries: list[Entry]) -> list[Entry]:
        """As many of them as HAND_MAX_BYTES allows, at least one."""
        size = 0
        for index, entry in enumerate(entries):
            size += len(entry.frame)
            if size > HAND_MAX_BYTES:
                return entries[: max(index, 1)]
        return entries

    def _hand(self, subscriber: Subscriber, entries: list[Entry]) -> None:
        dispatch = self.dispatch
        if dispatch.is_auto:
            self.delivery.pass_over(entries[-1].seq)
        else:
            now = dispatch.hub.clock.now()
            self.delivery.hand(entries[0].seq, entries[-1].seq, subscriber.holder, now)
            dispatch.hub.open_streams.add(self)
        self._mark()
        name = dispatch.name_bytes
        if name:
            data = b"".join([entry.frame_for(1, name) for entry in entries])
        else:
            data = b"".join([entry.frame for entry in entries])
        dispatch.hub.stats.delivered_count += len(entries)
        subscriber.outlet.write(data)
        if self.delivery.cursor == self.feed.position:
            dispatch.hub.catch_up.live(self)

    # The log --------------------------------------------------------------------------------------

    def _fetch(self, first: int) -> None:
        self._is_fetching = True
        self._page = None
        hub = self.dispatch.hub
        hub.reader.fetch(self.feed, first, hub.catch_up.pace_of(self).page_count, self._arrived)

    def _arrived(self, first: int, page: Page | ConduitError, last_seq: int) -> None:
        """A page of the log from `first` on, or the error that prevented it.

        `last_seq` was the end of the log when the read began: what is missing up to there is gone.
        """
        self._is_fetching = False
        if self._is_closed:
            return
        if isinstance(page, ConduitError):
            self.dispatch.hub.stalled_streams.add(self)
            return
        if self.delivery.cursor + 1 == first:
            first_stored = page.first_seq or last_seq + 1
            if first_stored > first:
                self._tell_gap(first, first_stored - 1)
                self.delivery.pass_over(first_stored - 1)
                self._mark()
            self._page = page
        self.pump()

    def _tell_gap(self, from_seq: int, to_seq: int) -> None:
        self.dispatch.hub.stats.gap_count += 1
        topic = self.feed.topic
        frame = server_frame(Gap(topic.name, from_seq, to_seq, "retention", topic.epoch))
        for subscriber in self.dispatch.subscribers:
            subscriber.outlet.write(frame)

    # Again ----------------------------------------------------------------------------------------

    def expire(self, now: float, jitter: float) -> None:
        """Fail what is overdue, bury what is exhausted, hand out what is due."""
        if self.delivery.expire(now, jitter):
            self._mark()
        self.leave_live()
        self.pump()

    def _redeliver(self) -> None:
        hub = self.dispatch.hub
        now = hub.clock.now()
        while (subscriber := self.dispatch.next_subscriber()) is not None:
            limit = min(subscriber.room, HAND_MAX_COUNT)
            handed = self.delivery.redeliver(subscriber.holder, now, limit)
            if not handed:
                return
            hub.open_streams.add(self)
            self._mark()
            for seq, attempt in handed:
                found = self.feed.slice(seq, 1, None)
                # Behind one that has to be read, all wait their turn, so that they stay in order.
                if found and not self._missing:
                    self._write_again(subscriber, found[0], attempt)
                    continue
                self._missing.append((subscriber, seq, attempt))
                if len(self._missing) == 1:
                    hub.reader.spawn(self._redeliver_missing())

    def _write_again(self, subscriber: Subscriber, entry: Entry, attempt: int) -> None:
        hub = self.dispatch.hub
        hub.stats.delivered_count += 1
        hub.stats.redelivered_count += attempt > 1
        hub.index.put(entry.message_id, self.feed.topic.topic_id, entry.seq)
        subscriber.outlet.write(entry.frame_for(attempt, self.dispatch.name_bytes))

    async def _redeliver_missing(self) -> None:
        """Write deliveries whose messages have left the memory; they are out already."""
        page: dict[int, Entry] = {}
        while self._missing and not self._is_closed:
            subscriber, seq, attempt = self._missing[0]
            if seq not in page:
                try:
                    page = await self._stored(seq)
                except ConduitError:
                    # Out but not written: these attempts will time out, and the next may be luckier.
                    self._missing.clear()
                    return
            self._missing.popleft()
            held = self.delivery.history(seq)
            if held is None or held.holder != subscriber.holder:
                continue
            if seq in page:
                self._write_again(subscriber, page[seq], attempt)
            else:
                self.delivery.ack(seq)
                self._tell_gap(seq, seq)
                self.changed()

    async def _stored(self, seq: int) -> dict[int, Entry]:
        """Entries from `seq` on, by number: from the log, or `seq` alone from its dead letter."""
        hub, topic_id, name = self.dispatch.hub, self.feed.topic.topic_id, self.feed.topic_name
        found = await hub.store.read(topic_id, seq, limit=HAND_MAX_COUNT, max_bytes=PAGE_MAX_BYTES)
        page = {message.seq: make_entry(name, message, message.seq) for message in found}
        if seq not in page:
            dead = await hub.store.dead_of(self.dispatch.name or "", topic_id, seq)
            if dead is not None:
                page[seq] = make_entry(name, dead, seq)
        return page

    # Progress -------------------------------------------------------------------------------------

    def changed(self) -> None:
        """Something was settled or released: record it, and go on at the end of the turn."""
        self._mark()
        if self not in self.feed.live:
            self.dispatch.hub.turn.add(self)

    def _mark(self) -> None:
        if self.dispatch.name is not None or self.delivery.has_dead:
            self.dispatch.hub.ledger.mark(self)
