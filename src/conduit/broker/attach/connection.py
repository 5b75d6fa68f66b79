"""What one connection is subscribed to."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from conduit.broker.attach.announcement import GAPS_AT_ONCE_COUNT, Announcement
from conduit.broker.attach.away import Away
from conduit.broker.attach.elsewhere import Elsewhere
from conduit.broker.attach.establishing import check_subscribe, gaps_of
from conduit.broker.attach.holder import State
from conduit.broker.attach.room import Answers, Peer, Room
from conduit.broker.attach.routing import Aways, Routing
from conduit.broker.attach.verbs import Verbs
from conduit.broker.catalog import Topic
from conduit.broker.deliver.claiming import when_free
from conduit.broker.deliver.large_starts import Packed
from conduit.broker.deliver.reads import Reads
from conduit.broker.deliver.running import Running
from conduit.broker.deliver.settings import DURABLE
from conduit.broker.deliver.starts import Beginning
from conduit.broker.deliver.subscriber import Outlet, Removal, Subscriber
from conduit.broker.waiting import Deadline
from conduit.core.message import SubscriptionSettings
from conduit.errors import (
    Conflict,
    LimitReached,
    MeantElsewhere,
    NotFound,
    OutcomeUnknown,
    StoreUnavailable,
)
from conduit.names import is_pattern
from conduit.protocol.codec import format_time, server_frame
from conduit.protocol.codes import CLOSE_MOVED, CLOSE_TOPIC_DELETED
from conduit.protocol.frames import Subscribe, Subscribed, Unsubscribe, Unsubscribed

# Gaps of one connection that wait for its socket; beyond it the next subscribe waits too.
GAPS_WAITING_MAX_COUNT = 500
# Who comes back and does not say so makes the topic again. A close frame has room for 123 bytes.
TOPIC_DELETED = (
    "topic deleted; subscribe with create: false to follow it only once it is made again"
)
# For all that the store is asked. What it is told goes on after that, and is known when it answers.
SUBSCRIBE_TIMEOUT_S = 15.0
# Of that, for another node to give a durable subscription up, or to lose its lease.
ELSEWHERE_MAX_S = 10.0


class _Share(NamedTuple):
    """What the connection has of one subscription."""

    running: Running
    subscriber: Subscriber


class Connection:
    """The subscriptions of one connection, from its opening to `close`. `answers`: where the answers to verbs
    go, if that is not the peer.

    `subscribe` waits for the store; the caller makes sure that frames of one connection are handled
    one after the other.
    """

    def __init__(self, room: Room, tenant: str, peer: Peer, answers: Answers | None = None) -> None:
        # Of the subscribe that came last.
        self._start: Packed | None = None
        self._room = room
        self._tenant = tenant
        self.peer = peer
        self._is_closed = False
        self._reads = Reads(room.engine.turn, room.engine.budget, room.engine.allowances.of(tenant))
        # (pattern, subscription) -> this connection's share. Insertion order is that of subscribing.
        self._shares: dict[tuple[str, str | None], _Share] = {}
        self._subscribers: dict[tuple[str, str | None], Subscriber] = {}
        # Those whose gaps are not written yet.
        self._announcements: dict[tuple[str, str | None], Announcement] = {}
        self._verbs = Verbs(
            room.engine, room.catalog, self._subscribers, tenant, answers or peer, peer.go_on
        )
        if answers is not None:
            self._verbs.on_nothing = answers.settled_nothing
        self.verbs: Verbs | Routing = self._verbs
        """Where verbs go: another object while some of its subscriptions run elsewhere."""
        self._aways = Aways(room.engine.turn)

    # Subscribing ----------------------------------------------------------------------------------

    def subscribe(self, frame: Subscribe) -> Coroutine[Any, Any, None]:
        """Begin to receive; `subscribed` is written before the first message. Raises ConduitError.

        Waits as long as many gaps of subscribes before are not written yet, if `start` has many positions for
        its turn, no longer than WAIT_MAX_S (large_starts.py), and for the store no longer than
        SUBSCRIBE_TIMEOUT_S.
        """
        # At once, and not when the task begins: very many frames may come in one turn.
        start = self._start = Packed(frame.topic, frame.start)
        return self._subscribe_in_turn(msgspec.structs.replace(frame, start=None), start)

    async def _subscribe_in_turn(self, frame: Subscribe, start: Packed) -> None:
        if start.size_bytes:
            self.peer.on_growing()
        await self._few_gaps_wait()
        async with self._room.starts.line.packed(self._tenant, start):
            if self._is_closed:
                return
            frame.start = start.unpack()
            await self._subscribe(frame)
            announcement = self._announcements.get((frame.topic, frame.subscription))
            if announcement is not None:
                if frame.subscription is None:
                    await announcement.pack()
                self.peer.on_growing()

    async def _subscribe(self, frame: Subscribe) -> None:
        # Before anything is made for it.
        settings = check_subscribe(frame)
        place = (frame.topic, frame.subscription)
        if place in self._shares or place in self._aways.by_place:
            raise Conflict("this connection has that subscription", code="already_subscribed")
        if len(self._shares) + len(self._aways) >= self._room.max_count:
            raise LimitReached(
                f"this connection has as many subscriptions as it may: {self._room.max_count} "
                "(CONDUIT_MAX_SUBSCRIPTIONS_PER_CONNECTION)"
            )
        try:
            async with asyncio.timeout(SUBSCRIBE_TIMEOUT_S):
                await self._room.news.hear_of(self._tenant, frame.topic, frame.subscription)
                if frame.subscription is None:
                    await self._subscribe_ephemeral(frame, settings)
                else:
                    await self._subscribe_durable(frame, frame.subscription, settings)
        except TimeoutError:
            if frame.create:
                raise OutcomeUnknown("the store does not answer; subscribe again") from None
            raise StoreUnavailable("the store does not answer") from None

    async def _subscribe_ephemeral(self, frame: Subscribe, settings: SubscriptionSettings) -> None:
        room = self._room
        beginning = await room.establishing.begin(self._tenant, frame)
        if self._is_closed:
            return
        running = Running(room.engine, self._tenant, frame.topic, settings)
        room.router.add(running)
        self._join(running, frame, beginning)
        room.establishing.begin_all(running, beginning)
        self._welcome(frame, running, beginning)

    async def _subscribe_durable(
        self, frame: Subscribe, name: str, settings: SubscriptionSettings
    ) -> None:
        made: dict[int, Beginning] = {}
        here = partial(self._subscribe_here, frame, settings, made)
        until = Deadline(ELSEWHERE_MAX_S)
        while not self._is_closed and not await self._subscribe_elsewhere(frame, name):
            try:
                return await when_free(here, until)
            except MeantElsewhere:
                if self._room.elsewhere is None:
                    raise

    async def _subscribe_here(
        self, frame: Subscribe, settings: SubscriptionSettings, made: dict[int, Beginning]
    ) -> None:
        if self._is_closed:
            return
        joined = self._room.establishing.joined
        async with joined(self._tenant, frame, settings, made) as (running, beginning):
            if self._is_closed:
                return
            self._join(running, frame, beginning)
        self._welcome(frame, running, beginning)
        if not self._room.is_own(self._tenant, frame.subscription or ""):
            # Since it was found to be. Whoever gave it away sent those away that were here then.
            self._removed((frame.topic, frame.subscription), Removal.MOVED)

    async def _subscribe_elsewhere(self, frame: Subscribe, name: str) -> bool:
        """False if it is to run here."""
        elsewhere = self._room.elsewhere
        if elsewhere is None or elsewhere.owner_of(self._tenant, name) is None:
            return False
        await self._aways.flushed((frame.topic, name))
        away = self._add_away(elsewhere, frame)
        try:
            is_attached = await away.attach()
        except BaseException:
            self._remove_away(away)
            # It may be attached by now.
            away.close(lost=False)
            raise
        if not is_attached:
            self._remove_away(away)
        return is_attached or self._is_closed

    def _add_away(self, elsewhere: Elsewhere, frame: Subscribe) -> Away:
        away = Away(self._room.engine, elsewhere, self, self._tenant, frame)
        self._aways.by_place[away.place] = away
        self.verbs = Routing(self._verbs, self._aways, self.peer)
        return away

    def _remove_away(self, away: Away) -> None:
        if self._aways.by_place.get(away.place) is away:
            del self._aways.by_place[away.place]
        self._route()

    def _route(self) -> None:
        self.verbs = self._verbs if self._aways.is_empty else self.verbs

    def _join(self, running: Running, frame: Subscribe, beginning: Beginning | None) -> None:
        place = (frame.topic, frame.subscription)
        removed = partial(self._removed, place)
        outlet: Outlet = self.peer
        gaps = gaps_of(running, beginning)
        if gaps and (len(gaps) > GAPS_AT_ONCE_COUNT or not self.peer.writable):
            told = partial(self._announced, place, running)
            outlet = Announcement(self._room.engine, self.peer, gaps, told)
            self._announcements[place] = outlet
        subscriber = self._room.router.attach(running, outlet, self._reads, removed)
        if frame.prefetch is not None:
            # Before anything is handed out, which is at the end of the turn.
            subscriber.prefetch = frame.prefetch
            subscriber.resize()
        running.gaps.are_told(subscriber)
        self._shares[place] = _Share(running, subscriber)
        self._subscribers[place] = subscriber

    def _welcome(self, frame: Subscribe, running: Running, beginning: Beginning | None) -> None:
        """Write `subscribed`; deliveries come at the end of this turn at the earliest."""
        room = self._room
        paused = running.group.is_paused
        reply = Subscribed(frame.topic, frame.subscription, paused=paused, ref=frame.ref)
        topic = room.catalog.find(self._tenant, frame.topic)
        if topic is not None:
            reply.seq, reply.epoch = running.floor_of(topic), topic.epoch
        if beginning is not None:
            # A durable one was loaded since, and that takes as long as the store does.
            reply.recovered = beginning.recovered and not running.former
        if running.group.name is None and is_pattern(frame.topic):
            reply.at = format_time(room.oldest_uncommitted_ms())
        self.peer.write(server_frame(reply))
        self._begin_to_give(frame, running, beginning)

    def _begin_to_give(
        self, frame: Subscribe, running: Running, beginning: Beginning | None
    ) -> None:
        room = self._room
        announcement = self._announcements.get((frame.topic, frame.subscription))
        if announcement is not None:
            room.engine.turn.add(announcement)
        else:
            for gap in gaps_of(running, beginning):
                room.engine.stats.gap_count += 1
                self.peer.write(server_frame(gap))
        topic = room.catalog.find(self._tenant, frame.topic)
        if topic is not None:
            # One that is named gets its cursor now; a pattern's come with what they have to do.
            self._open(running, topic)

    async def _few_gaps_wait(self) -> None:
        """Memory is for the gaps of one large start, and not of as many as a connection may send."""
        while (
            sum(each.waiting_count for each in self._announcements.values())
            > GAPS_WAITING_MAX_COUNT
        ):
            await next(iter(self._announcements.values())).over.wait()

    def _announced(self, place: tuple[str, str | None], running: Running) -> None:
        """The gaps are written: it may have messages."""
        del self._announcements[place]
        running.group.freed()

    def _open(self, running: Running, topic: Topic) -> None:
        self._room.engine.turn.add(running.open(topic))

    # Leaving --------------------------------------------------------------------------------------

    def unsubscribe(self, frame: Unsubscribe) -> None:
        """End a stream; nothing of it follows the `unsubscribed`. Raises Conflict `not_subscribed`."""
        place = (frame.topic, frame.subscription)
        if place in self._aways.by_place:
            self._aways.leave(place).unsubscribe(server_frame(Unsubscribed(*place, frame.ref)))
            return
        if place not in self._shares:
            raise Conflict("this connection has no such subscription", code="not_subscribed")
        self._leave(place, lost=False)
        self.peer.write(server_frame(Unsubscribed(frame.topic, frame.subscription, frame.ref)))

    def close(self, *, lost: bool = False) -> None:
        """The connection is gone: all that it had out goes back. `lost`: it broke, and that may be because of
        what it had; see docs/decisions/0017. Idempotent."""
        self._is_closed = True
        if self._start is not None:
            self._start.drop()
        for place in tuple(self._shares):
            self._leave(place, lost=lost)
        for away in (*self._aways, *self._aways.leaving):
            self._remove_away(away)
            away.close(lost=lost)

    @property
    def start_bytes(self) -> int:
        """What a start takes that waits for its turn."""
        return 0 if self._start is None else self._start.size_bytes

    @property
    def gap_bytes(self) -> int:
        """What gaps take that wait for the socket, and what has come of subscriptions that run elsewhere."""
        waiting = sum(each.size_bytes for each in self._announcements.values())
        return waiting + self._aways.held_bytes

    @property
    def places(self) -> Sequence[tuple[str, str | None]]:
        """Its subscriptions: what they are to, and their names."""
        return (*self._shares, *self._aways.by_place)

    @property
    def joined(self) -> Collection[Subscriber]:
        """Of those that run here, as it is at each moment."""
        return self._subscribers.values()

    @property
    def names(self) -> list[str]:
        """Its subscriptions for people: by name, or else by what they are to."""
        return [pattern if name is None else name for pattern, name in self.places]

    def writable_changed(self) -> None:
        """The socket drains again, or no longer."""
        for announcement in self._announcements.values():
            self._room.engine.turn.add(announcement)
        for subscriber in self._subscribers.values():
            subscriber.group.freed()
        if not self._aways.is_empty:
            self._aways.drained()

    def _leave(self, place: tuple[str, str | None], *, lost: bool) -> None:
        running, subscriber = self._shares.pop(place)
        del self._subscribers[place]
        if place in self._announcements:
            self._announcements.pop(place).cancel()
        room = self._room
        room.router.detach(running, subscriber, lost=lost)
        if running.group.name is None:
            room.router.remove(running)
        else:
            room.owned.left(running)

    def _removed(self, place: tuple[str, str | None], why: Removal) -> None:
        """A subscription of this connection does not run here any more."""
        share, elsewhere = self._shares[place], self._room.elsewhere
        self._leave(place, lost=False)
        if why is Removal.MOVED and elsewhere is not None:
            frame = Subscribe(*place, create=False, prefetch=share.subscriber.prefetch_given)
            self._add_away(elsewhere, frame).lose(share.running.group.subscription_id)
        else:
            self._tell_removed(place, why)

    def _tell_removed(self, place: tuple[str, str | None], why: Removal) -> None:
        if why is Removal.TOPIC_DELETED:
            self.peer.close(CLOSE_TOPIC_DELETED, TOPIC_DELETED)
        elif why is Removal.MOVED:
            self.peer.close(CLOSE_MOVED, "subscription moved")
        else:
            self.peer.write(server_frame(Unsubscribed(*place)))

    # For shares that are away ---------------------------------------------------------------------

    async def come_here(self, away: Away) -> None:
        """See `away.Holder`."""
        frame, joined = away.frame, self._room.establishing.joined
        # It may have been made at the node that is lost.
        await self._room.news.hear_of(self._tenant, *away.place)
        async with joined(self._tenant, frame, DURABLE, {}) as (running, _):
            if self._is_closed or away.state is not State.LOST:
                return
            if not self._room.is_own(self._tenant, away.name):
                return
            if running.group.subscription_id != away.subscription_id:
                raise NotFound("it was made again", code="subscription_not_found")
            self._remove_away(away)
            away.came_here()
            self._join(running, frame, None)
        self._begin_to_give(frame, running, None)

    def away_over(self, away: Away) -> None:
        """See `away.Holder`."""
        self._aways.left(away)
        self._route()

    def away_ended(self, away: Away, why: Removal) -> None:
        """See `away.Holder`."""
        self._remove_away(away)
        self._tell_removed(away.place, why)
