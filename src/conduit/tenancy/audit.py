"""The record of what was done: who, what, when, from where.

An entry is stored when what it tells of was done, and before that is answered, if the store can; if not, it
is kept here and tried again. Failed sign-ins are told by address and minute. Of what somebody does to one
thing over and over, the first times of each minute are, and then how often it was: so nobody fills the disk.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import islice

import msgspec
from msgspec.structs import replace
from uuid_utils import uuid7

from conduit.core.access import AuditEntry
from conduit.errors import ConduitError, OutcomeUnknown
from conduit.storage.access import AccessStore
from conduit.tenancy.principal import ANONYMOUS, Principal
from conduit.tenancy.registry import WallClock

# Entries that wait for the store; what comes beyond it is dropped, and told in the server's log.
WAITING_MAX_COUNT = 10_000
# In one commit.
BATCH_MAX_COUNT = 500
# Addresses whose failed sign-ins are counted in one minute; the others are counted together.
ADDRESSES_MAX_COUNT = 100
TELL_INTERVAL_S = 60.0
# Of one actor, action and target in that time; what is more is counted.
ALIKE_MAX_COUNT = 10
# Of so many kinds; of others all are stored.
KINDS_MAX_COUNT = 10_000
RETRY_INTERVAL_S = 1.0
# How long an answer waits for its entry.
STORED_WITHIN_S = 2.0
# Of what a caller chose and is repeated here.
TARGET_MAX_CHARS = 255
DETAIL_MAX_CHARS = 2_048
# Of a detail that is longer: its beginning, as a text, which is at most doubled by being one.
BEGINNING_MAX_CHARS = 1_000
OTHERS = "others"
_STRANGER = Principal("", ANONYMOUS, ())

logger = logging.getLogger(__name__)


class Origin(msgspec.Struct, frozen=True):
    """Where a request came from."""

    address: str = ""
    request_id: str = ""


class _Alike(msgspec.Struct):
    """Entries of one kind since the minute began: how many, and the last that was not stored by itself."""

    count: int = 0
    last: AuditEntry | None = None


class Audit:
    """Takes entries, and stores them in their order."""

    def __init__(self, store: AccessStore, clock: WallClock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: deque[AuditEntry] = deque()
        self._dropped_count = 0
        # By address and by the reason, since the minute began.
        self._failed: dict[str, int] = {}
        # By tenant, actor, action and target.
        self._alike: dict[tuple[str, str, str, str], _Alike] = {}
        # By the ids of their entries: whoever waits until they are stored.
        self._waiters: dict[str, asyncio.Future[None]] = {}
        self._due = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._is_failing = False
        # One stores at a time: what it has stored are the first that wait.
        self._storing = asyncio.Lock()

    async def start(self) -> None:
        """Begin to store what waits."""
        self._running = asyncio.get_running_loop().create_task(self._run(), name="audit")

    async def close(self) -> None:
        """Store what is left, if that can be done."""
        if self._running is None:
            return
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        self._running = None
        self._tell_minute()
        await self._store_now()

    async def done(
        self, by: Principal, origin: Origin, action: str, target: str, **detail: object
    ) -> None:
        """Something was done in the caller's tenant. Returns when that is stored, or it takes too long; does
        not raise."""
        await self._told(self._add(self._entry(by, by.tenant, origin, action, target, detail)))

    async def done_to(
        self, tenant: str, by: Principal, origin: Origin, action: str, **detail: object
    ) -> None:
        """The same of what was done to a tenant."""
        await self._told(self._add(self._entry(by, tenant, origin, action, tenant, detail)))

    @asynccontextmanager
    async def if_unsure(
        self, by: Principal, origin: Origin, action: str, target: str, tenant: str | None = None
    ) -> AsyncIterator[None]:
        """Around what is to be done: if nobody knows whether it was, there is an entry that says so."""
        try:
            yield
        except OutcomeUnknown:
            detail: dict[str, object] = {"outcome": "unknown"}
            told = by.tenant if tenant is None else tenant
            await self._told(self._add(self._entry(by, told, origin, action, target, detail)))
            raise

    async def _told(self, entry: AuditEntry | None) -> None:
        if entry is None:
            return
        if self._running is None:
            await self._store_now()
            return
        stored = self._waiters[entry.entry_id] = asyncio.get_running_loop().create_future()
        self._due.set()
        try:
            await asyncio.wait_for(stored, STORED_WITHIN_S)
        except TimeoutError:
            logger.warning("%s of %r is not in the audit log yet", entry.action, entry.target)
        finally:
            del self._waiters[entry.entry_id]

    def sign_in_failed(self, address: str) -> None:
        """Somebody gave a credential that is not good."""
        if address not in self._failed and len(self._failed) >= ADDRESSES_MAX_COUNT:
            address = OTHERS
        self._failed[address] = self._failed.get(address, 0) + 1

    @property
    def waiting_count(self) -> int:
        """Entries that are not stored yet."""
        return len(self._waiting)

    # Inside ---------------------------------------------------------------------------------------

    def _add(self, entry: AuditEntry) -> AuditEntry | None:
        """What is to be waited for until it is stored, if there is something."""
        kind = (entry.tenant, entry.actor, entry.action, entry.target)
        alike = self._alike.get(kind)
        if alike is None:
            alike = _Alike()
            if len(self._alike) < KINDS_MAX_COUNT:
                self._alike[kind] = alike
        alike.count += 1
        if alike.count > ALIKE_MAX_COUNT:
            alike.last = entry
            return None
        return self._append(entry)

    def _entry(
        self,
        by: Principal,
        tenant: str,
        origin: Origin,
        action: str,
        target: str,
        detail: dict[str, object],
    ) -> AuditEntry:
        # The actor of a token names the token: who looks for what a key has done needs the key.
        key = {"by_key": by.key_id} if by.is_token and by.key_id is not None else {}
        return AuditEntry(
            entry_id=str(uuid7()),
            at_ms=self._clock.wall_ms(),
            tenant=tenant,
            actor=by.actor,
            action=action,
            target=target[:TARGET_MAX_CHARS],
            address=origin.address,
            request_id=origin.request_id,
            detail=_short(json.dumps(key | detail)),
        )

    def _now(self, entry: AuditEntry, more: dict[str, object]) -> AuditEntry:
        """The same as one of this moment, with more in its detail: entries are listed by their ids."""
        detail = json.dumps({**more, **json.loads(entry.detail)})
        return replace(entry, entry_id=str(uuid7()), at_ms=self._clock.wall_ms(), detail=detail)

    def _append(self, entry: AuditEntry) -> AuditEntry | None:
        if len(self._waiting) >= WAITING_MAX_COUNT:
            self._dropped_count += 1
            return None
        self._waiting.append(entry)
        return entry

    def _tell_minute(self) -> None:
        """What failed in the minute that is over, in one entry for each address; and what was done so often
        that it was counted."""
        failed, self._failed = self._failed, {}
        for address, count in failed.items():
            origin = Origin(address)
            self._append(self._entry(_STRANGER, "", origin, "sign_in.fail", "", {"count": count}))
        kinds, self._alike = self._alike, {}
        for alike in kinds.values():
            if alike.last is not None:
                times = alike.count - ALIKE_MAX_COUNT
                self._append(self._now(alike.last, {"times": times}))
        if self._dropped_count:
            logger.error("entries of the audit log were dropped: %d", self._dropped_count)
            self._dropped_count = 0

    async def _store_now(self) -> None:
        """Where nobody would try again. Does not raise."""
        try:
            await self._store_waiting()
        except ConduitError as error:
            left = len(self._waiting)
            logger.error("entries of the audit log are not stored: %d; %s", left, error.detail)

    async def _store_waiting(self) -> None:
        async with self._storing:
            while some := list(islice(self._waiting, BATCH_MAX_COUNT)):
                await self._store.audit_add(some)
                for entry in some:
                    self._waiting.popleft()
                    stored = self._waiters.get(entry.entry_id)
                    if stored is not None and not stored.done():
                        stored.set_result(None)
            self._is_failing = False

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        tell_at = loop.time() + TELL_INTERVAL_S
        while True:
            # Not wait_for: it loses a cancellation that comes with an entry, and the end would not come.
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_INTERVAL_S):
                    await self._due.wait()
            self._due.clear()
            if loop.time() >= tell_at:
                tell_at = loop.time() + TELL_INTERVAL_S
                self._tell_minute()
            try:
                await self._store_waiting()
            except ConduitError as error:
                self._failing(error)
                await asyncio.sleep(RETRY_INTERVAL_S)
            except Exception:  # the root of a task
                logger.exception("the audit log could not be written")
                await asyncio.sleep(RETRY_INTERVAL_S)

    def _failing(self, error: Exception) -> None:
        if not self._is_failing:
            self._is_failing = True
            logger.warning("the audit log cannot be written now: %s", error)


def _short(detail: str) -> str:
    if len(detail) <= DETAIL_MAX_CHARS:
        return detail
    return json.dumps({"cut": detail[:BEGINNING_MAX_CHARS], "length": len(detail)})
