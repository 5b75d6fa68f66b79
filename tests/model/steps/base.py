"""What all steps have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Coroutine
from typing import TYPE_CHECKING, Any

from conduit.errors import ConduitError
from tests.model.oracle.log import Violation

if TYPE_CHECKING:
    from tests.model.world import World

# What a caller may be told while the store does not work.
AWAY = frozenset({"store_unavailable", "outcome_unknown", "overloaded"})
# While the broker stops.
STOPPING = frozenset({"shutting_down", "store_unavailable"})


class Plain:
    """A dataclass that is written as the shortest call that makes it."""

    def __repr__(self) -> str:
        fields = dataclasses.fields(self)
        values = [(field.name, getattr(self, field.name), field.default) for field in fields]
        given = [f"{name}={value!r}" for name, value, default in values if value != default]
        return f"{type(self).__name__}({', '.join(given)})"


class Step(Plain):
    """A base whose `take` does something; afterwards everything has come to rest."""

    def apply(self, world: World) -> None:
        """Take the step, and compare what must be true after it."""
        world.note("-- %s", self)
        world.run(self._whole(world))

    async def take(self, world: World) -> None:
        """Do it: what may hang is begun only."""
        raise NotImplementedError

    async def _whole(self, world: World) -> None:
        await self.take(world)
        await world.comparing.after_step()


async def asked(
    world: World, call: Callable[[], Coroutine[Any, Any, Any]], allowed: Collection[str] = ()
) -> ConduitError | None:
    """Make a call, again as long as its answer was lost, as a client would.

    Returns the error that it ended with. Violation if that is not allowed: whoever asks is told that
    the store is away only if it was.
    """
    faults = world.port.faults
    taken, lost, hung = faults.taken_count, faults.lost_count, faults.hanging
    while True:
        try:
            await call()
        except ConduitError as error:
            if faults.lost_count > lost:
                lost = faults.lost_count
                continue
            was_away = faults.taken_count > taken or hung or faults.hanging
            if error.code in allowed or (was_away and error.code in AWAY):
                return error
            if world.is_stopping and error.code in STOPPING:
                return error
            raise Violation(f"refused: {error.code}: {error}") from error
        return None


async def asked_to_make(
    world: World,
    topic: str,
    call: Callable[[], Coroutine[Any, Any, Any]],
    allowed: Collection[str],
) -> None:
    """The same for a call that may make this topic."""
    state = world.state
    state.making[topic] += 1
    try:
        error = await asked(world, call, allowed)
    finally:
        state.making[topic] -= 1
    if error is not None and error.code in AWAY:
        state.perhaps_making.add(topic)
