"""Runs beside two nodes, one after the other, until one breaks a promise."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from tests.model.choices import Dice
from tests.model.linked.nodes import pair
from tests.model.linked.runs import disturbances, plan, run
from tests.model.oracle.log import Violation
from tests.model.steps.base import Step
from tests.support import scratch
from tests.support.postgres import Cluster
from tests.support.redis import RedisServer

STEPS_COUNT = 150
DISTURBING_COUNT = 8


@dataclass
class Tried:
    """One run: `story` is what happened, if a promise was broken. Every other one has Redis as well."""

    seed: int
    has_redis: bool
    steps: list[Step]
    took_s: float = 0.0
    violation: str = ""
    story: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """For a line, or more of them."""
        what = f"seed {self.seed} {'with' if self.has_redis else 'without'} Redis"
        if not self.violation:
            return f"{what}: {self.took_s:.0f} s"
        steps = "".join(f"    {step!r},\n" for step in self.steps)
        return "\n".join([f"{what}: {self.violation}", steps, *self.story])


@contextmanager
def services() -> Iterator[tuple[Cluster, RedisServer]]:
    """PostgreSQL and Redis, for all runs."""
    tempfile.tempdir = scratch.folder()
    with ExitStack() as stack:
        cluster = Cluster(options=["jit=off"], initdb=["--no-sync"])
        stack.callback(cluster.remove)
        cluster.start()
        redis = RedisServer()
        stack.callback(redis.remove)
        redis.start()
        yield cluster, redis


def look(seed: int, until: float) -> Iterator[Tried]:
    """Try this seed and those that follow, until the time on the monotonic clock."""
    with services() as (cluster, redis):
        for number in itertools.count(seed):
            if time.monotonic() > until:
                return
            more = {"REDIS_URL": redis.url} if number % 2 else {}
            dice = Dice(number)
            steps = plan(dice, STEPS_COUNT, disturbances(dice, DISTURBING_COUNT))
            yield _tried(cluster.empty_database("model"), more, Tried(number, bool(more), steps))


def _tried(url: str, more: dict[str, str], tried: Tried) -> Tried:
    began = time.monotonic()
    try:
        with pair(url, **more) as nodes:
            run(nodes, tried.steps)
    except Violation as violation:
        tried.violation, tried.story = str(violation), violation.__notes__
    tried.took_s = time.monotonic() - began
    return tried
