"""The time that the store lives in: how old things are, although the machine's wall clock jumps.

`core/timeline.py` decides; here it is read from the store, noted every second, told to the log, and kept.

Of several servers on one store the one that cleans up leads: it keeps the timeline. The others have the store
know what their clocks say, before they stamp anything by them; the leader hears it before it removes anything
for its age. Who becomes the leader goes on from what the one before has kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

import msgspec

from conduit.broker.clock import Clock
from conduit.core.timeline import SETTLED_MS, TOLD_MS, Reading, Saved, Timeline
from conduit.errors import ConduitError
from conduit.storage.base import Store

# How long ago the last moment may be that the store knows, while nothing happens to the clock.
KEEP_INTERVAL_S = 60.0
KEEP_TIMEOUT_S = 1.0
FACT = "timeline"
# What a server says that does not lead, by its id.
TOLD = "clock."
# Who has said nothing for so long has stopped: it says something every KEEP_INTERVAL_S.
FORGET_TOLD_S = 600.0
# What is kept holds for stamps that are so much later: one more than that is kept first.
AHEAD_MS = TOLD_MS

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Saved).decode
_decode_told = msgspec.msgpack.Decoder(int).decode
logger = logging.getLogger(__name__)


class StoreTime:
    """Ages by stamps. `load` it when the store is open; `tick` it every second."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._timeline = Timeline(None, clock.reading())
        self._name = f"{TOLD}{uuid4().hex}"
        self._is_leader = False
        # What others have said, and when that was heard first.
        self._heard: dict[str, tuple[bytes, float]] = {}
        self._keep_at = 0.0
        # How often the clock was set.
        self._jumps_count = 0
        self.highest_ms = 0
        """No message has a higher stamp: raised by whoever stamps one."""
        self.noted_ms = 0
        """What the wall clock said when it was looked at last: if it says less, it was set back since."""
        self.removing_ms = 0
        """What has a lower stamp is being removed: none is given."""
        self.kept_ms = 0
        """What the store knows of: a higher stamp has to be kept first."""

    async def load(self, *, is_leader: bool) -> None:
        """Go on where the store was left. Raises StoreUnavailable."""
        await self._go_on()
        self._is_leader = is_leader
        if is_leader:
            await self.hear()
        await self.keep_now()

    async def lead(self, *, is_leader: bool) -> None:
        """To be called every few seconds, with whether this is the server that cleans up. Raises
        StoreUnavailable; then it does not lead, and nothing may be removed for its age."""
        if is_leader != self._is_leader:
            if is_leader:
                await self._go_on()
            self._is_leader = is_leader
            self._keep_at = 0.0
        if is_leader:
            await self.hear()

    async def hear(self) -> None:
        """Learn what the clocks of other servers say: not all that they have stored is younger than their
        stamps seem by the clock of this one. Raises StoreUnavailable."""
        told, now = await self._store.facts(TOLD), self._clock.now()
        before, self._heard = self._heard, {}
        for name, value in told.items():
            known, at = before.get(name, (None, now))
            if known != value:
                self._timeline.hear(_decode_told(value))
                at = now
            self._heard[name] = value, at
        for name, (_, at) in tuple(self._heard.items()):
            if now >= at + FORGET_TOLD_S:
                # The next time, if the store cannot now.
                with suppress(ConduitError):
                    await self._store.keep_fact(name, None)

    async def _go_on(self) -> None:
        stored = await self._store.fact(FACT)
        if stored is not None:
            saved = _decode(stored)
            self._timeline = Timeline(saved, self._clock.reading())
            self.highest_ms = max(self.highest_ms, saved.highest_ms)
            jump_ms = self._timeline.jump_ms
            if jump_ms:
                self._tell(jump_ms)

    def tick(self) -> None:
        """Note what the clocks say."""
        self._note(self._clock.reading())

    async def keep(self) -> None:
        """Have the store know this moment, if that is due. If the store cannot keep it now, that is logged,
        and nothing has to wait for it: it is due again."""
        if self._clock.now() < self._keep_at:
            return
        try:
            await self.keep_now()
        except ConduitError as error:
            logger.warning("the store cannot be told the time; that is tried again: %s", error)

    async def keep_now(self, *, is_last: bool = False) -> None:
        """Have the store know this moment; `is_last`: nothing is stamped any more. Raises
        StoreUnavailable."""
        reading = self._clock.reading()
        self._note(reading)
        ahead_ms = 0 if is_last else reading.wall_ms + AHEAD_MS
        highest_ms = max(self.highest_ms, ahead_ms)
        jumps_count = self._jumps_count
        if self._is_leader:
            saved = self._timeline.save(reading, highest_ms)
            await self._store.keep_fact(FACT, _encode(saved))
        else:
            await self._store.keep_fact(self._name, _encode(self._timeline.low_ms))
        # A jump since is not in it: it is still to be kept.
        if jumps_count == self._jumps_count:
            self.kept_ms = highest_ms
            self._keep_at = self._clock.now() + KEEP_INTERVAL_S

    async def keep_ahead(self) -> None:
        """As `keep_now`, before messages are stored whose stamp is above `kept_ms`: the clock was set
        forward. Waits a little only: if the store cannot be told, it can hardly store the messages."""
        with suppress(ConduitError, TimeoutError):
            async with asyncio.timeout(KEEP_TIMEOUT_S):
                await self.keep_now()

    async def behind(self) -> int:
        """The clock says less than it did, or than the highest stamp. Returns what it says now, which may be
        given: the store knows of the step, or the next process would take what has it for older; and what is
        stored with it is not removed by a slice that was begun before the step."""
        self.tick()
        if not self._keep_at:
            with suppress(ConduitError, TimeoutError):
                async with asyncio.timeout(KEEP_TIMEOUT_S):
                    await self.keep_now()
        return max(self._clock.wall_ms(), self.removing_ms)

    # What it answers ------------------------------------------------------------------------------

    def before_ms(self, age_s: float) -> int:
        """Whatever has a lower stamp than this is older than `age_s`."""
        self.tick()
        return self._timeline.before_ms(int(age_s * 1000))

    @contextmanager
    def removing(self, age_s: float) -> Iterator[int]:
        """As `before_ms`, for who removes that meanwhile. One at a time."""
        self.removing_ms = self.before_ms(age_s)
        try:
            yield self.removing_ms
        finally:
            self.removing_ms = 0

    def age_s(self, stamp_ms: int) -> float:
        """How old what has this stamp is at least."""
        return self._timeline.age_ms(stamp_ms) / 1000

    def earliest_ms(self, wall_ms: int) -> int:
        """What was published since the wall clock first said `wall_ms` has this stamp, or a higher one."""
        return self._timeline.earliest_ms(wall_ms)

    def _note(self, reading: Reading) -> None:
        self.noted_ms = reading.wall_ms
        jump_ms = self._timeline.note(reading)
        if jump_ms:
            self._tell(jump_ms)
            self._jumps_count += 1
            self._keep_at = 0.0
            # Whoever stamps next has the store know of the step first: a process that is killed before that
            # would leave messages that count as older than they are.
            self.kept_ms = 0

    def _tell(self, jump_ms: int) -> None:
        if self._timeline.is_settled:
            logger.warning(
                "the machine's clock was set %s by %.1f s: %s, no deadline moves, and nothing counts as "
                "older for it",
                "forward" if jump_ms > 0 else "back",
                abs(jump_ms) / 1000,
                "new messages have the new time"
                if jump_ms > 0
                else "a topic's new messages have its latest time until the clock has come to it",
            )
        else:
            is_ahead = jump_ms > 0
            logger.log(
                logging.INFO if is_ahead else logging.WARNING,
                "the machine's clock is %.1f s %s of where the server left it: that counts as time "
                "that has passed when the clock has not been set for %d s",
                abs(jump_ms) / 1000,
                "ahead" if is_ahead else "short",
                SETTLED_MS // 1000,
            )


class NotedClock:
    """The clocks, for whoever stamps what is stored and ages: a stamp of a clock that was set back is given
    once that is noted, also if it is put right before anybody looks."""

    def __init__(self, clock: Clock, store_time: StoreTime) -> None:
        self._clock = clock
        self._store_time = store_time
        self.now = clock.now
        self.reading = clock.reading

    def wall_ms(self) -> int:
        """See `Clock.wall_ms`."""
        wall_ms = self._clock.wall_ms()
        if wall_ms < self._store_time.noted_ms:
            self._store_time.tick()
        return max(wall_ms, self._store_time.removing_ms)
