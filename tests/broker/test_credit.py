"""One window over many topics: whatever frees credit serves whoever waits for it."""

import asyncio

import pytest

from conduit.errors import InvalidRequest
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import Ack, Nack, Reject
from tests.broker.kit import Bench

KINDS = pytest.mark.parametrize("name", [None, "s"], ids=["ephemeral", "durable"])


async def topics(bench: Bench, *names: str) -> None:
    for name in names:
        await bench.broker.topics.create(DEFAULT_TENANT, name)


def of(peer, topic):
    return [frame["seq"] for frame in peer.of("message") if frame["topic"] == topic]


@KINDS
async def test_an_ack_in_one_topic_lets_another_topic_of_the_pattern_go_on(bench: Bench, name):
    await topics(bench, "o.created", "o.paid")
    connection, peer = await bench.subscribe("o.*", subscription=name)
    await bench.publish_many("o.created", 256)
    await bench.publish("o.paid")
    assert of(peer, "o.paid") == []
    connection.verbs.ack(Ack(topic="o.created", seq=256))
    await bench.rest()
    assert of(peer, "o.paid") == [1]


@KINDS
async def test_a_backlog_in_many_topics_is_given_to_the_end(bench: Bench, name):
    for n in range(10):
        await topics(bench, f"a.t{n}")
        await bench.publish_many(f"a.t{n}", 100)
    connection, peer = await bench.subscribe("a.*", subscription=name, start="earliest")
    acked = 0
    for _ in range(3_000):
        for frame in peer.of("message")[acked:]:
            connection.verbs.ack(Ack(message_id=frame["message_id"]))
            acked += 1
        await asyncio.sleep(0)
    assert acked == 1_000
    assert all(of(peer, f"a.t{n}") == list(range(1, 101)) for n in range(10))


@KINDS
@pytest.mark.parametrize("way", ["nack", "reject", "expiry", "death"])
async def test_whatever_ends_a_delivery_frees_its_credit(bench: Bench, name, way):
    await topics(bench, "o.a", "o.b")
    connection, peer = await bench.subscribe(
        "o.*", subscription=name, max_in_flight=1, ack_wait_ms=1000,
        max_attempts=1 if way == "death" else 5,
    )  # fmt: skip
    await bench.publish("o.a")
    await bench.publish("o.b")
    (message,) = peer.of("message")
    if way == "nack":
        connection.verbs.nack(Nack(message["message_id"], delay_ms=60_000))
    elif way == "reject":
        connection.verbs.reject(Reject(message["message_id"]))
    else:
        await bench.advance(1.1)
    await bench.rest()
    assert of(peer, "o.b") == [1]


async def test_with_a_window_of_one_a_quiet_topic_has_its_turn_beside_a_busy_one(bench: Bench):
    await topics(bench, "o.busy", "o.quiet")
    connection, peer = await bench.subscribe("o.*", subscription="s", max_in_flight=1)
    await bench.publish_many("o.busy", 50)
    await bench.publish_many("o.quiet", 2)
    for _ in range(5):
        connection.verbs.ack(Ack(message_id=peer.of("message")[-1]["message_id"]))
        await bench.rest()
    assert of(peer, "o.quiet") == [1, 2]
    assert of(peer, "o.busy") == [1, 2, 3, 4]


async def test_a_deleted_topic_gives_its_share_of_the_window_back(bench: Bench):
    await topics(bench, "a.x", "a.y")
    _, peer = await bench.subscribe("a.*", max_in_flight=2)
    await bench.publish_many("a.x", 2)
    await bench.publish_many("a.y", 3)
    assert of(peer, "a.y") == []
    await bench.broker.topics.delete(DEFAULT_TENANT, "a.x")
    await bench.rest()
    assert of(peer, "a.y") == [1, 2]


async def test_competing_subscribers_get_what_one_that_leaves_had(bench: Bench):
    await topics(bench, "o.a", "o.b")
    one, _ = await bench.subscribe("o.*", subscription="s", max_in_flight=2)
    await bench.publish_many("o.a", 2)
    two, other = await bench.subscribe("o.*", subscription="s")
    await bench.publish_many("o.b", 2)
    assert of(other, "o.b") == [1, 2]
    one.close()
    two.verbs.ack(Ack(topic="o.b", seq=2))
    await bench.rest()
    assert of(other, "o.a") == [1, 2]


@KINDS
async def test_who_asks_for_few_has_no_more_of_a_wide_window_at_once(bench: Bench, name):
    await topics(bench, "o.a", "o.b")
    connection, peer = await bench.subscribe("o.*", subscription=name, prefetch=2)
    for topic in ("o.a", "o.b", "o.a"):
        await bench.publish_many(topic, 5)
    assert len(peer.of("message")) == 2
    connection.verbs.ack(Ack(message_id=peer.of("message")[0]["message_id"]))
    await bench.rest()
    assert len(peer.of("message")) == 3
    for _ in range(15):
        connection.verbs.ack(Ack(message_id=peer.of("message")[-1]["message_id"]))
        await bench.rest()
    # The second one keeps its place.
    assert len(peer.of("message")) == 15


async def test_what_one_asks_for_is_its_own_and_no_setting_of_the_subscription(bench: Bench):
    await topics(bench, "t")
    _, first = await bench.subscribe("t", subscription="s", prefetch=2)
    _, wide = await bench.subscribe("t", subscription="s", prefetch=10_000)
    await bench.publish_many("t", 300)
    assert len(first.of("message")) == 2
    assert len(wide.of("message")) == 256
    view = await bench.broker.subscriptions.get(DEFAULT_TENANT, "s")
    assert view.record.settings.max_in_flight == 256
    _, third = await bench.subscribe("t", subscription="s")
    assert len(third.of("message")) == 42


async def test_another_window_of_the_subscription_is_that_of_all_but_who_asked_for_fewer(
    bench: Bench,
):
    await topics(bench, "t")
    _, few = await bench.subscribe("t", subscription="s", prefetch=2)
    _, other = await bench.subscribe("t", subscription="s", max_in_flight=256)
    await bench.broker.subscriptions.update(DEFAULT_TENANT, "s", {"max_in_flight": 1})
    await bench.publish_many("t", 30)
    assert (len(few.of("message")), len(other.of("message"))) == (1, 1)
    await bench.broker.subscriptions.update(DEFAULT_TENANT, "s", {"max_in_flight": 5})
    await bench.rest()
    assert (len(few.of("message")), len(other.of("message"))) == (2, 5)


@pytest.mark.parametrize("count", [0, -1, 10_001])
async def test_nobody_can_ask_for_none_or_for_very_many(bench: Bench, count):
    with pytest.raises(InvalidRequest) as caught:
        await bench.subscribe("t", subscription="s", prefetch=count)
    assert caught.value.field == "prefetch"
    assert not len(bench.broker.topics)


async def test_a_window_is_never_exceeded_over_all_topics(bench: Bench):
    await topics(bench, *(f"o.t{n}" for n in range(20)))
    connection, peer = await bench.subscribe("o.>", max_in_flight=7)
    for n in range(20):
        await bench.publish_many(f"o.t{n}", 5)
    assert len(peer.seqs) == 7
    for done in range(93):
        connection.verbs.ack(Ack(message_id=peer.of("message")[done]["message_id"]))
        await bench.rest()
        assert len(peer.seqs) == done + 8


async def test_a_subscriber_whose_socket_fails_costs_nobody_else_a_message(bench: Bench, caplog):
    _, peer = await bench.subscribe("a")
    broken, broken_peer = await bench.subscribe("a")
    _, last = await bench.subscribe("a")

    def write(data: bytes) -> None:
        raise RuntimeError("broken")

    broken_peer.write = write
    await bench.publish_many("a", 2)
    await bench.publish("a")
    assert peer.seqs == last.seqs == [1, 2, 3]
    assert "a follower failed" in caplog.text
    broken.close()


async def test_a_pattern_has_cursors_only_where_something_is_to_be_done(bench: Bench):
    await topics(bench, *(f"t{n}" for n in range(50)))
    connection, peer = await bench.subscribe(">")
    running = connection._shares[">", None].running
    assert running.cursors == {}
    await bench.publish("t1")
    await bench.publish("t2")
    assert len(running.cursors) == 2
    connection.verbs.ack(Ack(topic="t1", seq=1))
    for _ in range(3 * 5):
        await bench.tidy()
    assert len(running.cursors) == 1
    await bench.publish("t1")
    assert of(peer, "t1") == [1, 2]
