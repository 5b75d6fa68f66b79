"""How the subscriptions with the largest lag are told of."""

import asyncio

import pytest

from conduit.broker.administer import standings
from conduit.broker.administer.standings import LOOK_INTERVAL_S, TOPICS_MAX_COUNT
from conduit.errors import StoreUnavailable
from conduit.protocol.frames import Ack, Nack, Reject
from conduit.storage.memory import MemoryStore
from tests.broker.kit import running_broker

T = "default"


class WatchedStore(MemoryStore):
    """Counts reads of the log; fails or hangs when told to."""

    def __init__(self):
        super().__init__()
        self.read_count = 0
        self.is_away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self, *args, **kwargs):
        self.read_count += 1
        return await super().read(*args, **kwargs)

    async def dead_tally(self, tenant, subscription):
        await self.gate.wait()
        if self.is_away:
            raise StoreUnavailable("away")
        return await super().dead_tally(tenant, subscription)


@pytest.fixture
def store():
    return WatchedStore()


@pytest.fixture
async def bench(store):
    async with running_broker(store) as bench:
        yield bench


async def create(bench, name, topic):
    await bench.broker.subscriptions.create(T, name, topic, bench.durable_settings(), None)


async def looked(bench):
    """What is told after another look, by name."""
    bench.clock.seconds += LOOK_INTERVAL_S
    bench.broker._ticked()
    await bench.broker.standings.look()
    return {one.name: one for one in bench.broker.standings.newest}


async def test_a_subscription_to_which_nobody_is_attached_is_told_of(bench):
    await create(bench, "s", "t")
    await bench.publish("t")
    await bench.advance(60.0)
    await bench.publish("t")
    await bench.advance(30.0)
    one = (await looked(bench))["s"]
    assert (one.lag, one.in_flight_count, one.pending_retry_count, one.dead_count) == (2, 0, 0, 0)
    assert (one.subscriber_count, one.is_paused) == (0, False)
    assert one.oldest_age_s == pytest.approx(90 + LOOK_INTERVAL_S)


async def test_one_that_runs_is_told_of_with_what_is_out_waits_and_died(bench):
    connection, peer = await bench.subscribe("t", subscription="s", ack_wait_ms=600_000)
    await bench.publish_many("t", 4)
    ids = [frame["message_id"] for frame in peer.of("message")]
    connection.verbs.nack(Nack(ids[1], delay_ms=600_000))
    connection.verbs.reject(Reject(ids[0]))
    await bench.flush()
    await bench.advance(10.0)
    one = (await looked(bench))["s"]
    assert (one.lag, one.in_flight_count, one.pending_retry_count, one.dead_count) == (3, 2, 1, 1)
    assert one.oldest_age_s == pytest.approx(10 + LOOK_INTERVAL_S)
    assert one.subscriber_count == 1


async def test_one_that_is_paused_is_told_of_as_such(bench):
    await create(bench, "s", "t")
    await bench.broker.subscriptions.pause(T, "s")
    assert (await looked(bench))["s"].is_paused


async def test_who_has_settled_all_has_nothing_old(bench):
    await create(bench, "s", "t")
    assert (await looked(bench))["s"].oldest_age_s == 0


async def test_the_oldest_message_is_that_of_all_topics(bench):
    await create(bench, "s", "t.*")
    for name in ("t.a", "t.b", "t.c"):
        await bench.broker.topics.create(T, name)
    await bench.publish("t.b")
    await bench.advance(100.0)
    await bench.publish("t.a")
    assert (await looked(bench))["s"].oldest_age_s == pytest.approx(100 + LOOK_INTERVAL_S)


async def test_the_largest_come_first_and_no_more_than_may():
    async with running_broker(metrics_max_subscriptions=2) as bench:
        for number in range(4):
            await create(bench, f"s{number}", f"t{number}")
            await bench.publish_many(f"t{number}", 1 + number)
        assert list(await looked(bench)) == ["s3", "s2"]


async def test_many_are_compared_in_steps(bench, monkeypatch):
    monkeypatch.setattr(standings, "STEP_COUNT", 2)
    for number in range(5):
        await create(bench, f"s{number}", f"t{number}")
        await bench.publish_many(f"t{number}", 1 + number)
    assert list(await looked(bench)) == ["s4", "s3", "s2", "s1", "s0"]


async def test_without_any_nothing_is_looked_at(store):
    async with running_broker(store, metrics_max_subscriptions=0) as bench:
        await create(bench, "s", "t")
        assert await looked(bench) == {}


async def test_it_is_looked_at_no_more_often_than_every_few_seconds(bench):
    await create(bench, "s", "t")
    await looked(bench)
    await bench.publish("t")
    await bench.broker.standings.look()
    assert bench.broker.standings.newest[0].lag == 0
    assert (await looked(bench))["s"].lag == 1


async def test_of_one_that_hangs_the_log_is_read_once(bench, store):
    await create(bench, "s", "t")
    await bench.publish("t")
    for age in (1, 2, 3):
        assert (await looked(bench))["s"].oldest_age_s == pytest.approx(age * LOOK_INTERVAL_S)
    assert store.read_count == 1


async def test_of_many_topics_with_something_to_do_some_are_looked_at(bench, store):
    for number in range(2 * TOPICS_MAX_COUNT):
        await bench.broker.topics.create(T, f"t.{number}")
    connection, _ = await bench.subscribe("t.*", subscription="s", max_in_flight=1)
    for number in range(2 * TOPICS_MAX_COUNT):
        await bench.publish(f"t.{number}")
    store.read_count = 0
    await bench.flush()
    one = (await looked(bench))["s"]
    assert one.oldest_age_s == pytest.approx(LOOK_INTERVAL_S)
    assert store.read_count <= TOPICS_MAX_COUNT
    connection.close()
    await bench.flush()
    assert (await looked(bench))["s"].oldest_age_s is None


async def test_topics_in_which_all_is_settled_are_passed_over(bench):
    connection, peer = await bench.subscribe("t.*", subscription="s")
    for number in range(2 * TOPICS_MAX_COUNT):
        await bench.broker.topics.create(T, f"t.{number}")
        await bench.publish(f"t.{number}")
    for frame in peer.of("message")[:-1]:
        connection.verbs.ack(Ack(message_id=frame["message_id"]))
    await bench.flush()
    assert (await looked(bench))["s"].lag == 1
    assert (await looked(bench))["s"].oldest_age_s == pytest.approx(2 * LOOK_INTERVAL_S)


async def test_what_a_store_does_not_say_is_not_told(bench, store):
    await create(bench, "s", "t")
    await bench.publish("t")
    await looked(bench)
    store.is_away = True
    one = (await looked(bench))["s"]
    assert (one.lag, one.dead_count, one.oldest_age_s) == (1, None, None)
    store.is_away = False
    assert (await looked(bench))["s"].dead_count == 0


async def test_a_store_that_hangs_holds_up_nobody(bench, store, monkeypatch):
    monkeypatch.setattr(standings, "WAIT_MAX_S", 0.0)
    await create(bench, "s", "t")
    store.gate.clear()
    await looked(bench)
    await bench.rest()
    assert [one.dead_count for one in bench.broker.standings.newest] == [None]
    await looked(bench)
    store.gate.set()
    await bench.rest()
    assert [one.dead_count for one in bench.broker.standings.newest] == [0]


async def test_a_look_that_is_under_way_ends_with_the_broker(store, monkeypatch):
    monkeypatch.setattr(standings, "WAIT_MAX_S", 0.0)
    async with running_broker(store) as bench:
        await create(bench, "s", "t")
        store.gate.clear()
        await looked(bench)


async def test_one_that_is_deleted_meanwhile_is_told_of_no_more(bench):
    await create(bench, "s", "t")
    assert list(await looked(bench)) == ["s"]
    await bench.broker.subscriptions.delete(T, "s")
    assert await looked(bench) == {}
