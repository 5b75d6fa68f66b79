"""The steps, taken over sockets and REST. A step that has no meaning there does nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from conduit.core.message import NewMessage
from conduit.protocol.frames import Ack, Extend, Nack, Reject, Subscribe
from tests.model.oracle.line import Line
from tests.model.oracle.log import Violation
from tests.model.served.crash import learn_losses
from tests.model.served.world import Served
from tests.model.steps.base import Step
from tests.model.steps.consuming import Join, Leave, Settle
from tests.model.steps.consuming import Start as StartStep
from tests.model.steps.managing import (
    SEEK_BACK_MAX_COUNT,
    Change,
    DeleteTopic,
    Letter,
    MakeTopic,
    redrivable,
)
from tests.model.steps.publishing import Publish

# Nothing expires while a run lasts: when it would is for the other form to compare.
WAIT_MS = 600_000
BATCH_MAX_COUNT = 100


class Place(NamedTuple):
    """Where a dead letter is from."""

    subscription: str
    topic: str
    topic_id: int
    seq: int
    is_lost: bool = False


def take(world: Served, step: Step) -> None:
    """Do it, and tell the model."""
    doing = DOING.get(type(step))
    if doing is not None:
        world.tick()
        doing(world, step)


# Topics and messages ----------------------------------------------------------------------------------


def _make_topic(world: Served, step: MakeTopic) -> None:
    was_there = world.topic(step.name) is not None
    answer = world.ask(lambda: world.api.post("/api/topics", {"name": step.name}), 201, 409)
    if (answer.status == 409) != was_there:
        raise Violation(f"{step.name} was there: {was_there}, and making it was answered {answer}")
    if not was_there:
        world.made(answer.json)


def _delete_topic(world: Served, step: DeleteTopic) -> None:
    topic = world.topic(step.name)
    if topic is None:
        return
    world.bury()
    world.ask(lambda: world.api.delete(f"/api/topics/{step.name}"), 200, 204)
    for client in world.clients_there():
        named = [
            holder
            for holder in world.state.holders[client]
            if holder.subscription.pattern == step.name
        ]
        for holder in named:
            world.state.remove_holder(holder, lost=False)
        client.is_sent_away |= bool(named)
    world.ears.did_topic_delete(topic.topic_id)
    world.ears.heard_topic_delete(topic.topic_id)
    world.until(lambda: not any(client.is_sent_away for client in world.clients_there()))


def _publish(world: Served, step: Publish) -> None:
    for name in step.topics:
        payloads = [world.next_payload() for _ in range(min(step.count, BATCH_MAX_COUNT))]
        topic = world.topic(name)
        messages = [{"topic": name, "payload": payload} for payload in payloads]
        answer = world.ask(
            lambda messages=messages: world.api.post("/api/publish/batch", {"messages": messages}),
            200 if topic is not None else 404,
        )
        if topic is None:
            continue
        receipts = answer.json["results"]
        batch = [
            NewMessage(topic.topic_id, receipt["message_id"], json.dumps(payload).encode())
            for receipt, payload in zip(receipts, payloads, strict=True)
        ]
        seqs = [receipt["seq"] for receipt in receipts]
        if {receipt["epoch"] for receipt in receipts} != {topic.epoch}:
            raise Violation(f"{name} has {topic.epoch}, and receipts say {receipts[0]}")
        world.ears.did_append(batch, seqs)
        world.ears.heard_append(batch, seqs)


# Clients ----------------------------------------------------------------------------------------------


def _join(world: Served, step: Join) -> None:
    client = world.slots[step.slot]
    if client is None:
        client = world.connect(step.slot)
    names = [holder.subscription.name for holder in world.state.holders[client]]
    if step.name in names:
        return
    frame = _subscribe_frame(world, step)
    frame.ref, frame.prefetch = client.next_ref(), step.prefetch
    client.asked = frame
    client.send(frame)
    world.until(lambda: client.asked is None or client.is_gone)


def _subscribe_frame(world: Served, step: Join) -> Any:
    known = world.state.durable.get(step.name) if step.name is not None else None
    if known is not None:
        return Subscribe(known.pattern, step.name)
    start = step.start
    if isinstance(start, StartStep):
        # By time: the server's clock is not ours.
        is_fit = start.seconds_ago is None and not (step.name and start.is_impossible)
        start = start.spec(world, step.topic) if is_fit else None
    frame = step.settings.frame(step.topic, step.name, start)
    frame.ack_wait_ms = WAIT_MS
    return frame


def _leave(world: Served, step: Leave) -> None:
    client = world.client(step.slot)
    if client is None:
        return
    holders = world.state.holders[client]
    if step.only is None:
        if step.is_lost:
            client.close(lost=True)
            learn_losses(world, client)
        world.gone(client, lost=step.is_lost)
    elif holders:
        subscription = holders[step.only % len(holders)].subscription
        client.unsubscribe(subscription.pattern, subscription.name)
        count = len(holders)
        world.until(lambda: len(world.state.holders[client]) < count)


def _settle(world: Served, step: Settle) -> None:
    client = world.client(step.slot)
    if client is None:
        return
    frame = step.frame_for(world, client)
    if frame is None:
        return
    predict = {
        Ack: world.clients.ack,
        Nack: world.clients.nack,
        Reject: world.clients.reject,
        Extend: world.clients.extend,
    }[type(frame)]
    outcome = predict(client, frame)
    if step.has_ref:
        frame.ref = client.next_ref()
        client.expected[frame.ref] = outcome
    client.send(frame)
    if step.has_ref and frame.subscription is not None:
        # What is confirmed of a durable one is stored, and all that was before it.
        world.confirmed(client, frame.subscription)


# Operators --------------------------------------------------------------------------------------------


def _change(world: Served, step: Change) -> None:
    known = world.state.durable.get(step.name)
    if known is None:
        return
    path, number = f"/api/subscriptions/{quote(step.name)}", known.subscription_id
    match step.how:
        case "pause" | "resume":
            world.ask(lambda: world.api.post(f"{path}/{step.how}"), 200)
            args = (number, known.settings, step.how == "pause")
            world.ears.did_subscription_update(*args)
            world.ears.heard_subscription_update(*args)
        case "update":
            changes = {key: value for key, value in step.changes if key != "ack_wait_ms"}
            if changes:
                _update(world, path, changes, step.name)
        case "delete":
            world.bury()
            world.ask(lambda: world.api.delete(path), 200, 204)
            world.ears.did_subscription_delete(number)
            world.ears.heard_subscription_delete(number)
        case "seek":
            _seek(world, step, path)


def _update(world: Served, path: str, changes: dict[str, int], name: str) -> None:
    known = world.state.durable[name]
    world.ask(lambda: world.api.patch(path, changes), 200)
    settings = msgspec.structs.replace(known.settings, **changes)
    world.ears.did_subscription_update(known.subscription_id, settings, known.paused)
    world.ears.heard_subscription_update(known.subscription_id, settings, known.paused)


def _seek(world: Served, step: Change, path: str) -> None:
    known = world.state.durable[step.name]
    lines = list(known.lines.values())
    world.agree()
    seq = None
    if lines and step.back < SEEK_BACK_MAX_COUNT:
        seq = max(1, lines[0].topic.last_known + 1 - step.back)
    start: object = "earliest" if seq is None else {"seq": seq}
    world.ask(lambda: world.api.post(f"{path}/seek", {"start": start}), 200)
    # What had died by then is a letter, whatever becomes of the server.
    world.bury()
    floors = floors_of(lines, seq)
    world.ears.did_seek(known.subscription_id, floors)
    world.ears.heard_seek(known.subscription_id, floors)


def floors_of(lines: Sequence[Line], seq: int | None) -> list[tuple[int, int]]:
    """Where each of them is after a seek to this number; None: to the earliest."""
    floor = max((seq or 1) - 1, 0)
    return [(line.topic.topic_id, min(floor, line.topic.last_seq)) for line in lines]


def _letter(world: Served, step: Letter) -> None:
    world.agree()
    world.bury()
    letters = sorted(world.letters().items(), key=lambda each: each[0])
    if not letters:
        return
    (name, topic_id, seq), letter = letters[step.which % len(letters)]
    if not name:
        # Of these several may be of one place. One that is redriven would be published anew, to everybody.
        return
    if step.is_discarded:
        world.ask(lambda: world.api.delete(f"/api/dlq/{letter['id']}"), 200, 204)
        del world.state.letters[name, topic_id, seq]
        return
    expected, line = redrivable(world, Place(name, letter["topic"], topic_id, seq))
    if line is not None and expected is None:
        line.maybe.add(seq)
    statuses = {None: 200, "conflict": 409, "letter_topic_gone": 409, "payload_lost": 409}
    world.ask(
        lambda: world.api.post(f"/api/dlq/{letter['id']}/redrive"), statuses.get(expected, 404)
    )
    world.listen()
    if line is not None and seq in line.maybe:
        line.redrive(seq, world.state.now)


DOING: dict[type, Callable[[Served, Any], None]] = {
    MakeTopic: _make_topic,
    DeleteTopic: _delete_topic,
    Publish: _publish,
    Join: _join,
    Leave: _leave,
    Settle: _settle,
    Change: _change,
    Letter: _letter,
}
