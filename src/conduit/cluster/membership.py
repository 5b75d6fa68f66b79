"""This node among the others: it joins, keeps its lease, leaves, and knows who else is there.

One task makes one call to the store at a time: `join` until the node has its name, then `renew` every second.
`core/lease.py` says what an answer is worth. Whatever wakes this up looks first whether the lease has lapsed,
and tells that before it does anything else: after the process was stopped (SIGSTOP, a machine that slept)
timers and what was answered meanwhile are all there at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from contextlib import suppress

from conduit.broker.clock import boot_s
from conduit.cluster.naming import Naming
from conduit.cluster.roster import NodeView, Roster
from conduit.cluster.tenure import Tenure, Watcher
from conduit.core.lease import RENEW_INTERVAL_S, Renewal
from conduit.core.rival import Verdict
from conduit.errors import ConfigError, StoreUnavailable, Unavailable
from conduit.storage.nodes import (
    CALL_TIMEOUT_S,
    Joined,
    Node,
    NodeRecord,
    NodeState,
    NodeStore,
    Superseded,
    Taken,
)

# After a call that failed while the lease holds, or found that the store does not know this node.
RETRY_PAUSE_S = 0.1
# After the end of another node's lease it is looked whether that node has renewed it.
AFTER_END_S = 0.02
# Between two looks at a name that another process has.
TAKEN_PAUSE_S = 0.25
# For a call that is under way, and another one: until the store knows a state, or until the end.
TWO_CALLS_S = 3 * CALL_TIMEOUT_S
FORGET_INTERVAL_S = 600.0

logger = logging.getLogger(__name__)
_dice = random.Random()


class Membership:
    """Make it on the loop, `watch`, `start`, and `close` it in the end.

    `other_name` is what the node calls itself if somebody alive has its name; None: the name was chosen, and
    another one would not be what was meant. `clock` goes on while the process is stopped.
    """

    def __init__(
        self,
        store: NodeStore,
        node: Node,
        *,
        other_name: str | None = None,
        clock: Callable[[], float] = boot_s,
    ) -> None:
        self.failed: asyncio.Future[ConfigError] = asyncio.get_running_loop().create_future()
        """Its result is the error when, after the start, somebody alive has the name. Then the lease is lost
        for good, and the process should end with that error."""
        self._store = store
        self._naming = Naming(node, other_name)
        self._clock = clock
        self._tenure = Tenure(clock, self._why)
        self.holds: Callable[[], bool] = self._tenure.holds
        """Whether this node has its lease at this moment: to be asked before each thing that only an owner
        may do. Costs a quarter of a microsecond."""
        self._roster = Roster()
        self._state: NodeState = "up"
        self._has_joined = False
        # The store may think that this node is there, also if it was not heard to say so.
        self._has_asked = False
        # When the next call is due, and what makes it due at once.
        self._due_at = clock()
        self._kick = asyncio.Event()
        # The store knows the state.
        self._is_told = asyncio.Event()
        self._forget_at = clock() + FORGET_INTERVAL_S * _dice.random()
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False
        self.problem: str | None = None
        """Why the last call to the store gave no lease; None if it did."""

    # What it answers ------------------------------------------------------------------------------

    @property
    def term(self) -> int:
        """Of the lease that it has, or had last; 0: it had none yet."""
        return self._tenure.term

    @property
    def lost_count(self) -> int:
        """How often it has lost its lease, other than by leaving."""
        return self._tenure.lost_count

    @property
    def node(self) -> Node:
        """This node, as it is called: its name may change during `start`."""
        return self._naming.node

    @property
    def live(self) -> Sequence[NodeRecord]:
        """The nodes that have a lease, as `Watcher.nodes_changed` is told."""
        return self._roster.live

    def views(self) -> list[NodeView]:
        """Every node that the store knew when it answered last, by name."""
        return self._roster.views(self._clock(), self.node.name, holds=self.holds())

    # What it is told ------------------------------------------------------------------------------

    def watch(self, watcher: Watcher) -> None:
        """Tell it of all that changes from now on."""
        self._tenure.watch(watcher)

    async def start(self) -> None:
        """Join. Raises ConfigError if somebody alive has the name, and the other one, if there is one.

        Who has the name and does not renew its lease was killed, it seems: then, as while the store does not
        answer, the node starts without a lease, and goes on trying to get one.
        """
        while (verdict := await self._attempt()) in (Verdict.UNKNOWN, Verdict.ALIVE):
            if verdict is Verdict.ALIVE:
                self._naming.change()
                self._due_at = self._clock()
            await self._pause()
        if not self._has_joined:
            logger.warning(
                "node %s starts without a lease, and owns nothing until it has one, which is tried all the"
                " time: %s",
                self.node.name,
                self.problem,
            )
        self._task = asyncio.get_running_loop().create_task(self._run(), name="membership")

    async def set_draining(self, *, is_draining: bool) -> None:
        """Have the others know that this node takes nothing new, or does again. Raises StoreUnavailable if
        the store does not know it in time: then it is told as soon as there is a lease."""
        self._tenure.look()
        state: NodeState = "draining" if is_draining else "up"
        if state != self._state:
            self._state = state
            self._is_told.clear()
            self._kick.set()
        try:
            async with asyncio.timeout(TWO_CALLS_S):
                await self._is_told.wait()
        except TimeoutError:
            why = self.problem or "this node has not joined"
            raise StoreUnavailable(f"the other nodes do not know yet: {why}") from None

    async def close(self) -> None:
        """Give the lease up and leave: the others see it with their next renewal. Idempotent; ends although
        the store does not answer."""
        self._is_closing = True
        self._kick.set()
        self._tenure.give_up()
        task, self._task = self._task, None
        if task is not None:
            await asyncio.wait({task}, timeout=TWO_CALLS_S)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if not self._has_asked:
            return
        self._has_asked = False
        try:
            await self._store.leave(self.node.name, self.node.incarnation)
        except Unavailable as error:
            logger.warning("the others learn in 3 s only that this node is gone: %s", error)

    # The task -------------------------------------------------------------------------------------

    async def _run(self) -> None:
        await self._pause()
        while not self._is_closing:
            try:
                if await self._attempt() is Verdict.ALIVE:
                    # Who waited for it may have stopped that.
                    if not self.failed.done():
                        self.failed.set_result(self._naming.refusal())
                    return
                await self._forget()
            except Exception:  # the root of a task
                logger.exception("the lease of this node could not be renewed")
                self._due_at = self._clock() + RENEW_INTERVAL_S
            await self._pause()

    async def _pause(self) -> None:
        """Until the next call is due."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._due_at - self._clock()):
                await self._kick.wait()
        self._kick.clear()

    async def _attempt(self) -> Verdict | None:
        """One call to the store. Returns what is known of who else has the name, if somebody has."""
        self._tenure.look()
        state, renewal = self._state, self._tenure.sent()
        self._has_asked = True
        try:
            answer = await self._called(state)
        except Unavailable as error:
            self._failed(error)
            return None
        self._tenure.look()
        match answer:
            case Taken(by):
                return self._meet(by)
            case Superseded(by):
                self._lose_place(by)
            case Joined(nodes):
                self._join(nodes)
                self._take(renewal, nodes, state)
            case nodes:
                self._take(renewal, nodes, state)
        return None

    async def _called(self, state: NodeState) -> Joined | Taken | Superseded | Sequence[NodeRecord]:
        if self._has_joined:
            return await self._store.renew(self.node.name, self.node.incarnation, state)
        return await self._store.join(self.node, state)

    async def _forget(self) -> None:
        if self._clock() < self._forget_at or not self.holds():
            return
        self._forget_at = self._clock() + FORGET_INTERVAL_S
        # Another time, or another node.
        with suppress(Unavailable):
            await self._store.forget()

    # Answers --------------------------------------------------------------------------------------

    def _take(self, renewal: Renewal, nodes: Sequence[NodeRecord], state: NodeState) -> None:
        """The store has prolonged the lease, and these are there."""
        self._due_at = renewal.sent_at + RENEW_INTERVAL_S * (1 - _dice.random() / 10)
        now = self._clock()
        if self._is_closing or renewal.good_until <= now:
            # Of an answer that was there while the process stood still: it says nothing of now.
            return
        self.problem = None
        if changes := self._roster.update(nodes, now):
            for sentence in changes:
                logger.info(sentence)
            self._tenure.nodes_changed(self._roster.live)
        self._tenure.granted(renewal)
        # Who has not renewed its lease for so long is gone, most likely: that others may take over what it
        # had is known when that ends, and not up to a second later.
        end_at = now + self._roster.next_end_s(self.node.name) + AFTER_END_S
        self._due_at = min(self._due_at, end_at)
        if state == self._state:
            self._is_told.set()

    def _failed(self, error: Unavailable) -> None:
        """No answer, or one that says that there is none. The log is told of the first one in a row."""
        is_first, self.problem = self.problem is None, error.detail
        self._tenure.look()
        left_s = self._tenure.left_s
        pause_s = RENEW_INTERVAL_S if left_s is None else RETRY_PAUSE_S
        self._due_at = self._clock() + pause_s * (1 - _dice.random() / 2)
        if is_first and left_s is not None:
            logger.warning(
                "the lease of this node is not renewed (%s): it holds for %.1f s more, and it is tried again",
                error,
                left_s,
            )

    def _join(self, nodes: Sequence[NodeRecord]) -> None:
        self._has_joined = True
        self._naming.settled()
        node = self.node
        number = next((each.number for each in nodes if each.name == node.name), 0)
        logger.info("this node is %s at %s, start %d of that name", node.name, node.address, number)

    def _meet(self, by: NodeRecord) -> Verdict:
        """Another process has the name."""
        now = self._clock()
        self.problem = (
            f"the process at {by.address} has the name {by.name}, and a lease that is not over"
        )
        self._due_at = now + TAKEN_PAUSE_S * (1 - _dice.random() / 2)
        return self._naming.taken(by, now)

    def _lose_place(self, by: NodeRecord | None) -> None:
        """The store does not know this node any more: it joins again, if it can."""
        self._has_joined = False
        self._naming.settled()
        self._due_at = self._clock() + RETRY_PAUSE_S
        who = "nobody has" if by is None else f"the process at {by.address} has"
        self.problem = f"the store has forgotten this node, and {who} its name"
        self._tenure.give_up()

    def _why(self) -> str | None:
        """Why the lease is lost; None if that is meant."""
        if self._is_closing:
            return None
        stood_still = "no renewal was answered in time: the process stood still, or its machine"
        return self.problem or stood_still
