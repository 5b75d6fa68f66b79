"""Where durable subscriptions run: on the node to which the ring gives them; and how the others get there.

The ring is of the nodes that live and are not draining, as the leases say (membership.py), and that are not
out of reach (reach.py); if all that live are draining, it is of all of them, for then nobody can take what
they have. Nodes may know of that at different times. Who is asked and is not the owner says so, and is asked
again: within a second all know the same. Until there is a ring, everything runs here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from http import HTTPStatus

import msgspec

from conduit.broker.attach.elsewhere import Ending, Visitor
from conduit.cluster import subscribing
from conduit.cluster.errands import Errand, Kind, encode_errand
from conduit.cluster.links.channels import Channel
from conduit.cluster.links.link import Link
from conduit.cluster.placement import Placement
from conduit.cluster.subscribing import KIND, Asks, Joiner, Opening, Said
from conduit.errors import InvalidRequest, Unavailable
from conduit.protocol.codec import encode_json
from conduit.protocol.codes import CODES
from conduit.protocol.frames import Subscribe
from conduit.storage.nodes import NodeRecord

# Of those that look for an owner, so many in a turn of the loop: each costs 0.1 ms.
TURN_COUNT = 20

_ENDINGS = {
    subscribing.Ending.MOVED: Ending.MOVED,
    subscribing.Ending.LEFT: Ending.LEFT,
    subscribing.Ending.DELETED: Ending.DELETED,
    subscribing.Ending.TOPIC_DELETED: Ending.TOPIC_DELETED,
}


class Elsewhere:
    """See above, and the port in the broker. `begin` when this node has its name, and there may be links."""

    def __init__(self) -> None:
        self._own_name = ""
        self._link_to: Callable[[str], Link | None] = _nobody
        self.placement = Placement()
        self._changed = asyncio.Event()
        # Of those that look for an owner, one has it.
        self._pace = asyncio.Lock()
        self._passed_count = 0

    # What it is told ------------------------------------------------------------------------------

    def begin(self, own_name: str, link_to: Callable[[str], Link | None]) -> None:
        """This node is called so; `link_to`: the link to a node of this name, if there is one."""
        self._own_name, self._link_to = own_name, link_to

    def set_nodes(self, live: Sequence[NodeRecord], out: Collection[str] = ()) -> bool:
        """These have a lease, and those are out of reach. Returns whether that changes who owns what."""
        if not self.placement.set_nodes(live, out):
            return False
        self.look_again()
        return True

    def look_again(self) -> None:
        """There are other owners, or a link to one: who waits for that looks at once."""
        self._changed.set()
        self._changed = asyncio.Event()

    # What it answers ------------------------------------------------------------------------------

    def is_owner(self, tenant: str, subscription: str) -> bool:
        """Whether it is to run here."""
        return self.owner_of(tenant, subscription) is None

    def owner_of(self, tenant: str, subscription: str) -> str | None:
        """See the port."""
        owner = self.placement.owner_of(tenant, subscription)
        return None if owner == self._own_name else owner

    def attach(self, owner: str, tenant: str, frame: Subscribe, visitor: Visitor) -> Outgoing:
        """See the port."""
        link = self._link_to(owner)
        if link is None:
            raise Unavailable(f"there is no link to node {owner}")
        opening = Opening(link.peer.incarnation, tenant, encode_json(frame))
        line = Outgoing(visitor)
        line.channel = link.open(KIND, subscribing.encode_opening(opening), line)
        return line

    async def ask(self, owner: str, kind: Kind, errand: Errand, timeout_s: float) -> bytes:
        """Ask a node about its subscriptions; the errand gets its incarnation. Raises Unavailable if it
        cannot be reached, and as `Link.ask`."""
        link = self._link_to(owner)
        if link is None:
            raise Unavailable(f"there is no link to node {owner}")
        errand = msgspec.structs.replace(errand, incarnation=link.peer.incarnation)
        return await link.ask(kind, encode_errand(errand), timeout_s)

    async def in_turn(self) -> None:
        """See the port."""
        async with self._pace:
            self._passed_count += 1
            if self._passed_count % TURN_COUNT == 0:
                await asyncio.sleep(0)

    async def changed(self, timeout_s: float) -> None:
        """See the port."""
        event = self._changed
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await event.wait()


class Outgoing:
    """The side of a client's node of one channel: the user of the channel, and the `Line` of its visitor."""

    __slots__ = (
        "_is_asked",
        "_is_held",
        "_is_refused",
        "_joiner",
        "_parts_bytes",
        "_said_held",
        "_visitor",
        "channel",
    )

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._joiner = Joiner()
        # The reason was told; what closes the channel is not told as well.
        self._is_refused = False
        # Of what is large and came in parts, not given back as credit yet.
        self._parts_bytes = 0
        # Whether the client's socket does not drain, and what the owner knows of that.
        self._is_held = self._said_held = False
        # Whether the owner waits to hear if the client is heard.
        self._is_asked = False
        self.channel: Channel | None = None

    # As the line ----------------------------------------------------------------------------------

    def say(self, text: bytes) -> bool:
        """See `Line.say`."""
        # A frame of a client is smaller than a part.
        (body,) = subscribing.parts(Asks.VERB, text)
        return self.channel is not None and self.channel.send(body)

    def take(self, size_bytes: int) -> None:
        """See `Line.take`."""
        if self.channel is not None and size_bytes:
            self.channel.take(size_bytes)

    def hold(self, is_held: bool) -> None:
        """See `Line.hold`."""
        self._is_held = is_held
        if not is_held:
            self.let_go()
        self._tell_held()

    def let_go(self) -> None:
        """See `Line.let_go`."""
        self.take(self._parts_bytes)
        self._parts_bytes = 0

    @property
    def size_bytes(self) -> int:
        """See `Line.size_bytes`."""
        return self._joiner.size_bytes

    def end(self, *, lost: bool) -> None:
        """See `Line.end`."""
        if self.channel is not None:
            code = subscribing.Ending.LOST if lost else subscribing.Ending.LEFT
            self.channel.close(code, "the client has left")

    # As the channel's user ------------------------------------------------------------------------

    def on_frame(self, body: bytes) -> None:
        """See `ChannelUser.on_frame`."""
        whole = self._joiner.add(body)
        if whole is None:
            # No use to the client before the rest has come, which may be more than a window. But of who does
            # not read the rest does not come either.
            if self._visitor.is_draining and self.channel is not None:
                self.channel.take(len(body))
            else:
                self._parts_bytes += len(body)
            self._visitor.grown()
            return
        kind, data, _ = whole
        if kind == Said.FRAMES:
            size_bytes, self._parts_bytes = len(body) + self._parts_bytes, 0
            self._visitor.came(data, size_bytes)
            return
        self.take(len(body) + self._parts_bytes)
        self._parts_bytes = 0
        self._hear(kind, data)

    def on_credit(self) -> None:
        """See `ChannelUser.on_credit`."""
        self._tell_held()
        self._visitor.room()
        self._answer_probe()

    def on_close(self, code: str, text: str) -> None:
        """See `ChannelUser.on_close`."""
        if self._is_refused:
            return
        if code in CODES and CODES[code].status == HTTPStatus.BAD_REQUEST:
            # Of another version, as it seems, which does not know all that was said: it may be upgraded.
            self._visitor.refused(
                Unavailable(
                    "the node that has the subscription is of another version, and does not serve it to"
                    f" subscribers of other nodes ({text}); subscribe there, or again later"
                )
            )
        self._visitor.ended(_ENDINGS.get(code, Ending.GONE))

    def _hear(self, kind: int, data: bytes) -> None:
        match kind:
            case Said.WELCOME:
                self._visitor.welcomed(subscribing.decode_welcome(data))
            case Said.ANSWER:
                self._visitor.answered(subscribing.decode_answer(data))
            case Said.FAILED:
                error = subscribing.decode_failed(data)
                self._is_refused = True
                self._visitor.refused(error)
            case Said.NOTHING:
                self._visitor.answered_nothing(data.decode("ascii", "replace"))
            case Said.WINDOW:
                self._visitor.resized(subscribing.decode_window(data))
            case Said.PROBE:
                self._is_asked = True
                self._answer_probe()
            case _:
                raise InvalidRequest(f"no {kind} is said of a subscription")

    def _tell_held(self) -> None:
        if self._is_held != self._said_held and self.channel is not None:
            asks = Asks.HOLD if self._is_held else Asks.GO
            if self.channel.send(bytes([asks])):
                self._said_held = self._is_held

    def _answer_probe(self) -> None:
        if self._is_asked and self.channel is not None:
            heard = Asks.HEARD if self._visitor.is_heard else Asks.UNHEARD
            self._is_asked = not self.channel.send(bytes([heard]))


def _nobody(_name: str) -> None:
    return None
