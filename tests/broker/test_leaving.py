import pytest

from conduit.broker import turn
from conduit.broker.deliver.router import CLOSED_MAX_COUNT
from conduit.broker.deliver.running import DIRECT_MAX_COUNT
from conduit.errors import StoreUnavailable
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, Reject, Unsubscribe
from conduit.storage.dead_letters import DeadFilter
from tests.broker.kit import Bench, running_broker
from tests.broker.stores import FailingStore
from tests.storage.given import letters_count

TOPICS = [f"t{number:03}" for number in range(600)]


@pytest.mark.parametrize("ack", ["auto", "explicit"])
async def test_who_comes_while_another_is_taken_apart_misses_nothing(
    bench: Bench, monkeypatch, ack
):
    for name in TOPICS:
        await bench.broker.topics.create(T, name)
    leaving, left = await bench.subscribe(">", ack=ack, max_in_flight=1_000)
    for name in TOPICS:
        await bench.publish(name)
    # One cursor in a turn of the loop.
    monkeypatch.setattr(turn, "STEPS_MAX_COUNT", 1)
    leaving.unsubscribe(Unsubscribe(">"))
    live_count = sum(len(feed.live) for feed in bench.broker._engine.feeds.all())
    assert live_count == len(TOPICS) - DIRECT_MAX_COUNT - CLOSED_MAX_COUNT
    _, peer = await bench.subscribe(">")
    router = bench.broker.router
    for name in (TOPICS[0], TOPICS[1], TOPICS[200], TOPICS[-1]):
        await bench.publish(name)
    assert router._closing_count == 1
    told = [message["topic"] for message in peer.of("message")]
    assert told == [*TOPICS[:2], TOPICS[200], TOPICS[-1]]
    await bench.until(lambda: router._closing_count == 0)
    # Nothing of it follows the end of the stream.
    assert left.frames[-1]["type"] == "unsubscribed"
    assert len(left.of("message")) == len(TOPICS)
    await bench.publish(TOPICS[5])
    assert len(peer.of("message")) == 5


async def test_what_a_lost_connection_had_comes_again_although_its_topics_are_many(bench: Bench):
    for name in TOPICS[:300]:
        await bench.broker.topics.create(T, name)
    connection, peer = await bench.subscribe(">", subscription="s", max_in_flight=1_000)
    for name in TOPICS[:300]:
        await bench.publish(name)
    await bench.until(lambda: len(peer.seqs) == 300)
    connection.close(lost=True)
    await bench.flush()
    _, again = await bench.subscribe(">", subscription="s")
    await bench.until(lambda: len(again.seqs) == 300)
    assert {attempt for _, attempt in again.attempts} == {2}


async def given(bench: Bench):
    """A subscription that has had a message of every topic."""
    for name in TOPICS:
        await bench.broker.topics.create(T, name)
    connection, peer = await bench.subscribe(">", subscription="s", max_in_flight=1_000)
    for name in TOPICS:
        await bench.publish(name)
    await bench.until(lambda: len(peer.seqs) == len(TOPICS))
    return connection, peer


async def test_what_is_moved_away_stores_nothing_more_and_its_topics_are_not_looked_at_at_once(
    bench: Bench, monkeypatch
):
    connection, peer = await given(bench)
    await bench.flush()
    (record,) = await bench.broker.store.subscriptions()
    before = await bench.broker.store.progress(record.subscription_id)
    monkeypatch.setattr(turn, "STEPS_MAX_COUNT", 1)
    for message in peer.of("message"):
        connection.verbs.reject(Reject(message["message_id"]))
    marked = bench.broker._engine.progress._marked
    bench.broker._owned.move_away(bench.broker._owned.get(T, "s"), "a test")
    assert len(marked.changed) >= len(TOPICS) - CLOSED_MAX_COUNT
    await bench.broker._engine.progress.stored()
    assert not marked
    assert await bench.broker.store.progress(record.subscription_id) == before
    assert await letters_count(bench.broker.store, T, DeadFilter()) == 0


class Counted(dict):
    """How often somebody went through its values."""

    count = 0

    def values(self):
        self.count += 1
        return super().values()


async def test_whether_all_is_stored_is_not_asked_of_each_topic():
    store = FailingStore()
    async with running_broker(store) as bench:
        connection, peer = await given(bench)
        owned, progress = bench.broker._owned, bench.broker._engine.progress
        store.fails = True
        connection.verbs.ack(Ack(peer.of("message")[-1]["message_id"]))
        connection.close()
        (running,) = owned.running()
        running.cursors = cursors = Counted(running.cursors)
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await progress.flush()
        assert (cursors.count, owned.running()) == (0, [running])
        store.fails = False
        await progress.flush()
        assert owned.running() == []
