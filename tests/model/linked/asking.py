"""What is asked of a subscription over HTTP while its owner may be out of reach."""

from __future__ import annotations

import time
from urllib.parse import quote

from tests.model.linked.world import Linked
from tests.model.oracle.log import Violation
from tests.model.served import doing
from tests.model.steps.managing import SEEK_BACK_MAX_COUNT, Change
from tests.support.http import Answer

HOWS = ("pause", "resume", "seek")
AGAIN_S = 0.1


def look(world: Linked) -> None:
    """Everybody who is asked shows every subscription: at most what was stored last."""
    for name in world.state.durable:
        view = world.api.subscription(name)
        for each in view["topics"]:
            topic = world.topic(each["topic"])
            line = None if topic is None else world.state.durable[name].lines.get(topic.topic_id)
            if world.unrest is None or line is None:
                continue
            least = world.unrest.floor(name, line)
            if least is not None and not least <= each["floor"] <= line.topic.last_seq:
                raise Violation(f"{name}, {line} is shown after {each['floor']}, was after {least}")


def change(world: Linked, step: Change) -> None:
    """Pause, resume or move one that is in unrest."""
    name, unrest = step.name, world.unrest
    known = world.state.durable[name]
    assert unrest is not None
    path = f"/api/subscriptions/{quote(name)}"
    if step.how == "seek":
        _seek(world, step, path)
        return
    answer = _asked(world, f"{path}/{step.how}", None)
    if answer.status != 200:
        raise Violation(f"{name} could not be changed in unrest: {answer}")
    unrest.unpaused.add(name)
    args = (known.subscription_id, known.settings, step.how == "pause")
    world.ears.did_subscription_update(*args)
    world.ears.heard_subscription_update(*args)


def _seek(world: Linked, step: Change, path: str) -> None:
    known, unrest = world.state.durable[step.name], world.unrest
    lines = list(known.lines.values())
    seq = None
    if lines and step.back < SEEK_BACK_MAX_COUNT:
        seq = max(1, lines[0].topic.last_known + 1 - step.back)
    start = {"start": "earliest" if seq is None else {"seq": seq}}
    answer = _asked(world, f"{path}/seek", start)
    if answer.status == 503 and answer.code == "unavailable":
        # It was not done, and is not going to be.
        world.story.append("  refused, for nobody was there to do it")
        return
    if answer.status != 200:
        raise Violation(f"{step.name} could not be moved in unrest: {answer}")
    floors = doing.floors_of(lines, seq)
    assert unrest is not None
    unrest.forget_deaths(step.name)
    world.ears.did_seek(known.subscription_id, floors)
    world.ears.heard_seek(known.subscription_id, floors)
    world.was_changed(step.name)
    unrest.was_moved(step.name)


def _asked(world: Linked, path: str, body: object) -> Answer:
    """The answer; asked again as long as whether it was done is not known."""
    deadline = time.monotonic() + world.agree_within_s
    while True:
        answer = world.api.post(path, body)
        world.story.append(f"  {answer.status} {answer.body[:120]!r}")
        is_known = answer.status != 503 or answer.code == "unavailable"
        if is_known or time.monotonic() > deadline:
            return answer
        world.listen()
        time.sleep(AGAIN_S)
