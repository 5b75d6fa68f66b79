"""Durable subscriptions, looked at and changed where they run.

While the owner cannot be reached, or is of a version that does nothing for others, the store alone can do
some of it rightly. A view is then what is stored, at most one flush old, without who is attached. A pause, a
resume and new settings are in the change log, and take effect at the owner within a second, for it follows
that. The others need the owner, and are Unavailable: a seek and a deletion, because dead letters that it has
not stored by then would be lost; a redrive, because it opens deliveries in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from conduit.broker.administer.republishing import Failed
from conduit.broker.administer.subscriptions import Subscriptions
from conduit.broker.administer.views import Attached, SubscriptionPage, SubscriptionView
from conduit.broker.broker import Broker
from conduit.broker.deliver.large_starts import LargeStarts
from conduit.cluster import errands
from conduit.cluster.elsewhere import Elsewhere
from conduit.cluster.errands import Errand, Kind
from conduit.cluster.links.frames import BODY_MAX_BYTES
from conduit.cluster.messenger import Messenger, Reach, Unreachable
from conduit.core.message import DeadPlace, SubscriptionSettings
from conduit.errors import ConduitError, LimitReached, NotFound, Unavailable
from conduit.protocol.codec import encode_json
from conduit.protocol.frames import StartSpec
from conduit.protocol.records import Moved, TopicProgress
from conduit.storage.slices import in_slices

# Subscriptions of which one request asks: their views fit into one frame of a link, however long names are.
VIEWS_MAX_COUNT = 100
# Letters of which one request asks; why each was refused fits as well.
REDRIVEN_MAX_COUNT = 250
# Of the start of a seek, as JSON, in a frame of a link with what a request has besides.
START_MAX_BYTES = BODY_MAX_BYTES - 2_048
# Before a list is answered, which takes less than any request may (server/rest/edge.py).
LIST_TIMEOUT_S = 10.0


class AtOwner:
    """As `Subscriptions` of the broker, for those of all nodes."""

    def __init__(self, broker: Broker, elsewhere: Elsewhere) -> None:
        self._broker = broker
        self._here: Subscriptions = broker.subscriptions
        self._elsewhere = elsewhere
        # Those on their way to owners, which have a line of their own.
        self._large_starts = LargeStarts()
        self._messenger = Messenger(elsewhere)
        self._ask = self._messenger.ask

    # Looking --------------------------------------------------------------------------------------

    async def get(self, tenant: str, name: str) -> SubscriptionView:
        """See `Subscriptions.get`."""
        errand = Errand("", tenant, [name])
        try:
            views = await self._ask(Kind.GET, errand, errands.decode_views)
        except Unreachable:
            views = None
        if views is None:
            return await self._here.get(tenant, name)
        if not views:
            raise NotFound(f"subscription {name!r} does not exist", code="subscription_not_found")
        return views[0]

    async def topics(
        self, tenant: str, name: str, *, limit: int, after: str | None
    ) -> list[TopicProgress]:
        """See `Subscriptions.topics`."""
        errand = Errand("", tenant, [name], limit=limit, after=after)
        try:
            topics = await self._ask(Kind.TOPICS, errand, errands.decode_topics)
        except Unreachable:
            topics = None
        if topics is None:
            return await self._here.topics(tenant, name, limit=limit, after=after)
        return topics

    async def attached(self, tenant: str, name: str) -> list[Attached]:
        """See `Subscriptions.attached`: of all nodes, ATTACHED_MAX_COUNT at most if it runs elsewhere. Raises
        Unavailable without its owner."""
        errand = Errand("", tenant, [name])
        found = await self._ask(Kind.ATTACHED, errand, errands.decode_attached)
        return await self._here.attached(tenant, name) if found is None else found

    def pattern_of(self, tenant: str, name: str) -> str:
        """See `Subscriptions.pattern_of`."""
        return self._here.pattern_of(tenant, name)

    # Changing -------------------------------------------------------------------------------------

    async def create(
        self,
        tenant: str,
        name: str,
        pattern: str,
        settings: SubscriptionSettings,
        start: StartSpec | None,
    ) -> SubscriptionView:
        """See `Subscriptions.create`; nobody has it before it is there."""
        return await self._here.create(tenant, name, pattern, settings, start)

    async def update(
        self, tenant: str, name: str, changes: dict[str, object], *, pattern: str | None = None
    ) -> SubscriptionView:
        """See `Subscriptions.update`."""
        errand = Errand("", tenant, [name], changes=changes, pattern=pattern)
        return await self._change(
            Kind.UPDATE, errand, lambda: self._here.update(tenant, name, changes, pattern=pattern)
        )

    async def pause(
        self, tenant: str, name: str, *, pattern: str | None = None
    ) -> SubscriptionView:
        """See `Subscriptions.pause`."""
        errand = Errand("", tenant, [name], pattern=pattern)
        return await self._change(
            Kind.PAUSE, errand, lambda: self._here.pause(tenant, name, pattern=pattern)
        )

    async def resume(
        self, tenant: str, name: str, *, pattern: str | None = None
    ) -> SubscriptionView:
        """See `Subscriptions.resume`."""
        errand = Errand("", tenant, [name], pattern=pattern)
        return await self._change(
            Kind.RESUME, errand, lambda: self._here.resume(tenant, name, pattern=pattern)
        )

    async def delete(self, tenant: str, name: str, *, pattern: str | None = None) -> None:
        """See `Subscriptions.delete`. Raises Unavailable without its owner."""
        errand = Errand("", tenant, [name], pattern=pattern)
        if await self._ask(Kind.DELETE, errand, bytes) is None:
            await self._here.delete(tenant, name, pattern=pattern)
        else:
            await self._hear_of_it()

    async def seek(
        self,
        tenant: str,
        name: str,
        start: StartSpec,
        *,
        dry_run: bool,
        pattern: str | None = None,
    ) -> Moved:
        """See `Subscriptions.seek`. Raises Unavailable without its owner, and LimitReached
        `payload_too_large` for a start that could not be told to an owner elsewhere, wherever it is."""
        async with self._large_starts.unpacked(tenant, "", start):
            text = encode_json(start)
            if len(text) > START_MAX_BYTES:
                raise LimitReached(
                    f"start may have {START_MAX_BYTES} bytes as JSON in a cluster, and has {len(text)}:"
                    " ask for fewer positions",
                    code="payload_too_large",
                    field="start",
                )
            errand = Errand("", tenant, [name], start=text, dry_run=dry_run, pattern=pattern)
            moved = await self._ask(Kind.SEEK, errand, errands.decode_moved)
        if moved is None:
            return await self._here.seek(tenant, name, start, dry_run=dry_run, pattern=pattern)
        return moved

    async def redrive(self, tenant: str, places: Sequence[DeadPlace], at_ms: int) -> Failed:
        """See `Redriver.redrive`: each at the owner of its subscription. What befalls one of them is told of
        its letters, and the others go on."""
        names: dict[str, list[DeadPlace]] = {}
        for place in places:
            names.setdefault(place.subscription, []).append(place)
        failed: Failed = {}
        reach = Reach()
        for name, its_places in names.items():
            async for some in in_slices(its_places, REDRIVEN_MAX_COUNT):
                try:
                    failed |= await self._redrive(tenant, name, some, at_ms, reach)
                except ConduitError as error:
                    failed |= {place.dead_id: error for place in some}
        return failed

    async def _redrive(
        self, tenant: str, name: str, places: Sequence[DeadPlace], at_ms: int, reach: Reach
    ) -> Failed:
        if name:
            errand = Errand("", tenant, [name], places=places, at_ms=at_ms)
            refused = await self._ask(Kind.REDRIVE, errand, errands.decode_refused, reach)
            if refused is not None:
                return refused
        return await self._broker.redrive_here(tenant, places, at_ms)

    # Parts ----------------------------------------------------------------------------------------

    async def _change(
        self, kind: Kind, errand: Errand, here: Callable[[], Awaitable[SubscriptionView]]
    ) -> SubscriptionView:
        try:
            view = await self._ask(kind, errand, errands.decode_view)
        except Unreachable:
            view = None
        if view is None:
            return await here()
        await self._hear_of_it()
        return view

    async def _hear_of_it(self) -> None:
        """So that who looks here next sees what the owner has done. It is done, whatever comes of this, and
        is heard within a second in any case."""
        with suppress(Unavailable):
            await self._broker.news.catch_up()

    async def list(
        self,
        tenant: str,
        *,
        q: str | None,
        topic: str | None = None,
        limit: int,
        after: str | None,
        is_meant: Callable[[str], bool] | None = None,
    ) -> SubscriptionPage:
        """See `Subscriptions.list`. What no owner has said in LIST_TIMEOUT_S is as the store has it."""
        names, following = await self._here.names(
            tenant, q=q, topic=topic, limit=limit, after=after, is_meant=is_meant
        )
        elsewhere: dict[str, list[str]] = {}
        for name in names:
            owner = self._elsewhere.owner_of(tenant, name)
            if owner is not None:
                elsewhere.setdefault(owner, []).append(name)
        found: dict[str, SubscriptionView] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(LIST_TIMEOUT_S):
                await asyncio.gather(
                    *(self._add_views(tenant, some, topic, found) for some in elsewhere.values())
                )
        rest = [name for name in names if name not in found]
        found |= {view.record.name: view for view in await self._here.some(tenant, rest, topic)}
        return SubscriptionPage([found[name] for name in names if name in found], following)

    async def _add_views(
        self,
        tenant: str,
        names: Sequence[str],
        topic: str | None,
        found: dict[str, SubscriptionView],
    ) -> None:
        """Those of one owner, as long as it answers."""
        async for some in in_slices(names, VIEWS_MAX_COUNT):
            errand = Errand("", tenant, some, topic=topic)
            try:
                views = await self._ask(Kind.GET, errand, errands.decode_views)
            except ConduitError:
                return
            for view in views or ():
                if topic is not None:
                    # An owner of the version before tells all.
                    view.narrow(topic)
                found[view.record.name] = view
