"""Removing all messages of a topic that are stored now, because somebody asks for it.

It works as retention does, in slices with pauses as long as they took, one slice at a time of all purges of
a node: publishers wait for one slice at most. A request ends after some seconds (`looking.py`) and says up to
which number the whole is meant, so that the next one goes on and takes nothing that is newer.

At every await others may publish, trim the topic, or delete it: a slice says where the topic begins after
it, whoever removed what was before, and one of a topic that is gone removes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import nullcontext
from functools import partial

import msgspec

from conduit.broker.administer.looking import SEARCHES_MAX_COUNT, Line, Looker
from conduit.broker.administer.retention import SLICE_COUNT, pause
from conduit.broker.catalog import Catalog, Topic
from conduit.broker.changes import after_change
from conduit.broker.deliver.sequencer import Sequencer
from conduit.broker.deliver.tails import Tails
from conduit.core.message import Retention
from conduit.errors import Conflict, NotFound, OutcomeUnknown, Overloaded
from conduit.names import named
from conduit.storage.base import Rule, Store, Trimmed

# After a slice that has found somebody else at work.
AGAIN_S = 0.1

logger = logging.getLogger(__name__)


class Extent(msgspec.Struct, frozen=True):
    """What is meant: all up to this number, in this epoch of the topic."""

    through_seq: int
    epoch: str


class Purged(msgspec.Struct):
    """What a request has done. `matched_count`: what there was to remove."""

    extent: Extent
    matched_count: int
    purged_count: int = 0
    is_done: bool = True


class Purger:
    """One per node; works on any node that shares the log."""

    def __init__(self, store: Store, catalog: Catalog, tails: Tails, sequencer: Sequencer) -> None:
        self._store = store
        self._catalog = catalog
        self._tails = tails
        self._sequencer = sequencer
        self._line = Line(SEARCHES_MAX_COUNT, "messages to purge")

    async def count(self, tenant: str, name: str) -> Purged:
        """What a purge would remove. Raises NotFound `topic_not_found`, StoreUnavailable."""
        return await self._found(self._catalog.get(tenant, name), None)

    async def purge(self, tenant: str, name: str, extent: Extent | None = None) -> Purged:
        """Remove what is stored now, or what is left of `extent`, as far as it goes in some seconds.

        Raises NotFound `topic_not_found`; Conflict if the topic was made anew since `extent`; Overloaded if
        too many purge, or nothing could be removed; StoreUnavailable; OutcomeUnknown if the store fails after
        some are gone.
        """
        topic = self._catalog.get(tenant, name)
        done = await self._found(topic, extent)
        done.is_done = not done.matched_count
        try:
            if not done.is_done:
                with self._line.joined(tenant) as looker:
                    await self._purge(topic, done, looker)
        finally:
            if done.purged_count:
                count = done.purged_count
                logger.info("topic %s is purged; messages: %d", named(name, tenant), count)
        return done

    async def _found(self, topic: Topic, extent: Extent | None) -> Purged:
        found = (await self._tails.fresh([topic])).get(topic.topic_id, topic)
        extent = extent or Extent(found.last_seq, found.epoch)
        if extent.epoch != found.epoch:
            raise Conflict(f"topic {topic.name!r} was made anew since, and keeps what it has now")
        # Whoever has made up a place gets no further than who asks for all that is stored now.
        extent = Extent(min(extent.through_seq, found.last_seq), found.epoch)
        return Purged(extent, max(0, extent.through_seq - found.first_seq + 1))

    async def _purge(self, topic: Topic, done: Purged, looker: Looker) -> None:
        begun: list[bool] = []
        while not done.is_done:
            before_seq = topic.first_seq
            try:
                with after_change() if done.purged_count else nullcontext():
                    ask = partial(self._slice, topic, done.extent.through_seq, begun)
                    trimmed = await looker.look(ask)
            except Overloaded:
                if not begun:
                    raise
                # The slice goes on, and nobody waits for it.
                raise OutcomeUnknown("the store takes too long: repeat the request") from None
            if trimmed is None:
                break
            done.purged_count += trimmed.removed_count
            done.is_done = trimmed.first_seq > done.extent.through_seq
            if trimmed.first_seq <= before_seq and not done.is_done:
                await asyncio.sleep(AGAIN_S)
        if not done.is_done and not done.purged_count:
            raise Overloaded("nothing could be removed: others do, or the store takes too long")

    async def _slice(self, topic: Topic, through_seq: int, begun: list[bool]) -> Trimmed:
        """One commit. Raises NotFound if the topic is gone by then."""
        began = asyncio.get_running_loop().time()
        self._check(topic)
        begun.append(True)
        rule = Rule(Retention(), 0, through_seq, is_awaited=True)
        trimmed = await self._store.trim(topic.topic_id, rule, SLICE_COUNT)
        self._check(topic)
        self._sequencer.trimmed(topic, trimmed.first_seq)
        # A commit that ended in this turn may be missing here; housekeeping counts it.
        topic.now_holds(trimmed.stored_bytes)
        await pause(began)
        return trimmed

    def _check(self, topic: Topic) -> None:
        if topic.is_deleted or self._catalog.by_id(topic.topic_id) is not topic:
            raise NotFound(f"topic {topic.name!r} was deleted meanwhile", code="topic_not_found")
