"""What other nodes change of topics and subscriptions is known here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from conduit.broker.waiting import result_of
from conduit.core.message import Retention
from conduit.errors import NotFound, StoreUnavailable
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.codes import CLOSE_TOPIC_DELETED
from conduit.protocol.frames import StartAt, StartPosition
from tests.broker.kit import Bench, running_broker
from tests.broker.stores import SharedStore


class Nodes(NamedTuple):
    ours: Bench
    theirs: Bench
    store: SharedStore

    async def hear(self) -> None:
        await self.ours.broker.news.catch_up()
        await self.ours.rest()

    def asked(self, call: str) -> int:
        return sum(each == call for each, _ in self.store.asked)


@pytest.fixture
async def nodes() -> AsyncIterator[Nodes]:
    store = SharedStore()
    async with running_broker(store) as ours, running_broker(store) as theirs:
        yield Nodes(ours, theirs, store)


async def test_a_topic_is_known_and_followed_by_patterns(nodes: Nodes):
    _, peer = await nodes.ours.subscribe("o.*")
    await nodes.theirs.broker.topics.create(T, "o.a")
    await nodes.theirs.publish("o.a")
    await nodes.hear()
    assert nodes.ours.broker.topics.get(T, "o.a").name == "o.a"
    assert peer.seqs == [1]


async def test_what_a_topic_keeps_is_known(nodes: Nodes):
    await nodes.ours.broker.topics.create(T, "t")
    await nodes.theirs.broker.news.catch_up()
    await nodes.theirs.broker.topics.update(T, "t", Retention(max_messages=7))
    await nodes.hear()
    assert nodes.ours.broker.topics.get(T, "t").retention == Retention(max_messages=7)


async def test_a_topic_that_is_deleted_is_gone_and_its_subscribers_are_told(nodes: Nodes):
    await nodes.ours.broker.topics.create(T, "t")
    _, peer = await nodes.ours.subscribe("t")
    await nodes.theirs.broker.news.catch_up()
    await nodes.theirs.broker.topics.delete(T, "t")
    await nodes.hear()
    assert nodes.ours.broker.topics.find(T, "t") is None
    assert peer.closed is not None
    assert peer.closed[0] == CLOSE_TOPIC_DELETED


async def test_a_topic_that_was_made_anew_is_another_one(nodes: Nodes):
    before = await nodes.ours.broker.topics.create(T, "t.a")
    _, peer = await nodes.ours.subscribe("t.*")
    await nodes.ours.publish("t.a")
    await nodes.theirs.broker.news.catch_up()
    await nodes.theirs.broker.topics.delete(T, "t.a")
    after = await nodes.theirs.broker.topics.create(T, "t.a")
    await nodes.theirs.publish("t.a")
    await nodes.hear()
    ours = nodes.ours.broker.topics.get(T, "t.a")
    assert (ours.topic_id, ours.epoch) == (after.topic_id, after.epoch)
    assert [frame["epoch"] for frame in peer.of("message")] == [before.epoch, after.epoch]
    # What it had not acked is gone, and the numbers begin anew.
    assert [(gap["to_seq"], gap["epoch"]) for gap in peer.of("gap")] == [
        (1, ""),
        (None, after.epoch),
    ]


async def test_subscriptions_are_known_as_they_are(nodes: Nodes):
    subscriptions = nodes.theirs.broker.subscriptions
    await subscriptions.create(T, "s", "t", Bench.durable_settings(), None)
    await nodes.hear()
    ours = nodes.ours.broker.subscriptions
    assert not (await ours.get(T, "s")).record.paused
    await subscriptions.pause(T, "s")
    await subscriptions.update(T, "s", {"max_in_flight": 7})
    await nodes.hear()
    record = (await ours.get(T, "s")).record
    assert (record.paused, record.settings.max_in_flight) == (True, 7)
    await subscriptions.delete(T, "s")
    await nodes.hear()
    with pytest.raises(NotFound):
        await ours.get(T, "s")


async def test_a_name_that_is_not_known_is_asked_for_before_it_is_said_to_be_unknown(nodes: Nodes):
    await nodes.theirs.broker.topics.create(T, "t")
    create = nodes.theirs.broker.subscriptions.create
    await create(T, "s", "t", Bench.durable_settings(), None)
    _, peer = await nodes.ours.subscribe("t", subscription="s", create=False)
    assert len(peer.of("subscribed")) == 1
    await nodes.theirs.broker.topics.create(T, "u")
    assert (await nodes.ours.publish("u")).seq == 1
    with pytest.raises(NotFound):
        await nodes.ours.subscribe("v", create=False)


async def test_without_topics_that_are_made_by_publishing_the_store_is_asked_once():
    store = SharedStore()
    limits = {"publish": nodes_limits()}
    async with running_broker(store, **limits) as ours, running_broker(store) as theirs:
        await theirs.broker.topics.create(T, "t")
        assert (await ours.publish("t")).seq == 1
        requests = [ours.request("t", n) for n in range(3)]
        await theirs.broker.topics.create(T, "u")
        requests.append(ours.request("u", 1))
        publish = ours.broker.publish_batch
        receipts = await result_of(lambda answer: publish(T, requests, answer))
        assert [receipt.seq for receipt in receipts] == [2, 3, 4, 1]
        with pytest.raises(NotFound, match="'nowhere'"):
            await ours.publish("nowhere")


def nodes_limits():
    from conduit.broker.publish.admission import PublishLimits

    return PublishLimits(auto_create_topics=False)


async def test_many_who_ask_at_once_share_a_look(nodes: Nodes):
    await nodes.theirs.broker.topics.create(T, "t")
    nodes.store.asked.clear()
    await asyncio.gather(*(nodes.ours.broker.news.catch_up() for _ in range(100)))
    assert nodes.asked("changes") <= 2
    assert nodes.asked("topics") == 0


async def test_who_asks_while_others_look_hears_of_what_was_changed_before_it_asked(nodes: Nodes):
    release = asyncio.Event()
    answered = nodes.store.changes

    async def held(position):
        found = await answered(position)
        await release.wait()
        return found

    nodes.store.changes = held

    async def look_again() -> None:
        await nodes.theirs.broker.topics.create(T, "t")
        await nodes.hear()
        assert nodes.ours.broker.topics.find(T, "t") is not None

    async def answer() -> None:
        await nodes.ours.rest()
        release.set()

    await asyncio.gather(nodes.ours.broker.news.catch_up(), look_again(), answer())


async def test_a_look_that_fails_is_made_again_and_told_to_all_who_share_it(nodes: Nodes):
    await nodes.theirs.broker.topics.create(T, "t")
    answered, calls = nodes.store.topics_of, 0

    async def away(topic_ids):
        nonlocal calls
        calls += 1
        raise StoreUnavailable("the store is away")

    nodes.store.topics_of = away
    looks = [nodes.ours.broker.news.catch_up() for _ in range(10)]
    errors = await asyncio.gather(*looks, return_exceptions=True)
    assert all(isinstance(error, StoreUnavailable) for error in errors)
    assert calls <= 2
    nodes.store.topics_of = answered
    await nodes.hear()
    assert nodes.ours.broker.topics.find(T, "t") is not None


async def test_what_is_changed_here_while_the_store_is_asked_is_known_better(nodes: Nodes):
    await nodes.theirs.broker.topics.create(T, "t")
    await nodes.hear()
    await nodes.theirs.broker.topics.update(T, "t", Retention(max_messages=1))
    answered = nodes.store.topics_of

    async def slow(topic_ids):
        found = await answered(topic_ids)
        await nodes.ours.broker.topics.update(T, "t", Retention(max_messages=2))
        return found

    nodes.store.topics_of = slow
    await nodes.hear()
    assert nodes.ours.broker.topics.get(T, "t").retention == Retention(max_messages=2)


async def test_a_name_that_others_have_made_meanwhile_costs_no_look_at_everything(nodes: Nodes):
    await nodes.theirs.broker.topics.create(T, "t")
    nodes.store.asked.clear()
    topic = await nodes.ours.broker.topics.ensure(T, "t")
    assert (topic.name, nodes.asked("topics")) == ("t", 0)


async def test_who_is_alone_asks_nothing(nodes: Nodes):
    nodes.store.server_count = 1
    nodes.store.asked.clear()
    await nodes.hear()
    assert nodes.store.asked == []


@pytest.mark.parametrize("topic", ["o.*", "o.a"])
async def test_a_client_goes_on_in_topics_that_were_just_made_elsewhere(nodes: Nodes, topic: str):
    """Also where one of that name was known before."""
    await nodes.ours.broker.topics.create(T, "o.b")
    await nodes.theirs.broker.news.catch_up()
    await nodes.theirs.broker.topics.delete(T, "o.b")
    made = [await nodes.theirs.broker.topics.create(T, name) for name in ("o.a", "o.b")]
    for each in made:
        await nodes.theirs.publish_many(each.name, 3)
    positions = {each.name: StartPosition(3, each.epoch) for each in made if topic != "o.a"}
    start = StartAt(positions=positions) if positions else StartAt(seq=3, epoch=made[0].epoch)
    _, peer = await nodes.ours.subscribe(topic, start=start)
    await nodes.hear()
    assert peer.of("gap") == []
    assert peer.of("subscribed")[0]["recovered"]
    assert peer.seqs == [3] * (len(positions) or 1)
