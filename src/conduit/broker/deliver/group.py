"""The subscribers of one running subscription, their credit, and who waits for it.

A subscriber's window spans all topics of its subscription. Whoever wants to hand something out and finds
no credit, or may not read what it needs for that, waits here, in line (line.py); whatever frees credit (an
ack, a failure, a socket that drains, a new subscriber, a topic that is deleted) calls `freed`, and at the
end of the turn those who wait are served in their order. As long as somebody waits, nobody else takes
credit but who is in its turn: it has read, and hands out what it read.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from conduit.broker.allowances import Allowance
from conduit.broker.deliver.line import Line, Waiting
from conduit.broker.deliver.live import WRITE_S
from conduit.broker.deliver.reads import Reads
from conduit.broker.deliver.subscriber import Outlet, Removal, Subscribed, Subscriber
from conduit.broker.deliver.title import NO_TERM, Title
from conduit.broker.stats import Stats
from conduit.broker.turn import Turn, guarded
from conduit.core.message import SubscriptionSettings
from conduit.core.policy import Policy
from conduit.core.retries import Tally

logger = logging.getLogger(__name__)

# How many of those who wait are served in one turn of the loop.
SERVED_MAX_COUNT = 16


class Group:
    """Who takes the deliveries of one subscription, and under which settings.

    `name` is None for an ephemeral one, which has one subscriber. `fence` and `subscription_id` are a
    durable one's.
    """

    __slots__ = (
        "_is_known_full",
        "_next_holder",
        "_pending_max_count",
        "_rotation",
        "_turn",
        "allowance",
        "attached_ms",
        "fence",
        "in_flight",
        "is_auto",
        "is_direct",
        "is_ending",
        "is_leaving",
        "is_over",
        "is_paused",
        "is_strict",
        "line",
        "marked_in",
        "name",
        "name_bytes",
        "pending",
        "policy",
        "settings",
        "subscribers",
        "subscription_id",
        "term",
        "title",
        "waiting",
        "was_moved",
        "window",
    )

    def __init__(
        self,
        turn: Turn,
        allowance: Allowance,
        settings: SubscriptionSettings,
        pending_max_count: int,
    ) -> None:
        self._turn = turn
        self.allowance = allowance
        self._pending_max_count = pending_max_count
        self._is_known_full = False
        self.name: str | None = None
        self.name_bytes = b""
        self.subscription_id = 0
        self.fence: int | None = None
        # Of a durable one that needs a lease; and the term in which it is known to be this node's.
        self.title: Title | None = None
        self.term = NO_TERM
        self.is_paused = False
        # Its deletion is under way.
        self.is_ending = False
        # It is about to be given to another node: nothing is handed out, and nothing fails, until it is.
        self.is_leaving = False
        # It does not run here any more: where it stood is of no use.
        self.is_over = False
        # Another node has claimed it: what was not stored by then is lost, and comes again there.
        self.was_moved = False
        # Its topics are few: frames may go to its subscriber without a call of the cursor.
        self.is_direct = True
        # The round of flushes for which its progress was marked last (progress.py).
        self.marked_in = 0
        self.subscribers: list[Subscriber] = []
        # Since when somebody could be given something, as stamps have it: what is older did not wait for us.
        self.attached_ms = 0
        # Holder -> deliveries that it has out, in all topics.
        self.in_flight: dict[int, int] = {}
        # Deliveries that wait for their next attempt, in all topics.
        self.pending = Tally(allowance.pending)
        self.line = Line()
        # Of the line; as long as it is not empty, only who is in its turn takes credit.
        self.waiting = self.line.waiting
        self._next_holder = 1
        self._rotation = 0
        self.policy = policy_of(settings)
        self.configure(settings)

    def configure(self, settings: SubscriptionSettings) -> None:
        """Use these settings from the next hand-out on."""
        self.settings = settings
        self.window = settings.max_in_flight
        for subscriber in self.subscribers:
            subscriber.resize()
        self.is_auto = settings.ack == "auto"
        self.is_strict = settings.order == "strict"
        policy = policy_of(settings)
        if policy != self.policy:
            # Another object only if it is another one: cursors take it over when they see that.
            self.policy = policy
        self.freed()

    @property
    def whose(self) -> Allowance:
        """Its tenant; for those who let tenants take turns."""
        return self.allowance

    # Subscribers ----------------------------------------------------------------------------------

    def add(
        self,
        subscription: Subscribed,
        outlet: Outlet,
        reads: Reads,
        on_removed: Callable[[Removal], None],
    ) -> Subscriber:
        """A new subscriber of the subscription, with its whole window free. `reads` is its connection's."""
        subscriber = Subscriber(self, subscription, self._next_holder, outlet, reads, on_removed)
        self._next_holder += 1
        self.subscribers.append(subscriber)
        self.freed()
        return subscriber

    def remove(self, subscriber: Subscriber) -> None:
        """The subscriber is gone, and what it had out was given back."""
        self.subscribers.remove(subscriber)
        self.in_flight.pop(subscriber.holder, None)
        self.freed()

    @property
    def is_ours(self) -> bool:
        """Whether this node may act as its owner at this moment."""
        title = self.title
        return not self.is_leaving and (title is None or title.holds(self.term))

    @property
    def is_handing(self) -> bool:
        """Whether anything may be handed out now, were there credit."""
        return bool(self.subscribers) and not self.is_paused and self.is_ours

    @property
    def is_full(self) -> bool:
        """Whether so many deliveries wait for their next attempt that nothing new is handed out: of this
        subscription, or of its tenant's together, some of them here."""
        count = self.pending.count
        return count >= self._pending_max_count or (count > 0 and self.allowance.pending.is_full)

    def wait_for_room(self, who: Waiting) -> None:
        """Give it a turn when there is credit, and something new may be handed out."""
        self.line.wait_for_room(who)
        self.allowance.pending.wait(self)

    def one_waits_less(self) -> None:
        """A delivery waits no more for its next attempt: who has something new goes on, if it was one
        too many."""
        if self.waiting and self.pending.count in (self._pending_max_count - 1, 0):
            self.freed()

    def stop(self) -> None:
        """It does not run here any more."""
        self.is_over = True
        self.allowance.pending.leave(self)
        if self.allowance.deliveries is not None:
            self.allowance.deliveries.leave(self)

    def held_back(self, stats: Stats) -> None:
        """Something new was not handed out because `is_full`: said once, until what was full is half
        empty."""
        if not self._is_known_full:
            self._is_known_full = True
            stats.full_count += 1
            is_own = self.pending.count >= self._pending_max_count
            who = "a subscriber without a name"
            logger.warning(
                "%d deliveries of %s wait for their next attempt: it gets nothing new before some%s are"
                " handed out again or settled (%s)",
                self.pending.count,
                who if self.name is None else f"subscription {self.name!r}",
                "" if is_own else f" of all subscriptions of tenant {self.allowance.tenant!r}",
                "CONDUIT_MAX_PENDING_RETRIES" if is_own else "its limit pending_retries",
            )

    # Credit ---------------------------------------------------------------------------------------

    def next(self) -> Subscriber | None:
        """The next in turn that has credit; None as well if the tenant's deliveries have to wait."""
        if self.allowance.deliveries is not None and not self.room:
            return None
        subscribers = self.subscribers
        if len(subscribers) == 1:
            return subscribers[0] if subscribers[0].credit > 0 else None
        for _ in subscribers:
            self._rotation = (self._rotation + 1) % len(subscribers)
            if subscribers[self._rotation].credit > 0:
                return subscribers[self._rotation]
        return None

    @property
    def room(self) -> int:
        """How many deliveries the rate of its tenant allows it now; if none, it waits for that."""
        deliveries = self.allowance.deliveries
        if deliveries is None:
            return sys.maxsize
        room = deliveries.room(self)
        if not room:
            deliveries.wait(self)
        return room

    def handed(self, count: int) -> None:
        """So many deliveries were handed out, in one write."""
        allowance = self.allowance
        allowance.counts.delivered_count += count
        self._turn.deferred_s += WRITE_S
        if allowance.deliveries is not None:
            allowance.deliveries.spend(self, count)

    def share(self, available_count: int) -> int:
        """How many of what is available one of several subscribers gets at once."""
        return -(-available_count // len(self.subscribers))

    @property
    def credit(self) -> int:
        """How many more deliveries all of them take now."""
        return sum(subscriber.credit for subscriber in self.subscribers)

    def free_reads(self) -> Reads | None:
        """Where one more may read, or None."""
        for subscriber in self.subscribers:
            if subscriber.reads.is_free:
                return subscriber.reads
        return None

    def wait_to_read(self, who: Waiting) -> None:
        """Give it a turn when there is credit, and a read may be begun."""
        self.line.wait_to_read(who)
        self._await_reads()

    def _await_reads(self) -> None:
        if self.waiting:
            for subscriber in self.subscribers:
                subscriber.reads.wait(self)

    def freed(self) -> None:
        """There may be credit, or a read may be begun, where that was not so."""
        if self.waiting:
            self._turn.add(self)

    def run(self) -> None:
        """Serve those who wait, in turn, at the end of the loop's turn."""
        if self._is_known_full and self.pending.count < self._pending_max_count // 2:
            # Its own are few also while those of its tenant are as many as there may be.
            self._is_known_full = not self.allowance.pending.is_half_empty
        for _ in range(SERVED_MAX_COUNT):
            if not self.is_handing or not any(one.credit > 0 for one in self.subscribers):
                return
            if self.waiting and not self.room:
                return
            may_read, is_full = self.free_reads() is not None, self.is_full
            if is_full:
                # It may have come to wait while only its own were too many.
                self.allowance.pending.wait(self)
            who = self.line.take(may_read=may_read, has_room=not is_full)
            if who is None:
                self._await_reads()
                return
            guarded(who.serve)
        self.freed()


def policy_of(settings: SubscriptionSettings) -> Policy:
    """The part of the settings that the delivery machine knows."""
    return Policy(
        ack_wait_s=settings.ack_wait_ms / 1000,
        # The cap is for the doubling: whoever asks for longer from the first has it.
        max_ack_wait_s=max(settings.max_ack_wait_ms, settings.ack_wait_ms) / 1000,
        max_attempts=settings.max_attempts,
        max_lost=settings.max_lost,
    )
