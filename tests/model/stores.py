"""A store that fails, hangs and loses its answers when it is told to, and tells the model of every call.

What it may do is what the contract (`storage/base.py`) allows: appends take effect in the order of the calls,
so one that hangs holds up those behind it; other calls in any order, and all answers come in any order. An
append that fails has stored nothing, so the answer of one that happened is never lost; of another call
nothing or all happened.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from enum import Enum
from typing import Any

from conduit.core.message import DeadLetter, NewMessage, Progress, Retention
from conduit.errors import OutcomeUnknown, StoreUnavailable
from conduit.names import DEFAULT_TENANT
from conduit.storage.base import Appender, Sizes, Store
from conduit.storage.dead_letters import LOOK_MAX_COUNT, DeadBounds, DeadFilter
from conduit.storage.nodes import NodeStore
from tests.model.clockwork import VirtualLoop
from tests.model.oracle import letters
from tests.model.oracle.from_store import FromStore
from tests.model.oracle.log import Violation


class Fault(Enum):
    """What is wrong with a call."""

    FAILS = "fails"
    """Nothing happens, and the caller is told so."""
    HANGS = "hangs"
    """Nothing happens before it is released."""
    ANSWERS_LATE = "answers late"
    """It happens, and the answer hangs."""
    LOSES_ANSWER = "loses its answer"
    """It happens, and the caller is told that it may not have."""

    def __repr__(self) -> str:
        return f"Fault.{self.name}"


EVERY_CALL = "*"


class Faults:
    """What is wrong now: for each call, what the next ones suffer, and how many of them."""

    def __init__(self) -> None:
        self._next: dict[str, tuple[Fault, int]] = {}
        self._hanging: list[asyncio.Future[None]] = []
        self.taken_count = 0
        """Calls that suffered something."""
        self.failed_count = 0
        """Of these, those whose callers were told that the store is away."""
        self.lost_count = 0
        """Of these, those that happened and whose callers do not know it."""

    def plan(self, call: str, fault: Fault, count: int) -> None:
        """The next `count` of these calls suffer that; EVERY_CALL means those that nothing else is planned
        for."""
        self._next[call] = (fault, count)

    def take(self, call: str) -> Fault | None:
        """What this call suffers."""
        planned = call if call in self._next else EVERY_CALL
        if planned not in self._next:
            return None
        fault, count = self._next[planned]
        self.taken_count += 1
        if count > 1:
            self._next[planned] = (fault, count - 1)
        else:
            del self._next[planned]
        return fault

    @property
    def hanging(self) -> int:
        """How many calls hang now."""
        return len(self._hanging)

    @property
    def any(self) -> bool:
        """Whether something is wrong, or will be with a call to come."""
        return bool(self._next or self._hanging)

    async def hang(self) -> None:
        """Wait to be released."""
        released = asyncio.get_running_loop().create_future()
        self._hanging.append(released)
        try:
            await released
        finally:
            if released in self._hanging:
                self._hanging.remove(released)

    def release_one(self, which: int) -> None:
        """One of those that hang goes on."""
        if self._hanging:
            self._hanging.pop(which % len(self._hanging)).set_result(None)

    def release(self) -> None:
        """Everything works again, and what hangs goes on."""
        self._next.clear()
        while self._hanging:
            self.release_one(0)


class Port:
    """The store as one life of the broker sees it; `inner` is the real one."""

    shards: Mapping[int, Appender] = {}

    def __init__(self, inner: Store, ears: FromStore, loop: VirtualLoop) -> None:
        self.inner = inner
        self.faults = Faults()
        self.is_dead = False
        """The broker crashed: what it still asks for never happens."""
        self.reads_count = 0
        """Reads of the log that are under way."""
        self._ears = ears
        self._loop = loop
        self._rows: dict[int, list[Progress]] = {}
        self._appending = asyncio.Lock()
        # Calls of this name that concern this id; and who waits for the end of some.
        self._under_way: Counter[tuple[str, object]] = Counter()
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def kind(self) -> str:
        return self.inner.kind

    @property
    def durable(self) -> bool:
        return self.inner.durable

    @property
    def server_count(self) -> int:
        return self.inner.server_count

    @property
    def nodes(self) -> NodeStore | None:
        return self.inner.nodes

    @property
    def needs_lock(self) -> bool:
        return self.inner.needs_lock

    @property
    def copied(self) -> str | None:
        copied: str | None = self.inner.copied
        return copied

    def describe(self) -> dict[str, object]:
        return self.inner.describe()

    def __getattr__(self, call: str) -> Callable[..., Any]:
        async def asked(*args: Any, **more: Any) -> Any:
            return await self._asked(call, args, more)

        setattr(self, call, asked)
        return asked

    async def prove(self, size_bytes: int) -> None:
        """Nothing is wrong with it, and it takes none of the faults that are meant for others."""

    async def measure(self) -> Sizes:
        """As `prove`."""
        return Sizes(size_bytes=0)

    async def give_back(self) -> bool:
        """As `prove`."""
        return False

    async def settle(self, progress: Any, deaths: Any, redriven: Any = ()) -> Any:
        places: Any = []
        with self._listening():
            places = self._ears.begin_settle(progress, deaths, redriven)
        return await self._asked("settle", (progress, deaths, redriven), {}, places)

    async def other_node_makes(self, tenant: str, name: str, now_ms: int) -> None:
        """Somebody else makes a topic."""
        record = await self._do("topic_create", (tenant, name, Retention(), now_ms), {})
        with self._listening():
            self._ears.did_topic_create(record)

    async def other_node_appends(self, batch: Sequence[NewMessage]) -> None:
        """Somebody else writes to the log: the broker does not hear of it."""
        seqs = await self._do("append", (batch,), {})
        with self._listening():
            self._ears.did_append(batch, seqs)
        await self._learn_extents()

    async def other_node_claims(self, subscription_id: int) -> None:
        """Somebody else runs the subscription from now on."""
        await self._do("subscription_claim", (subscription_id,), {})

    async def dead_letters(self, tenant: str) -> list[DeadLetter]:
        """All that there are, asked past all faults."""
        found: list[DeadLetter] = []
        before_id, is_over = None, False
        while not is_over:
            more = {"limit": LOOK_MAX_COUNT, "before_id": before_id}
            page = await self._do("dead_list", (tenant, DeadFilter()), more)
            found += page
            before_id = page.reached_id
            is_over = before_id is None
        return found

    async def close(self) -> None:
        """Not yet: there may be questions after the broker has stopped."""

    async def close_really(self) -> None:
        """The end."""
        await self._do("close", (), {})

    async def read(self, *args: Any, **more: Any) -> Any:
        self.reads_count += 1
        try:
            return await self._asked("read", args, more)
        finally:
            self.reads_count -= 1

    async def is_over(self, call: str, target_id: int) -> None:
        """Wait until no such call is under way. Whoever asked the broker may have been told before that
        nobody knows what becomes of it."""
        while self._under_way[call, target_id]:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter

    async def former(self, subscription_id: int) -> Any:
        # Who asks this after the progress loads the subscription, and has learned from that. Others only
        # look.
        with self._listening():
            self._ears.heard_progress(self._rows.pop(subscription_id, []))
        return await self._asked("former", (subscription_id,), {})

    async def topic_delete(self, topic_id: int, *args: Any) -> None:
        with self._being_under_way("topic_delete", topic_id):
            await self._asked("topic_delete", (topic_id, *args), {})

    async def subscription_delete(self, subscription_id: int) -> None:
        with self._being_under_way("subscription_delete", subscription_id):
            await self._asked("subscription_delete", (subscription_id,), {})

    @contextmanager
    def _being_under_way(self, call: str, target_id: int) -> Iterator[None]:
        self._under_way[call, target_id] += 1
        try:
            yield
        finally:
            self._under_way[call, target_id] -= 1
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)

    async def _asked(self, call: str, args: Any, more: Any, known: Any = None) -> Any:
        if call == "append":
            known = self._ears.state.now
        async with self._order_of(call):
            fault = self.faults.take(call)
            if call == "keep_fact" and fault is not None:
                # After a crash nobody need know how old what is.
                self._ears.state.log.is_time_kept = False
            result = await self._suffer(fault, call, args, more, known)
        if fault is Fault.ANSWERS_LATE:
            await self.faults.hang()
        if fault is Fault.LOSES_ANSWER:
            self.faults.lost_count += 1
            self.faults.failed_count += 1
            raise OutcomeUnknown(f"the answer of {call} is lost by plan")
        with self._listening():
            self._answered(call, args, result)
        return result

    def _order_of(self, call: str) -> AbstractAsyncContextManager[None]:
        return self._appending if call == "append" else nullcontext()

    async def _suffer(
        self, fault: Fault | None, call: str, args: Any, more: Any, known: Any
    ) -> Any:
        if fault is Fault.HANGS:
            await self.faults.hang()
        if self.is_dead:
            await asyncio.get_running_loop().create_future()
        if fault is Fault.FAILS:
            self.faults.failed_count += 1
            raise StoreUnavailable(f"{call} fails by plan")
        if call == "subscription_create":
            known = self._ears.begin_subscription_create()
        elif call == "trim":
            self._ears.state.log.begin_trim(args[0])
        result = await self._do(call, args, more)
        with self._listening():
            self._effect(call, args, result, known)
        if call == "append":
            await self._learn_extents()
        elif call == "dead_trim":
            await self._learn_letters(*args, result)
        return result

    async def _do(self, call: str, args: Any, more: Any) -> Any:
        if self.inner.kind == "memory":
            return await getattr(self.inner, call)(*args, **more)
        self._loop.outside += 1
        try:
            return await getattr(self.inner, call)(*args, **more)
        finally:
            self._loop.outside -= 1

    async def _learn_extents(self) -> None:
        """A store in memory makes room by itself, when something is appended."""
        if self.inner.kind == "memory":
            for record in await self.inner.topics():
                self._ears.trimmed(record.topic_id, record.first_seq)

    async def _learn_letters(
        self, before_ms: int, bounds: DeadBounds, limit: int, count: int
    ) -> None:
        found = await self.dead_letters(DEFAULT_TENANT)
        there = {(one.subscription, one.topic_id, one.seq) for one in found}
        with self._listening():
            letters.dropped(self._ears.state, bounds, there)
            if self.inner.kind == "memory" and count < limit:
                # Elsewhere others may have come by now.
                letters.nobody_has_too_many(self._ears.state, bounds)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """A violation is the model's to tell: the broker must not take it for an error of the store."""
        try:
            yield
        except Violation as violation:
            self._ears.state.violations.append(violation)

    # What the model is told -----------------------------------------------------------------------

    def _effect(self, call: str, args: Any, result: Any, known: Any) -> None:
        ears = self._ears
        match call:
            case "append":
                ears.did_append(args[0], result, known)
            case "settle":
                ears.did_settle(known, args[1], result)
            case "trim":
                ears.did_trim(args[0], args[1], result.first_seq)
            case "topic_create" | "topics_create":
                for record in result if isinstance(result, list) else [result]:
                    ears.state.made(record.name)
                    ears.did_topic_create(record)
            case "subscription_create":
                ears.state.made(result.name)
                ears.did_subscription_create(result, args[4], known)
            case "former_trim" if result:
                ears.did_former_trim()
            case "dead_delete":
                ears.did_dead_delete(args[1])
            case (
                "keep_fact"
                | "former_heard"
                | "topic_delete"
                | "subscription_update"
                | "subscription_delete"
                | "seek"
            ):
                getattr(ears, f"did_{call}")(*args)

    def _answered(self, call: str, args: Any, result: Any) -> None:
        ears = self._ears
        match call:
            case "append":
                ears.heard_append(args[0], result)
            case "settle":
                ears.heard_settle(result)
            case "trim":
                ears.heard_trim(args[0], result.first_seq)
            case "topic_create":
                ears.heard_topics([result])
            case "topics_create":
                ears.heard_topics(result)
            case "topics" | "subscription_create" | "subscriptions":
                getattr(ears, f"heard_{call}")(result)
                ears.heard_what_is_gone(call, result)
            case "progress":
                self._rows[args[0]] = result
            case "former":
                ears.heard_former(args[0])
            case "topic_delete" | "subscription_update" | "subscription_delete" | "seek":
                getattr(ears, f"heard_{call}")(*args)
