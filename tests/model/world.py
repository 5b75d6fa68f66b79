"""The real broker and the model of it, side by side: what is done to one is told to the other.

A broker's life has an event loop of its own, so that a crash can leave everything where it is. The store
outlives it. After each step nothing moves any more, and what must be true then is compared.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from conduit.broker.administer.letter_acts import LetterJob
from conduit.broker.broker import Broker, BrokerOptions
from conduit.errors import Unavailable
from conduit.names import DEFAULT_TENANT
from conduit.storage.base import Store
from tests.broker.kit import Bench, ManualClock
from tests.model.clockwork import VirtualLoop
from tests.model.comparing import Comparing
from tests.model.oracle import at_rest
from tests.model.oracle.from_clients import FromClients
from tests.model.oracle.from_publishers import FromPublishers
from tests.model.oracle.from_store import FromStore
from tests.model.oracle.knowing import Knowing
from tests.model.oracle.log import Violation
from tests.model.oracle.state import State
from tests.model.peer import Client
from tests.model.steps.base import Plain
from tests.model.stores import Port

SLOTS_COUNT = 4
# A job that redrives many has short pauses.
JOB_HOPS = 100
JOB_HOP_S = 0.001
# Many times what the server gives a stop.
STOP_HOPS = 300
STOP_HOP_S = 1.0


class _Complaints(logging.Handler):
    """A bug that the broker caught and logged is a violation too."""

    def __init__(self, state: State) -> None:
        super().__init__(logging.ERROR)
        self._state = state

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, Unavailable):
            return
        self._state.violations.append(Violation(f"logged: {record.getMessage()}: {error!r}"))


@dataclass(frozen=True, repr=False)
class Away(Plain):
    """How long no broker runs, whether the machine is off meanwhile, and what becomes of its wall clock."""

    seconds: float = 0.0
    boots: bool = False
    ahead_s: float | None = None


class World:
    """One run. `clients` predict what verbs do; `peers` and `ears` are told what is seen and heard."""

    def __init__(
        self, stores: Callable[[], Store], options: BrokerOptions, *, is_traced: bool = False
    ) -> None:
        self.tenant = DEFAULT_TENANT
        self._stores = stores
        self.state = State(max_waiting=options.max_pending_retries)
        self.clients, self.peers = (
            FromClients(self.state),
            Knowing(self.state, lambda _, topic: topic.passed, is_direct=True),
        )
        self.publishers, self.ears = FromPublishers(self.state), FromStore(self.state)
        self.slots: list[Client | None] = [None] * SLOTS_COUNT
        self.seen_ids: set[str] = set()
        """Messages that this life of the broker has handed out: it knows their numbers."""
        self.published_count = 0
        self.redriving: set[str] = set()
        """Dead letters whose redrive is under way."""
        self._job: LetterJob | None = None
        self.comparing = Comparing(self)
        self.trace: list[str] | None = [] if is_traced else None
        self._clock = ManualClock()
        self._options = options
        self._tasks: set[asyncio.Task[None]] = set()
        self._complaints = _Complaints(self.state)
        logging.getLogger("conduit").addHandler(self._complaints)
        self._begin_life()

    def note(self, text: str, *args: object) -> None:
        """A line of the trace, if there is one."""
        if self.trace is not None:
            self.trace.append(text % args)

    def violated(self, violation: Violation) -> None:
        """Remember it: the step that is under way will end with it."""
        self.state.violations.append(violation)

    # Lives ----------------------------------------------------------------------------------------

    def _begin_life(self) -> None:
        self.is_stopping = False
        self.loop = VirtualLoop()
        self.loop.set_exception_handler(self._on_loop_error)
        self.comparing.begin_life()
        self.port = Port(self._stores(), self.ears, self.loop)
        self.broker = Broker(self.port, self._clock, self._options)
        self.bench = Bench(self.broker, self._clock)
        self.run(self._start())

    async def _start(self) -> None:
        self.state.now = self._clock.now()
        await self.broker.start()
        # Seeds the broker's dice.
        await self.bench.advance(0.0)
        await self.loop.idle()

    def restart(self, *, crash: bool, away: Away | None = None) -> None:
        """End this life and begin another one on the same store."""
        self.note("-- restart, crash: %s", crash)
        if not crash:
            self.run(self._stop())
        self._end_life()
        if away is not None:
            self._be_away(away)
        self.state.restart()
        self._begin_life()

    def _be_away(self, away: Away) -> None:
        self._clock.seconds += away.seconds
        self.state.now = self._clock.now()
        if away.boots and self.state.log.is_step_kept:
            # How long it was, only the wall clock says, and that counts later. Who does not know of the step
            # before cannot tell the two apart.
            self.state.log.is_plain = False
            self._clock.boot_id += "s"
            self.state.ages.booted(self.state.now)
        if away.ahead_s is not None and self.state.log.is_step_kept:
            # As above: what was so low for a moment that nobody told the store of is not known.
            self.set_clock(away.ahead_s)

    def set_clock(self, ahead_s: float) -> None:
        """The wall clock of the machine is so far ahead from now on."""
        by_s, self._clock.ahead_s = ahead_s - self._clock.ahead_s, ahead_s
        if by_s:
            self.state.clock_set(by_s)

    def wall_ms(self) -> int:
        """What the wall clock says."""
        return self._clock.wall_ms()

    async def _stop(self) -> None:
        """As a server does: the connections first. What the store was told by then may still hang."""
        faults = self.port.faults
        failed_count = faults.failed_count
        for client in self.clients_there():
            client.leave(lost=False)
        self.is_stopping = True
        stopping = asyncio.get_running_loop().create_task(self.broker.stop())
        await self.loop.idle()
        faults.release()
        for _ in range(STOP_HOPS):
            if stopping.done():
                break
            await self.let_pass(STOP_HOP_S)
        else:
            self.violated(Violation("the broker does not stop"))
        if faults.failed_count == failed_count:
            for lost in at_rest.unstored(self.state):
                self.violated(Violation(lost))

    def _end_life(self) -> None:
        """Nothing that this life still does reaches anybody."""
        self.port.is_dead = True
        for client in self.clients_there():
            client.is_gone = True
        self.slots = [None] * SLOTS_COUNT
        self.seen_ids.clear()
        self.redriving.clear()
        self._tasks.clear()
        self._job = None
        self.publishers.waiting_count = 0
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(self.loop.idle())
        self.loop.run_until_complete(self.port.close_really())
        self.loop.close()

    def close(self) -> None:
        """The run is over."""
        self._end_life()
        logging.getLogger("conduit").removeHandler(self._complaints)

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.violated(Violation(f"the loop: {context['message']}: {context.get('exception')!r}"))

    # Doing ----------------------------------------------------------------------------------------

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it, and let everything come to rest."""
        self.loop.run_until_complete(work)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin what may hang: it goes on during the steps to come."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if not isinstance(error, Violation):
                raise error
            self.violated(error)

    @property
    def has_job(self) -> bool:
        """Whether a job redrives dead letters."""
        return self._job is not None

    async def watch_job(self, job: LetterJob) -> None:
        """Let a job come to its end, if the store lets it."""
        self._job = job
        for _ in range(JOB_HOPS):
            self.look_at_job()
            if self._job is None:
                return
            await self.let_pass(JOB_HOP_S)

    def look_at_job(self) -> None:
        """Take notice if it has come to its end."""
        if self._job is not None and self._job.state != "running":
            self.state.job_ended(is_known=self._job.state == "done")
            self._job = None

    def leave(self, client: Client, lost: bool) -> None:
        """The client's connection ends."""
        if not client.is_gone:
            self.note("%s leaves, lost: %s", client, lost)
            client.leave(lost=lost)
            self.slots[client.slot] = None

    def client(self, which: int) -> Client | None:
        """One of those that are connected."""
        there = self.clients_there()
        return there[which % len(there)] if there else None

    def clients_there(self) -> list[Client]:
        """Those that are connected."""
        return [client for client in self.slots if client is not None]

    async def pass_time(self, seconds: float) -> None:
        """Both clocks move on: the broker's, and the loop's with its timers."""
        self.state.advance(self._clock.now() + seconds)
        self.look_at_job()
        await self.bench.advance(seconds)
        self.loop.jump(seconds)
        await self.loop.idle()

    async def let_pass(self, seconds: float) -> None:
        """Timers run out, and no deadline of a delivery comes nearer."""
        self.loop.jump(seconds)
        await self.loop.idle()

    def until_next_deadline(self) -> float:
        """Seconds until the model expects that something happens, or a second."""
        times = [
            one.earliest if one.holder is not None else one.latest
            for subscription in self.state.subscriptions()
            for line in subscription.lines.values()
            for one in line.open.values()
        ]
        return min((at - self.state.now for at in times if at > self.state.now), default=1.0)

    async def keep_house(self) -> None:
        """Let housekeeping's timer run out."""
        await self.let_pass(self._options.housekeeping.interval_s)

    @property
    def is_waited_for(self) -> bool:
        """Whether calls are under way."""
        return bool(self._tasks)

    @property
    def is_calm(self) -> bool:
        """Whether the store works and nothing waits for it."""
        return not self.port.faults.any and not self._tasks

    @property
    def is_calm_but_for_this(self) -> bool:
        """As `is_calm`, asked by the one call that is under way."""
        return not self.port.faults.any and len(self._tasks) == 1
