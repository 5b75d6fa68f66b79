"""The owner of a subscription does for other nodes what they are asked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from conduit.broker.broker import Broker
from conduit.cluster.errands import (
    ATTACHED_MAX_COUNT,
    Errand,
    Kind,
    decode_errand,
    encode_answer,
    encode_done,
    encode_failed,
    encode_refused,
    is_look,
    start_of,
)
from conduit.cluster.guest import IsOwner
from conduit.cluster.links.handshake import Identity
from conduit.cluster.links.requests import Asked
from conduit.errors import (
    ConduitError,
    Conflict,
    InvalidRequest,
    MeantElsewhere,
    OutcomeUnknown,
    OwnedElsewhere,
    Unavailable,
)

_BUG = "a request of another node failed"

logger = logging.getLogger(__name__)


class Obliging:
    """Answers requests of the kinds in `errands.Kind`; each in a task, of which there are no more than
    requests may be open."""

    def __init__(self, broker: Broker, own: Identity, is_owner: IsOwner) -> None:
        self._broker = broker
        self._own = own
        self._is_owner = is_owner
        self._is_closed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._acts: dict[Kind, Callable[[Errand], Awaitable[bytes]]] = {
            Kind.GET: self._get,
            Kind.UPDATE: self._update,
            Kind.PAUSE: self._pause,
            Kind.RESUME: self._resume,
            Kind.DELETE: self._delete,
            Kind.SEEK: self._seek,
            Kind.TOPICS: self._topics,
            Kind.REDRIVE: self._redrive,
            Kind.ATTACHED: self._attached,
        }

    def serve(self, asked: Asked) -> None:
        """Answer it, later. Raises Unavailable when this node stops, InvalidRequest, and Conflict if another
        run of this node was meant; nothing is done then."""
        if self._is_closed:
            raise self._stopping()
        if asked.kind not in list(Kind):
            raise InvalidRequest(f"this version answers no {asked.kind!r}")
        errand = decode_errand(asked.body)
        if errand.incarnation != self._own.incarnation:
            raise Conflict(f"another run of node {self._own.name} is meant")
        task = asyncio.get_running_loop().create_task(self._answer(asked, errand))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Begin nothing more, so that who asks goes to the next owner; what the store was told goes on."""
        self._is_closed = True
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _answer(self, asked: Asked, errand: Errand) -> None:
        """The root of a task. That the request fails says that nothing was begun: see `messenger.py`."""
        kind, may_be_done = Kind(asked.kind), False
        try:
            await self._prepare(errand)
            may_be_done = not is_look(kind, errand)
            asked.reply(await self._outcome(kind, errand))
        except asyncio.CancelledError:
            asked.fail(self._stopping(may_be_done=may_be_done))
            raise
        except ConduitError as error:
            asked.fail(error)
        except Exception:
            logger.exception(_BUG)
            asked.fail(_bug())

    async def _prepare(self, errand: Errand) -> None:
        """Raises Unavailable if it is another node's to do, also since this was called."""
        self._check(errand)
        if errand.topic is not None:
            await self._broker.news.hear_of(errand.tenant, errand.topic, None)
        for name in errand.names:
            # It may have been made where it is asked for, a moment ago.
            await self._broker.news.hear_of(errand.tenant, "*", name)
        self._check(errand)

    def _check(self, errand: Errand) -> None:
        for name in errand.names:
            if not self._is_owner(errand.tenant, name):
                raise Unavailable(f"subscription {name!r} is another node's")

    async def _outcome(self, kind: Kind, errand: Errand) -> bytes:
        try:
            return encode_done(await self._acts[kind](errand))
        except (MeantElsewhere, OwnedElsewhere):
            # Nothing was done: who asked may ask the next owner.
            raise
        except ConduitError as error:
            return encode_failed(error)
        except Exception:
            logger.exception(_BUG)
            return encode_failed(_bug())

    def _stopping(self, *, may_be_done: bool = False) -> Unavailable:
        told = f"node {self._own.name} stops"
        if may_be_done:
            return OutcomeUnknown(f"{told}; what was asked may have been done")
        return Unavailable(told)

    async def _get(self, errand: Errand) -> bytes:
        # Whoever asked for one that is not there sees that it is missing.
        some = self._broker.subscriptions.some
        return encode_answer(await some(errand.tenant, errand.names, errand.topic))

    async def _update(self, errand: Errand) -> bytes:
        update, name = self._broker.subscriptions.update, errand.names[0]
        changes = dict(errand.changes)
        return encode_answer([await update(errand.tenant, name, changes, pattern=errand.pattern)])

    async def _pause(self, errand: Errand) -> bytes:
        pause = self._broker.subscriptions.pause
        return encode_answer([await pause(errand.tenant, errand.names[0], pattern=errand.pattern)])

    async def _resume(self, errand: Errand) -> bytes:
        resume = self._broker.subscriptions.resume
        return encode_answer([await resume(errand.tenant, errand.names[0], pattern=errand.pattern)])

    async def _delete(self, errand: Errand) -> bytes:
        delete = self._broker.subscriptions.delete
        await delete(errand.tenant, errand.names[0], pattern=errand.pattern)
        return b"\xc0"

    async def _seek(self, errand: Errand) -> bytes:
        seek = self._broker.subscriptions.seek
        start, name = start_of(errand), errand.names[0]
        dry_run, pattern = errand.dry_run, errand.pattern
        return encode_answer(
            await seek(errand.tenant, name, start, dry_run=dry_run, pattern=pattern)
        )

    async def _topics(self, errand: Errand) -> bytes:
        topics, name = self._broker.subscriptions.topics, errand.names[0]
        found = await topics(errand.tenant, name, limit=errand.limit, after=errand.after)
        return encode_answer(found)

    async def _attached(self, errand: Errand) -> bytes:
        found = await self._broker.subscriptions.attached(errand.tenant, errand.names[0])
        for each in found:
            each.node = each.node or self._own.name
        return encode_answer(found[:ATTACHED_MAX_COUNT])

    async def _redrive(self, errand: Errand) -> bytes:
        failed = await self._broker.redrive_here(errand.tenant, errand.places, errand.at_ms)
        return encode_refused(failed)


def _bug() -> Unavailable:
    """For who asked, who learns nothing more of it."""
    return Unavailable("the other node made an error; its log has it", code="internal")
