"""A run: a setup and a list of steps. What a failure prints is a call of `replay`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from conduit.broker.administer.retention import RetentionRules
from conduit.broker.broker import BrokerOptions
from conduit.storage.base import Store
from conduit.storage.dead_letters import DeadBounds
from conduit.storage.memory import MemoryStore
from conduit.storage.sqlite import SqliteStore
from tests.model.oracle.log import Violation
from tests.model.steps.base import Plain, Step
from tests.model.steps.disturbing import Rest
from tests.model.world import World


@dataclass(frozen=True, repr=False)
class Setup(Plain):
    """`store` is `memory` or `sqlite`; `max_messages` bounds the memory store, `max_letters` the dead letters
    of each subscription, and `max_waiting` its deliveries that wait for their next attempt."""

    store: str = "memory"
    max_messages: int = 1_000_000
    max_letters: int = 100_000
    max_waiting: int = 10_000

    @property
    def options(self) -> BrokerOptions:
        """Of the broker."""
        bounds = DeadBounds(max_count=self.max_letters, ephemeral_max_count=self.max_letters)
        return BrokerOptions(
            housekeeping=RetentionRules(dead_bounds=bounds), max_pending_retries=self.max_waiting
        )

    @contextmanager
    def stores(self) -> Iterator[Callable[[], Store]]:
        """What gives each life of the broker its store: an empty one at first, then the same."""
        if self.store == "memory":
            store = MemoryStore(max_messages=self.max_messages)
            yield lambda: store
            return
        with tempfile.TemporaryDirectory(prefix="conduit-model-") as folder:
            yield lambda: SqliteStore(Path(folder, "model.db"))


def run(setup: Setup, steps: Sequence[Step], *, is_traced: bool = False) -> None:
    """Take the steps, then let everything come to rest. Raises Violation."""
    with setup.stores() as stores:
        world = World(stores, setup.options, is_traced=is_traced)
        try:
            for step in [*steps, Rest()]:
                step.apply(world)
        except Violation:
            raise
        except Exception as error:
            raise Violation(f"a step failed: {error!r}") from error
        finally:
            world.close()
            for line in world.trace or ():
                print(line, file=sys.stderr)


def replay(setup: Setup, steps: Sequence[Step]) -> None:
    """`run`, and tell everything that happens."""
    run(setup, steps, is_traced=True)


def as_call(setup: Setup, steps: Sequence[Step]) -> str:
    """The call that runs it again, from this module's namespace."""
    lines = "".join(f"    {step!r},\n" for step in steps)
    return f"replay({setup!r}, [\n{lines}])"
