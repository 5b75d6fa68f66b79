"""Messages that other nodes have committed, told in any order, twice, or not at all."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import pytest

from conduit.broker.catalog import Topic
from conduit.broker.deliver import sequencer
from conduit.core.message import NewMessage, Retention
from conduit.core.sequencing import HELD_MAX_COUNT
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack
from conduit.storage.base import Rule
from tests.broker.kit import Bench, running_broker
from tests.broker.stores import AwayStore
from tests.storage import given


class Node(NamedTuple):
    """A node, the topic `t` as it knows it, and the log, to which others write too."""

    bench: Bench
    topic: Topic
    store: AwayStore

    async def others_store(self, count: int) -> tuple[Sequence[NewMessage], int]:
        """What another node has committed, and its first number."""
        batch = [given.message(self.topic.topic_id, b"%d" % n) for n in range(count)]
        seqs = await self.store.append(batch)
        return batch, seqs[0]

    def tell(
        self, told: tuple[Sequence[NewMessage], int], *, start: int = 0, end: int = 99
    ) -> None:
        messages, first_seq = told
        if messages[start:end]:
            self.bench.broker.sequencer.told(self.topic, messages[start:end], first_seq + start)

    async def later(self) -> None:
        """The time of holes is over."""
        await self.bench.fill_holes()

    @property
    def read_count(self) -> int:
        return self.store.read_count

    @property
    def is_at_rest(self) -> bool:
        made = self.bench.broker.sequencer
        return not made._held and made.held_bytes == 0


@pytest.fixture
async def node(monkeypatch) -> AsyncIterator[Node]:
    # Holes are looked at by hand.
    monkeypatch.setattr(sequencer, "PAUSE_S", 0.0)
    store = AwayStore()
    async with running_broker(store) as bench:
        topic = await bench.broker.topics.create(T, "t")
        yield Node(bench, topic, store)


FOLLOWERS = [
    pytest.param({}, id="ephemeral"),
    pytest.param({"ack": "auto"}, id="auto"),
    pytest.param({"subscription": "s"}, id="durable"),
    pytest.param({"subscription": "s", "order": "strict"}, id="strict"),
]


@pytest.mark.parametrize("fields", FOLLOWERS)
async def test_what_comes_too_early_waits_for_what_is_missing(node: Node, fields):
    connection, peer = await node.bench.subscribe("t", **fields)
    first, second, third = [await node.others_store(2) for _ in range(3)]
    node.tell(third)
    node.tell(second)
    await node.bench.rest()
    assert peer.seqs == []
    node.tell(first)
    await node.bench.rest()
    while fields.get("order") and len(peer.seqs) < 6:
        connection.verbs.ack(Ack(peer.of("message")[-1]["message_id"]))
        await node.bench.rest()
    assert (peer.seqs, node.read_count) == ([1, 2, 3, 4, 5, 6], 0)
    assert node.is_at_rest


async def test_own_commits_wait_for_those_of_others(node: Node):
    _, peer = await node.bench.subscribe("t")
    told = await node.others_store(1)
    receipt = await node.bench.publish("t")
    assert (receipt.seq, receipt.subscribers) == (2, 1)
    assert (peer.seqs, node.topic.last_seq) == ([], 0)
    node.tell(told)
    await node.bench.rest()
    assert (peer.seqs, node.topic.last_seq) == ([1, 2], 2)
    assert node.is_at_rest


async def test_what_is_told_again_comes_once(node: Node):
    _, peer = await node.bench.subscribe("t")
    one, two = await node.others_store(3), await node.others_store(2)
    for told in (one, two, one, two, two):
        node.tell(told)
    await node.bench.rest()
    assert peer.seqs == [1, 2, 3, 4, 5]
    assert node.bench.broker.sequencer.late_count == 7
    assert node.is_at_rest


async def test_what_is_told_in_parts_that_overlap_comes_once(node: Node):
    _, peer = await node.bench.subscribe("t")
    told = await node.others_store(9)
    for start, end in ((4, 9), (2, 6), (0, 3), (1, 8), (5, 9)):
        node.tell(told, start=start, end=end)
    await node.bench.rest()
    assert peer.seqs == [*range(1, 10)]
    assert node.is_at_rest


@pytest.mark.parametrize("fields", FOLLOWERS[:3])
async def test_a_hole_is_read_once_for_all_who_follow(node: Node, fields):
    if fields.get("subscription"):
        peers = [(await node.bench.subscribe("t", subscription=f"s{n}"))[1] for n in range(5)]
    else:
        peers = [(await node.bench.subscribe("t", **fields))[1] for _ in range(5)]
    await node.others_store(3)
    node.tell(await node.others_store(2))
    node.bench.broker.sequencer._look()
    await node.bench.rest()
    assert all(peer.seqs == [] for peer in peers)
    await node.later()
    assert all(peer.seqs == [1, 2, 3, 4, 5] for peer in peers)
    assert (node.read_count, node.bench.broker.sequencer.filled_count) == (1, 3)
    assert node.is_at_rest
    # They are where they were before: the next message needs no read.
    await node.bench.publish("t")
    assert all(peer.seqs[-1] == 6 for peer in peers)
    assert node.read_count == 1


async def test_what_nobody_tells_comes_when_the_store_says_that_it_is_there(node: Node):
    _, peer = await node.bench.subscribe("t")
    await node.others_store(4)
    node.bench.broker.sequencer.learned(node.topic, 4)
    await node.bench.rest()
    assert (peer.seqs, node.topic.last_seq, node.read_count) == ([1, 2, 3, 4], 4, 1)
    assert node.is_at_rest


async def test_a_long_absence_is_read_by_each_who_follows(node: Node):
    _, peer = await node.bench.subscribe("t", ack="auto", max_in_flight=10)
    count = sequencer.FILL_MAX_COUNT + 1
    await node.others_store(count)
    node.bench.broker.sequencer.learned(node.topic, count)
    await node.bench.until(lambda: len(peer.seqs) == count)
    assert peer.seqs == [*range(1, count + 1)]
    assert node.bench.broker.sequencer.skipped_count == count
    assert node.is_at_rest


async def test_without_followers_nothing_is_held_or_read(node: Node):
    node.tell(await node.others_store(2))
    assert node.topic.last_seq == 2
    await node.others_store(3)
    # What another one says is not believed, and what this node has stored proves what was before.
    node.tell(await node.others_store(2))
    assert node.topic.last_seq == 2
    await node.bench.publish("t")
    assert (node.topic.last_seq, node.read_count) == (8, 0)
    assert node.is_at_rest


async def test_what_is_missing_and_has_left_the_log_is_told_as_a_gap(node: Node):
    _, peer = await node.bench.subscribe("t")
    await node.others_store(3)
    told = await node.others_store(2)
    await node.store.trim(node.topic.topic_id, Rule(Retention(max_messages=2), 0), 10)
    node.tell(told)
    await node.later()
    gaps = [(gap["from_seq"], gap["to_seq"], gap["reason"]) for gap in peer.of("gap")]
    assert (gaps, peer.seqs) == ([(1, 3, "retention")], [4, 5])
    assert node.is_at_rest


async def test_while_the_log_cannot_be_read_it_is_tried_again(node: Node):
    _, peer = await node.bench.subscribe("t")
    await node.others_store(1)
    told = await node.others_store(1)
    node.store.leave()
    node.tell(told)
    await node.later()
    assert (peer.seqs, node.topic.last_seq) == ([], 0)
    node.store.come_back()
    await node.bench.until(lambda: peer.seqs == [1, 2])
    await node.bench.rest()
    assert node.is_at_rest


async def test_a_topic_that_is_deleted_while_something_is_missing_leaves_nothing(node: Node):
    _, peer = await node.bench.subscribe(">")
    await node.others_store(1)
    node.tell(await node.others_store(1))
    await node.bench.broker.topics.delete(T, "t")
    await node.later()
    assert node.is_at_rest
    (gap,) = peer.of("gap")
    assert (gap["topic"], gap["from_seq"], gap["reason"]) == ("t", 1, "epoch_changed")


async def test_more_than_may_be_held_is_read(node: Node):
    _, peer = await node.bench.subscribe("t", ack="auto")
    await node.others_store(1)
    count = HELD_MAX_COUNT + 5
    for _ in range(count):
        node.tell(await node.others_store(1))
    await node.bench.until(lambda: len(peer.seqs) == count + 1)
    assert peer.seqs == [*range(1, count + 2)]
    await node.bench.rest()
    assert node.is_at_rest


async def test_what_the_log_does_not_have_is_forgotten(node: Node):
    _, peer = await node.bench.subscribe("t")
    await node.bench.publish("t")
    node.tell(([given.message(node.topic.topic_id)], 50))
    await node.later()
    assert (peer.seqs, node.topic.last_seq) == ([1], 1)
    assert node.is_at_rest
    await node.bench.publish("t")
    assert peer.seqs == [1, 2]


@pytest.mark.parametrize("seed", range(20))
async def test_at_rest_everybody_has_everything_in_order_whatever_was_told(node: Node, seed: int):
    rng = random.Random(seed)
    followers = [
        await node.bench.subscribe(topic, **fields)
        for topic, fields in (
            ("t", {"ack": "auto"}),
            ("t", {"subscription": "s", "max_in_flight": 1_000}),
            ("*", {"ack": "auto"}),
        )
    ]
    pending: list[tuple[Sequence[NewMessage], int]] = []
    for _ in range(60):
        what = rng.choice(("others", "others", "own", "tell", "tell", "learn", "late", "rest"))
        if what == "others":
            pending.append(await node.others_store(rng.randint(1, 4)))
        elif what == "own":
            await node.bench.publish("t")
        elif what == "tell" and pending:
            told = rng.choice(pending)
            # Again, once, or never.
            pending += [told] * (rng.random() < 0.4)
            pending.remove(told)
            node.tell(told, end=rng.choice((0, 2, 99)))
        elif what == "learn":
            [record] = await node.store.topics_of([node.topic.topic_id])
            node.bench.broker.sequencer.learned(node.topic, rng.randint(0, record.last_seq))
        elif what == "late":
            await node.later()
        else:
            await asyncio.sleep(0)
    [record] = await node.store.topics_of([node.topic.topic_id])
    node.bench.broker.sequencer.learned(node.topic, record.last_seq)
    for _ in range(10):
        await node.later()
    for _, peer in followers:
        assert peer.seqs == [*range(1, record.last_seq + 1)], f"seed {seed}"
    assert node.is_at_rest
