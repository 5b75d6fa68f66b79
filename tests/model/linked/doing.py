"""The steps that are another thing where there are two nodes; all others are taken as beside one server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from conduit.core.message import NewMessage
from tests.model.linked import asking
from tests.model.linked.nodes import Life, Node
from tests.model.linked.steps import At, Begin, Cut, Kill, Stand, Stop
from tests.model.linked.world import STAND_S, Linked
from tests.model.oracle.log import Topic, Violation
from tests.model.served import doing
from tests.model.steps.base import Step
from tests.model.steps.consuming import Join, Leave, Settle
from tests.model.steps.disturbing import Wait
from tests.model.steps.managing import Change, DeleteTopic, MakeTopic
from tests.model.steps.publishing import Publish
from tests.support.http import Answer

# Steps that are taken while something goes on, before the nodes are left alone to settle.
UNREST_STEPS_COUNT = 8
# Between the first of these, while a lease runs out.
UNREST_PAUSE_S = 1.1
UNREST_PAUSES_COUNT = 3
WAIT_MAX_S = 0.3
ANOTHER_PAYLOAD_COUNT = 4


def take(world: Linked, step: Step) -> None:
    """Do it, and tell the model."""
    world.tick()
    own = DOING.get(type(step))
    if own is not None:
        own(world, step)
    else:
        doing.take(world, step)


def is_for_calm(world: Linked, step: Step) -> bool:
    """Whether the step can be judged only when nothing goes on."""
    if isinstance(step, At):
        return is_for_calm(world, step.step)
    if isinstance(step, Change):
        return step.how not in asking.HOWS
    if isinstance(step, Join):
        return step.name is not None and step.name not in world.state.durable
    return not isinstance(step, Publish | Leave | Settle | MakeTopic | Wait)


def _at(world: Linked, step: At) -> None:
    world.go_to(step.node)
    take(world, step.step)
    if step.is_told and world.unrest is None:
        _tell(world, step.step)


def _tell(world: Linked, step: Step) -> None:
    if isinstance(step, MakeTopic):
        world.tell_other(world.topic_path(step.name), 200)
    elif isinstance(step, Change):
        is_there = step.name in world.state.durable
        world.tell_other(f"subscriptions/{step.name}", 200 if is_there else 404)


# Topics and messages ----------------------------------------------------------------------------------


def _delete_topic(world: Linked, step: DeleteTopic) -> None:
    topic = world.topic(step.name)
    if topic is not None:
        world.leaving = topic.epoch
    doing.take(world, step)
    if topic is not None:
        # What a client of the other node settles of it meanwhile is answered in either way.
        world.tell_other(world.topic_path(step.name), 404)


def _publish(world: Linked, step: Publish) -> None:
    if step.key is None and step.is_batch and len(world.pair.up) == len(world.pair.nodes):
        for name in step.topics:
            _publish_at_both(world, name, min(step.count, doing.BATCH_MAX_COUNT))
    elif step.key is None:
        doing.take(world, step)
    else:
        for name in step.topics:
            for _ in range(min(step.count, 2)):
                _publish_keyed(world, step, name)
                # The same again, at the other one.
                world.go_to(world.node.number + 1)
    for topic in world.state.log.by_id.values():
        world.knowledge.published(topic, topic.last_seq)


def _publish_at_both(world: Linked, name: str, count: int) -> None:
    """At the same time: so many at each, one after the other."""
    topic = world.topic(name)
    if topic is None:
        world.ask(lambda: world.api.post("/api/publish", {"topic": name, "payload": 1}), 404)
        return
    payloads = [[world.next_payload() for _ in range(count)] for _ in world.pair.nodes]

    def publish(node: Node) -> list[tuple[str, Answer]]:
        return [
            (text, node.api.post("/api/publish", {"topic": name, "payload": text}))
            for text in payloads[node.number]
        ]

    with ThreadPoolExecutor(len(payloads)) as pool:
        answers = [each for some in pool.map(publish, world.pair.nodes) for each in some]
    for _, answer in answers:
        if answer.status != 200 or answer.json["epoch"] != topic.epoch:
            raise Violation(f"a publish to {name} was answered {answer}")
    for text, answer in sorted(answers, key=lambda each: each[1].json["seq"]):
        message = NewMessage(topic.topic_id, answer.json["message_id"], json.dumps(text).encode())
        world.ears.did_append([message], [answer.json["seq"]])
        world.ears.heard_append([message], [answer.json["seq"]])


def _publish_keyed(world: Linked, step: Publish, name: str) -> None:
    payload = f"under {step.key}" + ("!" if step.count == ANOTHER_PAYLOAD_COUNT else "")
    topic = world.topic(name)
    body = {"topic": name, "payload": payload, "idempotency_key": step.key}
    answer = world.ask(lambda: world.api.post("/api/publish", body), 200, 404, 409)
    expected = _expected(world, topic, step.key or "", json.dumps(payload).encode())
    if answer.status != expected:
        raise Violation(f"{body} was answered {answer}, and not {expected}")
    if topic is not None and answer.status == 200:
        _published(world, topic, body, answer)


def _expected(world: Linked, topic: Topic | None, key: str, payload: bytes) -> int:
    if topic is None:
        return 404
    known = world.state.log.keys.get((topic.topic_id, key))
    is_same = known is None or topic.messages[known.seq - 1].payload == payload
    return 200 if is_same else 409


def _published(world: Linked, topic: Topic, body: dict[str, Any], answer: Answer) -> None:
    receipt, key = answer.json, body["idempotency_key"]
    known = world.state.log.keys.get((topic.topic_id, key))
    told = (receipt["message_id"], receipt["seq"], receipt["duplicate"], receipt["epoch"])
    if known is not None:
        if told != (known.message_id, known.seq, True, topic.epoch):
            raise Violation(f"{body} was answered {receipt}, and is {known}")
        return
    if told[2:] != (False, topic.epoch):
        raise Violation(f"{body} was answered {receipt}, and the key was not used before")
    payload = json.dumps(body["payload"]).encode()
    batch = [NewMessage(topic.topic_id, told[0], payload, idempotency_key=key)]
    world.ears.did_append(batch, [receipt["seq"]])
    world.ears.heard_append(batch, [receipt["seq"]])


# Clients ----------------------------------------------------------------------------------------------


def _join(world: Linked, step: Join) -> None:
    if world.is_heard(world.slots[step.slot]):
        doing.take(world, step)


def _change(world: Linked, step: Change) -> None:
    if world.is_concerned(step.name) and step.name in world.state.durable:
        asking.change(world, step)
        return
    doing.take(world, step)
    if step.how in ("seek", "delete"):
        world.was_changed(step.name)


def _leave(world: Linked, step: Leave) -> None:
    client = world.client(step.slot)
    if client is None or (step.only is not None and not world.is_heard(client)):
        return
    names = {holder.subscription.name for holder in world.state.holders[client]}
    if any(world.is_concerned(name) for name in names):
        # What is lost then is not known.
        step = replace(step, is_lost=False)
    doing.take(world, step)


def _wait(world: Linked, step: Wait) -> None:
    if world.unrest is not None:
        asking.look(world)
    time.sleep(min(step.seconds or 0.0, WAIT_MAX_S))


def _settle(world: Linked, step: Settle) -> None:
    client = world.client(step.slot)
    unrest = world.unrest
    if client is None:
        return
    if step.how == "extend":
        # Nothing expires while a run lasts.
        step = replace(step, ms=None)
    if step.is_late:
        # An owner that has not handed it out itself asks the log, and does what is meant a moment later.
        step = replace(step, count=1)
    if len(world.state.holders[client]) > 1:
        step = replace(step, is_named=True)
        frame = step.frame_for(world, client)
        if frame is None or frame.subscription is None:
            return
    held = [] if unrest is None else unrest.held(client)
    if unrest is None or not held:
        if unrest is None or not any(
            world.is_concerned(holder.subscription.name) for holder in world.state.holders[client]
        ):
            doing.take(world, step)
        return
    at = step.which % len(held)
    places = [each for each in held[at : at + max(1, step.count)] if each[0] == held[at][0]]
    how = "ack" if step.how == "through" else step.how
    places = places if how == "ack" else places[:1]
    frame = replace(step, how=how, is_named=True)._frame(places)
    if step.has_ref:
        frame.ref = client.next_ref()
        client.expected[frame.ref] = "whatever it is"
    unrest.asks(frame, places)
    client.send(frame)


# Nodes ------------------------------------------------------------------------------------------------


def _kill(world: Linked, step: Kill) -> None:
    node = world.pair.nodes[step.node]
    if len(world.pair.up) < len(world.pair.nodes):
        return
    owned = {name for name in world.state.durable if world.pair.owner(name) is node}
    away = {name for name in world.state.durable if world.has_away(name, node)}
    world.take_frames()
    node.kill()
    world.begin_unrest(owned | away, owned, is_killed=True)
    world.knowledge.forget(node.number)
    world.drop(node)
    world.go_to(node.number)


def _stop(world: Linked, step: Stop) -> None:
    node = world.pair.nodes[step.node]
    if len(world.pair.up) < len(world.pair.nodes):
        return
    owned = {name for name in world.state.durable if world.pair.owner(name) is node}
    away = {name for name in world.state.durable if world.has_away(name, node)}
    world.begin_unrest(owned | away)
    world.knowledge.forget(node.number)
    node.stop()
    world.go_to(node.number)


def _begin(world: Linked, step: Begin) -> None:
    for node in world.pair.nodes:
        if node.life is Life.DOWN:
            world.begin_coming(node)


def _stand(world: Linked, step: Stand) -> None:
    node = world.pair.nodes[step.node]
    if len(world.pair.up) < len(world.pair.nodes):
        return
    owned = {name for name in world.state.durable if world.pair.owner(name) is node}
    away = {name for name in world.state.durable if world.has_away(name, node)}
    world.begin_unrest(owned | away, owned)
    node.stand()
    world.stands_until = time.monotonic() + STAND_S
    world.go_to(node.number)


def _cut(world: Linked, step: Cut) -> None:
    if len(world.pair.up) < len(world.pair.nodes):
        return
    away = {
        name
        for name in world.state.durable
        if world.has_away(name, world.pair.other(world.pair.owner(name)))
    }
    world.begin_unrest(away)
    world.pair.cut()


DOING: dict[type, Callable[[Linked, Any], None]] = {
    At: _at,
    DeleteTopic: _delete_topic,
    Publish: _publish,
    Join: _join,
    Change: _change,
    Leave: _leave,
    Settle: _settle,
    Wait: _wait,
    Kill: _kill,
    Stop: _stop,
    Begin: _begin,
    Stand: _stand,
    Cut: _cut,
}
