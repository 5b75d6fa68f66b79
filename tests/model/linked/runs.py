"""A run of the third form: two nodes, and a list of steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tests.model.choices import Choices
from tests.model.linked.doing import (
    UNREST_PAUSE_S,
    UNREST_PAUSES_COUNT,
    UNREST_STEPS_COUNT,
    is_for_calm,
    take,
)
from tests.model.linked.nodes import COUNT, Life, Pair
from tests.model.linked.steps import At, Begin, Cut, Kill, Stand, Stop
from tests.model.linked.world import Linked
from tests.model.oracle.log import Violation
from tests.model.plans import KINDS, NAMES, PATTERNS, TOPICS
from tests.model.steps.base import Step
from tests.model.steps.consuming import Join, Settings
from tests.model.steps.disturbing import Rest
from tests.model.steps.managing import MakeTopic
from tests.model.steps.publishing import Publish

# What a step means here, and how often; and while something goes on.
WEIGHTS = {
    "few": 8, "join": 8, "ack": 12, "fail": 4, "leave": 3, "unmake": 1, "change": 3, "letter": 2,
    "make": 1, "wait": 1,
}  # fmt: skip
WEIGHTS_IN_UNREST = {"few": 4, "join": 3, "ack": 12, "fail": 1, "leave": 1, "change": 1, "wait": 1}
DISTURBING: tuple[Callable[[int], Step], ...] = (Kill, Stop, Stand, lambda node: Cut())
# One of so many steps.
DISTURBING_SHARE = 10
SHORT_PAUSE_S = 0.05
WINDOWS = (1, 2, 3, 10)
# Lines of the story that a failure ends with.
STORY_MAX_COUNT = 200


def disturbances(choose: Choices, count: int) -> list[Step]:
    """What is down comes again before anything else happens."""
    found: list[Step] = []
    while len(found) < count:
        is_down = bool(found) and isinstance(found[-1], Kill | Stop)
        found.append(Begin() if is_down else choose.of(DISTURBING)(choose.below(COUNT)))
    return found


def plan(choose: Choices, count: int, disturbing: Sequence[Step]) -> list[Step]:
    """So many steps of the kinds that this form knows, and some more at the end of `disturbing`, which are
    among them. One of these takes as long as a hundred others."""
    steps: list[Step] = [At(n % COUNT, MakeTopic(name)) for n, name in enumerate(TOPICS[:3])]
    left = list(disturbing)
    while left or len(steps) < count:
        if len(steps) < count and (not left or choose.below(DISTURBING_SHARE)):
            steps += _some(choose, WEIGHTS, 1)
            continue
        if choose.of([True, True, False]):
            steps += _gathering(choose)
        steps.append(left.pop(0))
        steps += _some(choose, WEIGHTS_IN_UNREST, UNREST_STEPS_COUNT)
    return steps


def _some(choose: Choices, weights: dict[str, int], count: int) -> list[Step]:
    weighted = [KINDS[kind][1] for kind, weight in weights.items() for _ in range(weight)]
    return [
        At(choose.below(COUNT), choose.of(weighted)(choose), choose.of([True, False]))
        for _ in range(count)
    ]


def _gathering(choose: Choices) -> list[Step]:
    """Subscribers of one subscription at both nodes, and more to hand out than they have room for."""
    name, settings = (
        choose.of(NAMES),
        Settings(window=choose.of(WINDOWS), attempts=choose.of([5, 1])),
    )
    joins = [
        At(node, Join(node + COUNT * choose.below(2), choose.of(PATTERNS), name, settings=settings))
        for node in range(COUNT)
    ]
    many = [At(choose.below(COUNT), Publish(TOPICS, 4, is_batch=True)) for _ in range(2)]
    return [*joins, *many]


def run(pair: Pair, steps: Sequence[Step]) -> None:
    """Take the steps. Before each of them nodes and model agree, but where something goes on, and before a
    node is killed."""
    world = Linked(pair)
    try:
        for step in [*steps, Rest()]:
            _make_ready(world, step)
            world.story.append(f"{step}")
            _take(world, step)
        world.agree()
        world.bury()
    except AssertionError as error:
        error.add_note("\n".join(world.story[-STORY_MAX_COUNT:]))
        if isinstance(error, Violation):
            raise
        violation = Violation(str(error))
        violation.__notes__ = error.__notes__
        raise violation from error
    finally:
        for client in world.clients_there():
            client.close(lost=True)


def _make_ready(world: Linked, step: Step) -> None:
    if world.unrest is not None:
        _pause(world)
        world.unrest_steps_count += 1
        if is_for_calm(world, step) or world.unrest_steps_count > UNREST_STEPS_COUNT:
            world.calm_down()
        else:
            world.listen()
            return
    if not isinstance(step, Kill):
        world.agree()
    elif world.coming is not None:
        world.calm_down()


def _pause(world: Linked) -> None:
    """While a lease runs out there is little to see in a moment."""
    lives = {node.life for node in world.pair.nodes}
    if Life.STANDING not in lives and Life.DOWN not in lives:
        return
    time.sleep(UNREST_PAUSE_S if world.unrest_steps_count < UNREST_PAUSES_COUNT else SHORT_PAUSE_S)
    for node in world.pair.nodes:
        if node.life is Life.STANDING and time.monotonic() > world.stands_until:
            world.wake(node)


def _take(world: Linked, step: Step) -> None:
    if isinstance(step, Rest):
        world.calm_down()
        world.bury()
    else:
        take(world, step)
