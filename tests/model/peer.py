"""One client: its connection, and what it does with the frames that it gets."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from conduit.broker.attach.connection import Connection
from conduit.protocol.codes import CLOSE_TOPIC_DELETED
from conduit.protocol.frames import Ack, Extend, Nack, Reject, Subscribe, Unsubscribe
from tests.model.oracle.from_clients import ACKED, EITHER, Settled
from tests.model.oracle.from_peers import Seen
from tests.model.oracle.log import Topic, Violation

if TYPE_CHECKING:
    from tests.model.world import World

_decode = msgspec.json.Decoder(Seen).decode
# Deliveries that a client remembers, to come late with.
REMEMBERED_COUNT = 50

Verb = Ack | Nack | Reject | Extend

# What a node says of an ack that it cannot store, as another has claimed the subscription.
MOVED = "unavailable"


class Client:
    """A peer of the broker that tells the model of every frame.

    A *worker* acks what it gets in the next turn of the loop. One with a `budget` stops draining after so
    many frames, in the middle of whatever is written.
    """

    def __init__(self, world: World, slot: int) -> None:
        self.world = world
        self.slot = slot
        self.writable = True
        self.heard_until = math.inf
        self.node_name: str | None = None
        self.connection: Connection = world.broker.connect(world.tenant, self)
        self.is_worker = False
        self.budget: int | None = None
        self.is_busy = False
        """A `subscribe` is under way: frames of one connection are handled one after the other."""
        self.is_closing = False
        self.is_gone = False
        self.received: deque[Seen] = deque(maxlen=REMEMBERED_COUNT)
        self.asked: Subscribe | None = None
        self._expected: dict[str, str] = {}
        self._settled: dict[str, list[Settled]] = {}
        self._refs = itertools.count(1)
        self._to_ack: list[str] = []

    def __str__(self) -> str:
        return f"client {self.slot}"

    # What the broker calls ------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if self.is_gone or self.is_closing:
            return
        for text in _texts(data):
            frame = _decode(text)
            self.world.note("%s gets %s", self, text[:200])
            try:
                self._on_frame(frame)
            except Violation as violation:
                self.world.violated(violation)
            if self.budget is not None:
                self._spend()

    def on_growing(self) -> None:
        """More is kept for it."""

    def go_on(self) -> None:
        """See `Peer.go_on`."""

    def close(self, code: int, reason: str) -> None:
        if self.is_closing:
            return
        self.world.note("%s is closed: %s", self, reason)
        # As a WebSocket does: whoever asks is told that nothing can be written any more.
        self.is_closing = True
        self.drain(False)
        if code == CLOSE_TOPIC_DELETED:
            self.world.peers.sent_away(self)
        asyncio.get_running_loop().call_soon(self.world.leave, self, False)

    # Frames ---------------------------------------------------------------------------------------

    def _on_frame(self, frame: Seen) -> None:
        peers = self.world.peers
        match frame.type:
            case "message":
                peers.message(self, frame)
                self.received.append(frame)
                self.world.seen_ids.add(frame.message_id)
                if self.is_worker:
                    self._work(frame.message_id)
            case "gap":
                peers.gap(self, frame)
            case "subscribed":
                assert self.asked is not None
                peers.subscribed(self, frame, self.asked)
                peers.holder(self, frame.topic, frame.subscription).is_draining = self.writable
            case "unsubscribed":
                for holder in tuple(self.world.state.holders[self]):
                    if holder.subscription.name == frame.subscription:
                        self.world.state.remove_holder(holder, lost=False)
            case "acked" | "error":
                self._answered(frame.ref or "", frame.code or ACKED)

    def _answered(self, ref: str, outcome: str) -> None:
        if self.is_closing:
            # Its socket takes nothing any more.
            return
        expected = self._expected.pop(ref, None)
        settled = self._settled.pop(ref, [])
        if outcome == MOVED and expected == ACKED and any(one.is_refused() for one in settled):
            # It has left the subscription, and so was not sent away with the others.
            return
        if expected not in (outcome, EITHER):
            raise Violation(f"{self} was told {outcome} for {ref}, and it is {expected}")
        for one in settled:
            if outcome == ACKED and not one.is_stored():
                raise Violation(f"{self} was told that {one} is settled, and that is not stored")

    def _spend(self) -> None:
        self.budget = (self.budget or 1) - 1
        if self.budget == 0:
            self.budget = None
            self.drain(False)

    def _work(self, message_id: str) -> None:
        if not self._to_ack:
            asyncio.get_running_loop().call_soon(self._ack_all)
        self._to_ack.append(message_id)

    def _ack_all(self) -> None:
        ids, self._to_ack = self._to_ack, []
        if not (self.is_gone or self.is_closing or self.is_busy):
            for message_id in ids:
                if self.world.state.is_certain(self, *self.world.state.log.places[message_id]):
                    self.settle(Ack(message_id=message_id), with_ref=False)

    # What the client does -------------------------------------------------------------------------

    def settle(self, frame: Verb, *, with_ref: bool) -> None:
        """Send a verb; the model says first what must come of it."""
        verbs = self.connection.verbs
        send, predict = {
            Ack: (verbs.ack, self.world.clients.ack),
            Nack: (verbs.nack, self.world.clients.nack),
            Reject: (verbs.reject, self.world.clients.reject),
            Extend: (verbs.extend, self.world.clients.extend),
        }[type(frame)]
        if with_ref:
            frame.ref = f"{self.slot}-{next(self._refs)}"
        outcome = predict(self, frame)
        settled = self.world.clients.take_settled()
        if frame.ref is not None:
            self._expected[frame.ref] = outcome
            self._settled[frame.ref] = settled
        self.world.note("%s sends %s: %s", self, frame, outcome)
        send(frame)

    def drain(self, writable: bool) -> None:
        """Its socket drains again, or no longer."""
        if writable and self.is_closing:
            return
        self.writable = writable
        for holder in self.world.state.holders[self]:
            holder.is_draining = writable
        self.connection.writable_changed()

    async def subscribe(self, frame: Subscribe) -> None:
        """Subscribe; errors are the caller's."""
        self.is_busy, self.asked = True, frame
        try:
            await self.connection.subscribe(frame)
        finally:
            self.is_busy = False

    def unsubscribe(self, index: int) -> None:
        """Leave one of the subscriptions it has."""
        holder = self.world.state.holders[self][index]
        subscription = holder.subscription
        self.connection.unsubscribe(Unsubscribe(subscription.pattern, subscription.name))

    def leave(self, *, lost: bool) -> None:
        """The connection has ended: by its loss, or in good order."""
        self.is_gone = True
        self.world.peers.gone(self, lost=lost)
        self.connection.close(lost=lost)

    def attempt_of(self, place: tuple[str | None, Topic, int]) -> int:
        """Which attempt it was when the client was given this last; 1 if it does not remember."""
        name, topic, seq = place
        for frame in reversed(self.received):
            if (frame.subscription, frame.epoch, frame.seq) == (name, topic.epoch, seq):
                return frame.attempt
        return 1

    @property
    def unanswered(self) -> dict[str, str]:
        """Refs that the broker still has to answer."""
        return self._expected


def _texts(data: bytes) -> Any:
    """The payloads of whole, unmasked text frames."""
    while data:
        assert data[0] == 0x81
        length, head = data[1], 2
        if length == 126:
            length, head = int.from_bytes(data[2:4], "big"), 4
        elif length == 127:
            length, head = int.from_bytes(data[2:10], "big"), 10
        yield data[head : head + length]
        data = data[head + length :]
