"""A subscriber whose client is at another node: its subscription runs here.

A guest is a connection of the broker whose socket is a channel. While the channel carries no more, the broker
hands out no more (`writable`): so of a client that does not read no more is here than the channel's window,
and what was one write. Its credit follows the client's socket, and holds up nobody else.

At every await: the task that subscribes is the only one. Meanwhile the channel may end, which closes the
connection, and `subscribe` returns without a share; the subscription may be deleted or move right behind it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from conduit.broker.attach.connection import Connection
from conduit.broker.attach.elsewhere import Welcome
from conduit.broker.broker import Broker
from conduit.broker.deliver.subscriber import Subscriber
from conduit.cluster.guest_state import State
from conduit.cluster.heard import Heard
from conduit.cluster.links.channels import Channel
from conduit.cluster.subscribing import (
    Asks,
    Ending,
    Opening,
    Said,
    failed,
    parts,
    welcome,
    window,
)
from conduit.errors import ConduitError, InvalidRequest, MeantElsewhere, StateError
from conduit.protocol.codec import decode_client_frame, error_frame
from conduit.protocol.codes import CLOSE_MOVED
from conduit.protocol.frames import (
    Ack,
    AnyClientFrame,
    Extend,
    Nack,
    Reject,
    Subscribe,
    Unsubscribe,
)

logger = logging.getLogger(__name__)

IsOwner = Callable[[str, str], bool]
"""Whether a subscription of a tenant is to run here."""


class Host(Protocol):
    """Where a guest is: the guests of this node."""

    broker: Broker
    is_owner: IsOwner

    def forget(self, guest: Guest) -> None:
        """It is over."""


class _Answers:
    """Where the answers to verbs go."""

    __slots__ = ("_guest",)

    def __init__(self, guest: Guest) -> None:
        self._guest = guest

    @property
    def writable(self) -> bool:
        """See `Outlet.writable`."""
        return self._guest.writable

    @property
    def heard_until(self) -> float:
        """See `Outlet.heard_until`."""
        return self._guest.heard_until

    @property
    def node_name(self) -> str | None:
        """See `Outlet.node_name`."""
        return self._guest.node_name

    def write(self, data: bytes) -> None:
        """See `Outlet.write`."""
        self._guest.answer(data)

    def settled_nothing(self, ref: str) -> None:
        """See `Answers.settled_nothing`."""
        self._guest.answer(ref.encode(), Said.NOTHING)


class Guest:
    """See above. It is the broker's `Peer` and the channel's `ChannelUser`."""

    __slots__ = (
        "_channel",
        "_connection",
        "_heard",
        "_host",
        "_is_auto",
        "_is_held",
        "_is_lost",
        "_is_welcome",
        "_kept",
        "_owed_count",
        "_pending",
        "_subscriber",
        "_tenant",
        "_then",
        "_told_window",
        "_untaken_bytes",
        "node_name",
        "pending_bytes",
        "state",
    )

    def __init__(self, host: Host, channel: Channel, opening: Opening, node_name: str) -> None:
        self._host = host
        self.node_name = node_name
        """See `Outlet.node_name`."""
        self._channel = channel
        self._tenant = opening.tenant
        self.state = State.SUBSCRIBING
        self._connection: Connection = host.broker.connect_guest(
            opening.tenant, self, _Answers(self)
        )
        # Bodies for which there was no credit.
        self._pending: deque[bytes] = deque()
        self.pending_bytes = 0
        # With what the channel ends behind those.
        self._then: tuple[str, str] | None = None
        # What came and cannot be done yet; and what was done and gives no credit back before `_pending` is
        # sent: who does not take the answers may not ask on.
        self._kept: deque[bytes] = deque()
        self._untaken_bytes = 0
        # Verbs that are to be answered.
        self._owed_count = 0
        self._is_welcome = self._is_auto = False
        # Whether the client's socket does not drain.
        self._is_held = False
        self._subscriber: Subscriber | None = None
        self._told_window = 0
        self._is_lost = False
        self._heard = Heard()

    # Subscribing ----------------------------------------------------------------------------------

    async def subscribe(self, frame: Subscribe, name: str) -> None:
        """The root of its task."""
        try:
            if self._host.is_owner(self._tenant, name):
                await self._connection.subscribe(frame)
            self._subscribed(name)
        except MeantElsewhere:
            # While it was claimed or loaded.
            self._moved()
        except ConduitError as error:
            self._refuse(error)
        except asyncio.CancelledError:
            self._over()
            raise
        except Exception as error:
            logger.exception("a subscriber of another node could not be attached")
            self._refuse(StateError.of(error))
        if self.state is State.ATTACHED:
            self._go_on()

    def _subscribed(self, name: str) -> None:
        if not self._host.is_owner(self._tenant, name):
            # Nodes may know of each other at different times. Who is not the owner serves nobody: else the
            # same subscription would be asked for at two nodes, and never come to rest. It may have become
            # another's in between, too: whoever gave it away sent those away that were here then.
            self._moved()
        elif self.state is State.SUBSCRIBING:
            self.state = State.ATTACHED

    def _moved(self) -> None:
        if self.state is State.SUBSCRIBING:
            self.state = State.ATTACHED
            self.close(CLOSE_MOVED, "the subscription is another node's")

    def _refuse(self, error: ConduitError) -> None:
        if self.state is not State.SUBSCRIBING:
            return
        self._connection.close()
        self._drop_pending()
        self._put(Said.FAILED, failed(error))
        self._end(Ending.REFUSED, error.code)

    # As the broker's peer -------------------------------------------------------------------------

    @property
    def writable(self) -> bool:
        """See `Outlet.writable`."""
        return not self._is_held and not self._pending and self._channel.may_send()

    @property
    def heard_until(self) -> float:
        """See `Outlet.heard_until`, and heard.py."""
        may_ask = self.state is State.ATTACHED and not self._pending
        if may_ask and self._heard.should_ask(self._host.broker.clock.now()):
            self._put(Said.PROBE, b"")
        return self._heard.until

    def write(self, data: bytes) -> None:
        """See `Outlet.write`."""
        if not self._is_welcome:
            self._is_welcome = True
            (subscriber,) = self._connection.joined
            group = subscriber.group
            self._is_auto, self._subscriber = group.is_auto, subscriber
            self._told_window = subscriber.window
            told = 0 if group.is_auto else subscriber.window
            self._put(Said.WELCOME, welcome(Welcome(group.subscription_id, told, data)))
        elif self._connection.joined:
            self._tell_window()
            self._put(Said.FRAMES, data)
        elif self.state is not State.LEAVING:
            # The one frame that is written behind the last subscription, if the client did not ask for it.
            self._end(Ending.DELETED, "the subscription was deleted")

    def close(self, code: int, reason: str) -> None:
        """See `Peer.close`."""
        if code == CLOSE_MOVED:
            if not self._is_auto:
                # What waits comes again from the next owner.
                self._drop_pending()
            self._end(Ending.MOVED, reason)
        else:
            self._end(Ending.TOPIC_DELETED, reason)

    def on_growing(self) -> None:
        """See `Peer.on_growing`: starts and gaps of guests are bounded by those of connections."""

    def go_on(self) -> None:
        """See `Peer.go_on`."""
        self._go_on()
        if self.state is State.GONE and not self._connection.verbs.lookups.is_busy:
            self._over()

    def answer(self, data: bytes, kind: Said = Said.ANSWER) -> None:
        """To a verb with a `ref`; `data` is a WebSocket frame."""
        self._owed_count -= 1
        self._put(kind, data)
        self._end_if_answered()

    # As the channel's user ------------------------------------------------------------------------

    def on_frame(self, body: bytes) -> None:
        """See `ChannelUser.on_frame`."""
        self._kept.append(body)
        self._go_on()

    def on_credit(self) -> None:
        """See `ChannelUser.on_credit`."""
        pending = self._pending
        while pending and self._channel.send(pending[0]):
            self.pending_bytes -= len(pending.popleft())
        if pending:
            return
        if self._then is not None:
            self._end(*self._then)
            return
        self._take(0)
        self._wake()

    def _wake(self) -> None:
        """More may be handed out, perhaps."""
        if self.state in (State.SUBSCRIBING, State.ATTACHED) and self.writable:
            self._connection.writable_changed()

    def on_close(self, code: str, text: str) -> None:
        """See `ChannelUser.on_close`. A link or a node that is gone says nothing of what the client had."""
        self._is_lost = code == Ending.LOST
        self._drop_pending()
        if self._connection.verbs.lookups.is_busy:
            # What is looked up was asked for while the client had it: that counts first.
            self.state = State.GONE
        else:
            self._over()

    # Verbs ----------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Do what came, in its order."""
        while (
            self._kept
            and self.state in (State.ATTACHED, State.GONE)
            and not self._connection.verbs.lookups.is_busy
        ):
            body = self._kept.popleft()
            try:
                self._do(body)
            except InvalidRequest as error:
                logger.error("what another node asks of a subscription is nothing to do: %s", error)
                self._fail(str(error))
            except Exception:
                logger.exception("what another node asks of a subscription fails")
                self._fail("its log has it")
            self._take(len(body))

    def _fail(self, why: str) -> None:
        self._drop_pending()
        self._end("internal", f"the other node cannot do what was asked: {why}")

    def _do(self, body: bytes) -> None:
        if body[0] == Asks.VERB:
            self._handle(body[1:])
        elif body[0] == Asks.HOLD:
            self._is_held = True
        elif body[0] == Asks.GO:
            self._is_held = False
            self._wake()
        else:
            self._heard.answered(is_heard=body[0] == Asks.HEARD)

    def _handle(self, text: bytes) -> None:
        frame = decode_client_frame(text)
        handler = _HANDLERS.get(type(frame))
        if handler is None:
            raise InvalidRequest(f"no {type(frame).__name__} is said of a subscription")
        ref: str | None = getattr(frame, "ref", None)
        if ref is not None:
            self._owed_count += 1
        try:
            handler(self, self._connection, frame)
        except ConduitError as error:
            if ref is not None:
                self.answer(error_frame(error, ref))

    def _unsubscribe(self, connection: Connection, frame: Unsubscribe) -> None:
        self.state = State.LEAVING
        connection.unsubscribe(frame)
        self._end_if_answered()

    def _end_if_answered(self) -> None:
        if self.state is State.LEAVING and self._owed_count == 0:
            self._end(Ending.LEFT, "")

    def _take(self, size_bytes: int) -> None:
        self._untaken_bytes += size_bytes
        if not self._pending and self._channel.is_open:
            self._channel.take(self._untaken_bytes)
            self._untaken_bytes = 0

    # Parts ----------------------------------------------------------------------------------------

    def _put(self, kind: Said, data: bytes) -> None:
        pending = self._pending
        for body in parts(kind, data):
            if pending or not self._channel.send(body):
                if not self._channel.is_open:
                    return
                pending.append(body)
                self.pending_bytes += len(body)

    def _end(self, code: str, text: str) -> None:
        """End the channel, behind what waits for credit."""
        if self._pending:
            self._then = (code, text)
        else:
            self._channel.close(code, text)
            self._over()

    def _tell_window(self) -> None:
        """Settings may have changed."""
        subscriber = self._subscriber
        if subscriber is not None and subscriber.window != self._told_window:
            self._told_window = subscriber.window
            if not self._is_auto:
                self._put(Said.WINDOW, window(subscriber.window))

    def _drop_pending(self) -> None:
        self._pending.clear()
        self.pending_bytes = 0

    def _over(self) -> None:
        if self.state is not State.OVER:
            self.state = State.OVER
            self._kept.clear()
            self._connection.close(lost=self._is_lost)
            self._host.forget(self)


_HANDLERS: dict[type[AnyClientFrame], Callable[[Guest, Connection, Any], None]] = {
    Ack: lambda _, connection, frame: connection.verbs.ack(frame),
    Nack: lambda _, connection, frame: connection.verbs.nack(frame),
    Reject: lambda _, connection, frame: connection.verbs.reject(frame),
    Extend: lambda _, connection, frame: connection.verbs.extend(frame),
    Unsubscribe: Guest._unsubscribe,
}
