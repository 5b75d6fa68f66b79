import pytest

from conduit.protocol.frames import Ack
from tests.server.rest_kit import Api, running_api


@pytest.fixture
async def api():
    async with running_api() as api:
        yield api


async def test_stats_count_what_happens(api: Api):
    await api.topic("t")
    connection, peer = await api.bench.subscribe("t", subscription="s")
    await api.bench.publish_many("t", 4)
    connection.verbs.ack(Ack(message_id=peer.of("message")[0]["message_id"]))
    # What is settled leaves the backlog with its flush.
    await api.bench.broker._engine.progress.flush()
    stats = await api.get("/api/stats")
    assert (stats["total_messages"], stats["total_deliveries"], stats["total_acks"]) == (4, 4, 1)
    assert (stats["active_topics"], stats["active_subscribers"], stats["backlog"]) == (1, 1, 3)
    assert stats["uptime_seconds"] == 0


async def test_rates_are_means_of_the_last_ten_seconds(api: Api):
    await api.topic("t", 90)
    api.context.broker.stats.tick(api.bench.clock.now(), api.bench.clock.wall_ms())
    api.bench.clock.seconds += 9
    assert (await api.get("/api/stats"))["messages_per_sec"] == pytest.approx(10)
    api.bench.clock.seconds += 10
    assert (await api.get("/api/stats"))["messages_per_sec"] == 0


async def test_the_history_is_bounded_and_its_end_can_be_asked_for(api: Api):
    broker = api.context.broker
    for _ in range(725):
        api.bench.clock.seconds += 5
        assert broker.stats.tick(api.bench.clock.now(), api.bench.clock.wall_ms())
        broker.stats.sample(api.bench.clock.now(), api.bench.clock.wall_ms(), broker.gauges())
    whole = await api.get("/api/stats/history")
    assert (whole["interval_s"], len(whole["samples"])) == (5, 720)
    last = await api.get("/api/stats/history", limit=2)
    assert last["samples"] == whole["samples"][-2:]
    assert last["samples"][-1] == {
        "at": "2023-11-14T23:13:45.000Z",
        "messages_per_sec": 0,
        "deliveries_per_sec": 0,
        "acks_per_sec": 0,
        "redeliveries_per_sec": 0,
        "dead_letters_per_sec": 0,
        "backlog": 0,
        "active_subscribers": 0,
        "active_topics": 0,
    }
