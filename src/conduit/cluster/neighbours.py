"""What nodes say to each other about themselves: to look who there is, and to leave or to stay.

Whoever is asked to look renews its lease at once, and so knows what it would know within a second anyway. A
node of a version that cannot be asked, or without a link, comes to know it then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import StrEnum
from typing import Protocol

import msgspec

from conduit.cluster.links.handshake import Identity
from conduit.cluster.links.links import Links
from conduit.cluster.links.requests import Asked
from conduit.errors import ConduitError, Conflict, InvalidRequest, OutcomeUnknown, Unavailable
from conduit.protocol.draining import NodeDrain

# For all others together: who takes longer learns it with its next renewal.
LOOK_TIMEOUT_S = 1.0
# For a node to do what an operator wants of it: longer than it may take there (leaving.py).
ORDER_TIMEOUT_S = 12.0
# Requests of all other nodes that are being answered; each waits for one renewal or one drain.
TASKS_MAX_COUNT = 256

logger = logging.getLogger(__name__)


class Kind(StrEnum):
    """Of a request. The body is the incarnation of the node that is asked."""

    LOOK = "node.look"
    """Answered when it knows who there is; with nothing."""
    DRAIN = "node.drain"
    UNDRAIN = "node.undrain"
    """These are answered with a `NodeDrain`."""


class Conduct(Protocol):
    """The node that is asked."""

    async def look(self) -> None:
        """Know who there is. Raises ConduitError."""

    async def drain(self) -> NodeDrain:
        """Leave, and say how far that is. Raises ConduitError."""

    async def undrain(self) -> NodeDrain:
        """Stay. Raises ConduitError."""


_encode = msgspec.msgpack.encode
_incarnation = msgspec.msgpack.Decoder(str).decode
_drain = msgspec.msgpack.Decoder(NodeDrain).decode


class Neighbours:
    """The other nodes, to this one. `conduct`: who does what they ask; None: nobody yet."""

    def __init__(self, own: Identity, links: Links) -> None:
        self._own = own
        self._links = links
        self.conduct: Conduct | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # Asking ---------------------------------------------------------------------------------------

    async def have_all_look(self) -> None:
        """Have all who are linked look who there is; returns when they know, or after LOOK_TIMEOUT_S. Does
        not raise."""
        names = [view.name for view in self._links.views()]
        await asyncio.gather(*(self._have_look(name) for name in names))

    async def _have_look(self, name: str) -> None:
        # Who is of another version, or not linked, looks by itself.
        with suppress(ConduitError):
            await self._ask(name, Kind.LOOK, LOOK_TIMEOUT_S)

    async def order(self, name: str, *, is_draining: bool) -> NodeDrain:
        """Have another node drain, or serve again. Raises Unavailable `node_unreachable` if it was not asked,
        OutcomeUnknown if it did not answer, and what it raises."""
        kind = Kind.DRAIN if is_draining else Kind.UNDRAIN
        try:
            return _drain(await self._ask(name, kind, ORDER_TIMEOUT_S))
        except msgspec.MsgspecError as error:
            raise OutcomeUnknown(f"the answer of node {name} cannot be read: {error}") from error

    async def _ask(self, name: str, kind: Kind, timeout_s: float) -> bytes:
        link = self._links.to(name)
        if link is None:
            raise Unavailable(
                f"there is no link to node {name}: ask it itself", code="node_unreachable"
            )
        return await link.ask(kind, _encode(link.peer.incarnation), timeout_s)

    # Being asked ----------------------------------------------------------------------------------

    def knows(self, asked: Asked) -> bool:
        """Whether that is said of nodes."""
        return asked.kind in list(Kind)

    def serve(self, asked: Asked) -> None:
        """Answer it, later. Raises InvalidRequest, Conflict if another run of this node was meant, and
        Unavailable."""
        try:
            incarnation = _incarnation(asked.body)
        except msgspec.MsgspecError as error:
            raise InvalidRequest(f"a request of a node cannot be read: {error}") from error
        if incarnation != self._own.incarnation:
            raise Conflict(f"another run of node {self._own.name} is meant")
        conduct = self.conduct
        if conduct is None or len(self._tasks) >= TASKS_MAX_COUNT:
            raise Unavailable(f"node {self._own.name} cannot do that now")
        acts: dict[Kind, Callable[[], Awaitable[NodeDrain | None]]] = {
            Kind.LOOK: conduct.look,
            Kind.DRAIN: conduct.drain,
            Kind.UNDRAIN: conduct.undrain,
        }
        task = asyncio.get_running_loop().create_task(self._answer(asked, acts[Kind(asked.kind)]))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Answer nothing more; what was begun goes on."""
        self.conduct = None
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _answer(self, asked: Asked, act: Callable[[], Awaitable[NodeDrain | None]]) -> None:
        """The root of a task."""
        try:
            asked.reply(_encode(await act()))
        except ConduitError as error:
            asked.fail(error)
        except Exception:
            logger.exception("a request of another node failed")
            # Of a bug it learns nothing more.
            asked.fail(Unavailable("the other node made an error; its log has it", code="internal"))
