"""Steps that only two nodes know: where something is asked, and what becomes of a node or the link.

They are taken by `tests.model.linked.runs`; `node` is the number of one of the two.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.model.steps.base import Step


@dataclass(frozen=True, repr=False)
class At(Step):
    """The step is taken at this node, or at the other if this one does not answer. `is_told`: the other is
    asked for what was changed, and must know of it at once."""

    node: int
    step: Step
    is_told: bool = True


@dataclass(frozen=True, repr=False)
class Kill(Step):
    """SIGKILL, if both are up."""

    node: int


@dataclass(frozen=True, repr=False)
class Stop(Step):
    """SIGTERM, if both are up."""

    node: int


@dataclass(frozen=True, repr=False)
class Begin(Step):
    """What does not run is started, and what follows happens meanwhile."""


@dataclass(frozen=True, repr=False)
class Stand(Step):
    """SIGSTOP, if both are up; it goes on after longer than a lease, and what follows happens meanwhile."""

    node: int


@dataclass(frozen=True, repr=False)
class Cut(Step):
    """The link breaks; it is made again."""
