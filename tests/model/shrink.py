"""From a long list of steps that fails to a short one: by leaving out, and by making plain."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.model.steps import Step

Fails = Callable[[Sequence[Step]], bool]


def shrink(steps: Sequence[Step], fails: Fails, budget: int = 3_000) -> list[Step]:
    """A list that still fails, and of which nothing can be left out; after `budget` trials what there is."""
    trial = _Trials(fails, budget)
    best = list(steps)
    while True:
        before = list(best)
        best = _left_out(best, trial)
        best = _plainer(best, trial)
        if best == before or trial.budget <= 0:
            return best


class _Trials:
    """Counts them."""

    def __init__(self, fails: Fails, budget: int) -> None:
        self._fails = fails
        self.budget = budget

    def __call__(self, steps: Sequence[Step]) -> bool:
        self.budget -= 1
        return self.budget > 0 and self._fails(steps)


def _left_out(steps: list[Step], fails: _Trials) -> list[Step]:
    """Leave out halves, quarters and so on, from the end, where most is of no use."""
    size = max(1, len(steps) // 2)
    while size:
        end = len(steps)
        while end > 0:
            shorter = steps[: max(0, end - size)] + steps[end:]
            if fails(shorter):
                steps = shorter
            end -= size
        size //= 2
    return steps


def _plainer(steps: list[Step], fails: _Trials) -> list[Step]:
    """Give every field its default, or something smaller, if it fails with that as well."""
    for index in range(len(steps)):
        candidates = _simpler(steps[index])
        while (simpler := next(candidates, None)) is not None:
            plainer = [*steps[:index], simpler, *steps[index + 1 :]]
            if fails(plainer):
                steps = plainer
                candidates = _simpler(simpler)
    return steps


def _simpler(step: Any) -> Iterator[Any]:
    """The same with one field plainer."""
    for field in dataclasses.fields(step):
        for value in _plain_values(getattr(step, field.name), field.default):
            yield dataclasses.replace(step, **{field.name: value})


def _plain_values(value: Any, default: Any) -> Iterator[Any]:
    if value == default:
        return
    if default is not dataclasses.MISSING:
        yield default
    if isinstance(value, int) and not isinstance(value, bool):
        yield from (less for less in sorted({0, 1, value // 2}) if less < value)
    elif isinstance(value, tuple) and len(value) > 1 and isinstance(value[0], str):
        yield from ((one,) for one in value)
    elif dataclasses.is_dataclass(value):
        yield from _simpler(value)
