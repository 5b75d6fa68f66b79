"""Messages of another node in this node's own log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from conduit.cluster.apart import copying as module
from conduit.cluster.apart.copying import Copying
from conduit.cluster.hints import Kept, Told
from conduit.core.message import Hinted, Retention
from conduit.errors import InvalidRequest, StoreDataError
from conduit.names import DEFAULT_TENANT as T
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, running_broker

_encode = msgspec.msgpack.Encoder().encode


def told(*ids: str, topic: str = "t", tenant: str = T, kept: Kept | None = None) -> Told:
    """What another node tells of messages with these ids."""
    messages = [Hinted(id_, 1_000, b'{"id":"%b"}' % id_.encode(), "k") for id_ in ids]
    return Told(tenant, topic, "epoch-of-theirs", 7, messages, kept)


class Node:
    """One that hears of what others store."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.wanted = True
        self.copying = Copying(bench.broker, lambda _tenant, _topic: self.wanted)

    @property
    def counts(self) -> tuple[int, int, int, int, int]:
        c = self.copying
        return c.heard_count, c.stored_count, c.unwanted_count, c.repeated_count, c.dropped_count

    async def ids(self, topic: str = "t") -> list[str]:
        """What is in the log."""
        found = self.bench.broker.topics.get(T, topic)
        return [
            m.message_id for m in await self.bench.broker.store.read(found.topic_id, 1, limit=99)
        ]


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with running_broker() as bench:
        made = Node(bench)
        yield made
        made.copying.close()


async def test_what_another_node_has_stored_comes_under_its_id_with_a_number_of_this_log(node):
    _, peer = await node.bench.subscribe("t")
    own = await node.bench.publish("t")
    node.copying.heard(_encode([told("id-1", "id-2")]))
    await node.bench.rest()
    frames = peer.of("message")[1:]
    assert [(each["message_id"], each["seq"], each["key"]) for each in frames] == [
        ("id-1", 2, "k"),
        ("id-2", 3, "k"),
    ]
    assert {each["epoch"] for each in frames} == {own.epoch}
    assert frames[0]["payload"] == {"id": "id-1"}
    assert frames[0]["published_at"] >= own.published_at
    assert node.counts == (2, 2, 0, 0, 0)
    assert not node.copying.coming


async def test_what_comes_again_is_stored_once(node):
    await node.bench.broker.topics.create(T, "t")
    for _ in range(3):
        node.copying.offer(told("id-1"))
    await node.bench.rest()
    node.copying.offer(told("id-1", "id-2"))
    await node.bench.rest()
    assert await node.ids() == ["id-1", "id-2"]
    assert node.counts == (5, 2, 0, 3, 0)


async def test_what_nothing_here_wants_is_not_stored(node):
    await node.bench.broker.topics.create(T, "t")
    node.wanted = False
    node.copying.offer(told("id-1", "id-2"))
    await node.bench.rest()
    assert await node.ids() == []
    assert node.counts == (2, 0, 2, 0, 0)


async def test_a_topic_that_is_not_here_is_made_with_what_the_other_node_keeps(node):
    kept = Kept.of(Retention(None, 5, 1_000))
    node.copying.offer(told("id-1", kept=kept))
    node.copying.offer(told("id-2", kept=kept))
    node.copying.offer(told("id-3", topic="u"))
    await node.bench.until(lambda: node.copying.stored_count == 3)
    assert await node.ids() == ["id-1", "id-2"]
    assert node.bench.broker.topics.get(T, "t").retention == Retention(None, 5, 1_000)
    assert await node.ids("u") == ["id-3"]


async def test_the_order_stays_when_the_topic_is_made_while_messages_come(node):
    numbers = iter(range(1_000))
    node.copying.offer(told(f"id-{next(numbers)}"))
    for _ in range(50):
        # Whenever the topic comes to be there, nothing goes past what waits.
        node.copying.offer(told(f"id-{next(numbers)}"))
        await asyncio.sleep(0)
    await node.bench.rest()
    assert await node.ids() == [f"id-{n}" for n in range(51)]


class FailingStore(MemoryStore):
    """A store that takes nothing when told so."""

    error: Exception | None = None

    async def append(self, batch):
        if self.error is not None:
            raise self.error
        return await super().append(batch)


async def test_what_cannot_be_stored_is_counted_and_may_come_again(caplog):
    store = FailingStore()
    async with running_broker(store) as bench:
        node = Node(bench)
        await bench.broker.topics.create(T, "t")
        store.error = StoreDataError("it is not what it should be")
        node.copying.offer(told("id-1"))
        await bench.until(lambda: node.copying.dropped_count == 1)
        assert not node.copying.coming
        assert "it is not what it should be" in caplog.text
        store.error = None
        node.copying.offer(told("id-1"))
        await bench.until(lambda: node.copying.stored_count == 1)
        assert node.counts == (2, 1, 0, 0, 1)
        node.copying.close()


async def test_what_is_in_a_topic_that_was_deleted_meanwhile_is_dropped(node):
    await node.bench.broker.topics.create(T, "t")
    topic = node.bench.broker.topics.get(T, "t")
    # As when the deletion is stored before the commit begins.
    await node.bench.broker.store.topic_delete(topic.topic_id)
    node.copying.offer(told("id-1"))
    await node.bench.until(lambda: node.copying.dropped_count == 1)
    assert node.counts == (1, 0, 0, 0, 1)


async def test_without_room_for_its_topic_it_is_dropped_and_the_log_says_so_once(caplog):
    async with running_broker(max_topics=1) as bench:
        node = Node(bench)
        await bench.broker.topics.create(T, "t")
        node.copying.offer(told("id-1", topic="u"))
        node.copying.offer(told("id-2", topic="v"))
        await bench.until(lambda: node.copying.dropped_count == 2)
        assert [line for line in caplog.messages if "dropped" in line] == [
            "messages of other nodes are dropped, and subscribers here do not get them: topic 'u' cannot be"
            " made: there are as many topics as there may be: 1 (CONDUIT_MAX_TOPICS)"
        ]
        node.copying.close()


async def test_what_waits_for_its_topic_has_a_bound(node, monkeypatch):
    monkeypatch.setattr(module, "WAITING_MAX_BYTES", 20)
    node.copying.offer(told("id-1"))
    node.copying.offer(told("id-2"))
    await node.bench.until(lambda: node.copying.stored_count == 1)
    assert node.counts == (2, 1, 0, 0, 1)
    node.copying.offer(told("id-2"))
    await node.bench.until(lambda: node.copying.stored_count == 2)


async def test_a_hint_that_cannot_be_read_is_told_once(node, caplog):
    node.copying.heard(b"\xc1")
    node.copying.heard(b"\xc1")
    assert len([line for line in caplog.messages if "cannot be read" in line]) == 1


async def test_a_message_has_to_come_whole(node):
    with pytest.raises(InvalidRequest, match="share no log"):
        await node.copying.look(T, "t")


async def test_when_the_broker_ends_what_comes_is_dropped(node):
    await node.bench.broker.topics.create(T, "t")
    await node.bench.broker.finish()
    node.copying.offer(told("id-1"))
    assert node.counts == (1, 0, 0, 0, 1)
