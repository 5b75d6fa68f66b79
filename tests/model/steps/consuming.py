"""What clients do: come, settle what they got, stop draining, go."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from conduit.core.topics import matches
from conduit.names import is_pattern
from conduit.protocol.codec import format_time
from conduit.protocol.frames import (
    Ack,
    Extend,
    Nack,
    Reject,
    StartAt,
    StartPosition,
    StartSpec,
    Subscribe,
)
from tests.model.oracle.log import Topic
from tests.model.peer import Client, Verb
from tests.model.steps.base import Plain, Step, asked, asked_to_make

if TYPE_CHECKING:
    from tests.model.world import World


@dataclass(frozen=True, repr=False)
class Start(Plain):
    """Where a stream begins: at a number so far back from the end, or that is not the topic's, or a time."""

    back: int | None = None
    is_of_another_epoch: bool = False
    seconds_ago: float | None = None

    @property
    def is_impossible(self) -> bool:
        """Whether the answer is a gap at once."""
        return self.is_of_another_epoch or (self.back or 0) < 0

    def spec(self, world: World, pattern: str) -> StartAt | None:
        """As a client says it, or None if there is nothing to say."""
        if self.seconds_ago is not None:
            return StartAt(time=format_time(world.wall_ms() - int(self.seconds_ago * 1000)))
        topics = [each for each in world.state.log.by_name.values() if matches(pattern, each.name)]
        positions = {topic.name: self._position(topic) for topic in topics}
        if is_pattern(pattern):
            return StartAt(positions=positions) if positions else None
        at = positions.get(pattern)
        return None if at is None else StartAt(seq=at.seq, epoch=at.epoch)

    def _position(self, topic: Topic) -> StartPosition:
        epoch = "another" if self.is_of_another_epoch else topic.epoch
        return StartPosition(max(1, topic.last_known + 1 - (self.back or 0)), epoch)


@dataclass(frozen=True, repr=False)
class Settings(Plain):
    """Of a subscription. `lost`: `max_lost`, with 0 for the default."""

    window: int = 256
    wait_ms: int = 1000
    attempts: int = 5
    is_strict: bool = False
    is_auto: bool = False
    lost: int = 0

    def frame(self, topic: str, name: str | None, start: StartSpec | None) -> Subscribe:
        """The frame that creates it."""
        frame = Subscribe(
            topic,
            name,
            start,
            ack="auto" if self.is_auto else "explicit",
            order="strict" if self.is_strict else "publish",
            max_in_flight=self.window,
            ack_wait_ms=self.wait_ms,
            max_attempts=self.attempts,
        )
        if self.lost:
            frame.max_lost = self.lost
        return frame


@dataclass(frozen=True, repr=False)
class Join(Step):
    """The client in the slot subscribes; it connects if it is not there."""

    slot: int
    topic: str
    name: str | None = None
    start: str | Start | None = None
    settings: Settings = Settings()
    is_worker: bool = False
    budget: int | None = None
    create: bool = True
    prefetch: int | None = None

    async def take(self, world: World) -> None:
        client = world.slots[self.slot]
        if client is None:
            client = world.slots[self.slot] = Client(world, self.slot)
        if client.is_busy:
            return
        frame = self._frame(world)
        names = [holder.subscription.name for holder in world.state.holders[client]]
        if frame is None or self.name in names:
            return
        client.is_worker, client.budget = self.is_worker, self.budget
        client.is_busy = True
        frame.create, frame.prefetch = self.create, self.prefetch
        if self.create:
            world.state.may_make |= {frame.topic, self.name or ""}
        world.begin(_subscribe(world, client, frame))

    def _frame(self, world: World) -> Subscribe | None:
        known = world.state.durable.get(self.name) if self.name is not None else None
        if known is not None:
            is_there = known.is_known and not known.going
            return Subscribe(known.pattern, self.name) if is_there else None
        start = self.start
        if start == "earliest" and world.port.faults.any and self.name is None:
            start = None
        if isinstance(start, Start):
            # What these mean is asked of the store: the model knows the answer if it is given at once.
            if world.port.faults.any or (self.name and start.is_impossible):
                start = None
            elif start.seconds_ago is not None and not world.state.log.is_plain:
                # More may come then.
                start = None
            else:
                start = start.spec(world, self.topic)
        return self.settings.frame(self.topic, self.name, start)


async def _subscribe(world: World, client: Client, frame: Subscribe) -> None:
    # Two may create it at once, with settings of their own, if the store keeps the first one waiting.
    allowed = {"subscription_conflict"} if world.port.faults.any else set()
    if not frame.create:
        # Its topic is gone, or on its way, or the subscription is.
        allowed |= {"topic_not_found", "subscription_not_found"}
    call = partial(client.subscribe, frame)
    if frame.create:
        await asked_to_make(world, frame.topic, call, allowed)
    else:
        await asked(world, call, allowed)


@dataclass(frozen=True, repr=False)
class Leave(Step):
    """The client leaves one of its subscriptions, or its connection ends."""

    slot: int
    is_lost: bool = False
    only: int | None = None

    async def take(self, world: World) -> None:
        client = world.client(self.slot)
        if client is None:
            return
        if self.only is None:
            world.leave(client, self.is_lost)
        elif not client.is_busy and (holders := world.state.holders[client]):
            client.unsubscribe(self.only % len(holders))


@dataclass(frozen=True, repr=False)
class Return(Step):
    """The client's connection is lost or ends, and it comes back at once to what it had that is durable."""

    slot: int
    is_lost: bool = True

    async def take(self, world: World) -> None:
        client = world.client(self.slot)
        if client is None or client.is_busy:
            return
        held = [holder.subscription for holder in world.state.holders[client]]
        world.leave(client, self.is_lost)
        for subscription in held:
            if subscription.name is not None:
                # One per connection: a `subscribe` that waits holds up the next one.
                # As our client does: what was deleted stays deleted.
                name, pattern = subscription.name, subscription.pattern
                await Join(client.slot, pattern, name, create=False).take(world)
                return


@dataclass(frozen=True, repr=False)
class Drain(Step):
    """The client's socket drains again or no longer; with a `budget`, until so many frames are written."""

    slot: int
    is_draining: bool
    budget: int | None = None

    async def take(self, world: World) -> None:
        client = world.client(self.slot)
        if client is not None:
            client.budget = self.budget if self.is_draining else None
            client.drain(self.is_draining)


@dataclass(frozen=True, repr=False)
class Settle(Step):
    """The client settles something of what it holds, or held once (`is_late`).

    With `has_attempt` it says which attempt it had when it was given the message.
    `how`: `ack`, `nack`, `reject`, `extend`, or `through`, which is a cumulative ack. `count` is for acks:
    one frame with a list.
    """

    slot: int
    how: str
    which: int = 0
    count: int = 1
    ms: int | None = None
    is_late: bool = False
    is_named: bool = False
    has_ref: bool = True
    has_attempt: bool = False

    async def take(self, world: World) -> None:
        client = world.client(self.slot)
        if client is None or client.is_busy:
            return
        frame = self.frame_for(world, client)
        if frame is not None:
            client.settle(frame, with_ref=self.has_ref)

    def frame_for(self, world: World, client: Client) -> Verb | None:
        """What the client sends, or None if there is nothing that it could mean."""
        held = _late(world, client) if self.is_late else _held(world, client)
        if not held:
            return None
        at = self.which % len(held)
        if self.how == "through" and not _is_clear(world, client, held[at][1]):
            return None
        frame = self._frame(held[at : at + max(1, self.count)])
        if self.has_attempt and (isinstance(frame, Nack | Reject | Extend) or frame.message_id):
            frame.attempt = client.attempt_of(held[at])
        return frame

    def _frame(self, held: list[tuple[str | None, Topic, int]]) -> Verb:
        name, topic, seq = held[0]
        ids = [topic.messages[seq - 1].message_id for _, topic, seq in held]
        subscription = name if self.is_named else None
        match self.how:
            case "through":
                return Ack(topic=topic.name, seq=seq, subscription=subscription)
            case "nack":
                return Nack(ids[0], subscription, delay_ms=self.ms)
            case "reject":
                return Reject(ids[0], subscription)
            case "extend":
                return Extend(ids[0], subscription, ms=self.ms or None)
        if len(ids) > 1:
            return Ack(message_ids=ids, subscription=subscription)
        return Ack(message_id=ids[0], subscription=subscription)


def _is_clear(world: World, client: Client, topic: Topic) -> bool:
    """Whether only one of its subscriptions can be meant by a cumulative ack, and it is one with acks."""
    meant = [
        holder.subscription.rules.is_auto
        for holder in world.state.holders[client]
        if topic.topic_id in holder.subscription.lines
    ]
    return meant == [False]


def _held(world: World, client: Client) -> list[tuple[str | None, Topic, int]]:
    """What the client has out: subscription, topic, number."""
    return [
        (holder.subscription.name, line.topic, seq)
        for holder in world.state.holders[client]
        for line in holder.subscription.lines.values()
        for seq in line.out
        if line.open[seq].holder is holder and world.state.is_certain(client, line.topic, seq)
    ]


def _late(world: World, client: Client) -> list[tuple[str | None, Topic, int]]:
    """What the client had at some time."""
    places = [
        (frame.subscription, *world.state.log.places[frame.message_id]) for frame in client.received
    ]
    found = [place for place in places if world.state.is_certain(client, place[1], place[2])]
    return list(dict.fromkeys(found))
