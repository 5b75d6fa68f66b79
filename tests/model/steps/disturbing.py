"""What the world does to a broker: time passes, the store is away, processes end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.model.steps.base import Step
from tests.model.stores import Fault
from tests.model.world import Away

if TYPE_CHECKING:
    from tests.model.world import World

# After a deadline, so that no rounding decides.
AFTER_S = 1 / 64
LONG_S = 10.0
SHORT_S, SHORT_COUNT = 2.0, 3


@dataclass(frozen=True, repr=False)
class Wait(Step):
    """Time passes; without a number until just after the next deadline."""

    seconds: float | None = None

    async def take(self, world: World) -> None:
        seconds = self.seconds
        if seconds is None:
            seconds = world.until_next_deadline() + AFTER_S
        if seconds > LONG_S:
            # What the broker gives up after a second or two must not have waited for as long as that.
            for _ in range(SHORT_COUNT):
                await world.pass_time(SHORT_S)
            seconds -= SHORT_S * SHORT_COUNT
        await world.pass_time(seconds)


@dataclass(frozen=True, repr=False)
class SetClock(Step):
    """The wall clock is so far ahead of what is true from now on."""

    ahead_s: float = 0.0

    async def take(self, world: World) -> None:
        world.set_clock(self.ahead_s)


@dataclass(frozen=True, repr=False)
class Keep(Step):
    """Housekeeping makes a round."""

    async def take(self, world: World) -> None:
        await world.keep_house()


@dataclass(frozen=True, repr=False)
class Break(Step):
    """The next `count` calls of this kind suffer something."""

    call: str
    fault: Fault
    count: int = 1

    async def take(self, world: World) -> None:
        world.port.faults.plan(self.call, self.fault, self.count)


@dataclass(frozen=True, repr=False)
class Answer(Step):
    """One of the calls that hang goes on."""

    which: int = 0

    async def take(self, world: World) -> None:
        world.port.faults.release_one(self.which)


@dataclass(frozen=True, repr=False)
class Mend(Step):
    """The store works again."""

    async def take(self, world: World) -> None:
        world.port.faults.release()


@dataclass(frozen=True, repr=False)
class OtherClaims(Step):
    """Another node claims a durable subscription."""

    name: str

    async def take(self, world: World) -> None:
        known = world.state.durable.get(self.name)
        if known is not None and known.is_known and not known.going:
            await world.port.other_node_claims(known.subscription_id)


@dataclass(frozen=True, repr=False)
class Rest(Step):
    """Everything works and drains, and is compared."""

    async def take(self, world: World) -> None:
        await world.comparing.rest()


@dataclass(frozen=True, repr=False)
class Restart(Step):
    """The broker stops, or crashes, and starts again. `is_mended`: in the moment in which the store has gone
    on, and everybody was answered."""

    is_crash: bool = False
    is_mended: bool = False
    away: Away | None = None

    def apply(self, world: World) -> None:
        world.note("-- %s", self)
        if self.is_mended:
            world.port.faults.release()
            world.run(world.loop.idle())
        world.restart(crash=self.is_crash, away=self.away)
        world.run(world.comparing.after_step())
