"""Durable subscriptions, looked at and changed where they run.

While the owner cannot be reached, the store alone can do some of it rightly. A view is then what is stored,
at most one flush old, without who is attached. A pause, a resume and new settings are in the change log, and
take effect at the owner within a second, for it follows that. The others need the owner, and are Unavailable:
a seek and a deletion, because dead letters that it has not stored by then would be lost; a redrive, because
it opens deliveries in memory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import TypeVar

from conduit.broker.administer.republishing import Failed
from conduit.broker.administer.subscriptions import Subscriptions
from conduit.broker.administer.views import SubscriptionView
from conduit.broker.broker import Broker
from conduit.cluster import errands
from conduit.cluster.elsewhere import Elsewhere
from conduit.cluster.errands import Errand, Kind
from conduit.core.message import DeadPlace, SubscriptionSettings
from conduit.errors import NotFound, Unavailable
from conduit.protocol.codec import encode_json
from conduit.protocol.frames import StartSpec
from conduit.protocol.records import Moved, TopicProgress

# How long it is tried to reach an owner, and how long one has to answer: as long as a change may take there,
# and some more (broker/changes.py).
REACH_TIMEOUT_S = 3.0
ANSWER_TIMEOUT_S = 15.0
# Between two attempts, if nothing is heard of before.
AGAIN_S = 0.2

T = TypeVar("T")


class Unreachable(Unavailable):
    """The owner was not asked."""


class AtOwner:
    """As `Subscriptions` of the broker, for those of all nodes."""

    def __init__(self, broker: Broker, elsewhere: Elsewhere) -> None:
        self._broker = broker
        self._here: Subscriptions = broker.subscriptions
        self._elsewhere = elsewhere

    # Looking --------------------------------------------------------------------------------------

    async def get(self, tenant: str, name: str) -> SubscriptionView:
        """See `Subscriptions.get`."""
        errand = Errand("", tenant, [name])
        try:
            body = await self._ask(Kind.GET, errand)
        except Unreachable:
            body = None
        if body is None:
            return await self._here.get(tenant, name)
        views = errands.decode_views(body)
        if not views:
            raise NotFound(f"subscription {name!r} does not exist", code="subscription_not_found")
        return views[0]

    async def topics(
        self, tenant: str, name: str, *, limit: int, after: str | None
    ) -> list[TopicProgress]:
        """See `Subscriptions.topics`."""
        errand = Errand("", tenant, [name], limit=limit, after=after)
        try:
            body = await self._ask(Kind.TOPICS, errand)
        except Unreachable:
            body = None
        if body is None:
            return await self._here.topics(tenant, name, limit=limit, after=after)
        return errands.decode_topics(body)

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

    async def update(self, tenant: str, name: str, changes: dict[str, object]) -> SubscriptionView:
        """See `Subscriptions.update`."""
        errand = Errand("", tenant, [name], changes=changes)
        return await self._change(
            Kind.UPDATE, errand, lambda: self._here.update(tenant, name, changes)
        )

    async def pause(self, tenant: str, name: str) -> SubscriptionView:
        """See `Subscriptions.pause`."""
        errand = Errand("", tenant, [name])
        return await self._change(Kind.PAUSE, errand, lambda: self._here.pause(tenant, name))

    async def resume(self, tenant: str, name: str) -> SubscriptionView:
        """See `Subscriptions.resume`."""
        errand = Errand("", tenant, [name])
        return await self._change(Kind.RESUME, errand, lambda: self._here.resume(tenant, name))

    async def delete(self, tenant: str, name: str) -> None:
        """See `Subscriptions.delete`. Raises Unavailable without its owner."""
        if await self._ask(Kind.DELETE, Errand("", tenant, [name])) is None:
            await self._here.delete(tenant, name)
        else:
            await self._broker.news.catch_up()

    async def seek(self, tenant: str, name: str, start: StartSpec, *, dry_run: bool) -> Moved:
        """See `Subscriptions.seek`. Raises Unavailable without its owner."""
        errand = Errand("", tenant, [name], start=encode_json(start), dry_run=dry_run)
        body = await self._ask(Kind.SEEK, errand)
        if body is None:
            return await self._here.seek(tenant, name, start, dry_run=dry_run)
        return errands.decode_moved(body)

    async def redrive(self, tenant: str, places: Sequence[DeadPlace], at_ms: int) -> Failed:
        """See `Redriver.redrive`: each at the owner of its subscription. Raises Unavailable without that."""
        names: dict[str, list[DeadPlace]] = {}
        for place in places:
            names.setdefault(place.subscription, []).append(place)
        failed: Failed = {}
        for name, some in names.items():
            body = None
            if name:
                errand = Errand("", tenant, [name], places=some, at_ms=at_ms)
                body = await self._ask(Kind.REDRIVE, errand)
            if body is None:
                failed |= await self._broker.redrive_here(tenant, some, at_ms)
            else:
                failed |= errands.decode_refused(body)
        return failed

    # Parts ----------------------------------------------------------------------------------------

    async def _change(
        self, kind: Kind, errand: Errand, here: Callable[[], Awaitable[SubscriptionView]]
    ) -> SubscriptionView:
        try:
            body = await self._ask(kind, errand)
        except Unreachable:
            body = None
        if body is None:
            return await here()
        # So that who looks here next sees it.
        await self._broker.news.catch_up()
        return errands.decode_views(body)[0]

    async def _ask(self, kind: Kind, errand: Errand) -> bytes | None:
        """The owner's answer; None if that is this node. Raises what the owner raises, Unreachable if it was
        not asked in REACH_TIMEOUT_S, and OutcomeUnknown if the answer was lost."""
        until = monotonic() + REACH_TIMEOUT_S
        while True:
            owner = self._elsewhere.owner_of(errand.tenant, errand.names[0])
            if owner is None:
                return None
            try:
                return await self._elsewhere.ask(owner, kind, errand, ANSWER_TIMEOUT_S)
            except Unavailable as error:
                # Others of that class say more: that the store does not answer, or not yet.
                if type(error) is not Unavailable:
                    raise
                if monotonic() >= until:
                    raise Unreachable(
                        f"the node that has the subscription cannot be reached: {error}"
                    ) from error
            await self._elsewhere.changed(AGAIN_S)

    # Last, because below it `list` would mean this method.
    async def list(
        self,
        tenant: str,
        *,
        q: str | None,
        limit: int,
        after: str | None,
        is_meant: Callable[[str], bool] | None = None,
    ) -> list[SubscriptionView]:
        """See `Subscriptions.list`."""
        views = await self._here.list(tenant, q=q, limit=limit, after=after, is_meant=is_meant)
        names: dict[str, list[str]] = {}
        for view in views:
            owner = self._elsewhere.owner_of(tenant, view.record.name)
            if owner is not None:
                names.setdefault(owner, []).append(view.record.name)
        better: dict[str, SubscriptionView] = {}
        for some in names.values():
            try:
                body = await self._ask(Kind.GET, Errand("", tenant, some))
            except Unavailable:
                continue
            found = errands.decode_views(body) if body is not None else []
            better |= {view.record.name: view for view in found}
        return [better.get(view.record.name, view) for view in views]
