"""Durable subscriptions: those that come and go, and those that run here because somebody is attached.

What is loaded runs until its last subscriber has left and its progress is stored, or another node has
claimed it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress

from conduit.broker.catalog import Catalog, Topic
from conduit.broker.changes import LOOK_AGAIN_S, Change, Changes, Turns
from conduit.broker.deliver.crossings import Crossings
from conduit.broker.deliver.durable import Durable
from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.holds import Holds
from conduit.broker.deliver.loading import Loader
from conduit.broker.deliver.ownership import MOVED, Ownership
from conduit.broker.deliver.progress import Refused
from conduit.broker.deliver.router import Router
from conduit.broker.deliver.running import Running
from conduit.broker.deliver.starts import Beginning, Starts, check_start
from conduit.broker.deliver.subscriber import Removal
from conduit.core.message import SubscriptionRecord, SubscriptionSettings
from conduit.errors import Conflict, LimitReached, NotFound, OutcomeUnknown, Unavailable
from conduit.names import DOT_SEGMENTS, check_new_subscription, check_pattern, is_pattern, named
from conduit.protocol.frames import StartSpec
from conduit.storage.base import Store
from conduit.storage.slices import in_slices

# Gaps that a durable subscription may be owed from its start. They are stored with it until a subscriber has
# heard them, which may be never.
START_GAPS_MAX_COUNT = 1_000

logger = logging.getLogger(__name__)


class Owned(Durable):
    """Finds, creates, loads and unloads durable subscriptions; every call names the tenant.

    Who creates, loads, changes or deletes one has the turn of its name. Learning what the store has needs no
    turn: at any await of such a change its subscription may be forgotten, or get other settings.
    """

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        router: Router,
        engine: Engine,
        starts: Starts,
        max_count: int,
    ) -> None:
        super().__init__(catalog.allowances)
        self._store = store
        self._catalog = catalog
        self._router = router
        self._engine = engine
        self._starts = starts
        self._max_count = max_count
        self.ownership = Ownership(store, self)
        self._loader = Loader(store, catalog, router, engine, self.ownership)
        self._running: dict[tuple[str, str], Running] = {}
        # Of these, those without subscribers (and some that have one again): unloaded once they are stored.
        self._left: set[tuple[str, str]] = set()
        # Of these, those that somebody wants not to be.
        self.holds = Holds(lambda *place: self.ownership.is_meant(*place), engine.progress.wake)
        self.turns = Turns()
        """By (tenant, name). Nobody takes two of them."""
        # Creations, which go on when nobody waits for them any more: in turns of their own.
        self._changes = Changes()
        self._crossings = Crossings()
        self._learning = asyncio.Lock()
        # Ids of what was changed or deleted while the store is asked for subscriptions.
        self._touched: set[int] = set()
        self.catch_up: Callable[[], Awaitable[None]] = self.learn
        """Know what others have made; for who is told that it is there, and does not know it."""

    async def learn(self) -> None:
        """Know the subscriptions that the store has as it has them, and no others.

        What is created, changed and deleted here meanwhile is known better than the store has answered.
        """
        async with self._learning:
            known = self.everything()
            self._touched.clear()
            stored = {found.subscription_id: found for found in await self._store.subscriptions()}
            for id_ in self._touched:
                stored.pop(id_, None)
            for record in known:
                if record.subscription_id not in self._touched:
                    self._compare(record, stored.get(record.subscription_id))
            self._keep_all(stored.values())

    async def learn_of(self, subscription_ids: Sequence[int]) -> None:
        """As `learn`, of these only."""
        async with self._learning:
            self._touched.clear()
            async for some in in_slices(subscription_ids):
                found = await self._store.subscriptions_of(some)
                records = {record.subscription_id: record for record in found}
                for id_ in some:
                    known = self._ids.get(id_)
                    if id_ in self._touched:
                        records.pop(id_, None)
                    elif known is not None:
                        self._compare(known, records.get(id_))
                self._keep_all(records.values())
                await self.ownership.notice(
                    each for id_ in some if (each := self._running_with(id_)) is not None
                )

    def _keep_all(self, stored: Iterable[SubscriptionRecord]) -> None:
        for record in stored:
            known = self._records.get((record.tenant, record.name))
            if known is not None and known.subscription_id >= record.subscription_id:
                # It is known, or was gone before the answer came.
                continue
            self._keep(record)
            if record.name in DOT_SEGMENTS:
                logger.warning(
                    "the subscription %s goes on, but cannot be addressed over HTTP through a proxy:"
                    " docs/http-api.md says how it is deleted",
                    named(record.name, record.tenant),
                )

    def _compare(self, record: SubscriptionRecord, found: SubscriptionRecord | None) -> None:
        if found is None:
            self.forget(record)
        elif (found.settings, found.paused) != (record.settings, record.paused):
            self.configure(record, found.settings, paused=found.paused)

    def _touch(self, record: SubscriptionRecord) -> None:
        if self._learning.locked():
            self._touched.add(record.subscription_id)

    async def _learn_again(self) -> None:
        """Find out what became of a change that the store did not answer."""
        for pause_s in LOOK_AGAIN_S:
            await asyncio.sleep(pause_s)
            with suppress(Unavailable):
                await self.learn()

    async def close(self) -> None:
        """End what waits for the store; it is closed by now."""
        await self._changes.close()

    # What comes and goes --------------------------------------------------------------------------

    async def follower_ids(self, topic: Topic) -> list[int]:
        """Their ids, which the store has to be told before the caller next waits."""
        await self._crossings.before_deletion(topic)
        return [record.subscription_id for record in self.followers(topic)]

    async def create(
        self,
        tenant: str,
        name: str,
        pattern: str,
        settings: SubscriptionSettings,
        start: StartSpec | None,
    ) -> Beginning:
        """A new subscription, which misses nothing from now on. A literal topic is created with it. Have the
        turn of the name.

        Raises InvalidRequest, Conflict `subscription_exists`, LimitReached.
        """
        check_new_subscription(name, "name")
        check_pattern(pattern)
        check_start(pattern, start)
        if (tenant, name) in self._records:
            raise Conflict(
                f"subscription {name!r} exists already", code="subscription_exists", field="name"
            )
        self._check_room(1)
        self._allowances.of(tenant).subscriptions.check(1)
        if not is_pattern(pattern):
            await self._catalog.ensure(tenant, pattern)
        beginning = await self._starts.begin(tenant, pattern, start)
        new = SubscriptionRecord(0, tenant, name, pattern, 0, False, settings)
        try:
            await self._changes.make(
                [(tenant, name)], lambda change: self._create(change, new, beginning)
            )
        except Conflict:
            # Somebody else's, or ours from a call whose answer was lost.
            await self.catch_up()
            raise
        return beginning

    def _check_room(self, more_count: int) -> None:
        count = len(self._records) + self._crossings.creations_count + more_count
        if count > self._max_count:
            raise LimitReached(
                f"there are as many durable subscriptions as there may be: {self._max_count}"
                " (CONDUIT_MAX_SUBSCRIPTIONS)"
            )

    def configure(
        self, record: SubscriptionRecord, settings: SubscriptionSettings, *, paused: bool
    ) -> None:
        """The store has other settings."""
        self._touch(record)
        record.settings, record.paused = settings, paused
        running = self.find_running(record)
        if running is not None:
            running.configure(settings, paused=paused)

    def forget(self, record: SubscriptionRecord) -> None:
        """The store has deleted it; its subscribers are told. Nothing happens if that is known already."""
        place = (record.tenant, record.name)
        if self._records.get(place) is not record:
            return
        self._touch(record)
        self._remove(record)
        logger.info("subscription %s is deleted", named(record.name, record.tenant))
        self._engine.lags.forget(record)
        self._router.covered(record, -1)
        running = self._running.get(place)
        if running is not None:
            _send_away(running, Removal.DELETED)
            self._stop(place)

    async def _create(self, change: Change, new: SubscriptionRecord, beginning: Beginning) -> None:
        await self._crossings.before_creation(new.tenant, new.pattern)
        coming = self._allowances.of(new.tenant).subscriptions.coming(1)
        with self._crossings.creation(new.tenant, new.pattern), coming:
            self._check_room(0)
            # What goes from now on is told to it, once it has an id; what went since it began is not.
            self._starts.look_again(new.tenant, beginning)
            _check_gaps(beginning)
            now_ms = self._engine.clock.wall_ms()
            change.is_told = True
            try:
                record = await self._store.subscription_create(
                    new.tenant, new.name, new.pattern, new.settings, beginning.start, now_ms
                )
            except OutcomeUnknown:
                # Here, and not where it is waited for: that may be over.
                self._changes.later(self._learn_again())
                raise
            self._keep(record)

    def _keep(self, record: SubscriptionRecord) -> None:
        known = self._records.get((record.tenant, record.name))
        if known is not None and known.subscription_id == record.subscription_id:
            # Learned from a list of all before its own answer came.
            return
        if known is not None:
            # Others have deleted that one.
            self.forget(known)
        self._add(record)
        self._engine.lags.keep(record)
        self._router.covered(record, 1)

    # What runs ------------------------------------------------------------------------------------

    def running(self) -> Sequence[Running]:
        """Those with subscribers on this node, or with progress that is not stored yet."""
        return list(self._running.values())

    def find_running(self, record: SubscriptionRecord) -> Running | None:
        """The subscription as it runs here, or None."""
        return self._running.get((record.tenant, record.name))

    def _running_with(self, subscription_id: int) -> Running | None:
        known = self._ids.get(subscription_id)
        return None if known is None else self.find_running(known)

    def is_here(self, subscription_id: int) -> bool:
        """See `Estate.is_here`."""
        is_running = self._running_with(subscription_id) is not None
        return is_running or self._loader.is_loading(subscription_id)

    async def start(self, record: SubscriptionRecord, *, create: bool = True) -> Running:
        """The subscription as it runs, loaded if it does not. Have the turn of its name, and attach a
        subscriber before you next wait, or it may be unloaded again. Raises NotFound: `topic_not_found` if
        the topic that it names is gone, and `create` is False; `subscription_not_found` if others delete
        it. Raises OwnedElsewhere if another node has it: leave the turn, and try again (claiming.py); and
        MeantElsewhere if it is to run on one."""
        await self._loader.make_topic(record, create=create)
        self.check_known(record)
        place = (record.tenant, record.name)
        running = self._running.get(place)
        if running is None:
            loaded = await self._loader.load(record, create=create)
            self.check_known(record)
            running = self._running[place] = self._loader.run(loaded)
            # Unloaded after the next flush if its subscriber does not come.
            self.left(running)
        return running

    def check_known(self, record: SubscriptionRecord) -> None:
        """Raise NotFound `subscription_not_found` if it was deleted since it was found."""
        if self._records.get((record.tenant, record.name)) is not record:
            raise NotFound(
                f"subscription {record.name!r} was deleted meanwhile", code="subscription_not_found"
            )

    def left(self, running: Running) -> None:
        """A subscriber of a durable subscription has left: without any, it is unloaded when it is stored."""
        self._left.add((running.tenant, running.group.name or ""))
        self._engine.progress.wake()

    def flushed(self, refused: Refused) -> None:
        """Progress was stored, but for subscriptions that others have claimed: send those away, and stop
        what has no subscriber and nothing left to store. Where something is, the next flush follows."""
        if refused:
            self._send_moved_away(refused)
        for place in tuple(self._left):
            running = self._running.get(place)
            if running is None or running.group.subscribers:
                self._left.discard(place)
            elif not self.holds.has(place) and self._engine.progress.is_stored(running.group):
                self._stop(place)

    def _send_moved_away(self, refused: Refused) -> None:
        for place, running in tuple(self._running.items()):
            # A refusal may be late, of one that ran here before this one.
            if (running.group.subscription_id, running.group.fence) in refused:
                self.move_away(self._records[place], MOVED)
                # Unless it was moved by a seek of another node.
                self.ownership.doubt(running.group.subscription_id)

    def lost(self, running: Running, why: str) -> None:
        """See `Estate.lost`."""
        if not running.is_over and running.group.name is not None:
            self.move_away(self._records[running.tenant, running.group.name], why)

    def move_away(self, record: SubscriptionRecord, why: str, *, is_meant: bool = False) -> None:
        """It does not run here any more: its subscribers are sent on, and the log is told why, unless that
        `is_meant`. What is not stored of it is lost, and comes again where it is loaded next. Nothing
        happens if it is not known any more."""
        place = (record.tenant, record.name)
        if self._records.get(place) is not record:
            return
        self._engine.lags.by_id[record.subscription_id].unknown()
        running = self._running.get(place)
        if running is not None:
            logger.log(
                logging.DEBUG if is_meant else logging.WARNING,
                "subscription %s does not run here any more: %s; its subscribers here: %d",
                named(record.name, record.tenant),
                why,
                len(running.group.subscribers),
            )
            running.group.was_moved = True
            self.ownership.moved_count += 1
            _send_away(running, Removal.MOVED)
            self._stop(place)

    def _stop(self, place: tuple[str, str]) -> None:
        self._left.discard(place)
        running = self._running.pop(place, None)
        if running is not None:
            self._router.remove(running)
            self.ownership.give_up(running.group.subscription_id, running.group.fence)

    def topic_kept(self, topic: Topic, followers_told: Collection[int]) -> None:
        """The topic was about to go, and is not gone: what was made meanwhile runs as if it were, and not as
        the store has it."""
        for record in self.followers(topic):
            if record.subscription_id not in followers_told and self.find_running(record):
                self.move_away(record, f"topic {topic.name!r} could not be deleted")

    def topic_deleted(self, topic: Topic, named: Sequence[Running]) -> None:
        """The topic is gone; those of `named`, which have no subscribers any more, do not run without."""
        for running in named:
            if running.group.name is not None:
                self._stop((running.tenant, running.group.name))
        self._loader.topic_deleted(topic)


def _check_gaps(beginning: Beginning) -> None:
    if len(beginning.gone) > START_GAPS_MAX_COUNT:
        raise LimitReached(
            f"{len(beginning.gone)} of the positions that start asks for are not there, and a durable"
            f" subscription may begin with {START_GAPS_MAX_COUNT} gaps: leave out those of topics that"
            " are gone",
            field="start",
        )


def _send_away(running: Running, why: Removal) -> None:
    for subscriber in tuple(running.group.subscribers):
        subscriber.on_removed(why)
