"""What concerns very many topics or letters is done in steps, and others have their turns of the loop in
between. Each kind of step is made small by itself, and then has to take more turns."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from conduit.broker import topics
from conduit.broker.administer import altering, redriving
from conduit.broker.administer import subscriptions as administering
from conduit.broker.deliver import loading
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Reject, Subscribe
from conduit.storage import slices
from conduit.storage.base import Start
from conduit.storage.dead_letters import DeadFilter
from tests.broker.kit import Bench, running_broker

COUNT, STEP_COUNT = 60, 10
Work = Coroutine[object, object, object]


async def fill(bench: Bench) -> None:
    """Topics with a message each, which `s` has begun behind."""
    for number in range(COUNT):
        await bench.broker.topics.create(T, f"t{number:02}")
        await bench.publish(f"t{number:02}")
    await create(bench, "s", ">")


def create(bench: Bench, name: str, pattern: str) -> Work:
    settings = bench.durable_settings()
    return bench.broker.subscriptions.create(T, name, pattern, settings, "new")


async def attach(bench: Bench) -> None:
    await bench.subscribe(">", subscription="s")


async def bury(bench: Bench) -> None:
    connection, peer = await bench.subscribe("u", subscription="dying")
    await bench.publish_many("u", COUNT)
    for frame in peer.of("message"):
        connection.verbs.reject(Reject(frame["message_id"]))
    await bench.flush()


async def nothing(_: Bench) -> None:
    """It is as it was filled."""


async def redrive_all(bench: Bench) -> None:
    places = await bench.broker.store.dead_places(T, DeadFilter(), limit=COUNT)
    assert await bench.broker.dead_letters._redrive(T, places, 1) == {}


def seek(bench: Bench, *, dry_run: bool) -> Work:
    return bench.broker.subscriptions.seek(T, "s", "earliest", dry_run=dry_run)


STEPS = {
    "counts topics": (topics, "WALK_STEP_COUNT", nothing, lambda bench: create(bench, "new", "*")),
    "shows topics": (
        topics,
        "WALK_STEP_COUNT",
        nothing,
        lambda bench: bench.broker.subscriptions.topics(T, "s", limit=COUNT, after=None),
    ),
    "is loaded": (
        loading,
        "LOAD_STEP_COUNT",
        nothing,
        lambda bench: bench.connect()[0].subscribe(Subscribe(">", subscription="s")),
    ),
    "moves": (altering, "SEEK_STEP_COUNT", attach, lambda bench: seek(bench, dry_run=False)),
    "would move": (
        administering,
        "VIEW_STEP_COUNT",
        nothing,
        lambda bench: seek(bench, dry_run=True),
    ),
    "finds a start in memory": (
        slices,
        "SLICE_COUNT",
        nothing,
        lambda bench: bench.broker.store.positions(T, ">", Start(earliest=True)),
    ),
    "reads progress in memory": (
        slices,
        "SLICE_COUNT",
        nothing,
        lambda bench: bench.broker.store.progress(1),
    ),
    "is redriven": (redriving, "TURN_MAX_COUNT", bury, redrive_all),
}


async def turns_of(work: Work) -> int:
    """How often the loop turns until it is done."""
    task, turns = asyncio.get_running_loop().create_task(work), 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    await task
    return turns


@pytest.mark.parametrize("name", STEPS)
async def test_whatever_is_much_is_done_in_steps(monkeypatch, name):
    module, constant, prepare, work = STEPS[name]
    taken = []
    for step_count in (1_000, STEP_COUNT):
        async with running_broker() as bench:
            await fill(bench)
            await prepare(bench)
            await bench.broker._engine.turn.finished()
            monkeypatch.setattr(module, constant, step_count)
            taken.append(await turns_of(work(bench)))
    at_once, in_steps = taken
    assert in_steps - at_once >= COUNT // STEP_COUNT - 1


async def test_where_one_topic_begins_is_found_without_a_walk_through_all(monkeypatch):
    async with running_broker() as bench:
        await fill(bench)
        monkeypatch.setattr(slices, "SLICE_COUNT", 1)
        for pattern, most in (("t07", 2), ("t99", 2), (">", COUNT + 1)):
            assert await turns_of(bench.broker.store.positions(T, pattern, Start())) <= most
