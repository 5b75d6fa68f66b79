import asyncio

import pytest
from msgspec.structs import replace

from conduit.broker import topics as known
from conduit.broker import turn
from conduit.core.message import Retention
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, Subscribe
from tests.broker.kit import Bench, running_broker
from tests.broker.stores import SlowStore

MANY_COUNT = 30


def backlog(bench: Bench) -> int:
    return bench.broker.gauges().backlog_count


async def counted(bench: Bench) -> None:
    await bench.broker._engine.progress.flush()
    await bench.broker.subscriptions._counting.round()
    await bench.rest()


async def create(bench: Bench, name: str, topic: str, max_in_flight: int = 256):
    settings = replace(bench.durable_settings(), max_in_flight=max_in_flight)
    return await bench.broker.subscriptions.create(T, name, topic, settings, "new")


@pytest.mark.parametrize("pattern", ["t", "*"])
async def test_the_backlog_is_there_without_a_consumer_and_after_it_has_died(bench: Bench, pattern):
    await bench.broker.topics.create(T, "t")
    await create(bench, "s", pattern)
    await bench.publish_many("t", 5)
    assert backlog(bench) == 5
    connection, peer = await bench.subscribe(pattern, subscription="s")
    await bench.until(lambda: len(peer.seqs) == 5)
    for message in peer.of("message")[1:]:
        connection.verbs.ack(Ack(message_id=message["message_id"]))
    await counted(bench)
    # What is settled above the floor does not count.
    assert backlog(bench) == 1
    connection.close(lost=True)
    await bench.flush()
    assert bench.broker._owned.running() == []
    # It is not counted anew for that.
    assert backlog(bench) == 1
    await counted(bench)
    assert backlog(bench) == 1
    await bench.publish_many("t", 2)
    assert backlog(bench) == 3
    view = await bench.broker.subscriptions.get(T, "s")
    assert (view.lag, view.topics[0].lag) == (3, 3)


@pytest.mark.parametrize("is_running", [False, True])
async def test_what_retention_has_removed_is_no_backlog(bench: Bench, is_running):
    await bench.broker.topics.create(T, "t", Retention(max_messages=2))
    await create(bench, "s", ">", max_in_flight=1)
    if is_running:
        await bench.subscribe(">", subscription="s")
    await bench.publish_many("t", 500)
    assert backlog(bench) == 500
    await bench.broker._housekeeper.round()
    await counted(bench)
    assert backlog(bench) == 2
    assert (await bench.broker.subscriptions.get(T, "s")).topics[0].lag == 2


@pytest.mark.parametrize("has_progress", [False, True])
async def test_what_retention_has_removed_while_nobody_was_there_is_no_backlog_of_who_may_not_begin(
    bench: Bench, has_progress
):
    await bench.broker.topics.create(T, "t", Retention(max_messages=2))
    await create(bench, "s", ">", max_in_flight=3)
    await bench.publish_many("t", 5)
    if has_progress:
        connection, _ = await bench.subscribe(">", subscription="s")
        await bench.flush()
        connection.close()
        await bench.flush()
    await bench.broker.subscriptions.pause(T, "s")
    await bench.publish_many("t", 15)
    await bench.broker._housekeeper.round()
    await bench.subscribe(">", subscription="s")
    (running,) = bench.broker._owned.running()
    assert running.unopened
    assert backlog(bench) == 2
    await counted(bench)
    assert backlog(bench) == 2


async def test_the_backlog_is_known_within_a_second_of_a_start_though_nobody_asks():
    store = SlowStore()
    async with running_broker(store) as bench:
        await bench.broker.topics.create(T, "t")
        await create(bench, "s", ">")
        await bench.publish_many("t", 5)
    async with running_broker(store) as bench:
        bench.broker._tick.cancel()
        bench.broker._ticked()
        await bench.until(lambda: backlog(bench) == 5)


async def test_a_deleted_topic_and_a_deleted_subscription_are_no_backlog(bench: Bench):
    for name in ("a", "b"):
        await bench.broker.topics.create(T, name)
        await create(bench, f"s-{name}", ">")
    await bench.publish_many("a", 3)
    await bench.publish_many("b", 4)
    assert backlog(bench) == 14
    await bench.broker.topics.delete(T, "a")
    await counted(bench)
    assert backlog(bench) == 8
    await bench.broker.subscriptions.delete(T, "s-a")
    assert backlog(bench) == 4


async def test_a_topic_that_is_deleted_while_it_is_trimmed_leaves_nothing_in_the_backlog():
    store = SlowStore()
    async with running_broker(store) as bench:
        for name in ("a", "b"):
            await bench.broker.topics.create(T, name, Retention(max_messages=2))
        await create(bench, "s", ">")
        await bench.publish_many("a", 5)
        await bench.publish("b")
        store.held = {"trim"}

        async def delete_meanwhile() -> None:
            await bench.until(lambda: bool(store.waiting))
            await bench.broker.topics.delete(T, "a")
            store.release()

        await asyncio.gather(bench.broker._housekeeper.round(), delete_meanwhile())
        await counted(bench)
        assert backlog(bench) == 1


async def test_a_subscription_that_is_moved_lacks_what_is_before_it(bench: Bench):
    await bench.broker.topics.create(T, "t")
    await create(bench, "s", ">")
    await bench.publish_many("t", 9)
    await bench.broker.subscriptions.seek(T, "s", "new", dry_run=False)
    await counted(bench)
    assert backlog(bench) == 0
    connection, _ = await bench.subscribe(">", subscription="s")
    moved = await bench.broker.subscriptions.seek(T, "s", "earliest", dry_run=False)
    await counted(bench)
    assert (moved.lag, backlog(bench)) == (9, 9)
    connection.close()


async def test_a_subscription_that_is_moved_while_it_is_counted_is_counted_again():
    store = SlowStore()
    async with running_broker(store) as bench:
        await bench.broker.topics.create(T, "t")
        await create(bench, "s", "t")
        await bench.publish_many("t", 3)
        # From here on it has to be counted.
        await bench.broker.subscriptions.seek(T, "s", "earliest", dry_run=False)
        store.held = {"counted"}

        async def move_meanwhile() -> None:
            await bench.until(lambda: store.waiting == ["counted"])
            await bench.broker.subscriptions.seek(T, "s", "new", dry_run=False)
            store.release()

        await asyncio.gather(bench.broker.subscriptions._counting.round(), move_meanwhile())
        await counted(bench)
        assert backlog(bench) == 0


async def many(bench: Bench, name: str = "s") -> None:
    for number in range(MANY_COUNT):
        await bench.broker.topics.create(T, f"t{number:02}")
    await create(bench, name, ">", max_in_flight=7)
    for number in range(MANY_COUNT):
        await bench.publish(f"t{number:02}")


@pytest.mark.parametrize("is_running", [False, True])
async def test_of_many_topics_the_lag_is_shown_and_the_topics_are_asked_for(
    bench: Bench, is_running
):
    await many(bench)
    if is_running:
        await bench.subscribe(">", subscription="s")
        await bench.until(lambda: not bench.broker._owned.running()[0].is_beginning)
        await counted(bench)
    view = await bench.broker.subscriptions.get(T, "s")
    assert (view.topics, view.more_topics, view.lag) == ([], True, MANY_COUNT)
    assert (view.in_flight_count, view.pending_retry_count) == (7 * is_running, 0)
    found, after = [], None
    while page := await bench.broker.subscriptions.topics(T, "s", limit=7, after=after):
        found += [(place.topic, place.floor, place.lag) for place in page]
        after = page[-1].topic
    assert found == [(f"t{number:02}", 0, 1) for number in range(MANY_COUNT)]


async def test_a_subscription_that_begins_in_many_topics_misses_nothing_of_them(
    bench: Bench, monkeypatch
):
    # One topic in a turn of the loop.
    monkeypatch.setattr(known, "WALK_STEP_COUNT", 1)
    monkeypatch.setattr(turn, "STEPS_MAX_COUNT", 1)
    for number in range(1_000):
        await bench.broker.topics.create(T, f"t{number:03}")
    await create(bench, "s", ">", max_in_flight=10_000)
    for number in range(0, 1_000, 3):
        await bench.publish(f"t{number:03}")
    connection, peer = bench.connect()
    await connection.subscribe(Subscribe(">", subscription="s"))
    running = bench.broker._owned.running()[0]
    # Before it has looked at them: one that it lacks, one of which it has all, a new one, and one that goes.
    for name in ("t999", "t998"):
        await bench.publish(name)
    await bench.broker.topics.create(T, "t998b")
    await bench.publish("t998b")
    await bench.broker.topics.delete(T, "t996")
    assert running.is_beginning
    await bench.until(lambda: len(peer.seqs) == 333 + 1 + 2)
    topics = sorted(message["topic"] for message in peer.of("message"))
    assert topics == sorted(
        [f"t{n:03}" for n in range(0, 1_000, 3) if n != 996] + ["t998", "t998b", "t999"]
    )
    await counted(bench)
    assert backlog(bench) == 336


async def takes_all(bench: Bench, count: int) -> None:
    """Somebody comes, acks so many messages, which are all, and goes."""
    connection, peer = await bench.subscribe(">", subscription="s")
    await bench.until(lambda: len(peer.seqs) == count)
    for message in peer.of("message"):
        connection.verbs.ack(Ack(message_id=message["message_id"]))
    connection.close()
    await bench.flush()
    await bench.flush()


async def is_counted(bench: Bench) -> asyncio.Task:
    """What the subscription lacks is being counted, and the store has not answered."""
    store = bench.broker.store
    lag = bench.broker._engine.lags.by_id[bench.broker._owned.find(T, "s").subscription_id]
    lag.unknown()
    store.held.add("counted")
    task = asyncio.get_running_loop().create_task(bench.broker.subscriptions.get(T, "s"))
    await bench.until(lambda: store.waiting == ["counted"])
    return task


@pytest.fixture
async def counting():
    """A subscription of 5 messages beside another one, and the count of what it lacks, which is under way."""
    async with running_broker(SlowStore()) as bench:
        await bench.broker.topics.create(T, "t")
        for name in ("other", "s"):
            await create(bench, name, ">")
        await bench.publish_many("t", 5)
        yield bench, await is_counted(bench)


async def test_a_subscription_that_is_deleted_while_it_is_counted_is_no_part_of_the_backlog(
    counting,
):
    bench, task = counting
    await bench.broker.subscriptions.delete(T, "s")
    bench.broker.store.release()
    await task
    assert backlog(bench) == 5
    await bench.publish_many("t", 10)
    assert backlog(bench) == 15


async def test_what_was_settled_while_a_subscription_was_counted_is_no_backlog_of_it(counting):
    bench, task = counting
    await takes_all(bench, 5)
    assert bench.broker._owned.running() == []
    bench.broker.store.release()
    await task
    await counted(bench)
    assert backlog(bench) == 5
    assert (await bench.broker.subscriptions.get(T, "s")).lag == 0


@pytest.fixture
async def taken():
    """Of 7 messages the subscription has taken 5, and what it lacks is being counted."""
    async with running_broker(SlowStore()) as bench:
        await bench.broker.topics.create(T, "t")
        await create(bench, "s", ">")
        await bench.publish_many("t", 5)
        await takes_all(bench, 5)
        await bench.publish_many("t", 2)
        yield bench, await is_counted(bench)


async def test_what_retention_removes_while_a_subscription_is_counted_is_not_taken_twice(taken):
    bench, task = taken
    topic = await bench.broker.topics.update(T, "t", Retention(max_messages=4))
    await bench.broker._housekeeper.round()
    assert topic.first_seq == 4
    bench.broker.store.release()
    await task
    await counted(bench)
    assert (await bench.broker.subscriptions.get(T, "s")).lag == backlog(bench) == 2


async def test_a_topic_that_goes_while_a_subscription_is_counted_is_none_that_it_has_taken(taken):
    bench, task = taken
    await bench.broker.topics.create(T, "u")
    await bench.publish_many("u", 3)
    await bench.broker.topics.delete(T, "t")
    bench.broker.store.release()
    await task
    await counted(bench)
    assert (await bench.broker.subscriptions.get(T, "s")).lag == backlog(bench) == 3


async def lacks(bench: Bench, count: int) -> None:
    """Everybody says so of the subscription, without counting it first."""
    assert backlog(bench) == count
    record = bench.broker._owned.find(T, "s")
    lag = bench.broker._engine.lags.by_id[record.subscription_id]
    assert (lag.is_known, lag.count) == (True, count)


@pytest.mark.parametrize("has_run", [False, True])
async def test_topics_that_come_and_go_while_a_subscription_does_not_run_are_never_of_its_lag(
    bench: Bench, has_run
):
    await bench.broker.topics.create(T, "t")
    await create(bench, "s", ">")
    await bench.publish_many("t", 5)
    if has_run:
        await takes_all(bench, 5)
    await counted(bench)
    kept_count = 0 if has_run else 5
    for number in range(3):
        await bench.broker.topics.create(T, f"u{number}", Retention(max_messages=2))
        await bench.publish_many(f"u{number}", 4)
        await lacks(bench, kept_count + 4)
        await bench.broker.topics.delete(T, f"u{number}")
        await lacks(bench, kept_count)
    # And one of which retention had removed some, counted or not.
    for is_counted_again in (False, True):
        await bench.broker.topics.create(T, "v", Retention(max_messages=2))
        await bench.publish_many("v", 4)
        await bench.broker._housekeeper.round()
        if is_counted_again:
            await counted(bench)
            await lacks(bench, kept_count + 2)
        await bench.broker.topics.delete(T, "v")
        await counted(bench)
        await lacks(bench, kept_count)


async def test_who_asks_after_a_start_while_a_topic_goes_is_told_what_is_lacking_all_the_same():
    store = SlowStore()
    async with running_broker(store) as bench:
        for name in ("t", "u"):
            await bench.broker.topics.create(T, name)
        await create(bench, "s", ">")
        await bench.publish_many("t", 5)
        await takes_all(bench, 5)
        await bench.publish_many("t", 2)
    async with running_broker(store) as bench:
        store.held.add("counted")
        record = bench.broker._owned.find(T, "s")
        asked = bench.broker.subscriptions._counting.known(record)
        task = asyncio.get_running_loop().create_task(asked)
        await bench.until(lambda: "counted" in store.waiting)
        # What the store says by then is of no use for the count.
        await bench.broker.topics.delete(T, "u")
        store.release()
        assert (await task).count == 2
