"""The tail of a topic: frames are built once, and written to every subscriber that is at the end.

Followers at the end form live sets (live.py). At the end of the turn the frames of the turn are joined, and
the same bytes go to each of a set. Who is full or slow leaves it, goes on from the tail kept here or from the
log, and joins again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from conduit.broker.allowances import Allowance
from conduit.broker.catalog import Topic
from conduit.broker.clock import Clock
from conduit.broker.deliver.backlog import Backlog
from conduit.broker.deliver.budget import Budget
from conduit.broker.deliver.entry import ENTRY_BYTES, Entry, MakeEntry
from conduit.broker.deliver.index import MessageIndex
from conduit.broker.deliver.live import LIVE_MAX_COUNT, WRITE_S, Follower, LiveSet, Written
from conduit.broker.deliver.subscriber import Outlet
from conduit.broker.deliver.traced import DeliveryTraces
from conduit.broker.stats import Stats
from conduit.broker.turn import Turn, each, guarded
from conduit.core.message import Committed

# Of those who wait for something new, so many are woken in the turn of the loop in which it came.
WOKEN_MAX_COUNT = 200
# The tail that is kept for those who are a little behind. All tails together are bounded too (budget.py).
TAIL_MAX_COUNT = 1_024
TAIL_MAX_BYTES = 1 << 20
# Messages that a live set may wait for behind others; less than the tail keeps.
WAITING_MAX_COUNT = 256
# So many sets may be sparse.
SPARSE_FREE_COUNT = 8

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tools:
    """What every feed works with."""

    clock: Clock
    stats: Stats
    turn: Turn
    index: MessageIndex
    backlog: Backlog
    budget: Budget
    make_entry: MakeEntry
    traces: DeliveryTraces | None
    """Of deliveries that are traced; None: none are."""


class Feed:
    """The tail of one topic and who follows it.

    `position` is the last number that was offered; the tail may have newer ones for a moment. Live sets have
    it when they are written, and until then that of before. Who is `waiting` had it, or a later one, when it
    came. All others look here when they can go on, and are only counted.
    """

    __slots__ = (
        "_counted_bytes",
        "_sets",
        "_tail",
        "_tail_bytes",
        "_tools",
        "follower_count",
        "is_used",
        "position",
        "topic",
        "waiting",
    )

    def __init__(self, topic: Topic, tools: Tools) -> None:
        self.topic = topic
        self.position = topic.last_seq
        self._tools = tools
        # Consecutive numbers up to the newest that this node knows.
        self._tail: list[Entry] = []
        self._tail_bytes = 0
        # What the node's budget has for it: a little more, so that it is not told of every message.
        self._counted_bytes = 0
        self._sets: list[LiveSet] = []
        self.waiting: dict[Follower, None] = {}
        self.follower_count = 0
        # Whether there was a message since somebody last looked.
        self.is_used = True

    @property
    def whose(self) -> Allowance:
        """Its tenant; for those who let tenants take turns."""
        return self.topic.allowance

    def extend(self, messages: Sequence[Committed], first_seq: int) -> None:
        """Take over newly committed messages, to be written at the end of the turn."""
        tail = self._tail
        known_count = (tail[-1].seq if tail else self.position) + 1 - first_seq
        if known_count < 0:
            self.skip_to(first_seq - 1)
        elif known_count > 0:
            # The log was further than this node knew, and it was told.
            messages, first_seq = messages[known_count:], first_seq + known_count
        self.is_used = True
        put, make_entry, topic = self._tools.index.put, self._tools.make_entry, self.topic
        for seq, message in enumerate(messages, first_seq):
            entry = make_entry(topic, message, seq)
            put(message.message_id, topic.topic_id, seq)
            tail.append(entry)
            self._tail_bytes += len(entry.frame) + ENTRY_BYTES
        self._tools.turn.add(self)

    def run(self) -> None:
        """Have the frames of this turn written to the live sets, and wake those who wait."""
        tail = self._tail
        if tail and tail[-1].seq > self.position:
            self.position = tail[-1].seq
            if self._sets:
                self._offer()
        waiting, self.waiting = self.waiting, {}
        if len(waiting) > WOKEN_MAX_COUNT:
            self._tools.turn.spread(each(tuple(waiting), _wake), self.whose)
        else:
            for follower in waiting:
                # A bug there costs nobody else their turn, or the messages of it.
                guarded(follower.arrive)
        if self._tail_bytes > self._counted_bytes or len(tail) > TAIL_MAX_COUNT:
            self._trim()

    def skip_to(self, last_seq: int) -> None:
        """Others have written to the topic, up to `last_seq`: everybody has to read that from the log first.

        At once, and not at the end of the turn: nobody may join the live set at a position that the feed
        then leaves behind. What was in the tail and not written yet is read from the log as well.
        """
        before, self.position = self.position, last_seq
        self._tail.clear()
        self._tail_bytes = self._counted_bytes = 0
        self._tools.budget.forget_tail(self)
        behind = [(who, live.position) for live in self._sets for who in live.followers]
        for follower, position in [*behind, *((who, before) for who in self.waiting)]:
            try:
                follower.fall_behind(position)
            except Exception:
                logger.exception("a follower failed")

    def drop(self) -> None:
        """Keep no tail, but what is not written yet; `Budget` calls."""
        written = min([live.position for live in self._sets], default=self.position)
        # The same list: whoever works with it may be the reason.
        self._tail[:] = [entry for entry in self._tail if entry.seq > written]
        self._tail_bytes = sum(len(entry.frame) + ENTRY_BYTES for entry in self._tail)
        self._counted_bytes = 0

    def trim(self, first_seq: int) -> None:
        """The log has lost what comes before `first_seq`: the tail has it no longer either."""
        tail = self._tail
        if not tail or tail[0].seq >= first_seq:
            return
        if tail[-1].seq > self.position and first_seq > self.position + 1:
            # Some of it is not written yet: everybody finds in the log what is left, or a gap.
            self.skip_to(tail[-1].seq)
            return
        self._cut(first_seq - tail[0].seq)
        if self._counted_bytes:
            self._count()

    def close(self) -> None:
        """Keep no tail: nobody counts it any more, and one that has followed it may be here for a while."""
        self._tail.clear()

    def slice(self, from_seq: int, limit: int, to_seq: int | None) -> list[Entry]:
        """Up to `limit` entries of the tail, beginning exactly with `from_seq`, or none."""
        tail = self._tail
        start = from_seq - tail[0].seq if tail else -1
        if start < 0:
            return []
        end = start + limit
        if to_seq is not None:
            end = min(end, to_seq - tail[0].seq + 1)
        return tail[start:end]

    def _offer(self) -> None:
        """Have the live sets written: one now, others in their turns, unless they have waited for long."""
        sets, turn = self._sets, self._tools.turn
        if len(sets) > 1:
            # Another one is first each time.
            sets.append(sets.pop(0))
        for number, live in enumerate(tuple(sets)):
            if not number or self.position - live.position >= WAITING_MAX_COUNT:
                live.run()
            else:
                turn.later(live)

    def wrote(self, live: LiveSet, entries: list[Entry], now: float, times: int) -> None:
        """See `Tail.wrote`."""
        tools = self._tools
        tools.backlog.live(self)
        count = len(entries) * times
        self.topic.delivered_count += count
        self.topic.allowance.counts.delivered_count += count
        tools.stats.delivered(entries, now, times)
        tools.turn.deferred_s += times * WRITE_S
        if tools.traces is not None:
            written = Written(times, live.settling_count)
            tools.traces.wrote(self.topic, entries, now, written)

    def again(self, live: LiveSet) -> None:
        """See `Tail.again`."""
        self._tools.turn.later(live)

    def now(self) -> float:
        """See `Tail.now`."""
        return self._tools.clock.now()

    # Live sets ------------------------------------------------------------------------------------

    @property
    def live(self) -> list[Follower]:
        """Who is in one."""
        return [follower for live in self._sets for follower in live.followers]

    def join(self, who: Follower, outlet: Outlet | None) -> None:
        """It has all up to `position`, and takes what comes as the others do, through `outlet` if that is
        given. It may be in a set already."""
        live = who.live_set
        if live is None or live.position != self.position:
            self.leave(who)
            live = who.live_set = self._set_with_room()
        live.followers[who] = outlet

    def leave(self, who: Follower) -> None:
        """It is in no set any more. Idempotent."""
        live, who.live_set = who.live_set, None
        if live is not None:
            del live.followers[who]
            if not live.followers:
                self._sets.remove(live)

    def _set_with_room(self) -> LiveSet:
        for live in reversed(self._sets):
            if live.position == self.position and len(live.followers) < LIVE_MAX_COUNT:
                return live
        if len(self._sets) > SPARSE_FREE_COUNT:
            self._merge()
        self._sets.append(LiveSet(self))
        return self._sets[-1]

    def _merge(self) -> None:
        """Put sparse sets of one position together: they come about while others wait to be written."""
        room: dict[int, LiveSet] = {}
        for live in tuple(self._sets):
            other = room.get(live.position)
            if other is None or len(other.followers) + len(live.followers) > LIVE_MAX_COUNT:
                room[live.position] = live
                continue
            for who in live.followers:
                who.live_set = other
            other.followers |= live.followers
            live.followers = {}
            self._sets.remove(live)

    def _trim(self) -> None:
        """Stay within the bounds, and tell the node's budget what is kept."""
        if not self.follower_count:
            return
        if len(self._tail) > TAIL_MAX_COUNT or self._tail_bytes > TAIL_MAX_BYTES:
            self._halve()
        self._count()

    def _count(self) -> None:
        self._counted_bytes = self._tail_bytes + self._tail_bytes // 4
        self._tools.budget.keep_tail(self, self._counted_bytes)

    def _cut(self, count: int) -> None:
        self._tail_bytes -= sum(len(entry.frame) + ENTRY_BYTES for entry in self._tail[:count])
        del self._tail[:count]

    def _halve(self) -> None:
        # Half of the bound is cut off at once, so that the cost per message is constant.
        keep_count, keep_bytes, size = 0, 0, 0
        for entry in reversed(self._tail):
            size = keep_bytes + len(entry.frame) + ENTRY_BYTES
            if keep_count >= TAIL_MAX_COUNT // 2 or (keep_count and size > TAIL_MAX_BYTES // 2):
                break
            keep_count, keep_bytes = keep_count + 1, size
        del self._tail[: len(self._tail) - keep_count]
        self._tail_bytes = keep_bytes


def _wake(follower: Follower) -> None:
    follower.arrive()


class Feeds:
    """The feeds of the topics that are followed by somebody who has something to do there."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self.by_id: dict[int, Feed] = {}
        """By topic id."""

    def find(self, topic_id: int) -> Feed | None:
        """The feed of the topic, if there is one."""
        return self.by_id.get(topic_id)

    def attach(self, topic: Topic) -> Feed:
        """The tail of the topic, begun at its end if there is none, with one follower more."""
        feed = self.by_id.get(topic.topic_id)
        if feed is None:
            feed = Feed(topic, self._tools)
            self.by_id[topic.topic_id] = feed
        feed.follower_count += 1
        return feed

    def detach(self, feed: Feed) -> None:
        """One follower less; without any, the feed and its tail are forgotten."""
        feed.follower_count -= 1
        if feed.follower_count == 0 and self.by_id.get(feed.topic.topic_id) is feed:
            del self.by_id[feed.topic.topic_id]
            self._tools.budget.forget_tail(feed)
            feed.close()

    def all(self) -> list[Feed]:
        """All of them."""
        return list(self.by_id.values())
