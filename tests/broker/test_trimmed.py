"""What the log has lost is not handed out any more, wherever the node still has it in memory."""

import asyncio

import pytest

from conduit.broker.deliver import source
from conduit.core.message import Retention
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, Nack
from conduit.storage.base import Rule
from conduit.storage.dead_letters import DeadFilter
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, running_broker


class Slow(MemoryStore):
    """As a store on disk: its reads are answered when the test says so."""

    kind = "sqlite"
    durable = True

    def __init__(self):
        super().__init__()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def read(self, *args, **more):
        found = await super().read(*args, **more)
        await self.may_answer.wait()
        return found


@pytest.fixture
def store():
    return Slow()


@pytest.fixture
async def bench(store):
    async with running_broker(store) as bench:
        await bench.broker.topics.create(T, "t")
        yield bench


async def purge(bench: Bench):
    await bench.broker.purger.purge(T, "t")
    await bench.rest()


async def trim(bench: Bench, store, first_seq: int):
    """Retention removes what comes before that."""
    topic = bench.broker.topics.get(T, "t")
    trimmed = await store.trim(topic.topic_id, Rule(Retention(), 0, first_seq - 1), 100)
    bench.broker.sequencer.trimmed(topic, trimmed.first_seq)


async def created(bench: Bench, name: str):
    """A durable subscription that nobody attaches to, and for which nothing is read."""
    connection, _ = await bench.subscribe("t", subscription=name)
    connection.close()
    await bench.flush()


def gaps_of(peer):
    return [(gap["from_seq"], gap["to_seq"], gap["reason"]) for gap in peer.of("gap")]


async def test_who_comes_after_a_purge_is_given_nothing_of_the_tail_that_others_follow(bench):
    await created(bench, "away")
    _, live = await bench.subscribe("t")
    await bench.publish_many("t", 5)
    await purge(bench)
    _, away = await bench.subscribe("t", subscription="away")
    assert (live.seqs, gaps_of(live)) == ([1, 2, 3, 4, 5], [])
    assert (away.seqs, gaps_of(away)) == ([], [(1, 5, "retention")])
    await bench.publish("t")
    await bench.until(lambda: away.seqs == live.seqs[5:] == [6])


async def test_retention_takes_its_part_of_the_tail_and_the_rest_comes(bench, store):
    await created(bench, "away")
    _, live = await bench.subscribe("t")
    await bench.publish_many("t", 5)
    await trim(bench, store, 4)
    _, away = await bench.subscribe("t", subscription="away")
    assert (away.seqs, gaps_of(away)) == ([4, 5], [(1, 3, "retention")])
    assert gaps_of(live) == []
    feed = bench.broker._engine.feeds.find(bench.broker.topics.get(T, "t").topic_id)
    assert [entry.seq for entry in feed.slice(4, 9, None)] == [4, 5]
    assert feed.slice(3, 9, None) == []


async def test_who_waits_for_credit_is_told_of_a_gap_when_it_has_some(bench):
    connection, behind = await bench.subscribe("t", subscription="s", max_in_flight=1)
    await bench.publish_many("t", 3)
    await purge(bench)
    assert (behind.seqs, gaps_of(behind)) == ([1], [])
    connection.verbs.ack(Ack(message_id=behind.of("message")[0]["message_id"]))
    await bench.until(lambda: gaps_of(behind) == [(2, 3, "retention")])
    assert behind.seqs == [1]


async def test_what_fails_and_was_purged_meanwhile_does_not_come_again(bench):
    connection, peer = await bench.subscribe("t", subscription="s")
    await bench.subscribe("t")
    await bench.publish("t")
    await purge(bench)
    connection.verbs.nack(Nack(message_id=peer.of("message")[0]["message_id"]))
    await bench.advance(600)
    await bench.until(lambda: gaps_of(peer) == [(1, 1, "retention")])
    assert peer.attempts == [(1, 1)]


@pytest.mark.parametrize("kept_count", [0, 2])
async def test_a_page_that_somebody_has_read_is_given_to_nobody_after_a_purge(
    bench, store, kept_count
):
    await bench.publish_many("t", 5)
    _, first = await bench.subscribe("t", start="earliest", ack="explicit", max_in_flight=1)
    await bench.until(lambda: first.seqs == [1])
    await trim(bench, store, 6 - kept_count)
    topic = bench.broker.topics.get(T, "t")
    reader = bench.broker._engine.reader
    assert (topic.topic_id, 1) in reader._pages
    for begins in range(1, 6):
        assert reader.cached(topic, begins, 5, 5) is None


async def test_who_has_a_page_hands_out_nothing_more_of_it_after_a_purge(bench, monkeypatch):
    monkeypatch.setattr(source, "HAND_MAX_COUNT", 1)
    await bench.publish_many("t", 5)
    connection, peer = await bench.subscribe("t", start="earliest", ack="explicit", max_in_flight=1)
    await bench.until(lambda: peer.seqs == [1])
    await purge(bench)
    connection.verbs.ack(Ack(message_id=peer.of("message")[0]["message_id"]))
    await bench.until(lambda: gaps_of(peer) == [(2, 5, "retention")])
    assert peer.seqs == [1]


@pytest.mark.parametrize("kept_count", [0, 2])
async def test_a_page_that_comes_after_the_purge_is_used_as_far_as_the_log_has_it(
    bench, store, kept_count
):
    await bench.publish_many("t", 5)
    store.may_answer.clear()
    _, peer = await bench.subscribe("t", start="earliest")
    await trim(bench, store, 6 - kept_count)
    store.may_answer.set()
    await bench.rest()
    assert gaps_of(peer) == [(1, 5 - kept_count, "retention")]
    assert peer.seqs == [4, 5][:kept_count]


async def test_what_is_not_written_yet_when_it_is_purged_is_a_gap(bench, store):
    _, peer = await bench.subscribe("t")
    topic = bench.broker.topics.get(T, "t")
    await bench.publish_many("t", 2)
    feed = bench.broker._engine.feeds.find(topic.topic_id)
    found = await store.read(topic.topic_id, 1, limit=2, max_bytes=1 << 20)
    # As it is between a commit and the end of the loop's turn.
    feed.extend(found, 3)
    topic.last_seq = 4
    bench.broker.sequencer.trimmed(topic, 5)
    await bench.rest()
    assert (peer.seqs, gaps_of(peer)) == ([1, 2], [(3, 4, "retention")])


@pytest.mark.parametrize("is_late", [False, True], ids=["purged before", "purged while it is read"])
async def test_what_a_dead_letter_keeps_comes_again_when_it_is_redriven(bench, store, is_late):
    connection, peer = await bench.subscribe("t", subscription="s", max_attempts=1)
    await bench.publish("t", "mine")
    connection.verbs.nack(Nack(message_id=peer.of("message")[0]["message_id"]))
    await bench.flush()
    [letter] = await store.dead_list(T, DeadFilter(), limit=9)
    if not is_late:
        await purge(bench)
    bench.forget_tail("t", 1)
    store.may_answer.clear()
    await bench.broker.dead_letters.redrive(T, letter.dead_id)
    await bench.rest()
    if is_late:
        await purge(bench)
    store.may_answer.set()
    await bench.until(lambda: peer.seqs == [1, 1])
    assert [frame["payload"] for frame in peer.of("message")] == ["mine", "mine"]
    assert gaps_of(peer) == []


@pytest.mark.parametrize("attaches", [False, True])
async def test_redriven_letters_whose_messages_are_removed_are_lag_and_backlog_until_they_are_acked(
    bench, store, attaches
):
    connection, peer = await bench.subscribe("t", subscription="s", max_attempts=1)
    await bench.publish_many("t", 4)
    for frame in peer.of("message"):
        connection.verbs.nack(Nack(message_id=frame["message_id"]))
    connection.close()
    await bench.flush()
    for letter in await store.dead_list(T, DeadFilter(), limit=9):
        await bench.broker.dead_letters.redrive(T, letter.dead_id)
    await trim(bench, store, 5)
    await bench.publish("t")
    if attaches:
        connection, peer = await bench.subscribe("t", subscription="s")
    await bench.flush()
    await bench.broker.subscriptions._counting.round()
    await bench.rest()
    view = await bench.broker.subscriptions.get(T, "s")
    backlog = bench.broker.gauges().backlog_count
    assert (view.lag, view.topics[0].lag, backlog) == (5, 5, 5)
    seek = await bench.broker.subscriptions.seek(T, "s", "earliest", dry_run=True)
    # A seek forgets what is open, and the log has it no more.
    assert (seek.lag, seek.again_count, seek.skipped_count) == (1, 0, 4)
    if attaches:
        assert sorted(peer.seqs) == [1, 2, 3, 4, 5]
        for frame in peer.of("message"):
            connection.verbs.ack(Ack(message_id=frame["message_id"]))
        await bench.flush()
        await bench.broker.subscriptions._counting.round()
        assert bench.broker.gauges().backlog_count == 0
        assert (await bench.broker.subscriptions.get(T, "s")).lag == 0
