"""Delivering dead letters again: many at once are opened in their subscription, and stored in one commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec

from conduit.broker.administer.republishing import Failed, Publish, publish_anew
from conduit.broker.administer.views import state_of
from conduit.broker.catalog import Catalog
from conduit.broker.changes import after_change
from conduit.broker.deliver.claiming import CLAIM_WAIT_MAX_S, when_free
from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.owned import Owned
from conduit.broker.deliver.running import Running
from conduit.broker.waiting import Deadline
from conduit.core.message import DeadPlace, Redriven, SubscriptionRecord
from conduit.core.topics import matches
from conduit.errors import (
    ConduitError,
    Conflict,
    LimitReached,
    MeantElsewhere,
    NotFound,
    OwnedElsewhere,
    RequestError,
)
from conduit.storage.base import Store

# How often a redrive loads its subscription anew, when another node has claimed it meanwhile.
REDRIVE_TRIES_MAX_COUNT = 3
# Letters that one turn of the loop opens.
TURN_MAX_COUNT = 128


class _Call(msgspec.Struct, eq=False):
    """Letters of one subscription that are redriven together."""

    tenant: str
    name: str
    at_ms: int
    failed: Failed
    opened: set[str]
    """Those that were, also by a try whose commit was refused."""


class Redriver:
    """Opens dead deliveries again. What has no subscription to go back to is published anew."""

    def __init__(
        self, store: Store, catalog: Catalog, owned: Owned, engine: Engine, publish: Publish
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._owned = owned
        self._engine = engine
        self._publish = publish

    async def redrive(self, tenant: str, places: Sequence[DeadPlace], at_ms: int) -> Failed:
        """Deliver them again, each to its subscription with no attempt made, and mark them as redriven at
        `at_ms`, unless they die again before that is stored. Returns those that could not be.

        Why not: NotFound `subscription_not_found`, `dead_letter_not_found`; Conflict `letter_topic_gone`,
        `payload_lost`, `already_redriven` (its delivery is open, or somebody has redriven it since its place
        was read), or if the subscription of that name is on other topics now, or comes to it anyway;
        LimitReached `subscription_full` while too many of its deliveries wait; OwnedElsewhere if another node
        has it for CLAIM_WAIT_MAX_S, MeantElsewhere if one is to have it; and of those that are published anew
        whatever befalls a publish. Raises Unavailable if the store is.
        """
        names: dict[str, list[DeadPlace]] = {}
        failed: Failed = {}
        for place in places:
            if place.is_lost:
                failed[place.dead_id] = _lost(place)
            else:
                names.setdefault(place.subscription, []).append(place)
        for name, some in names.items():
            if name:
                failed |= await self._open(_Call(tenant, name, at_ms, {}, set()), some)
            else:
                failed |= await publish_anew(self._store, self._publish, tenant, some, at_ms)
        return failed

    async def _open(self, call: _Call, places: Sequence[DeadPlace]) -> Failed:
        self._owned.holds.hold(call.tenant, [call.name])
        try:
            return await self._open_held(call, places)
        finally:
            self._owned.holds.release(call.tenant, [call.name])

    async def _open_held(self, call: _Call, places: Sequence[DeadPlace]) -> Failed:
        until = Deadline(CLAIM_WAIT_MAX_S)
        for _ in range(REDRIVE_TRIES_MAX_COUNT):
            # Those that failed before may be open since, by the try before this.
            left = [place for place in places if place.dead_id not in call.failed]
            try:
                running = await when_free(partial(self._try, call, left), until)
            except (OwnedElsewhere, MeantElsewhere) as error:
                return await self._left(call, left, error)
            if running is None:
                return call.failed
            with after_change():
                await self._engine.progress.stored()
            if not running.group.was_moved:
                return call.failed
            # It was given away, or another node had claimed it, and the store took nothing more of it.
        return await self._left(call, places, MeantElsewhere(call.name))

    async def _left(self, call: _Call, places: Sequence[DeadPlace], error: ConduitError) -> Failed:
        """Also those that are for another node, but for what was stored before it was given away."""
        done = set()
        if call.opened:
            with after_change():
                found = await self._store.dead_find(call.tenant, list(call.opened))
            done = {place.dead_id for place in found if place.is_redriven}
        return {place.dead_id: error for place in places if place.dead_id not in done} | call.failed

    async def _try(self, call: _Call, places: Sequence[DeadPlace]) -> Running | None:
        """Open what can be, and add to `failed` what cannot; None if nothing could. Raises OwnedElsewhere and
        MeantElsewhere."""
        failed = call.failed
        async with self._owned.turns.taken((call.tenant, call.name)):
            try:
                record = self._owned.get(call.tenant, call.name)
            except RequestError as error:
                failed |= {place.dead_id: error for place in places}
                return None
            places = self._possible(record, places, failed)
            if not places:
                return None
            try:
                # A topic that goes meanwhile is not made again for a dead letter.
                running = await self._owned.start(record, create=False)
            except NotFound as error:
                is_topic = error.code == "topic_not_found"
                for place in places:
                    failed[place.dead_id] = self._gone(call.tenant, place) if is_topic else error
                return None
            places = await self._unmarked(call, running, places)
            places = self._possible(record, places, failed)
            for start in range(0, len(places), TURN_MAX_COUNT):
                if start:
                    await asyncio.sleep(0)
                for place in places[start : start + TURN_MAX_COUNT]:
                    self._open_one(running, record, place, call)
        return running if any(place.dead_id not in failed for place in places) else None

    async def _unmarked(
        self, call: _Call, running: Running, places: Sequence[DeadPlace]
    ) -> list[DeadPlace]:
        """Without those that are gone, and those that somebody has redriven since their places were read: by
        now they may be acked. Here nobody redrives any, and what another node does is not stored."""
        # What is stored until the store answers may be missing in the answer.
        before = {place.dead_id: self._is_marked(running, place) for place in places}
        found = {
            place.dead_id: place.is_redriven
            for place in await self._store.dead_find(call.tenant, list(before))
        }
        unmarked = []
        for place in places:
            answers = (self._is_marked(running, place), before[place.dead_id])
            is_marked = next((one for one in answers if one is not None), found.get(place.dead_id))
            if is_marked is None:
                call.failed[place.dead_id] = NotFound(
                    "the dead letter was discarded or dropped meanwhile",
                    code="dead_letter_not_found",
                )
            elif not is_marked or place.is_redriven:
                unmarked.append(place)
            elif place.dead_id not in call.opened:
                call.failed[place.dead_id] = Conflict(
                    "another request has redriven it meanwhile", code="already_redriven"
                )
        return unmarked

    def _is_marked(self, running: Running, place: DeadPlace) -> bool | None:
        """Whether it is redriven by what the store does not know yet; None if it knows all."""
        cursor = running.cursors.get(place.topic_id)
        return None if cursor is None else self._engine.progress.is_redriven(cursor, place.seq)

    def _open_one(
        self,
        running: Running,
        record: SubscriptionRecord,
        place: DeadPlace,
        call: _Call,
    ) -> None:
        failed = call.failed
        topic = self._catalog.by_id(place.topic_id)
        if topic is None:
            failed[place.dead_id] = self._gone(record.tenant, place)
        elif running.group.was_moved:
            # Nothing of it is stored any more; the next try is with the one that is loaded then.
            return
        elif running.is_over:
            failed[place.dead_id] = NotFound(
                f"subscription {record.name!r} was deleted meanwhile", code="subscription_not_found"
            )
        elif running.group.is_full:
            failed[place.dead_id] = LimitReached(
                f"too many deliveries wait for their next attempt: {running.group.pending.count} of"
                f" subscription {record.name!r}, {running.group.allowance.pending.count} of the tenant:"
                " redrive when fewer do",
                code="subscription_full",
            )
        elif not running.redrive(topic, place.seq):
            failed[place.dead_id] = self._not_settled(running, record, place)
        else:
            mark = Redriven(
                place.dead_id,
                call.at_ms,
                record.subscription_id,
                record.name,
                place.topic_id,
                place.seq,
            )
            cursor = running.cursors[place.topic_id]
            self._engine.progress.redriven(cursor, place.seq, mark)
            call.opened.add(place.dead_id)

    def _not_settled(
        self, running: Running, record: SubscriptionRecord, place: DeadPlace
    ) -> Conflict:
        """Why it is not opened: it is open, or was not handed out yet."""
        delivery = running.cursors[place.topic_id].delivery
        state = state_of(record.name, delivery, place.seq, self._engine.clock).state
        where = {
            "pending": f"subscription {record.name!r} has not come to it yet, and will",
            "in_flight": f"a subscriber of {record.name!r} has it and did not settle it yet",
            "retrying": f"it waits until a subscriber of {record.name!r} takes it",
        }[state]
        if not place.is_redriven:
            return Conflict(f"{where}: there is no need to redrive it")
        return Conflict(
            f"it was redriven already, and {where}. There is nothing to do: if it fails there again, it is"
            " a dead letter that was not redriven, and can be redriven then",
            code="already_redriven",
        )

    def _possible(
        self, record: SubscriptionRecord, places: Sequence[DeadPlace], failed: Failed
    ) -> list[DeadPlace]:
        """Those whose topic is there, and is the subscription's."""
        possible = []
        for place in places:
            topic = self._catalog.by_id(place.topic_id)
            if topic is None:
                failed[place.dead_id] = self._gone(record.tenant, place)
            elif not matches(record.pattern, topic.name):
                failed[place.dead_id] = Conflict(
                    f"subscription {record.name!r} is on {record.pattern!r} now,"
                    f" not on {topic.name!r}"
                )
            else:
                possible.append(place)
        return possible

    def _gone(self, tenant: str, place: DeadPlace) -> RequestError:
        is_anew = self._catalog.find(tenant, place.topic) is not None
        anew = (
            ", and the one of that name was made since, with numbers of its own" if is_anew else ""
        )
        return Conflict(
            f"topic {place.topic!r} was deleted after this died{anew}: there is nothing to deliver it"
            " from. To have it handled all the same, publish its payload anew",
            code="letter_topic_gone",
        )


def _lost(place: DeadPlace) -> RequestError:
    return Conflict(
        f"the message {place.seq} of topic {place.topic!r} was removed from the log before it died, and"
        " is not kept: there is nothing to deliver",
        code="payload_lost",
    )


Redrive = Callable[[str, Sequence[DeadPlace], int], Awaitable[Failed]]
"""See `Redriver.redrive`."""
