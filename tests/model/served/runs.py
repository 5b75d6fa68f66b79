"""A run of the second form: the server on one of the stores, and a list of steps."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tests.model.choices import Choices
from tests.model.oracle.log import Violation
from tests.model.plans import KINDS, TOPICS
from tests.model.served.crash import adopt
from tests.model.served.doing import take
from tests.model.served.world import Served
from tests.model.steps.base import Step
from tests.model.steps.disturbing import Rest, Restart, Wait
from tests.model.steps.managing import MakeTopic
from tests.support.server import RunningServer

# What a step means there, and how often.
WEIGHTS = {
    "few": 6, "join": 6, "ack": 8, "fail": 4, "leave": 3, "unmake": 1, "change": 2, "letter": 2,
    "make": 1, "stop": 1, "crash": 2, "wait": 1,
}  # fmt: skip
WAIT_MAX_S = 0.3
# Lines of the story that a failure ends with.
STORY_MAX_COUNT = 100


def plan(choose: Choices, count: int, restarts_max_count: int) -> list[Step]:
    """Steps of the kinds that the second form knows. A restart takes as long as a hundred others."""
    weighted = [KINDS[kind][1] for kind, weight in WEIGHTS.items() for _ in range(weight)]
    beginning: list[Step] = [MakeTopic(name) for name in TOPICS[:3]]
    steps = beginning + [choose.of(weighted)(choose) for _ in range(count)]
    restarts = [step for step in steps if isinstance(step, Restart)][restarts_max_count:]
    return [step for step in steps if not any(step is one for one in restarts)]


def run(server: RunningServer, steps: Sequence[Step], *, is_durable: bool) -> None:
    """Take the steps; before each of them model and server agree, but for a crash, which comes at once."""
    world = Served(server, is_durable=is_durable)
    try:
        for step in [*steps, Rest()]:
            if not (isinstance(step, Restart) and step.is_crash):
                world.agree()
            world.story.append(f"{step}")
            _take(world, step)
        world.agree()
        world.bury()
    except Violation as violation:
        violation.add_note("\n".join(world.story[-STORY_MAX_COUNT:]))
        raise
    finally:
        for client in world.clients_there():
            client.close(lost=True)


def _take(world: Served, step: Step) -> None:
    match step:
        case Restart():
            _restart(world, step)
        case Wait():
            time.sleep(min(step.seconds or 0.0, WAIT_MAX_S))
        case Rest():
            world.bury()
        case _:
            take(world, step)


def _restart(world: Served, step: Restart) -> None:
    server = world.server
    if step.is_crash:
        server.kill()
    else:
        server.terminate()
    for client in world.clients_there():
        client.poll()
        # What was answered has come; the rest never will.
        client.expected.clear()
    try:
        world.listen()
    except (Violation, ConnectionRefusedError):
        # Of a topic that a killed server made last nobody can be asked any more.
        if not step.is_crash:
            raise
    for client in world.clients_there():
        client.frames.clear()
        world.gone(client, lost=False)
    server.start()
    if not world.is_durable:
        world.begin_anew()
    elif step.is_crash:
        adopt(world)
    else:
        world.stored()
        world.bury()
        world.state.restart()
