"""The subscribers of this node's subscriptions whose clients are at other nodes (guest.py)."""

from __future__ import annotations

import asyncio

from conduit.broker.broker import Broker
from conduit.broker.turn import guarded
from conduit.cluster.guest import Guest, IsOwner
from conduit.cluster.links.channels import Channel
from conduit.cluster.links.handshake import Identity
from conduit.cluster.subscribing import decode_opening
from conduit.errors import Conflict, InvalidRequest, Unavailable
from conduit.protocol.codec import decode_client_frame
from conduit.protocol.codes import CLOSE_MOVED
from conduit.protocol.frames import Subscribe


class Guests:
    """Those of this node; give it the channels of kind `subscribing.KIND`."""

    def __init__(self, broker: Broker, own: Identity, is_owner: IsOwner) -> None:
        self.broker = broker
        self.is_owner = is_owner
        self._own = own
        self._is_closed = False
        self._guests: set[Guest] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._guests)

    def accept(self, node_name: str, channel: Channel, body: bytes) -> Guest:
        """The user of a channel that the node of this name has opened. Raises InvalidRequest, Conflict if
        another run of this node was meant, and Unavailable if it stops."""
        if self._is_closed:
            raise Unavailable(f"node {self._own.name} stops")
        opening = decode_opening(body)
        if opening.incarnation != self._own.incarnation:
            raise Conflict(f"another run of node {self._own.name} is meant")
        frame = decode_client_frame(opening.frame)
        if not isinstance(frame, Subscribe) or frame.subscription is None:
            raise InvalidRequest("a channel is opened for a durable subscription")
        guest = Guest(self, channel, opening, node_name)
        self._guests.add(guest)
        task = asyncio.get_running_loop().create_task(guest.subscribe(frame, frame.subscription))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return guest

    def forget(self, guest: Guest) -> None:
        """It is over."""
        self._guests.discard(guest)

    async def close(self) -> None:
        """Send all away, and let nobody come any more: this node stops, and what they had out has to be given
        back before the progress is stored for the last time."""
        self._is_closed = True
        for guest in tuple(self._guests):
            guarded(guest.close, CLOSE_MOVED, "the node stops")
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
