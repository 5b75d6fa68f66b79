"""Two nodes on one log that tell each other what they have stored, over a way that loses and mixes up."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import NamedTuple

import msgspec
import pytest

from conduit.cluster import hearing
from conduit.cluster.hearing import Hearing
from conduit.cluster.telling import Telling
from conduit.errors import StoreUnavailable
from conduit.names import DEFAULT_TENANT as T
from tests.broker.kit import Bench, running_broker
from tests.broker.stores import SharedStore


class Way:
    """From one node to the other: what is on it arrives when a test says so."""

    def __init__(self) -> None:
        self.bodies: list[tuple[tuple[str, ...], bytes]] = []
        self.wanted: Mapping[str, int] = {"theirs": 1}

    def wanting(self, _tenant: str, _topic: str) -> Mapping[str, int]:
        return self.wanted

    def send_hint(self, names: Iterable[str], body: bytes) -> int:
        self.bodies.append((tuple(names), body))
        return len(self.bodies[-1][0])


class Nodes(NamedTuple):
    ours: Bench
    theirs: Bench
    way: Way
    hearing: Hearing
    store: SharedStore

    async def arrive(self, *which: int) -> None:
        """Have these hints arrive, or all in their order."""
        bodies = [body for _, body in self.way.bodies]
        for at in which or range(len(bodies)):
            self.hearing.heard(bodies[at])
        if not which:
            self.way.bodies.clear()
        await self.theirs.rest()


@pytest.fixture
async def nodes() -> AsyncIterator[Nodes]:
    store, way = SharedStore(), Way()
    async with running_broker(store) as ours, running_broker(store) as theirs:
        telling = Telling(ours.broker.turn, way, way)
        ours.broker.tell_others(telling.forward)
        hearing = Hearing(theirs.broker)
        await ours.broker.topics.ensure_all(T, ["t", "u"])
        await theirs.broker.news.catch_up()
        yield Nodes(ours, theirs, way, hearing, store)
        hearing.close()


async def test_what_is_stored_at_one_reaches_the_subscribers_of_the_other(nodes: Nodes):
    _, peer = await nodes.theirs.subscribe("t")
    receipt = await nodes.ours.publish("t", {"n": 1}, key="k", headers={"h": "x"})
    assert receipt.subscribers == 1
    await nodes.arrive()
    [frame] = peer.of("message")
    assert (frame["message_id"], frame["seq"], frame["epoch"]) == (
        receipt.message_id,
        1,
        receipt.epoch,
    )
    assert (frame["payload"], frame["key"], frame["headers"]) == ({"n": 1}, "k", {"h": "x"})
    assert frame["published_at"] == receipt.published_at


async def test_what_is_committed_together_is_told_together_and_once_to_all(nodes: Nodes):
    nodes.way.wanted = {"theirs": 2, "another": 3}
    receipts = await nodes.ours.publish_many("t", 100)
    assert receipts[0].subscribers == 5
    assert [names for names, _ in nodes.way.bodies] == [("theirs", "another")]


async def test_nodes_that_want_nothing_are_told_nothing(nodes: Nodes):
    nodes.way.wanted = {}
    receipt = await nodes.ours.publish("t")
    assert (receipt.subscribers, nodes.way.bodies) == (0, [])


async def test_hints_in_any_order_and_twice_come_once_in_order(nodes: Nodes):
    _, peer = await nodes.theirs.subscribe("t")
    for _ in range(4):
        await nodes.ours.publish("t")
    await nodes.arrive(2, 2, 0, 3, 0)
    assert peer.seqs == [1]
    await nodes.arrive(1)
    assert peer.seqs == [1, 2, 3, 4]


async def test_the_messages_of_both_go_in_the_order_of_the_log(nodes: Nodes):
    _, peer = await nodes.theirs.subscribe("t", ack="auto")
    await nodes.ours.publish("t")
    await nodes.theirs.publish("t")
    await nodes.ours.publish("t")
    assert peer.seqs == []
    await nodes.arrive()
    assert peer.seqs == [1, 2, 3]


async def test_a_topic_that_is_not_known_is_asked_for_and_its_messages_come_then(nodes: Nodes):
    _, peer = await nodes.theirs.subscribe("new.*")
    await nodes.ours.broker.topics.create(T, "new.a")
    await nodes.ours.publish_many("new.a", 3)
    await nodes.ours.publish("new.a")
    await nodes.arrive()
    assert peer.seqs == [1, 2, 3, 4]
    assert nodes.hearing.dropped_count == 0


async def test_what_is_told_of_a_topic_that_is_gone_or_was_made_anew_is_dropped(nodes: Nodes):
    _, peer = await nodes.theirs.subscribe("*", ack="auto")
    await nodes.ours.publish("t")
    await nodes.ours.publish("u")
    await nodes.theirs.broker.topics.delete(T, "u")
    await nodes.theirs.broker.topics.delete(T, "t")
    await nodes.theirs.broker.topics.create(T, "t")
    await nodes.arrive()
    assert (peer.seqs, nodes.hearing.dropped_count) == ([], 2)


async def test_while_the_store_is_away_what_waits_for_it_is_dropped(nodes: Nodes):
    async def away(_position):
        raise StoreUnavailable("the store is away")

    await nodes.ours.broker.topics.create(T, "new")
    await nodes.ours.publish("new")
    answered, nodes.store.changes = nodes.store.changes, away
    await nodes.arrive()
    assert nodes.hearing.dropped_count == 1
    nodes.store.changes = answered
    await nodes.ours.publish("new")
    await nodes.arrive()
    assert nodes.hearing.dropped_count == 1


async def test_what_waits_for_the_store_is_bounded(nodes: Nodes, monkeypatch):
    monkeypatch.setattr(hearing, "UNKNOWN_MAX_BYTES", 10)
    await nodes.ours.broker.topics.create(T, "new")
    for n in range(20):
        await nodes.ours.publish("new", n)
    for _, body in nodes.way.bodies:
        nodes.hearing.heard(body)
    assert nodes.hearing.dropped_count >= 10
    assert nodes.hearing._unknown_bytes <= 10
    await nodes.theirs.rest()
    assert nodes.hearing._unknown_bytes == 0


async def test_what_is_no_hint_is_told_in_the_log_once_a_minute(nodes: Nodes, caplog):
    for body in (b"", b"\xc1", msgspec.msgpack.encode([7])):
        nodes.hearing.heard(body)
    assert len(caplog.records) == 1


@pytest.mark.parametrize("seed", range(10))
async def test_at_rest_everybody_has_everything_whatever_was_lost_on_the_way(nodes: Nodes, seed):
    rng = random.Random(seed)
    peers = [
        (await nodes.theirs.subscribe(topic, **fields))[1]
        for topic, fields in (
            ("t", {"ack": "auto"}),
            ("t", {"subscription": "s", "max_in_flight": 1_000}),
        )
    ]
    for _ in range(60):
        bench = rng.choice((nodes.ours, nodes.ours, nodes.theirs))
        await bench.publish_many("t", rng.randint(1, 5))
        if rng.random() < 0.5:
            rng.shuffle(nodes.way.bodies)
            del nodes.way.bodies[: rng.randint(0, 1)]
            await nodes.arrive()
    await nodes.theirs.broker.tails.round()
    for _ in range(5):
        await nodes.theirs.fill_holes()
    last_seq = (await nodes.store.topics())[0].last_seq
    assert last_seq > 60
    for peer in peers:
        assert peer.seqs == [*range(1, last_seq + 1)], f"seed {seed}"
