"""Starts that ask for many positions which are not there: every gap is told, as the socket drains."""

from __future__ import annotations

import asyncio
import gc

import pytest

from conduit.broker.attach.connection import Connection
from conduit.broker.deliver.former import FormerTopics
from conduit.broker.deliver.owned import START_GAPS_MAX_COUNT
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import StartAt, StartPosition, Subscribe, Unsubscribe
from tests.broker.kit import Bench, Peer, running_broker

COUNT = 2_000
# What the peer's socket takes until it has to drain.
UNREAD_MAX_BYTES = 50_000


class SlowPeer(Peer):
    """Writable until so much is unread; fails where a connection would be dropped."""

    unread_bytes = 0

    def write(self, data: bytes) -> None:
        super().write(data)
        self.unread_bytes += len(data)
        self.writable = self.writable and self.unread_bytes < UNREAD_MAX_BYTES
        assert self.unread_bytes < 3 * UNREAD_MAX_BYTES

    def drain(self, connection: Connection) -> None:
        self.unread_bytes = 0
        self.writable = True
        connection.writable_changed()


def connect(bench: Bench) -> tuple[Connection, SlowPeer]:
    peer = SlowPeer()
    return bench.broker.connect(T, peer), peer


def count_of(name: str | None) -> int:
    """Gaps of a start: a durable subscription may begin with fewer."""
    return COUNT if name is None else START_GAPS_MAX_COUNT


def asking(pattern: str, name: str | None, **more) -> Subscribe:
    positions = {f"a.{number}": StartPosition(3, "gone") for number in range(count_of(name))}
    return Subscribe(pattern, name, StartAt(positions=positions), **more)


async def drained(bench: Bench, connection: Connection, peer: SlowPeer) -> None:
    await bench.rest()
    while not peer.writable:
        peer.drain(connection)
        await bench.rest()


@pytest.mark.parametrize("name", [None, "s"])
@pytest.mark.parametrize("ack", ["auto", "explicit"])
async def test_all_are_told_before_the_first_message_and_none_is_missing(bench: Bench, name, ack):
    await bench.broker.topics.create(T, "a.b")
    connection, peer = connect(bench)
    count = count_of(name)
    await connection.subscribe(asking("a.*", name, ack=ack))
    await bench.publish_many("a.b", 5)
    assert len(peer.of("gap")) < count
    await drained(bench, connection, peer)
    assert [frame["topic"] for frame in peer.of("gap")] == [f"a.{n}" for n in range(count)]
    kinds = ["subscribed"] + ["gap"] * count + ["message"] * 5
    assert [frame["type"] for frame in peer.frames] == kinds
    await bench.publish("a.b")
    assert peer.seqs == [1, 2, 3, 4, 5, 6]
    assert bench.broker.stats.gap_count == count


async def test_a_socket_that_is_full_already_takes_the_gaps_later(bench: Bench):
    await bench.broker.topics.create(T, "a.b")
    connection, peer = connect(bench)
    peer.writable = False
    start = StartAt(positions={"a.gone": StartPosition(3)})
    await connection.subscribe(Subscribe("a.*", start=start))
    await bench.publish("a.b")
    assert [frame["type"] for frame in peer.frames] == ["subscribed"]
    await drained(bench, connection, peer)
    assert [frame["type"] for frame in peer.frames] == ["subscribed", "gap", "message"]


async def test_the_next_subscribe_of_the_connection_waits_for_them(bench: Bench):
    connection, peer = connect(bench)
    await connection.subscribe(asking("a.*", None))
    await bench.rest()
    second = asyncio.get_running_loop().create_task(connection.subscribe(asking("*.*", None)))
    await bench.rest()
    assert len(peer.of("subscribed")) == 1
    await drained(bench, connection, peer)
    await second
    await drained(bench, connection, peer)
    assert [frame["topic"] for frame in peer.of("subscribed")] == ["a.*", "*.*"]
    assert len(peer.of("gap")) == 2 * COUNT


async def test_a_subscribe_that_waits_for_them_ends_with_the_connection(bench: Bench):
    connection, peer = connect(bench)
    await connection.subscribe(asking("a.*", None))
    second = asyncio.get_running_loop().create_task(connection.subscribe(Subscribe("b")))
    await bench.rest()
    connection.close()
    await second
    assert len(peer.of("subscribed")) == 1
    assert bench.broker.gauges().subscriber_count == 0


async def test_nothing_follows_an_unsubscribe(bench: Bench):
    connection, peer = connect(bench)
    await connection.subscribe(asking("a.*", "s"))
    await bench.rest()
    connection.unsubscribe(Unsubscribe("a.*", "s"))
    await drained(bench, connection, peer)
    assert peer.frames[-1]["type"] == "unsubscribed"
    await connection.subscribe(Subscribe("b"))
    await bench.publish("b")
    assert peer.seqs == [1]


async def test_what_is_told_while_gaps_wait_comes_behind_them(bench: Bench):
    await bench.broker.topics.create(T, "a.b")
    connection, peer = connect(bench)
    peer.writable = False
    await connection.subscribe(Subscribe("a.*", None, StartAt(positions={"a.b": StartPosition(9)})))
    await bench.broker.topics.delete(T, "a.b")
    await bench.broker.topics.create(T, "a.b")
    await bench.rest()
    assert peer.of("gap") == []
    peer.drain(connection)
    await bench.rest()
    assert [gap["reason"] for gap in peer.of("gap")] == ["log_lost", "epoch_changed"]


async def test_those_that_wait_for_the_socket_are_small_and_counted(bench: Bench):
    connection, peer = connect(bench)
    peer.writable = False
    await connection.subscribe(asking("a.*", None))
    await bench.rest()
    # As frames they are twice that, and as objects seven times.
    assert 30 * COUNT < connection.gap_bytes < 60 * COUNT
    assert peer.growing_count > 0
    await drained(bench, connection, peer)
    assert [frame["topic"] for frame in peer.of("gap")] == [f"a.{n}" for n in range(COUNT)]
    assert connection.gap_bytes == 0


@pytest.mark.parametrize("name", [None, "s"])
async def test_they_count_no_more_when_the_stream_has_ended(bench: Bench, name):
    connection, peer = connect(bench)
    peer.writable = False
    await connection.subscribe(asking("a.*", name))
    assert connection.gap_bytes > 0
    connection.unsubscribe(Unsubscribe("a.*", name))
    assert connection.gap_bytes == 0


async def test_what_is_owed_many_gaps_is_freed_without_the_collector_when_it_is_unloaded():
    def held() -> set[int]:
        return {id(one) for one in gc.get_objects() if type(one) is FormerTopics}

    gc.disable()
    try:
        async with running_broker() as bench:
            connection, peer = await bench.subscribe("a.*", subscription="s")
            for number in range(10):
                await bench.broker.topics.create(T, f"a.{number}")
                await bench.publish(f"a.{number}")
                await bench.broker.topics.delete(T, f"a.{number}")
            assert len(peer.of("gap")) == 10
            (running,) = bench.broker._owned.running()
            former = id(running.former)
            assert former in held()
            del running
            connection.close()
            await bench.flush()
            assert not bench.broker._owned.running()
            assert former not in held()
    finally:
        gc.enable()
