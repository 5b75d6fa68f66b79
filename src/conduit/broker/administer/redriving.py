"""Delivering dead letters again: many at once are opened in their subscription, and stored in one commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec

from conduit.broker.catalog import Catalog
from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.owned import Owned
from conduit.broker.deliver.running import Running
from conduit.broker.waiting import result_of
from conduit.core.message import DeadPlace, Redriven, SubscriptionRecord
from conduit.core.topics import matches
from conduit.errors import Conflict, LimitReached, NotFound, RequestError
from conduit.protocol.frames import PublishRequest
from conduit.storage.base import Store

# How often a redrive loads its subscription anew, when another node has claimed it meanwhile.
REDRIVE_TRIES_MAX_COUNT = 3
# Letters that one turn of the loop opens.
TURN_MAX_COUNT = 128
# Letters that are published anew at a time, each with its payload.
PUBLISH_MAX_COUNT = 16

Publish = Callable[[str, PublishRequest, Callable[[object], None]], None]
"""Publishes for the tenant; the callback gets a receipt or a ConduitError."""
Failed = dict[str, RequestError]
"""Why letters could not be redriven, by their ids."""

_headers = msgspec.json.Decoder(dict[str, str]).decode


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

        Why not: NotFound `subscription_not_found`; Conflict `letter_topic_gone`, `payload_lost`, or if the
        subscription of that name is on other topics now, if the delivery is open, or if other nodes run
        the subscription; LimitReached `subscription_full` while too many of its deliveries wait. Raises
        Unavailable if the store is.
        """
        names: dict[str, list[DeadPlace]] = {}
        failed: Failed = {}
        for place in places:
            if place.is_lost:
                failed[place.dead_id] = _lost(place)
            else:
                names.setdefault(place.subscription, []).append(place)
        for name, some in names.items():
            work = self._open(tenant, name, some, at_ms) if name else None
            failed |= await (work or self._publish_anew(tenant, some, at_ms))
        return failed

    # To a subscription ----------------------------------------------------------------------------

    async def _open(
        self, tenant: str, name: str, places: Sequence[DeadPlace], at_ms: int
    ) -> Failed:
        failed: Failed = {}
        for _ in range(REDRIVE_TRIES_MAX_COUNT):
            # Those that failed before may be open since, by the try before this.
            left = [place for place in places if place.dead_id not in failed]
            running = await self._try(tenant, name, left, at_ms, failed)
            if running is None:
                return failed
            await self._engine.progress.stored()
            if not running.was_moved:
                return failed
            # Another node had claimed it, and the store took nothing of it from this one any more.
        moved = Conflict(f"subscription {name!r} runs on another node")
        return {place.dead_id: moved for place in places} | failed

    async def _try(
        self, tenant: str, name: str, places: Sequence[DeadPlace], at_ms: int, failed: Failed
    ) -> Running | None:
        """Open what can be, and add to `failed` what cannot; None if nothing could."""
        async with self._owned.changing:
            try:
                record = self._owned.get(tenant, name)
            except RequestError as error:
                failed |= {place.dead_id: error for place in places}
                return None
            places = self._possible(record, places, failed)
            if not places:
                return None
            try:
                # A topic that goes meanwhile is not made again for a dead letter.
                running = await self._owned.start(record, create=False)
            except NotFound:
                failed |= {place.dead_id: self._gone(record.tenant, place) for place in places}
                return None
            places = self._possible(record, places, failed)
            for start in range(0, len(places), TURN_MAX_COUNT):
                if start:
                    await asyncio.sleep(0)
                for place in places[start : start + TURN_MAX_COUNT]:
                    self._open_one(running, record, place, at_ms, failed)
        return running if any(place.dead_id not in failed for place in places) else None

    def _open_one(
        self,
        running: Running,
        record: SubscriptionRecord,
        place: DeadPlace,
        at_ms: int,
        failed: Failed,
    ) -> None:
        topic = self._catalog.by_id(place.topic_id)
        if topic is None:
            failed[place.dead_id] = self._gone(record.tenant, place)
        elif running.was_moved:
            # Nothing of it is stored any more; the next try is with the one that is loaded then.
            return
        elif running.group.is_full:
            failed[place.dead_id] = LimitReached(
                f"{running.group.pending.count} deliveries of subscription {record.name!r} wait for"
                " their next attempt: redrive when fewer do",
                code="subscription_full",
            )
        elif not running.redrive(topic, place.seq):
            failed[place.dead_id] = Conflict("the message is not settled in its subscription")
        else:
            mark = Redriven(
                place.dead_id,
                at_ms,
                record.subscription_id,
                record.name,
                place.topic_id,
                place.seq,
            )
            cursor = running.cursors[place.topic_id]
            self._engine.progress.redriven(cursor, place.seq, mark)

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

    # Anew -----------------------------------------------------------------------------------------

    async def _publish_anew(self, tenant: str, places: Sequence[DeadPlace], at_ms: int) -> Failed:
        """A crash before the mark leaves a letter unmarked, and it may be redriven twice: at least once."""
        failed: Failed = {}
        for start in range(0, len(places), PUBLISH_MAX_COUNT):
            some = places[start : start + PUBLISH_MAX_COUNT]
            answers = await asyncio.gather(
                *(self._publish_one(tenant, place) for place in some), return_exceptions=True
            )
            marks = []
            for place, answer in zip(some, answers, strict=True):
                if answer is None:
                    marks.append(Redriven(place.dead_id, at_ms))
                elif isinstance(answer, RequestError):
                    failed[place.dead_id] = answer
            await self._store.settle([], [], marks)
            for answer in answers:
                if isinstance(answer, BaseException) and not isinstance(answer, RequestError):
                    raise answer
        return failed

    async def _publish_one(self, tenant: str, place: DeadPlace) -> None:
        letter = await self._store.dead_get(tenant, place.dead_id)
        if letter is None:
            raise NotFound("no dead letter has this id", code="dead_letter_not_found")
        headers = _headers(letter.headers) if letter.headers is not None else None
        payload = msgspec.Raw(letter.payload)
        request = PublishRequest(letter.topic, payload, key=letter.key, headers=headers)
        await result_of(partial(self._publish, tenant, request))


def _lost(place: DeadPlace) -> RequestError:
    return Conflict(
        f"the message {place.seq} of topic {place.topic!r} was removed from the log before it died, and"
        " is not kept: there is nothing to deliver",
        code="payload_lost",
    )


Redrive = Callable[[str, Sequence[DeadPlace], int], Awaitable[Failed]]
"""See `Redriver.redrive`."""
