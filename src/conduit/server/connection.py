"""One HTTP/1.1 connection: whole requests come out of it, answers go back in their order.

What a request means is the subclass's matter (`front.py`). Here is what keeps a connection honest:
the order, a bound on what waits, deadlines, and an end at which the peer gets the last answer.
"""

from __future__ import annotations

import abc
import asyncio
import logging
from collections import deque
from collections.abc import Hashable
from typing import ClassVar, cast

from uvicorn.server import ServerState

from conduit.errors import ConduitError, StateError
from conduit.server.answers import CONTINUE, Answers, Keeping, request_id
from conduit.server.doors import Door
from conduit.server.framing import Framer, Request
from conduit.server.head import Head, Route
from conduit.server.intake import Lane
from conduit.server.slot import Slot
from conduit.server.watched import Watched
from conduit.tenancy.principal import Principal

# Requests of one connection that may wait for their answers; what follows stays in the kernel.
UNANSWERED_MAX_COUNT = 64
# After a read of so much the loop reads again at once, up to 32 times.
LARGE_READ_BYTES = 65_536

# Those that need not have the connection to themselves, and whose lane is not that of input.
_ALONGSIDE = frozenset({Route.PUBLISH, Route.BATCH})
_LANES = {
    Route.PROBE: Lane.PROBE,
    Route.SCRAPE: Lane.SCRAPE,
    Route.CONTROL: Lane.CONTROL,
    Route.WEBSOCKET: Lane.UPGRADE,
    Route.LINK: Lane.UPGRADE,
}

logger = logging.getLogger(__name__)


class HttpConnection(Watched):
    """A connection as uvicorn makes it.

    It is among uvicorn's connections, for `shutdown`, and the context's, for `sweep`. The subclass
    gives each request either a slot, which `fill` or `fail` answers at any time, or holds it.
    """

    __slots__ = (
        "_busy",
        "_flush_due",
        "_framer",
        "_held",
        "_lingering",
        "_slots",
        "_stalled",
        "_state",
        "_taken_count",
        "_transport",
        "_waits_for_peer",
        "_waits_in",
        "_writable",
    )

    answers: ClassVar[Answers]
    door: ClassVar[Door]

    def __init__(self, server_state: ServerState) -> None:
        super().__init__()
        self._state = server_state
        self._transport: asyncio.Transport | None = None
        self._framer = Framer(self.context.limits)
        # Answers that are not written yet, in the order of their requests.
        self._slots: deque[Slot] = deque()
        self._flush_due = False
        # A request that waits for its turn; and whether one waits or has the connection.
        self._held: Request | None = None
        self._busy = False
        self._taken_count = 0
        # There is input that waits for answers to be written; `_advance` goes on with it.
        self._stalled = False
        # It does so, or begins what is held, when the intake calls `go_on`, and not before.
        self._waits_in: Lane | None = None
        self._writable = True
        self._lingering = False
        self._waits_for_peer = True

    # For the subclass -----------------------------------------------------------------------------

    @abc.abstractmethod
    def on_request(self, request: Request) -> None:
        """One whole request. Take a slot or call `hold` before returning; do not raise."""

    @abc.abstractmethod
    def on_turn(self, request: Request) -> None:
        """The turn of a held request. All but a publish has the connection to itself: every earlier answer is
        written, and `release` ends it."""

    @abc.abstractmethod
    def admit(self, head: Head, credential: bytes | None) -> Principal | None:
        """See `framing.Admit`."""

    def enqueue(self, slot: Slot) -> None:
        """Take the next place in the order of answers."""
        self._slots.append(slot)

    def hold(self, request: Request) -> None:
        """The request is not small, or needs the connection to itself: no other is taken before its turn."""
        self._busy = True
        self._held = request
        self._body_bytes = len(request.body)
        self._pass_on()

    def release(self) -> None:
        """The held request is done with; go on."""
        self.free()
        if self._ending and not self._slots:
            self._finish()
        if self._stalled:
            self._resume()

    def free(self) -> None:
        """No request waits for the connection or has it, and none keeps a body."""
        self._busy = False
        self._body_bytes = 0

    def fill(self, slot: Slot, data: bytes) -> None:
        """Answer with these bytes; they are written in their turn, or dropped if the peer has gone.

        Answers that one commit brings to pipelined requests leave in one write.
        """
        slot.data = data
        slots = self._slots
        if self._transport is None or slots[0] is not slot:
            return
        if len(slots) == 1:
            slots.clear()
            self._transport.write(data)
            if self._ending or self._stalled or self._held is not None:
                self._written()
        elif not self._flush_due:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def fail(self, slot: Slot, error: ConduitError) -> None:
        """Answer with a problem; a StateError is logged with its traceback."""
        head = slot.head
        identity = request_id(None if head is None else head.request_id)
        if isinstance(error, StateError):
            logger.error("request %s failed", identity, exc_info=error)
        origin = None if head is None else head.origin
        self.fill(slot, self.answers.problem(error, identity, self.keeping(slot), origin))

    def keeping(self, slot: Slot) -> Keeping | None:
        """What this answer should say of the connection: whether it ends with it, or is kept for HTTP/1.0."""
        if self._ending and not self._busy and self._slots and self._slots[-1] is slot:
            return "close"
        return "keep-alive" if slot.head is not None and slot.head.says_kept else None

    def refuse(self, error: ConduitError) -> None:
        """The connection cannot go on: say why behind the answers that are due, then end it."""
        self._ending = True
        if self._framer.is_publish or (self._held is not None and self._held.head.is_publish):
            self.context.broker.refused_publishes.add(error)
        head = self._framer.head
        self._framer.forget()
        if self._held is not None:
            head = self._held.head
            self._held = None
            self.free()
        slot = Slot(head, None)
        self.enqueue(slot)
        self.fail(slot, error)

    def leave(self) -> bytes:
        """Another protocol gets the transport; returns the input that it has to read first."""
        self._ending = True
        self._forget()
        return self._framer.take_rest()

    # The transport's callbacks --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; if there are too many connections, only to answer a probe or say so."""
        self._transport = cast(asyncio.Transport, transport)
        self._state.connections.add(self)  # type: ignore[arg-type]  # uvicorn names its own only
        self.context.connections.add(self)
        self.context.accepting.connected()
        count = self.context.connection_count
        self._excess = self.context.entrance.admit(self, transport, count)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything; publishes that have begun go on, and their answers are dropped."""
        self._ending = True
        self._forget()
        self._slots.clear()
        self._held = None

    def data_received(self, data: bytes) -> None:
        """Take every request that is complete; the rest stays with the framer."""
        if self._ending:
            return
        if self._state.default_headers is not self.answers.server_headers:
            self.answers.stamp(self._state.default_headers)
        framer = self._framer
        if not (self._slots or self._busy) and self._writable:
            body = framer.repeated(data)
            if body is not None:
                head, caller = framer.last_head, framer.last_caller
                if head is not None and caller is not None and not caller.is_over:
                    self._taken_count += 1
                    caller.is_used = True
                    self.on_request(Request(head, caller, body))
                    return
        framer.feed(data)
        until = self.context.intake.begin() if len(data) >= LARGE_READ_BYTES else None
        self._advance()
        is_over = until is not None and self.context.intake.now() >= until
        if is_over and not (self._stalled or self._ending):
            self._stall()
            self._wait()
        if self._is_weighed or not framer.is_empty:
            self._weigh()

    def eof_received(self) -> bool:
        """The peer sends no more, but may still read the answers that it has to get."""
        self._ending = True
        self._waits_for_peer = False
        return self._is_answering

    def pause_writing(self) -> None:
        """The peer does not read its answers: take no more requests."""
        self._writable = False
        self._weigh()

    def resume_writing(self) -> None:
        """The peer has read most of its answers."""
        self._writable = True
        self._weigh()
        if self._stalled:
            self._resume()

    # The server's calls ---------------------------------------------------------------------------

    def shutdown(self) -> None:
        """Close when the requests that have arrived are answered; uvicorn calls it to stop."""
        self._ending = True
        self._waits_for_peer = False
        if self._transport is not None and not self._is_answering:
            self._transport.close()

    def go_on(self) -> None:
        """See `Sender.go_on`."""
        lane, self._waits_in = self._waits_in, None
        self._pass_on(lane)
        if self._stalled:
            self._resume()

    # Inside ---------------------------------------------------------------------------------------

    @property
    def _is_answering(self) -> bool:
        return bool(self._slots) or self._busy

    def _advance(self) -> None:
        """Take requests until one must wait, the time for them is over, or the input is used up."""
        self._stalled = False
        framer, slots, intake, until = self._framer, self._slots, self.context.intake, 0.0
        try:
            while self._writable and not (self._busy or self._ending):
                if len(slots) >= UNANSWERED_MAX_COUNT:
                    break
                request = framer.next_request(self.admit)
                if request is not None:
                    self._take(request)
                elif not framer.is_behind:
                    if framer.expects_continue:
                        self._encourage()
                    return
                if not framer.has_input:
                    return
                until = until or intake.begin()
                if intake.now() >= until:
                    self._wait()
                    break
        except ConduitError as error:
            self.refuse(error)
        if framer.has_input and not self._ending:
            self._stall()

    def _stall(self) -> None:
        if self._transport is not None:
            self._stalled = True
            self._transport.pause_reading()

    def _take(self, request: Request) -> None:
        self._taken_count += 1
        if not request.head.keep_alive:
            self._ending = True
        if self._excess is not None:
            self._turn_away(self._excess, request.head)
        self.on_request(request)

    def _wait(self, lane: Lane = Lane.INPUT) -> None:
        """In a later turn, and not before, what is held is begun, or the next requests are taken."""
        if self._waits_in is None:
            self._waits_in = lane
            self.context.intake.wait(self, lane, self._whose)

    def _whose(self) -> Hashable:
        """For whom the held request waits: its tenant, or, if that is not known, or the same for all, the
        address."""
        caller = None if self._held is None else self._held.caller
        if caller is None or not caller.is_known or self.context.gate.is_open:
            return self.address
        return (caller.tenant,)

    def _encourage(self) -> None:
        """The client sends the body only after it was told to."""
        self._framer.expects_continue = False
        slot = Slot(None, None)
        self.enqueue(slot)
        self.fill(slot, CONTINUE)

    def _resume(self) -> None:
        """Take the requests that had to wait."""
        if self._waits_in is not None:
            return
        self._advance()
        if not self._stalled and self._transport is not None:
            self._transport.resume_reading()

    def _flush(self) -> None:
        """Write every answer whose turn it is."""
        self._flush_due = False
        if self._transport is None:
            return
        slots, due = self._slots, []
        while slots and (data := slots[0].data) is not None:
            slots.popleft()
            due.append(data)
        self._transport.write(b"".join(due))
        self._written()

    def _written(self) -> None:
        """Answers have left: go on with what waited for that."""
        if not self._slots:
            if self._held is not None:
                self._pass_on()
            elif self._ending and not self._busy:
                self._finish()
        if self._stalled:
            self._resume()

    def _pass_on(self, lane_waited: Lane | None = None) -> None:
        """Begin what is held, if it may; `lane_waited`: of that its turn has come."""
        if self._held is None or self._waits_in is not None:
            return
        request = self._held
        route = request.head.route
        if self._slots and route not in _ALONGSIDE:
            return
        lane = _LANES.get(route, Lane.INPUT)
        if lane is not lane_waited and not self.context.intake.admits(lane):
            self._wait(lane)
            return
        self._held = None
        self.on_turn(request._replace(body=bytes(request.body)))

    def _finish(self) -> None:
        """The last answer is written."""
        if self._transport is None:
            return
        if self._waits_for_peer:
            self._lingering = True
            self._transport.write_eof()
            self._transport.resume_reading()
        else:
            self._transport.close()

    def _forget(self) -> None:
        self._transport = None
        self._state.connections.discard(self)
        self.context.connections.discard(self)
        self.context.memory.let_go(self)
        self.context.entrance.leave(self)
