"""A connection's share of a durable subscription that runs on another node.

state      means, and what may come
---------  -----------------------------------------------------------------------------------------
ATTACHING  for the first time: the client waits for `subscribed`. Every error is the client's
AWAY       frames come from the owner, verbs go there
LOST       the owner, or the way to it, is lost, or the subscription has moved: a task looks for the
           next owner and attaches again. The client knows nothing of that; its verbs wait
LEAVING    the client has left; verbs that wait still go, and answers come
ENDED      for good: it runs here now, or is no more. What still comes is dropped

At every await (`attach` and the task of LOST are the only ones): the client may have unsubscribed or gone,
which is LEAVING or ENDED; the owner may have changed, or its link come back, which `elsewhere.changed` tells;
the subscription may be deleted, which the next owner says; it may be attached, and lost again.

What was out when it was lost is given back there, and comes again: of what waits here for the socket nothing
is passed on, so that it comes once.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import random
from typing import Protocol

from conduit.broker.attach.asking import Asking, VerbFrame
from conduit.broker.attach.elsewhere import Elsewhere, Ending, Line, Told, Welcome
from conduit.broker.attach.inflow import Inflow
from conduit.broker.attach.room import Peer
from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.subscriber import Removal
from conduit.core.backoff import ack_wait_s
from conduit.errors import ConduitError, NotFound, Unavailable
from conduit.protocol.codec import encode_json
from conduit.protocol.frames import Acked, ErrorFrame, Subscribe, Unsubscribe

# For the first attachment, and for each one after that.
ATTACH_TIMEOUT_S = 12.0
# Between two attempts: at first, and at most. Half of it is chance.
AGAIN_MIN_S = 0.05
AGAIN_MAX_S = 1.0

logger = logging.getLogger(__name__)
_dice = random.Random()


class State(enum.Enum):
    """Of a share; see above."""

    ATTACHING = enum.auto()
    AWAY = enum.auto()
    LOST = enum.auto()
    LEAVING = enum.auto()
    ENDED = enum.auto()


class Holder(Protocol):
    """The connection."""

    peer: Peer
    """The client."""

    async def come_here(self, away: Away) -> None:
        """Attach it here, if it is LOST still. Raises ConduitError."""

    def away_ended(self, away: Away, why: Removal) -> None:
        """It is no more."""


class _Again(Exception):
    """It is worth trying once more, perhaps with another node."""


class Away:
    """See above. `frame` is the client's subscribe, or what would be the same."""

    __slots__ = (
        "_asking",
        "_elsewhere",
        "_engine",
        "_frame",
        "_holder",
        "_is_pausing",
        "_line",
        "_outcome",
        "_peer",
        "_task",
        "_tenant",
        "_then_lost",
        "inflow",
        "state",
        "subscription_id",
        "was_here",
        "whose",
    )

    def __init__(
        self, engine: Engine, elsewhere: Elsewhere, holder: Holder, tenant: str, frame: Subscribe
    ) -> None:
        self._engine = engine
        self._elsewhere = elsewhere
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
        # Of the attempt to attach that is under way.
        self._outcome: asyncio.Future[None] | None = None
        # Of LOST.
        self._task: asyncio.Task[None] | None = None
        self._is_pausing = False
        # What the owner is told in the end of a client that is gone; None: it is not gone.
        self._then_lost: bool | None = None

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
            raise Unavailable(
                "the node that has the subscription cannot be reached; subscribe again"
            ) from None
        finally:
            if self.state is State.ATTACHING:
                self._end()

    async def _find_owner(self, frame: Subscribe) -> bool:
        """Try until it is attached, or has been left. False if it is to run here."""
        failures = 0
        before = self.state
        while self.state is before:
            owner = self._elsewhere.owner_of(self._tenant, self.name)
            if owner is None:
                return False
            try:
                await self._attach(owner, frame)
            except _Again:
                failures += 1
                await self._pause(failures)
            else:
                # And may be lost again by now.
                return True
        return True

    async def _attach(self, owner: str, frame: Subscribe) -> None:
        """One attempt."""
        self._outcome = asyncio.get_running_loop().create_future()
        try:
            self._line = self._elsewhere.attach(owner, self._tenant, frame, self)
            await self._outcome
        except Unavailable as error:
            if self._line is None:
                raise _Again from error
            raise
        finally:
            self._outcome = None
            if self.state in (State.ATTACHING, State.LOST):
                self._drop_line()

    async def _pause(self, failures: int) -> None:
        if self.state not in (State.ATTACHING, State.LOST):
            return
        pause_s = ack_wait_s(failures, AGAIN_MIN_S, AGAIN_MAX_S, 0.0)
        self._is_pausing = True
        try:
            await self._elsewhere.changed(pause_s * (1.0 + _dice.random()) / 2.0)
        finally:
            self._is_pausing = False

    def lose(self, subscription_id: int | None = None) -> None:
        """The owner is lost; or it ran here, as this one, and was moved: find the next owner."""
        if subscription_id is not None:
            self.subscription_id = subscription_id
            self.was_here = True
        self.state = State.LOST
        self._drop_line()
        self.inflow.drop()
        self._asking.fail_said(
            Unavailable("the node that had it is lost; what is not settled comes again")
        )
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
            except NotFound as error:
                is_topic = error.code == "topic_not_found"
                self._gone(Removal.TOPIC_DELETED if is_topic else Removal.DELETED)
            except (ConduitError, TimeoutError) as error:
                # The store or the next owner: they are asked again as long as the client is there.
                logger.debug("a subscriber is not attached again yet: %s", error)
            except Exception:
                logger.exception("a subscriber could not be attached again; it is tried again")
            failures += 1
            await self._pause(failures)

    # From the owner -------------------------------------------------------------------------------

    @property
    def is_heard(self) -> bool:
        """See `Visitor.is_heard`."""
        return not self._asking and self._peer.is_heard

    @property
    def is_draining(self) -> bool:
        """See `Visitor.is_draining`; nobody waits for what is dropped."""
        return self.state is not State.AWAY or self.inflow.is_draining

    def welcomed(self, welcome: Welcome) -> None:
        """See `Visitor.welcomed`."""
        is_first = self.state is State.ATTACHING
        if not is_first and self.state is not State.LOST:
            return
        if self.subscription_id not in (0, welcome.subscription_id):
            self.refused(NotFound("it was made again", code="subscription_not_found"))
            return
        self.subscription_id = welcome.subscription_id
        self.inflow.passed.bound(welcome.window)
        self.state = State.AWAY
        if is_first:
            self._peer.write(welcome.frame)
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_result(None)
        self.room()

    def came(self, data: bytes, size_bytes: int) -> None:
        """See `Visitor.came`."""
        if self.state is not State.AWAY:
            self._take(size_bytes)
            return
        self._take(self.inflow.came(data, size_bytes))
        if self.inflow.held_bytes:
            self._peer.on_growing()

    def answered(self, answer: Acked | ErrorFrame) -> None:
        """See `Visitor.answered`."""
        self._asking.answered(answer)

    def room(self) -> None:
        """See `Visitor.room`."""
        line = self._line
        if line is None or self.state not in (State.AWAY, State.LEAVING):
            return
        self._asking.say(line.say)
        if self._then_lost is not None and not self._asking:
            line.end(lost=self._then_lost)
            self._end()
        if self._asking.was_busy and not self._asking.is_busy:
            self._peer.go_on()

    def refused(self, error: ConduitError) -> None:
        """See `Visitor.refused`."""
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_exception(error)

    def ended(self, why: Ending) -> None:
        """See `Visitor.ended`."""
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_exception(_Again() if why is Ending.GONE else _not_found(why))
        elif self.state is State.LEAVING:
            self._end()
        elif self.state is State.AWAY and why is Ending.GONE:
            self.lose()
        elif self.state is State.AWAY:
            deleted = why is Ending.DELETED
            self._gone(Removal.DELETED if deleted else Removal.TOPIC_DELETED)

    # From the client ------------------------------------------------------------------------------

    @property
    def is_busy(self) -> bool:
        """Whether so many verbs wait for the owner that no more should be read."""
        return self._asking.is_busy

    def ask(self, frame: VerbFrame, told: Told | None) -> None:
        """A verb, in its turn; `told` is called once, perhaps before this returns."""
        self._asking.add(frame, told)
        self.room()

    def run(self) -> None:
        """The socket drains, perhaps: write one of those that wait. `Turn` calls, each share once."""
        if self.state is State.AWAY:
            self._take(self.inflow.drained())
            if self.inflow.held_bytes and self._peer.writable:
                self._engine.turn.add(self)

    def unsubscribe(self) -> None:
        """The client has left, and its connection stays: what it asked before is done, and answered."""
        if self.state is State.AWAY:
            self._leave()
            self._asking.add_text(encode_json(Unsubscribe(*self.place)))
            self.room()
        else:
            self._end()

    def close(self, *, lost: bool) -> None:
        """The connection is gone; what it asked before is done."""
        if self.state is State.AWAY:
            self._leave()
            self._then_lost = lost
            self.room()
        else:
            self._end()

    def came_here(self) -> list[tuple[bytes, Told | None]]:
        """It runs here from now on; returns the verbs that waited."""
        waiting = self._asking.take()
        self._end()
        return waiting

    # Parts ----------------------------------------------------------------------------------------

    def _take(self, size_bytes: int) -> None:
        if self._line is not None:
            self._line.take(size_bytes)

    def _drop_line(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.end(lost=False)

    def _gone(self, why: Removal) -> None:
        if self.state not in (State.LEAVING, State.ENDED):
            self._end()
            self._holder.away_ended(self, why)

    def _leave(self) -> None:
        """Answers still come, and are not to wait for deliveries that nobody takes."""
        self.state = State.LEAVING
        self._take(self.inflow.drop())

    def _end(self) -> None:
        if self.state is State.ENDED:
            return
        self.state = State.ENDED
        self._drop_line()
        self.inflow.drop()
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_exception(_Again())
        if self._is_pausing and self._task is not None:
            self._task.cancel()
        error = Unavailable("the subscription was left, or its node was lost")
        self._asking.fail_said(error)
        for _, told in self._asking.take():
            if told is not None:
                told(error)


def _not_found(why: Ending) -> NotFound:
    code = "subscription_not_found" if why is Ending.DELETED else "topic_not_found"
    return NotFound("it was deleted meanwhile", code=code)
