"""Messages go in: through the broker, or behind its back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from uuid_utils import uuid7

from conduit.broker.publish.receipt import Receipt
from conduit.core.message import NewMessage
from conduit.errors import ConduitError
from conduit.protocol.frames import PublishRequest
from tests.model.oracle.log import Violation
from tests.model.steps.base import AWAY, STOPPING, Step

if TYPE_CHECKING:
    from tests.model.world import World


# Of the server's own limit, which another test is about.
BATCH_MAX_COUNT = 1_000


@dataclass(frozen=True, repr=False)
class Publish(Step):
    """So many messages to each of these topics: one after the other, or as one batch. `size` in bytes. Under
    a key it is one payload mostly, and another one with a count of 4."""

    topics: Sequence[str]
    count: int = 1
    size: int = 0
    key: str | None = None
    is_batch: bool = False

    async def take(self, world: World) -> None:
        requests = [
            PublishRequest(topic, self._payload(world), idempotency_key=self.key)
            for topic in self.topics
            for _ in range(self.count)
        ]
        sent = Sent(world, self.topics, self.key, bytes(requests[0].payload))
        if not self.is_batch:
            for request in requests:
                world.publishers.waiting_count += 1
                world.broker.publish(world.tenant, request, sent.answered)
            return
        for start in range(0, len(requests), BATCH_MAX_COUNT):
            batch = requests[start : start + BATCH_MAX_COUNT]
            world.publishers.waiting_count += 1
            world.broker.publish_batch(world.tenant, batch, sent.answered)

    def _payload(self, world: World) -> msgspec.Raw:
        if self.key is None:
            return _payload(world, self.size)
        payload = b'"under %b%b"' % (self.key.encode(), b"!" if self.count == 4 else b"")
        for topic in self.topics:
            world.publishers.keyed(topic, self.key, payload)
        return msgspec.Raw(payload)


class Sent:
    """Publishes on their way: whatever comes of them is told to the model."""

    def __init__(
        self, world: World, topics: Sequence[str], key: str | None, payload: bytes
    ) -> None:
        self._world = world
        found = [world.state.topic_called(name) for name in topics]
        self._topics = [topic if topic is not None and topic.is_known else None for topic in found]
        self._names = topics
        self._key = key
        self._payload = payload
        self._taken_count = world.port.faults.taken_count
        self._was_away = world.port.faults.any

    def answered(self, result: list[Receipt] | Receipt | ConduitError) -> None:
        """One of them has its answer."""
        world = self._world
        world.publishers.waiting_count -= 1
        try:
            if isinstance(result, ConduitError):
                self._check_refusal(result)
                return
            for receipt in [result] if isinstance(result, Receipt) else result:
                world.publishers.answered(receipt, self._key, self._payload)
        except Violation as violation:
            world.violated(violation)

    def _check_refusal(self, error: ConduitError) -> None:
        world = self._world
        is_there = all(
            topic is not None and not topic.going and topic.topic_id in world.state.log.by_id
            for topic in self._topics
        )
        faults = world.port.faults
        is_away = self._was_away or faults.taken_count > self._taken_count or faults.any
        if error.code == "topic_not_found" and not is_there:
            return
        if error.code in AWAY and is_away:
            return
        if error.code == "idempotency_conflict" and self._key is not None:
            for name in self._names:
                if world.publishers.had_another(name, self._key, self._payload):
                    return
        if error.code == "overloaded" and faults.taken_count:
            # A store that was slow has to be quick for some commits before that is believed.
            return
        if error.code in STOPPING and world.is_stopping:
            return
        raise Violation(f"a publish was refused: {error.code}: {error}")


@dataclass(frozen=True, repr=False)
class OtherNode(Step):
    """Another node publishes: the log grows, and this broker does not hear of it."""

    topic: str
    count: int = 1

    async def take(self, world: World) -> None:
        topic = world.state.log.by_name.get(self.topic)
        if topic is None or topic.going or not world.state.log.is_plain:
            # What nodes stamp whose clocks are set each on its own is not promised.
            return
        # Nodes do not pass each other's stamps below as long as their clocks are right.
        last_ms = topic.messages[-1].at_ms if topic.messages else 0
        await world.port.other_node_appends(
            [
                NewMessage(
                    topic.topic_id,
                    str(uuid7()),
                    bytes(_payload(world, 0)),
                    published_at_ms=max(last_ms, world.wall_ms()),
                )
                for _ in range(self.count)
            ]
        )


@dataclass(frozen=True, repr=False)
class OtherTopic(Step):
    """Another node makes a topic and publishes to it: this broker does not hear of either."""

    topic: str
    count: int = 1

    async def take(self, world: World) -> None:
        if self.topic not in world.state.log.by_name:
            now_ms = int(world.state.now * 1000)
            await world.port.other_node_makes(world.tenant, self.topic, now_ms)
            await OtherNode(self.topic, self.count).take(world)


def _payload(world: World, size: int) -> msgspec.Raw:
    world.published_count += 1
    return msgspec.Raw(b'"%d%b"' % (world.published_count, b"x" * size))
