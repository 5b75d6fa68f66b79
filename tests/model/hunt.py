"""Looking for a run that breaks a promise, and making it short."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.model.choices import Dice
from tests.model.oracle.log import Violation
from tests.model.plans import plan, setup
from tests.model.runs import Setup, as_call, run
from tests.model.shrink import shrink
from tests.model.steps import Step

STEPS_MAX_COUNT = 100
# What differs between two sightings of one fault: numbers, ids, epochs, and who and where it was.
_VARIABLE = re.compile(
    r"'[0-9a-f-]{16,36}'|\b[0-9a-f]{16}\b|\d+(\.\d+)?|\b(s|t|unnamed) on \S+|\b(a\.x\.z|a\.x|a\.y|b)\b"
)


@dataclass
class Found:
    """A run that breaks a promise."""

    seed: int
    setup: Setup
    steps: list[Step]
    violation: str

    @property
    def kind(self) -> str:
        """The violation without what differs from case to case."""
        return kind_of(self.violation)

    def __str__(self) -> str:
        return f"{self.violation}\n{as_call(self.setup, self.steps)}"


@dataclass
class Round:
    """What a round has done."""

    runs_count: int = 0
    steps_count: int = 0
    found: Found | None = None


def kind_of(violation: str) -> str:
    """See `Found.kind`."""
    return _VARIABLE.sub("…", violation)[:80]


def broken(setup: Setup, steps: Sequence[Step]) -> str | None:
    """The promise that this run breaks, or None."""
    try:
        run(setup, steps)
    except Violation as violation:
        return str(violation)
    return None


def look(seed: int, store: str, until: float) -> Round:
    """Try plans of this seed until one breaks a promise, or until the time on the monotonic clock."""
    dice, done = Dice(seed), Round()
    while time.monotonic() < until:
        tried = replace(setup(dice), store=store)
        steps = plan(dice, STEPS_MAX_COUNT)
        done.runs_count += 1
        done.steps_count += len(steps)
        violation = broken(tried, steps)
        if violation is not None:
            done.found = Found(seed, tried, steps, violation)
            return done
    return done


def shortened(found: Found) -> Found:
    """The same fault with few steps."""
    steps = shrink(found.steps, lambda steps: _shows(found, steps))
    return replace(found, steps=steps, violation=broken(found.setup, steps) or found.violation)


def _shows(found: Found, steps: Sequence[Step]) -> bool:
    violation = broken(found.setup, steps)
    return violation is not None and kind_of(violation) == found.kind
