"""What goes to very many is written in sets that take turns, and nobody misses anything meanwhile."""

import asyncio
from itertools import pairwise

import pytest

from conduit.broker.deliver import feed as feeds
from conduit.broker.deliver import live
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, Subscribe, Unsubscribe
from tests.broker.kit import Bench, Peer

SETS_COUNT = 10


@pytest.fixture
def small(monkeypatch):
    """Sets of three, each of which is all that a turn writes of those in line."""
    monkeypatch.setattr(live, "WRITE_S", 1.0)
    for module in (live, feeds):
        monkeypatch.setattr(module, "LIVE_MAX_COUNT", 3)
    monkeypatch.setattr(feeds, "WRITE_S", 1.0)


async def many(bench: Bench, count: int = 3 * SETS_COUNT, **fields) -> list[tuple]:
    return [await bench.subscribe("t", **fields) for _ in range(count)]


def feed_of(bench: Bench):
    topic = bench.broker.topics.get(T, "t")
    return bench.broker._engine.feeds.find(topic.topic_id)


async def written_in_turns(bench: Bench, peers: list[Peer]) -> list[int]:
    """How many have something after each turn of the loop, until all have."""
    counts = []
    while not counts or counts[-1] < len(peers):
        await asyncio.sleep(0)
        counts.append(sum(bool(peer.seqs) for peer in peers))
        assert len(counts) < 10 * SETS_COUNT
    return counts


def publish(bench: Bench, tenant: str, topic: str, payload: object = 1) -> None:
    bench.broker.publish(tenant, bench.request(topic, payload), lambda _: None)


@pytest.mark.parametrize("fields", [{"ack": "auto"}, {"ack_wait_ms": 60_000}])
async def test_of_very_many_a_few_are_written_in_each_turn(bench: Bench, small, fields):
    peers = [peer for _, peer in await many(bench, **fields)]
    assert len(feed_of(bench)._sets) == SETS_COUNT
    publish(bench, T, "t")
    counts = [count for count in await written_in_turns(bench, peers) if count]
    steps = [after - before for before, after in pairwise(counts)]
    assert max(steps) <= 3
    assert counts[0] <= 6
    assert all(peer.seqs == [1] for peer in peers)


async def test_one_of_another_tenant_waits_for_one_set_and_not_for_all(bench: Bench, small):
    peers = [peer for _, peer in await many(bench, ack="auto")]
    await bench.broker.topics.create("other", "t")
    connection = bench.broker.connect("other", other := Peer())
    await connection.subscribe(Subscribe("t", ack="auto"))
    publish(bench, T, "t")
    publish(bench, "other", "t")
    await bench.until(lambda: bool(other.seqs))
    assert sum(bool(peer.seqs) for peer in peers) <= 6
    await bench.until(lambda: all(peer.seqs == [1] for peer in peers))


async def test_what_comes_while_sets_wait_goes_with_what_they_wait_for(bench: Bench, small):
    peers = [peer for _, peer in await many(bench, ack="auto")]
    for number in range(40):
        publish(bench, T, "t", number)
        await asyncio.sleep(0)
    await bench.until(lambda: all(len(peer.seqs) == 40 for peer in peers))
    assert all(peer.seqs == list(range(1, 41)) for peer in peers)


async def test_who_leaves_comes_or_stands_still_while_sets_wait_misses_nothing(bench: Bench, small):
    joined = await many(bench, ack="auto")
    publish(bench, T, "t")
    await bench.until(lambda: any(peer.seqs for _, peer in joined))
    waiting = [(each, peer) for each, peer in joined if not peer.seqs]
    (gone, gone_peer), (_, slow), (stays, stays_peer) = waiting[3], waiting[7], waiting[11]
    gone.unsubscribe(Unsubscribe("t"))
    slow.writable = False
    # It is told where it is, and not where the topic is.
    stays.verbs.ack(Ack(topic="t", seq=1, ref="early"))
    _, late = await bench.subscribe("t", ack="auto")
    for number in range(5):
        publish(bench, T, "t", number)
        await asyncio.sleep(0)
    rest = [peer for _, peer in joined if peer not in (gone_peer, slow)]
    await bench.until(lambda: all(len(peer.seqs) == 6 for peer in rest))
    assert all(peer.seqs == [1, 2, 3, 4, 5, 6] for peer in rest)
    assert gone_peer.seqs == []
    assert late.seqs[-5:] == [2, 3, 4, 5, 6]
    assert [frame["code"] for frame in stays_peer.of("error")] == ["unknown_delivery"]
    assert slow.seqs == []
    slow.writable = True
    for connection, peer in joined:
        if peer is slow:
            connection.writable_changed()
    await bench.until(lambda: slow.seqs == [1, 2, 3, 4, 5, 6])


async def test_a_log_that_goes_on_elsewhere_is_read_from_where_each_set_is(bench: Bench, small):
    peers = [peer for _, peer in await many(bench, ack="auto")]
    publish(bench, T, "t")
    feed = feed_of(bench)
    await bench.until(lambda: feed.position == 1)
    stale = [each for each in feed._sets if each.position == 0]
    assert stale
    # The log goes on without this node's knowing: all have to read it.
    topic = feed.topic
    feed.skip_to(topic.last_seq)
    await bench.rest()
    await bench.until(lambda: all(peer.seqs == [1] for peer in peers))


async def test_sets_that_wait_too_long_are_written_at_once(bench: Bench, small, monkeypatch):
    monkeypatch.setattr(feeds, "WAITING_MAX_COUNT", 4)
    peers = [peer for _, peer in await many(bench, ack="auto")]
    feed = feed_of(bench)
    for number in range(30):
        publish(bench, T, "t", number)
        await asyncio.sleep(0)
        assert all(feed.position - each.position <= 4 + 1 for each in feed._sets)
    await bench.until(lambda: all(len(peer.seqs) == 30 for peer in peers))


async def test_what_sets_wait_for_stays_in_the_tail_when_memory_is_short(bench: Bench, small):
    peers = [peer for _, peer in await many(bench, ack="auto")]
    publish(bench, T, "t")
    feed = feed_of(bench)
    await bench.until(lambda: feed.position == 1)
    feed.drop()
    reads = bench.broker.stats.log_read_count
    await bench.until(lambda: all(peer.seqs == [1] for peer in peers))
    assert bench.broker.stats.log_read_count == reads
    feed.drop()
    assert feed.slice(1, 1, None) == []


async def test_a_set_whose_messages_are_gone_from_the_tail_goes_on_from_the_log(
    bench: Bench, small
):
    peers = [peer for _, peer in await many(bench, ack="auto")]
    publish(bench, T, "t")
    feed = feed_of(bench)
    await bench.until(lambda: feed.position == 1)
    feed._tail.clear()
    await bench.until(lambda: all(peer.seqs == [1] for peer in peers))
    await bench.publish("t")
    await bench.until(lambda: all(peer.seqs == [1, 2] for peer in peers))


async def test_sets_that_have_become_sparse_are_put_together(bench: Bench, small, monkeypatch):
    monkeypatch.setattr(feeds, "SPARSE_FREE_COUNT", 2)
    joined = await many(bench, ack="auto")
    for number, (connection, _) in enumerate(joined):
        if number % 3:
            connection.close()
    feed = feed_of(bench)
    assert len(feed._sets) == SETS_COUNT
    for _ in range(30):
        await bench.subscribe("t", ack="auto")
    assert len(feed.live) == 40
    assert len(feed._sets) <= 15
    assert all(who.live_set in feed._sets for who in feed.live)
    await bench.publish("t")
    await bench.until(lambda: all(peer.seqs == [1] for _, peer in joined[::3]))


async def test_of_much_a_part_is_written_in_one_go_and_others_are_served_in_between(
    bench: Bench, monkeypatch
):
    monkeypatch.setattr(live, "WRITTEN_MAX_BYTES", 20_000)
    monkeypatch.setattr(feeds, "WRITE_S", 1.0)
    peers = [peer for _, peer in await many(bench, 10, ack="auto")]
    await bench.broker.topics.create("other", "t")
    connection = bench.broker.connect("other", other := Peer())
    await connection.subscribe(Subscribe("t", ack="auto"))
    # All of it is in one commit, and 2,000 bytes for each.
    for _ in range(30):
        publish(bench, T, "t", "x" * 700)
    publish(bench, "other", "t")
    await bench.until(lambda: bool(other.seqs))
    assert all(len(peer.seqs) <= 4 for peer in peers)
    await bench.until(lambda: all(len(peer.seqs) == 30 for peer in peers))
    assert all(peer.seqs == list(range(1, 31)) for peer in peers)


async def test_a_message_that_is_more_than_that_is_written_by_itself(bench: Bench, monkeypatch):
    monkeypatch.setattr(live, "WRITTEN_MAX_BYTES", 1_000)
    monkeypatch.setattr(feeds, "WRITE_S", 1.0)
    peers = [peer for _, peer in await many(bench, 10, ack="auto")]
    for _ in range(3):
        publish(bench, T, "t", "x" * 700)
    counts = []
    while not counts or counts[-1] < 3:
        await asyncio.sleep(0)
        counts.append(len(peers[0].seqs))
    # One at the end of what came, and one of what is in line.
    assert max(after - before for before, after in pairwise(counts)) <= 2
    await bench.until(lambda: all(peer.seqs == [1, 2, 3] for peer in peers))
