"""A connection's share of a durable subscription that runs on another node.

state      means, and what may come
---------  -----------------------------------------------------------------------------------------
ATTACHING  for the first time: the client waits for `subscribed`. Every error is the client's
AWAY       frames come from the owner, verbs go there
LOST       the owner, or the way to it, is lost, or the subscription has moved: a task looks for the
           next owner and attaches again. The client knows nothing of that; its verbs are refused
LEAVING    the client has left; verbs that wait still go, and answers come. Nothing else is passed on
FLUSHING   the client has left, and its connection stays: what counts as settled by being written is
           written, and `unsubscribed` behind it
ENDED      for good: it runs here now, or is no more. What still comes is dropped

At every await (`attach` and the task of LOST): the client may have unsubscribed or gone, which is LEAVING,
FLUSHING or ENDED; the owner may have changed, or its link come back, which `elsewhere.changed` tells; the
subscription may be deleted, which the next owner says; it may be attached, and lost again.

What was out when it was lost comes again: nothing that waits here for the socket is passed on. But what is
settled by being written does not: all is passed on; if some may be lost, the client is to come again.
"""

from __future__ import annotations

import asyncio
import logging
import math
from functools import partial

from conduit.broker.attach.asking import LOST, Asking, VerbFrame
from conduit.broker.attach.elsewhere import Elsewhere, Ending, Line, Told, Welcome, not_found
from conduit.broker.attach.holder import PASSING_ON, Holder, State, removal_for
from conduit.broker.attach.inflow import Inflow
from conduit.broker.attach.reaching import Again, Reaching
from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.subscriber import Removal
from conduit.errors import ConduitError, Conflict, NotFound
from conduit.protocol.codec import encode_json
from conduit.protocol.frames import Acked, ErrorFrame, Subscribe, Unsubscribe

# For the first attachment, and for each one after that.
ATTACH_TIMEOUT_S = 12.0
# For what is on its way of a client that has left: the owner may hang, or the client not read.
PARTING_MAX_S = 10.0

logger = logging.getLogger(__name__)


class Away:
    """See above. `frame` is the client's subscribe, or what would be the same."""

    __slots__ = (
        "_asking",
        "_engine",
        "_frame",
        "_holder",
        "_is_auto",
        "_last",
        "_line",
        "_peer",
        "_reaching",
        "_task",
        "_tenant",
        "_then_lost",
        "_timer",
        "inflow",
        "state",
        "subscription_id",
        "was_here",
        "whose",
    )

    def __init__(
        self,
        engine: Engine,
        elsewhere: Elsewhere,
        holder: Holder[Away],
        tenant: str,
        frame: Subscribe,
    ) -> None:
        self._engine = engine
        self._reaching = Reaching(elsewhere)
        self._holder = holder
        self._peer = holder.peer
        self._tenant = tenant
        self._frame = frame
        self.whose = engine.allowances.of(tenant)
        """For `Turn`."""
        self.state = State.ATTACHING
        self.subscription_id = 0
        """0: not known yet."""
        self.was_here = False
        """Whether the client may have deliveries that were handed out here."""
        self.inflow = Inflow(self._peer)
        self._asking = Asking()
        self._line: Line | None = None
        self._task: asyncio.Task[None] | None = None
        # Whether messages are settled by being written.
        self._is_auto = False
        # What the owner is told in the end of a client that is gone; None: it is not gone.
        self._then_lost: bool | None = None
        self._last = b""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def name(self) -> str:
        """Of the subscription."""
        return self._frame.subscription or ""

    @property
    def place(self) -> tuple[str, str | None]:
        """What it is to, and its name."""
        return self._frame.topic, self._frame.subscription

    @property
    def frame(self) -> Subscribe:
        """With which it comes back: nothing is made, and settings may have changed since."""
        return Subscribe(
            self._frame.topic, self._frame.subscription, create=False, prefetch=self._frame.prefetch
        )

    # Attaching ------------------------------------------------------------------------------------

    async def attach(self) -> bool:
        """Attach for the first time. False if it is to run here, or the client has gone meanwhile. Raises
        what the owner refuses it with, and Unavailable after ATTACH_TIMEOUT_S."""
        try:
            async with asyncio.timeout(ATTACH_TIMEOUT_S):
                return await self._find_owner(self._frame)
        except TimeoutError:
            if self.state is State.AWAY:
                # The answer has come in the turn in which the time was over.
                return True
            raise self._reaching.failure from None
        finally:
            if self.state is State.ATTACHING:
                self._end()

    async def _find_owner(self, frame: Subscribe) -> bool:
        """Try until it is attached, or has been left. False if it is to run here."""
        before = self.state
        attempt = partial(self._attach, frame=frame)
        return await self._reaching.reach(
            self._tenant, self.name, attempt, lambda: self.state is before
        )

    async def _attach(self, owner: str, frame: Subscribe) -> None:
        """One attempt."""
        try:
            await self._reaching.in_turn()
            if self.state in (State.ATTACHING, State.LOST):
                self._line = self._reaching.begin(owner, self._tenant, frame, self)
                await self._reaching.outcome()
        finally:
            if self.state in (State.ATTACHING, State.LOST):
                self._drop_line()

    def lose(self, subscription_id: int | None = None) -> None:
        """The owner is lost; or it ran here, as this one, and was moved: find the next owner."""
        if subscription_id is not None:
            self.subscription_id = subscription_id
            self.was_here = True
        self.state = State.LOST
        self._drop_line()
        (self.inflow.keep if self._is_auto else self.inflow.drop)()
        self._asking.lose()
        self._relieve()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._come_back())

    async def _come_back(self) -> None:
        """The root of a task: until it is attached, or has been left."""
        failures = 0
        while self.state is State.LOST:
            try:
                async with asyncio.timeout(ATTACH_TIMEOUT_S):
                    if not await self._find_owner(self.frame) and self.state is State.LOST:
                        await self._holder.come_here(self)
            except (Conflict, NotFound) as error:
                # Or it was made again, as another one.
                self._gone(removal_for(error))
            except (ConduitError, TimeoutError) as error:
                # The store or the next owner: they are asked again as long as the client is there.
                logger.debug("a subscriber is not attached again yet: %s", error)
            except Exception:
                logger.exception("a subscriber could not be attached again; it is tried again")
            failures += 1
            if self.state is State.LOST:
                await self._reaching.pause(failures)

    # From the owner -------------------------------------------------------------------------------

    @property
    def is_heard(self) -> bool:
        """See `Visitor.is_heard`. The time of what waits for the socket has not begun."""
        is_passed_on = not (self._asking or self.inflow.held_bytes)
        return is_passed_on and self._peer.heard_until == math.inf

    @property
    def is_draining(self) -> bool:
        """See `Visitor.is_draining`; nobody waits for what is dropped."""
        return self.state not in PASSING_ON or self.inflow.is_draining

    def welcomed(self, welcome: Welcome) -> None:
        """See `Visitor.welcomed`."""
        is_first = self.state is State.ATTACHING
        if not is_first and self.state is not State.LOST:
            return
        if self.subscription_id not in (0, welcome.subscription_id):
            self.refused(NotFound("it was made again", code="subscription_not_found"))
            return
        self.subscription_id = welcome.subscription_id
        self._frame = self.frame
        self._is_auto = welcome.window == 0
        self.inflow.passed.bound(welcome.window)
        self.state = State.AWAY
        if is_first:
            self._peer.write(welcome.frame)
        self._reaching.tell(None)
        self._hold_back()
        self.room()

    def came(self, data: bytes, size_bytes: int) -> None:
        """See `Visitor.came`."""
        if self.state not in PASSING_ON:
            self._take(size_bytes)
            return
        self._take(self.inflow.came(data, size_bytes))
        self._hold_back()
        if self.inflow.has_grown():
            self._peer.on_growing()

    def grown(self) -> None:
        """See `Visitor.grown`."""
        self._peer.on_growing()

    @property
    def size_bytes(self) -> int:
        """What it keeps in memory of what has come."""
        return self.inflow.size_bytes + (0 if self._line is None else self._line.size_bytes)

    def answered(self, answer: Acked | ErrorFrame) -> None:
        """See `Visitor.answered`."""
        self._asking.answered(answer)

    def answered_nothing(self, ref: str) -> None:
        """See `Visitor.answered_nothing`."""
        self._asking.answered_nothing(ref)

    def resized(self, window: int) -> None:
        """See `Visitor.resized`."""
        self.inflow.passed.bound(window)

    def room(self) -> None:
        """See `Visitor.room`."""
        line = self._line
        if line is None or self.state not in (State.AWAY, State.LEAVING, State.FLUSHING):
            return
        self._asking.say(line.say)
        if self._then_lost is not None and not self._asking:
            self._part()
        self._relieve()

    def refused(self, error: ConduitError) -> None:
        """See `Visitor.refused`."""
        self._reaching.tell(error)

    def ended(self, why: Ending) -> None:
        """See `Visitor.ended`."""
        is_gone = why in (Ending.DELETED, Ending.TOPIC_DELETED)
        if self._reaching.is_open:
            self._reaching.tell(not_found(why) if is_gone else Again())
        elif self.state is State.LEAVING:
            self._end()
        elif self.state in PASSING_ON and why is Ending.GONE and self._is_auto:
            self._gone(Removal.MOVED)
        elif self.state is State.FLUSHING:
            self._line = None
            self.inflow.keep()
            self.run()
        elif self.state is State.AWAY and is_gone:
            self._gone(Removal.DELETED if why is Ending.DELETED else Removal.TOPIC_DELETED)
        elif self.state is State.AWAY:
            self.lose()

    # From the client ------------------------------------------------------------------------------

    @property
    def is_busy(self) -> bool:
        """Whether so many verbs wait for the owner that no more should be read."""
        return self._asking.is_busy

    def ask(self, frame: VerbFrame, told: Told | None) -> None:
        """A verb, in its turn; `told` is called once, perhaps before this returns."""
        if self.state is not State.AWAY:
            if told is not None:
                told(LOST)
            return
        self._asking.add(frame, told)
        self.room()

    def run(self) -> None:
        """The socket drains, perhaps: write one of those that wait. `Turn` calls, each share once."""
        if self.state not in (*PASSING_ON, State.LOST):
            return
        self._take(self.inflow.drained())
        self._hold_back()
        if self.inflow.held_bytes and self._peer.writable:
            self._engine.turn.add(self)
        elif self.state is State.FLUSHING and self._line is None and not self.inflow.held_bytes:
            self._peer.write(self._last)
            self._end()

    def unsubscribe(self, last: bytes) -> None:
        """The client has left, and its connection stays: what it asked before is done, and answered. Behind
        all of it comes `last`, the frame `unsubscribed`."""
        if self.state is not State.AWAY:
            for data in (*self.inflow.kept, last):
                self._peer.write(data)
            self._end()
            return
        if self._is_auto:
            self._leave(State.FLUSHING)
            self._last = last
        else:
            self._leave(State.LEAVING)
            self._peer.write(last)
        self._asking.add_text(encode_json(Unsubscribe(*self.place)))
        self.room()

    def close(self, *, lost: bool) -> None:
        """The connection is gone; what it asked before is done."""
        if self.state is State.AWAY:
            self._leave(State.LEAVING)
            self._then_lost = lost
            self.room()
        elif self.state is not State.LEAVING:
            self._end()

    def came_here(self) -> None:
        """It runs here from now on."""
        for data in self.inflow.kept:
            self._peer.write(data)
        self._end()

    # Parts ----------------------------------------------------------------------------------------

    def _take(self, size_bytes: int) -> None:
        if self._line is not None:
            self._line.take(size_bytes)

    def _hold_back(self) -> None:
        """Have the owner hand out no more than the socket takes."""
        if self._line is not None:
            self._line.hold(not self.inflow.is_draining)

    def _relieve(self) -> None:
        """The client is read again, if that had to wait for this."""
        if self._asking.was_busy and not self._asking.is_busy:
            self._peer.go_on()

    def _drop_line(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.end(lost=False)

    def _gone(self, why: Removal) -> None:
        if self.state not in (State.LEAVING, State.ENDED):
            self._end()
            self._holder.away_ended(self, why)

    def _leave(self, state: State) -> None:
        self.state = state
        self._timer = asyncio.get_running_loop().call_later(PARTING_MAX_S, self._part)
        if state is State.LEAVING and self._line is not None:
            # Answers still come, and are not to wait for deliveries that nobody takes.
            self._take(self.inflow.drop())
            self._line.let_go()

    def _part(self) -> None:
        # All is said, or nothing more is waited for.
        if self.state is State.FLUSHING:
            self._gone(Removal.MOVED)
        elif self._line is not None:
            self._line.end(lost=bool(self._then_lost))
            self._end()

    def _end(self) -> None:
        if self.state is State.ENDED:
            return
        self.state = State.ENDED
        if self._timer is not None:
            self._timer.cancel()
        self._drop_line()
        self.inflow.drop()
        self._reaching.tell(Again())
        if self._reaching.is_pausing and self._task is not None:
            self._task.cancel()
        self._asking.lose()
        self._relieve()
        self._holder.away_over(self)
