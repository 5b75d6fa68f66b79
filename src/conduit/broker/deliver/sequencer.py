"""The way of committed messages to the feeds, in the order of their numbers, whoever has committed them.

What this node commits comes here, and what others say that they have committed; both may come too early or
twice (core/sequencing.py). What has come too early waits for HOLE_S for what is missing. Then that is read
from the log, once for all subscribers. What nobody has told is found by comparing with the log (tails.py).

Where something is missing, nothing is believed that the log does not have: `last_seq` of a topic moves with
messages that follow, or to what the store has said.

At every await. `_fill` is the only one, once at a time for each topic. While it waits more may come and go
on: it looks again where the topic is. The topic may be deleted, and is left then. If the log cannot be read,
it tries again, and whoever follows the topic waits, as for every read of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Sequence
from typing import Any

from conduit.broker.catalog import Topic
from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.router import Router
from conduit.broker.waiting import Slots
from conduit.core.message import Committed, Message
from conduit.core.sequencing import Run, Sequencing
from conduit.errors import ConduitError
from conduit.storage.base import Store

# How long what has come too early waits for what is missing.
HOLE_S = 0.05
# Messages that are read to fill a hole, and their payloads; followers read what is more by themselves.
FILL_MAX_COUNT = 1_024
FILL_MAX_BYTES = 1 << 20
# Holes that are filled at a time; tenants take turns.
FILLS_MAX_COUNT = 8
# What is held of all topics together.
HELD_ALL_MAX_BYTES = 32 << 20
# After a read that failed the store is given this long.
PAUSE_S = 0.25


class _Held:
    """A topic of which something is missing. `told_seq`: the log has messages up to it at least."""

    __slots__ = ("hole_seq", "is_filling", "runs", "since", "told_seq", "topic")

    def __init__(self, topic: Topic, now: float) -> None:
        self.topic = topic
        self.runs: Sequencing[Committed] = Sequencing()
        self.since = now
        # The last missing number, as it was then.
        self.hole_seq = 0
        self.told_seq = 0
        self.is_filling = False

    @property
    def missing_seq(self) -> int:
        """The last of the numbers that have to come from the log; none if the topic has it already."""
        return self.runs.hole() or self.told_seq


class Sequencer:
    """Between those who commit and the router; one per node."""

    def __init__(self, router: Router, store: Store, engine: Engine) -> None:
        self._router = router
        self._store = store
        self._lags = engine.lags
        self._feeds = engine.feeds
        self._reader = engine.reader
        self._breakers = engine.breakers
        self._held: dict[int, _Held] = {}
        self._slots = Slots(FILLS_MAX_COUNT)
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self.held_bytes = 0
        """Payloads of what has come too early, of all topics."""
        self.late_count = 0
        """Messages that were told again, or after they were read."""
        self.filled_count = 0
        """Messages that were missing, and were read for all."""
        self.skipped_count = 0
        """Messages that were missing, and are read by each who follows."""

    def close(self) -> None:
        """Fill nothing more; what is being read is finished by the reader."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()

    # The way of a message -------------------------------------------------------------------------

    @property
    def subscriber_count(self) -> int:
        """See `Deliver.subscriber_count`."""
        return self._router.subscriber_count

    def opening(self, topic_ids: Collection[int]) -> Coroutine[Any, Any, None] | None:
        """See `Deliver.opening`."""
        return self._router.opening(topic_ids)

    def committed(self, topic: Topic, messages: Sequence[Committed], first_seq: int) -> int:
        """This node has committed messages, from `first_seq` on: they go on when all before them has. Returns
        how many subscribers they go to."""
        if first_seq == topic.last_seq + 1 and topic.topic_id not in self._held:
            return self._router.committed(topic, messages, first_seq)
        if not self._router.is_followed(topic):
            # What was given before is in the log as well, and nobody waits for it.
            self._skip_to(topic, first_seq + len(messages) - 1)
            return 0
        self._offer(topic, messages, first_seq)
        return self._router.subscribers_of(topic)

    def told(self, topic: Topic, messages: Sequence[Committed], first_seq: int) -> None:
        """Another node says that it has committed these. If nothing here follows the topic, only what comes
        next is believed: who comes to follow it asks the log (tails.py)."""
        if first_seq == topic.last_seq + 1 and topic.topic_id not in self._held:
            self._router.committed(topic, messages, first_seq)
        elif self._router.is_followed(topic):
            self._offer(topic, messages, first_seq)

    def learned(self, topic: Topic, last_seq: int) -> None:
        """The store says that the topic has messages up to there."""
        missing_count = last_seq - topic.last_seq
        if missing_count <= 0 or topic.is_deleted:
            return
        held = self._held.get(topic.topic_id)
        if missing_count > FILL_MAX_COUNT or not self._router.is_followed(topic):
            self._skip_to(topic, last_seq)
            if held is not None:
                self._go_on(held)
            return
        held = held or self._hold(topic)
        held.told_seq = max(held.told_seq, last_seq)
        self._begin(held)

    def trimmed(self, topic: Topic, first_seq: int) -> None:
        """Retention, or a purge, has removed what comes before `first_seq`: from here on nothing of it is
        handed out, and who has not got it is told of a gap."""
        if first_seq < topic.first_seq:
            # Of two who remove, the one that is told of later may have been the earlier.
            return
        # What is gone was there, also where this node never heard of it.
        if first_seq - 1 > topic.last_seq:
            self._skip_to(topic, first_seq - 1)
        self._lags.trimmed(topic, first_seq)
        topic.first_seq = first_seq
        feed = self._feeds.find(topic.topic_id)
        if feed is not None:
            feed.trim(first_seq)
        held = self._held.get(topic.topic_id)
        if held is not None:
            self._go_on(held)

    def topic_deleted(self, topic: Topic) -> None:
        """It is gone, and what is held of it: whoever follows it is owed that too, and is told."""
        held = self._held.pop(topic.topic_id, None)
        if held is not None:
            self.held_bytes -= held.runs.size_bytes
            self._skip_to(topic, max(held.runs.highest, held.told_seq))

    def _offer(self, topic: Topic, messages: Sequence[Committed], first_seq: int) -> None:
        size_bytes = sum([len(message.payload) for message in messages])
        run = Run(first_seq, messages, size_bytes)
        self.late_count += max(0, min(run.last, topic.last_seq) + 1 - run.first)
        if run.last <= topic.last_seq:
            return
        if run.first <= topic.last_seq + 1 and topic.topic_id not in self._held:
            self._pass(topic, run)
            return
        held = self._hold(topic)
        before_bytes = held.runs.size_bytes
        has_room = self.held_bytes + run.size_bytes <= HELD_ALL_MAX_BYTES
        is_kept = has_room and held.runs.hold(run)
        self.held_bytes += held.runs.size_bytes - before_bytes
        if not is_kept:
            # What is in the log by now is read, as far as it goes.
            held.told_seq = max(held.told_seq, run.last)
        self._go_on(held)
        if not is_kept:
            self._begin(held)

    def _pass(self, topic: Topic, run: Run[Committed]) -> None:
        run = run.after(topic.last_seq)
        self._router.committed(topic, run.items, run.first)

    def _hold(self, topic: Topic) -> _Held:
        held = self._held.get(topic.topic_id)
        if held is None:
            held = self._held[topic.topic_id] = _Held(topic, asyncio.get_running_loop().time())
        return held

    def _go_on(self, held: _Held) -> None:
        """Have what follows go on; what is then missing is waited for."""
        topic, before_bytes = held.topic, held.runs.size_bytes
        while (run := held.runs.take(topic.last_seq)) is not None:
            self._pass(topic, run)
        self.held_bytes += held.runs.size_bytes - before_bytes
        missing_seq = held.missing_seq
        if missing_seq <= topic.last_seq:
            if not held.is_filling:
                self._held.pop(topic.topic_id, None)
            return
        if missing_seq != held.hole_seq:
            held.hole_seq, held.since = missing_seq, asyncio.get_running_loop().time()
        if self._timer is None and not self._is_closed:
            self._timer = asyncio.get_running_loop().call_later(HOLE_S, self._look)

    # Holes ----------------------------------------------------------------------------------------

    def _look(self) -> None:
        self._timer = None
        due = asyncio.get_running_loop().time() - HOLE_S
        waiting = [held for held in self._held.values() if not held.is_filling]
        for held in waiting:
            if held.since <= due:
                self._begin(held)
        if any(held.since > due for held in waiting):
            self._timer = asyncio.get_running_loop().call_later(HOLE_S, self._look)

    def _begin(self, held: _Held) -> None:
        is_missing = held.topic.topic_id in self._held
        if is_missing and not held.is_filling and not self._is_closed:
            held.is_filling = True
            self._reader.spawn(self._fill(held))

    async def _fill(self, held: _Held) -> None:
        """Bring what is missing from the log, until nothing is."""
        topic = held.topic
        try:
            while self._is_missing(held):
                async with self._slots.taken(topic.tenant):
                    error = await self._filled(held)
                self._breakers.heard(topic, error)
                if error is not None:
                    await asyncio.sleep(PAUSE_S)
        finally:
            held.is_filling = False
            if self._held.get(topic.topic_id) is held:
                self._go_on(held)

    def _is_missing(self, held: _Held) -> bool:
        is_here = self._held.get(held.topic.topic_id) is held
        return is_here and held.missing_seq > held.topic.last_seq and not self._is_closed

    async def _filled(self, held: _Held) -> ConduitError | None:
        """Take one step; the error if the log cannot be read."""
        topic = held.topic
        first, last = topic.last_seq + 1, held.missing_seq
        if first > last:
            return None
        try:
            messages: Sequence[Message] = ()
            if last - first < FILL_MAX_COUNT and self._router.is_followed(topic):
                messages = await self._store.read(
                    topic.topic_id, first, limit=last + 1 - first, max_bytes=FILL_MAX_BYTES
                )
            if messages and messages[0].seq == first:
                self._read(held, messages)
            else:
                await self._skip(held)
        except ConduitError as error:
            return error
        return None

    def _read(self, held: _Held, messages: Sequence[Message]) -> None:
        if self._held.get(held.topic.topic_id) is not held:
            return
        before_seq = held.topic.last_seq
        run: Run[Committed] = Run(messages[0].seq, messages, 0)
        if run.last > before_seq:
            self._pass(held.topic, run)
            self.filled_count += held.topic.last_seq - before_seq
        self._go_on(held)

    async def _skip(self, held: _Held) -> None:
        """Whoever follows reads for itself: it is much, or has left the log, or nobody does."""
        topic = held.topic
        extents = await self._store.extents([topic.topic_id])
        if self._held.get(topic.topic_id) is not held:
            return
        # What others say of the log, and the log does not, is nothing.
        last_seq = max((extent.last_seq for extent in extents), default=0)
        held.told_seq = min(held.told_seq, last_seq)
        self._skip_to(topic, min(held.missing_seq, last_seq))
        if held.runs.hole() > last_seq:
            # What is held is not the log's.
            self.held_bytes -= held.runs.size_bytes
            held.runs = Sequencing()
        self._go_on(held)

    def _skip_to(self, topic: Topic, last_seq: int) -> None:
        """Whoever follows it reads up to there."""
        before_seq = topic.last_seq
        self._router.learned(topic, last_seq)
        self.skipped_count += topic.last_seq - before_seq
