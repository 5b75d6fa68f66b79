"""Starts with many positions: few at a time, in short steps, and small while they wait."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from conduit.broker.deliver import large_starts
from conduit.broker.deliver.large_starts import AT_ONCE_COUNT, STEP_COUNT, WAITING_MAX_COUNT
from conduit.broker.deliver.loading import FEW_FORMER_COUNT
from conduit.broker.deliver.settings import DURABLE
from conduit.errors import InvalidRequest, Overloaded
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import StartAt, StartPosition, Subscribe
from tests.broker.kit import Bench, Peer, running_broker
from tests.broker.stores import SlowStore

MANY_COUNT = 4 * STEP_COUNT


def many(count: int = MANY_COUNT, **more: StartPosition) -> StartAt:
    """Positions in so many topics that are not there, and `more`."""
    gone = {f"a.gone{number}": StartPosition(3) for number in range(count)}
    return StartAt(positions={f"a.{name}": position for name, position in more.items()} | gone)


def begun(call) -> asyncio.Task:
    return asyncio.get_running_loop().create_task(call)


async def waiting(bench: Bench, count: int) -> list[tuple[asyncio.Task, object, Peer]]:
    """So many subscribes with large starts; those whose turn it is wait for the store."""
    await bench.broker.topics.create(T, "a.there")
    bench.broker.store.held.add("extents")
    asked = []
    for _ in range(count):
        connection, peer = bench.connect()
        frame = Subscribe("a.*", start=many(there=StartPosition(1)))
        asked.append((begun(connection.subscribe(frame)), connection, peer))
    await bench.rest()
    return asked


async def test_few_of_them_are_worked_on_at_once_and_the_others_are_small_and_counted():
    async with running_broker(SlowStore()) as bench:
        asked = await waiting(bench, AT_ONCE_COUNT + 3)
        assert bench.broker.store.waiting == ["extents"] * AT_ONCE_COUNT
        sizes = [connection.start_bytes for _, connection, _ in asked]
        assert sizes[:AT_ONCE_COUNT] == [0] * AT_ONCE_COUNT
        assert all(20 * MANY_COUNT < size < 30 * MANY_COUNT for size in sizes[AT_ONCE_COUNT:])
        # Whoever asks for little need not wait.
        _, small = await bench.subscribe("b")
        assert len(small.of("subscribed")) == 1
        bench.broker.store.release()
        for task, connection, peer in asked:
            await task
            assert connection.start_bytes == 0
            assert len(peer.of("gap")) <= MANY_COUNT
            await bench.until(lambda peer=peer: len(peer.of("gap")) == MANY_COUNT)


async def test_one_whose_connection_has_ended_keeps_nothing_and_takes_no_turn():
    async with running_broker(SlowStore()) as bench:
        asked = await waiting(bench, AT_ONCE_COUNT + 1)
        task, connection, peer = asked[-1]
        connection.close()
        assert connection.start_bytes == 0
        bench.broker.store.release()
        await task
        assert peer.frames == []
        for other, _, _ in asked:
            await other


async def test_one_whose_turn_does_not_come_in_time_is_refused_and_its_connection_goes_on(
    monkeypatch,
):
    async with running_broker(SlowStore()) as bench:
        asked = await waiting(bench, AT_ONCE_COUNT)
        monkeypatch.setattr(large_starts, "WAIT_MAX_S", 0.0)
        connection, peer = bench.connect()
        with pytest.raises(Overloaded, match="nothing was done") as refused:
            await connection.subscribe(Subscribe("a.*", "s", start=many()))
        assert refused.value.retry_after_s == large_starts.RETRY_AFTER_S
        assert connection.start_bytes == 0
        bench.broker.store.release()
        await asyncio.gather(*(task for task, _, _ in asked))
        # A turn that is free is not waited for.
        await connection.subscribe(Subscribe("a.*", "s", start=many()))
        assert len(peer.of("subscribed")) == 1


async def test_over_http_there_is_a_bound_for_those_that_wait():
    async with running_broker(SlowStore()) as bench:
        calls = bench.broker.subscriptions
        await bench.broker.topics.create(T, "a.there")
        await calls.create(T, "s", "a.*", DURABLE, None)
        bench.broker.store.held.add("extents")
        start = many(there=StartPosition(1))
        tasks = [
            begun(calls.seek(T, "s", start, dry_run=True))
            for _ in range(AT_ONCE_COUNT + WAITING_MAX_COUNT)
        ]
        await bench.rest()
        with pytest.raises(Overloaded):
            await calls.seek(T, "s", start, dry_run=True)
        with pytest.raises(Overloaded):
            await calls.create(T, "another", "a.*", DURABLE, start)
        bench.broker.store.release()
        for task in tasks:
            assert len((await task).gaps) == MANY_COUNT
        await calls.seek(T, "s", start, dry_run=True)


async def test_the_work_for_one_is_done_in_many_turns(bench: Bench):
    connection, peer = bench.connect()
    task = begun(connection.subscribe(Subscribe("a.*", start=many())))
    turns = 0
    while not peer.of("subscribed"):
        turns += 1
        await asyncio.sleep(0)
    # Each position is checked, and then looked for.
    assert turns >= 2 * (MANY_COUNT // STEP_COUNT - 1)
    await task


@pytest.mark.parametrize("name", ["b.c", "no topic"])
async def test_what_makes_no_sense_in_one_is_refused_however_far_back_it_is(bench: Bench, name):
    positions = {**many().positions, name: StartPosition(1)}
    connection, _ = bench.connect()
    with pytest.raises(InvalidRequest, match="which is not in"):
        await connection.subscribe(Subscribe("a.*", "s", start=StartAt(positions=positions)))
    positions = {**many().positions, "a.last": StartPosition(0)}
    with pytest.raises(InvalidRequest, match=r"start.positions.a.last.seq"):
        await connection.subscribe(Subscribe("a.*", "s", start=StartAt(positions=positions)))
    assert bench.broker.subscriptions.count == 0


@pytest.mark.parametrize("turns", [1, 20, 25, 30])
async def test_topics_that_come_and_go_meanwhile_are_given_as_they_are_in_the_end(
    bench: Bench, turns: int
):
    calls = bench.broker.topics
    goes, anew = await calls.create(T, "a.goes"), await calls.create(T, "a.anew")
    for name in ("a.goes", "a.anew"):
        await bench.publish_many(name, 5)
    # Some 40 turns.
    start = many(
        20 * STEP_COUNT,
        goes=StartPosition(3, goes.epoch),
        anew=StartPosition(3, anew.epoch),
        comes=StartPosition(3, "another"),
    )
    connection, peer = bench.connect()
    task = begun(connection.subscribe(Subscribe("a.*", start=start)))
    for _ in range(turns):
        await asyncio.sleep(0)
    assert not peer.of("subscribed")
    await calls.delete(T, "a.goes")
    await calls.delete(T, "a.anew")
    made = [await calls.create(T, name) for name in ("a.anew", "a.comes")]
    assert not peer.of("subscribed")
    await task
    await bench.publish("a.anew")
    await bench.publish("a.comes")
    await bench.until(lambda: len(peer.of("message")) == 2)
    assert peer.of("subscribed")[0]["recovered"] is False
    gaps = {gap["topic"]: gap for gap in peer.of("gap")}
    assert len(gaps) == len(peer.of("gap")) == 20 * STEP_COUNT + 3
    epochs = {"a.goes": "", "a.anew": made[0].epoch, "a.comes": made[1].epoch}
    assert {name: gaps[name]["epoch"] for name in epochs} == epochs
    assert {gap["from_seq"] for gap in gaps.values()} == {3}


async def test_thousands_of_positions_that_are_there_are_recovered(bench: Bench):
    names = [f"a.{number}" for number in range(MANY_COUNT)]
    for name in names:
        await bench.broker.topics.create(T, name)
    await bench.publish_many("a.7", 5)
    positions = dict.fromkeys(names, StartPosition(1)) | {"a.7": StartPosition(4)}
    _, peer = await bench.subscribe("a.*", start=StartAt(positions=positions), ack="auto")
    await bench.until(lambda: len(peer.frames) == 3)
    assert peer.of("subscribed")[0]["recovered"] is True
    assert peer.seqs == [4, 5]


async def test_one_number_in_all_topics_of_a_pattern_is_a_large_start_too():
    async with running_broker(SlowStore()) as bench:
        await bench.broker.topics.create(T, "a.there")
        bench.broker.store.held.add("extents")
        tasks = [
            begun(bench.subscribe("a.*", start=StartAt(seq=9))) for _ in range(AT_ONCE_COUNT + 1)
        ]
        await bench.rest()
        assert bench.broker.store.waiting == ["extents"] * AT_ONCE_COUNT
        bench.broker.store.release()
        for task in tasks:
            _, peer = await task
            assert [gap["from_seq"] for gap in peer.of("gap")] == [1]


async def test_of_subscriptions_that_are_owed_much_one_begins_in_a_turn(bench: Bench):
    connections = []
    for number in range(5):
        start = many(FEW_FORMER_COUNT + 1)
        await bench.broker.subscriptions.create(T, f"s{number}", "a.*", DURABLE, start)
        connections.append(bench.connect())
    tasks = [
        begun(connection.subscribe(Subscribe("a.*", f"s{number}")))
        for number, (connection, _) in enumerate(connections)
    ]
    counts = [0]
    while counts[-1] < len(tasks):
        await asyncio.sleep(0)
        counts.append(len(bench.broker._owned.running()))
    assert max(after - before for before, after in itertools.pairwise(counts)) == 1
    for task, (_, peer) in zip(tasks, connections, strict=True):
        await task
        await bench.until(lambda peer=peer: len(peer.of("gap")) == FEW_FORMER_COUNT + 1)
