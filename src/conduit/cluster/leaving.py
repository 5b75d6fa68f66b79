"""This node leaves the others in order, and comes back: `core/leaving.py` with a store, links and sockets.

Each state that waits for something has a step, a coroutine that ends with the event that leads on; there is
one at a time, and another state ends it. What is begun in the store or at other nodes goes on then, and the
next state says what is true after it: a state that is told twice, or other nodes that look twice, cost some
milliseconds. A store that does not answer keeps the node where it is, until it does; an operator who waits
hears of that in time, and a process that ends waits no longer than it may.

Nothing of this is kept: whoever dies in between is `down` for the others, and after a start it is `up`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Protocol

from conduit.broker.broker import Broker
from conduit.cluster.exchange import Exchange
from conduit.cluster.membership import Membership
from conduit.core.leaving import Departure, Event, State
from conduit.errors import Conflict, StoreUnavailable, Unavailable
from conduit.protocol.draining import NodeDrain
from conduit.storage.nodes import NodeRecord

# How long an operator waits: telling and handing over take less, if the store answers.
WAIT_MAX_S = 8.0
# After a step that failed, which is a bug.
RETRY_S = 1.0

NOBODY = "no other node is up"
ALONE = "no other node is up: its subscriptions and connections stay until one is"

logger = logging.getLogger(__name__)

_TOLD = {
    State.SERVING: "this node serves again",
    State.TELLING: "this node leaves: it is not ready any more, and the others are told",
    State.HANDING_OVER: "this node is draining: what it runs goes to the others",
    State.ALONE: f"this node is draining, and {ALONE}",
    State.LINGERING: "this node is draining, and serves on for who is connected until others have noticed",
    State.CLOSING: "this node is draining: its WebSockets are closed, and told when to come back",
    State.DRAINED: "this node is drained: it may be stopped, or told to serve again",
    State.RETURNING: "this node comes back: the others are told",
}


class Sockets(Protocol):
    """The clients of this node."""

    @property
    def connection_count(self) -> int:
        """Open connections."""

    async def close_those_there(self) -> None:
        """Tell all WebSockets that are open by now to come back, and close them."""


class Leaving:
    """A `Watcher` and a `Conduct`. `lingers_s`: the time that load balancers get. Give it the `exchange` when
    there is one; until then no other node can be told, or given anything."""

    def __init__(
        self, membership: Membership, broker: Broker, sockets: Sockets, lingers_s: float = 0.0
    ) -> None:
        self._membership = membership
        self._broker = broker
        self._sockets = sockets
        self._lingers_s = lingers_s
        self.exchange: Exchange | None = None
        self._departure = Departure()
        self._problem: str | None = None
        self._step: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        membership.watch(self)

    # What it answers ------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """See core/leaving.py."""
        return self._departure.state

    @property
    def phase(self) -> str:
        """The same as a word."""
        return self.state.name.lower()

    @property
    def is_serving(self) -> bool:
        """Whether it is ready, as far as this goes."""
        return self.state is State.SERVING

    @property
    def told(self) -> str:
        """How far it is, in words, for who wants to know why it is not ready."""
        if self.state in (State.SERVING, State.RETURNING):
            return f"the node comes back ({self.phase})"
        if self.state is State.ALONE:
            return (
                "the node is draining (alone), and no other node is up: who is connected is served"
            )
        is_over = self.state is State.DRAINED
        doing = "was drained" if is_over else f"is draining ({self.phase})"
        return f"the node {doing}: {'other nodes serve' if self._has_others else NOBODY}"

    def view(self) -> NodeDrain:
        """How far it is."""
        return NodeDrain(
            id=self._membership.node.name,
            state="up" if self._departure.stays else "draining",
            phase=self.phase,
            connections=self._sockets.connection_count,
            owned_subscriptions=self._broker.running_count,
            problem=ALONE if self.state is State.ALONE else self._problem,
        )

    # What operators want --------------------------------------------------------------------------

    async def look(self) -> None:
        """Know who there is: another node has changed. Raises StoreUnavailable."""
        await self._membership.look()

    async def drain(self) -> NodeDrain:
        """Leave. Returns when the others know it, and run what was run here. Raises StoreUnavailable if the
        store does not answer: then it goes on trying; Conflict if somebody wants it to stay meanwhile.
        Cancelling ends the waiting only."""
        self._on(Event.DRAIN)
        await self._until(lambda: self._departure.is_given, lambda: self._departure.stays)
        return self.view()

    async def undrain(self) -> NodeDrain:
        """Stay. Returns when the others know it; they give back what is this node's then. Raises Unavailable
        if the process ends, Conflict if somebody wants it to leave meanwhile, and as `drain`."""
        if self._departure.is_stopping:
            raise Unavailable("the node is stopping", code="shutting_down")
        self._on(Event.UNDRAIN)
        await self._until(lambda: self.is_serving, lambda: not self._departure.stays)
        return self.view()

    async def _until(self, is_done: Callable[[], bool], is_undone: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(WAIT_MAX_S):
                while not is_done():
                    if is_undone():
                        raise Conflict("somebody has undone it meanwhile")
                    await self._changed.wait()
        except TimeoutError:
            raise self._unfinished() from None

    def _unfinished(self) -> Unavailable:
        """To whoever has waited: what was ordered goes on, and how to undo it."""
        back = "undrain" if not self._departure.stays else "drain"
        on = f"it goes on trying; `conduit node {back} {self._membership.node.name}` takes it back"
        if self._problem is not None:
            return StoreUnavailable(f"{self._problem}; {on}")
        return Unavailable(f"the node is not done yet ({self.phase}); {on}")

    # What the process does ------------------------------------------------------------------------

    def stop(self) -> None:
        """The process has a signal to end: leave, for good. Idempotent."""
        self._on(Event.STOP)

    async def end(self, within_s: float) -> None:
        """The server closes its sockets next: wait until all is handed over, and no longer than that."""
        self.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not self._departure.is_given:
                    await self._changed.wait()
        if not self._departure.is_given:
            logger.warning("this node ends before all was handed over (%s)", self.phase)
        self.close()

    def close(self) -> None:
        """Do nothing more. Idempotent."""
        self.stop()
        self._on(Event.END)

    # Of the leases --------------------------------------------------------------------------------

    def nodes_changed(self, live: Sequence[NodeRecord]) -> None:
        """See `tenure.Watcher.nodes_changed`."""
        self._on(Event.SOMEBODY if self._has_others else Event.NOBODY)

    def lease_held(self, term: int) -> None:
        """The store is told with the lease."""

    def lease_lost(self) -> None:
        """The others know."""

    @property
    def _has_others(self) -> bool:
        """Whether one of them is up."""
        own = self._membership.node.name
        return any(node.state == "up" and node.name != own for node in self._membership.live)

    # The machine ----------------------------------------------------------------------------------

    def _on(self, event: Event) -> None:
        if not self._departure.on(event):
            return
        state = self.state
        if (told := _TOLD.get(state)) is not None:
            logger.info(told)
        step, self._step = self._step, None
        if step is not None and step is not asyncio.current_task():
            step.cancel()
        if (begin := _STEPS.get(state)) is not None:
            loop = asyncio.get_running_loop()
            self._step = loop.create_task(self._run(state, begin), name=f"leaving: {self.phase}")
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _run(
        self, state: State, begin: Callable[[Leaving], Coroutine[Any, Any, Event | None]]
    ) -> None:
        """The root of a task."""
        while self.state is state:
            try:
                event = await begin(self)
            except Exception:
                logger.exception("leaving failed (%s), and is tried again", self.phase)
                await asyncio.sleep(RETRY_S)
                continue
            if event is None:
                return
            self._on(event)

    async def _tell(self) -> Event:
        """The store first, so that the others find it there."""
        if self._departure.is_stopping and not self._membership.holds():
            # Nobody counts on it.
            return Event.TOLD
        while True:
            try:
                await self._membership.set_draining(is_draining=not self._departure.stays)
                break
            except StoreUnavailable as error:
                # That took seconds, in which it was tried all the time.
                self._problem = error.detail
        self._problem = None
        if self.exchange is not None:
            await self.exchange.neighbours.have_all_look()
        return Event.TOLD

    async def _hand_over(self) -> Event:
        if self.exchange is not None:
            await self.exchange.handing_over.over()
        return Event.HANDED_OVER if self._has_others else Event.NOBODY

    async def _linger(self) -> Event | None:
        if self._departure.is_stopping:
            return None
        await asyncio.sleep(self._lingers_s)
        return Event.LINGERED

    async def _close(self) -> Event:
        await self._sockets.close_those_there()
        return Event.CLOSED


_STEPS: dict[State, Callable[[Leaving], Coroutine[Any, Any, Event | None]]] = {
    State.TELLING: Leaving._tell,
    State.HANDING_OVER: Leaving._hand_over,
    State.LINGERING: Leaving._linger,
    State.CLOSING: Leaving._close,
    State.RETURNING: Leaving._tell,
}
