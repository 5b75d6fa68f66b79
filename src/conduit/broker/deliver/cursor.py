"""One subscription in one topic: when something is handed out, or settled, and what it waits for meanwhile.

Theory of operation. `delivery` knows which numbers are settled, out or waiting (core/delivery.py), `source`
finds the messages, and `handing` has the order in which they go out (handing.py). A cursor finds the moment:
it is in exactly one state, and is registered where the state says; `pump` looks at everything anew and enters
the state that it finds.

state      registered in       means, and who calls next
---------  ------------------  ------------------------------------------------------------------
LIVE       a live set          at the end of the log; takes the joined frames of each turn
                               (ephemeral, publish order only)
TAIL       feed.waiting        nothing to hand out until the feed has something new
CREDIT     group's line        has something, and no subscriber has credit, or others wait longer, or its
                               tenant's deliveries have to wait
CROWDED    group's line        has to read the log, of which the subscription reads as much as it may
FULL       group's line        has something new, and too many of the subscription's deliveries wait
BEHIND     backlog's line      has a page of the log, and waits for its turn to hand out from it
FETCHING   reader              the log is being read for it; `page_arrived` or `again_arrived` is
                               called, whatever happens
STALLED    deadlines           the log could not be read; tried again after a while
HELD       nowhere             nothing may go out: paused, nobody is attached, this node may not act as
                               the owner or is about to give it away, or in strict order one is out or
                               waits for its time; `resume`, `attach`, a lease or a verb pumps
CLOSED     nowhere             for good; what still arrives is dropped

FETCHING and BEHIND are a turn that the group's line gave: until it is over, `pump` asks for no other.

Beside any of them but CLOSED: deliveries that are out or wait are watched by `deadlines`.

At every await. There is none here: the store is read by tasks of the reader, which call back. Between the
question and the answer anything may have happened. A cursor that was closed hears of no answer; else
`page_arrived` and `again_arrived` check again: it may have been moved (seek), paused or left by its
subscribers; what was asked for may be settled. An attempt begins when it is written, never when it is asked
for: a store that is away burns none.

A bug in here is logged by whoever called, and the cursor tries again after a while.
"""

from __future__ import annotations

from conduit.broker.allowances import Allowance
from conduit.broker.catalog import Topic
from conduit.broker.deliver.deadlines import NEVER
from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.feed import Feed
from conduit.broker.deliver.gaps import Gaps, Losses
from conduit.broker.deliver.group import Group
from conduit.broker.deliver.handing import Handing
from conduit.broker.deliver.live import LiveSet
from conduit.broker.deliver.source import Source
from conduit.broker.deliver.states import State, enter, leave
from conduit.broker.deliver.verbs import ACKED, Outcome, Verb
from conduit.core.delivery import Delivery
from conduit.core.policy import PUT_OFF_S
from conduit.core.retries import NOBODY

# It has read, or reads, and the log's messages are handed out step by step.
_IN_TURN = (State.FETCHING, State.BEHIND)


class Cursor:
    """A `Delivery` with the feed it follows and the group it hands to."""

    __slots__ = (
        "_engine",
        "_handing",
        "_source",
        "delivery",
        "feed",
        "group",
        "live_set",
        "losses",
        "state",
        "watched_at",
    )

    def __init__(self, engine: Engine, gaps: Gaps, topic: Topic, delivery: Delivery) -> None:
        self._engine = engine
        self.group: Group = gaps.group
        self.feed: Feed = engine.feeds.attach(topic)
        self.delivery = delivery
        self.live_set: LiveSet | None = None
        self.state = State.HELD
        self.watched_at = NEVER
        self._source = Source(engine, self.group, self.feed, self)
        self._handing = Handing(engine, self.feed, self._source, self)
        self.losses = Losses(gaps, topic, delivery, self._mark)

    @property
    def topic(self) -> Topic:
        return self.feed.topic

    @property
    def whose(self) -> Allowance:
        """Its tenant; for those who let tenants take turns."""
        return self.group.allowance

    @property
    def position(self) -> int:
        """The last number that was handed out, or passed over."""
        if self.live_set is not None and self.group.is_auto:
            return self.live_set.position
        return self.delivery.cursor

    @property
    def is_spare(self) -> bool:
        """Whether it has nothing to do and nothing to keep: another one can begin at the topic's end."""
        return (
            self.state in (State.LIVE, State.TAIL)
            and self.delivery.is_idle
            and not self.delivery.lost
            # Not where the log has lost more than this node knew to be in it: it would begin before that.
            and self.position == self.feed.position == self.topic.last_seq
            and not self._engine.progress.is_pending(self)
        )

    def close(self) -> None:
        """Leave for good; whoever had something out has its credit back."""
        self._enter(State.CLOSED)
        self.losses.close()
        self._left()
        self.delivery.forget()
        self.group.freed()
        self._source.close()
        # It holds this one.
        del self._handing
        self._engine.feeds.detach(self.feed)
        self._engine.deadlines.unwatch(self)
        self._engine.progress.forget(self)

    def seek(self, floor: int) -> None:
        """Begin anew after `floor`, whatever is open; the store has been told already."""
        self.losses.withdraw()
        self._left()
        self.delivery.seek(floor)
        self.changed()
        self._engine.turn.add(self)

    def _left(self) -> None:
        """What is open is about to be forgotten."""
        if self._engine.traces is not None:
            self._engine.traces.left(self)

    # Who calls ------------------------------------------------------------------------------------

    def run(self) -> None:
        """Something changed in this turn of the loop; `Turn` calls."""
        self.pump()

    def arrive(self) -> None:
        """See `Follower.arrive`."""
        self.pump()

    def serve(self) -> None:
        """There is credit, and it is this one's turn; `Group` calls."""
        self.pump(is_served=True)

    def step(self, max_count: int) -> None:
        """Hand out a few messages of the log; `Backlog` calls."""
        self.pump(max_count)

    def expire(self, judged: float, jitter: float) -> None:
        """Fail what was overdue at `judged`, and go on; `Deadlines` calls."""
        if not self.group.is_ours:
            # Another node may have it by now, and know of acks: nothing fails before that is known.
            self._engine.deadlines.watch(self, self._engine.clock.now() + PUT_OFF_S)
            return
        deaths_max = self._engine.progress.deaths_left(self)
        heard_until = {one.holder: one.outlet.heard_until for one in self.group.subscribers}
        if self.delivery.expire(judged, jitter, deaths_max, heard_until):
            self._mark()
            self.group.freed()
        self.pump()
        self._watch(self._engine.clock.now())

    def settle(self, seq: int, holder: int, verb: Verb) -> Outcome:
        """See `Settling.settle`."""
        delivery, progress = self.delivery, self._engine.progress
        if verb.may_kill and not progress.deaths_left(self) and verb.kills(delivery, seq, holder):
            return Outcome.FULL
        stats = self._engine.stats
        handed_at = delivery.handed_at(seq) if stats.acks_to_time and verb.is_ack else None
        traces = self._engine.traces
        traced = None if traces is None else traces.outs.find(self.group, self.topic, seq)
        outcome = verb.settle(delivery, seq, holder)
        if outcome is Outcome.DONE:
            if traces is not None and traced is not None:
                traces.settled(self.group, self.topic, traced, verb)
            verb.count(stats)
            if verb.is_ack:
                self.group.allowance.counts.acked_count += 1
            if handed_at is not None:
                stats.acked_after(self._engine.clock.now() - handed_at)
            self.changed()
        return outcome

    def settle_through(self, seq: int, holder: int) -> int | None:
        """See `Settling.settle_through`."""
        if seq > self.position:
            return None
        stats = self._engine.stats
        handed_at = self.delivery.handed_at(seq) if stats.acks_to_time else None
        traces = self._engine.traces
        traced = [] if traces is None else traces.outs.open_in(self, seq)
        settled_count = self.delivery.ack_through(seq, holder)
        if traces is not None and traced:
            traces.settled_through(self, traced, ACKED)
        stats.acked_count += settled_count
        self.group.allowance.counts.acked_count += settled_count
        if settled_count and handed_at is not None:
            stats.acked_after(self._engine.clock.now() - handed_at)
        self.changed()
        return settled_count

    def changed(self) -> None:
        """Something was settled, given back or redriven: record it, and let those go on who can."""
        group, delivery = self.group, self.delivery
        if group.name is not None or delivery.dead:
            self._engine.progress.mark(self)
        if delivery.retries.by_seq or group.is_strict:
            self._engine.turn.add(self)
        if group.waiting:
            group.freed()

    # Live -----------------------------------------------------------------------------------------

    def write_live(self, first: int, last: int, data: bytes, now: float) -> bool:
        """Hand over the frames of one turn as they are, or go on alone when there is no credit."""
        group = self.group
        if not group.subscribers:
            # It has ended, and this one is closed soon.
            self._enter(State.HELD)
            return False
        subscriber = group.subscribers[0]
        if group.is_auto and subscriber.outlet.writable:
            subscriber.outlet.write(data)
            return True
        is_full = group.pending.count and group.is_full
        if group.is_auto or group.waiting or is_full or subscriber.credit <= last - first:
            self._leave_live(first - 1)
            self.pump()
            return False
        deadline = self.delivery.hand(first, last, subscriber.holder, now)
        if deadline < self.watched_at:
            self._engine.deadlines.watch(self, deadline)
        subscriber.outlet.write(data)
        return True

    def fall_behind(self, position: int) -> None:
        """See `Follower.fall_behind`."""
        if self.state is State.LIVE:
            self._leave_live(position)
        else:
            self._enter(State.HELD)
        self._engine.turn.add(self)

    def _leave_live(self, position: int) -> None:
        if self.group.is_auto:
            # Not kept per turn: while live, it was the feed's.
            self.delivery.pass_over(position)
        self._enter(State.HELD)

    # What to do now -------------------------------------------------------------------------------

    def pump(self, step_count: int = 0, *, is_served: bool = False) -> None:
        """Hand out all that may be handed out now, and enter the state that is then.

        What has to come from the log is handed out in steps: up to `step_count` messages of it now.
        """
        group, source, state = self.group, self._source, self.state
        if state is State.CLOSED:
            return
        self._take_over()
        is_served = is_served or state in _IN_TURN
        now = self._engine.clock.now()
        state = State.STALLED
        try:
            if not group.is_handing:
                state = State.HELD
            elif group.is_strict:
                state = self._handing.work_strictly(now, step_count, is_served=is_served)
            else:
                state = self._handing.work(now, step_count, is_served=is_served)
        except Exception:
            source.stall(now)
            raise
        finally:
            self._enter(state)
            if source.is_busy and state not in _IN_TURN:
                source.rest()
            if self.delivery.retries.by_seq or source.stalled_until > now:
                self._watch(now)

    def _take_over(self) -> None:
        """What others have changed since: the settings, and where a live one is."""
        delivery, policy = self.delivery, self.group.policy
        if delivery.policy is not policy:
            delivery.set_policy(policy)
        if self.live_set is not None and self.group.is_auto:
            delivery.pass_over(self.live_set.position)

    def _enter(self, state: State) -> None:
        before, self.state = self.state, state
        if before is not state:
            leave(self, before, self._engine)
        enter(self, state, self._engine, has_read=self._source.is_fresh)

    def _watch(self, now: float) -> None:
        at = self.delivery.next_deadline(now)
        if at is not None:
            # What is overdue and may not fail yet comes with the next sweep, not with this one.
            self._engine.deadlines.watch(self, max(at, now))
        if self._source.stalled_until > now:
            self._engine.deadlines.watch(self, self._source.stalled_until)

    # What was read --------------------------------------------------------------------------------

    def page_arrived(self, first: int, gone_to: int | None) -> None:
        """See `Reading.page_arrived`."""
        if gone_to is not None and self.topic.is_deleted:
            self._source.stall(self._engine.clock.now())
        elif gone_to is not None and self.group.is_handing and self.delivery.cursor + 1 == first:
            self.losses.new(first, gone_to)
        self.pump()

    def again_arrived(self, seq: int, *, is_lost: bool) -> None:
        """See `Reading.again_arrived`."""
        if is_lost and self.topic.is_deleted:
            self._source.stall(self._engine.clock.now())
            is_lost = False
        retry = self.delivery.retries.by_seq.get(seq)
        if is_lost and self.group.is_handing and retry is not None and retry.holder == NOBODY:
            if self._engine.traces is not None:
                self._engine.traces.lost(self, seq)
            self.losses.again(seq)
            self.group.one_waits_less()
        self.pump()

    def _mark(self) -> None:
        if self.group.name is not None or self.delivery.dead:
            self._engine.progress.mark(self)
