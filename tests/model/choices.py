"""Where a plan's choices come from: dice with a seed, which are fast, or Hypothesis, which can go back."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Protocol, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


class Choices(Protocol):
    """Makes choices. The first option is the simplest one."""

    def of(self, options: Sequence[T]) -> T:
        """One of them."""

    def below(self, end: int) -> int:
        """A number from 0 on."""


class Dice:
    """The same choices for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def of(self, options: Sequence[T]) -> T:
        return options[int(self._random.random() * len(options))]

    def below(self, end: int) -> int:
        return int(self._random.random() * end)


class Drawn:
    """Choices that Hypothesis makes, and shrinks."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def of(self, options: Sequence[T]) -> T:
        return options[self._draw(st.integers(0, len(options) - 1))]

    def below(self, end: int) -> int:
        return self._draw(st.integers(0, end - 1))
