from conduit.broker import turn
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Unsubscribe
from tests.broker.kit import Bench

TOPICS = [f"t{number:03}" for number in range(600)]


async def test_who_comes_while_another_is_taken_apart_misses_nothing(bench: Bench, monkeypatch):
    for name in TOPICS:
        await bench.broker.topics.create(T, name)
    leaving, left = await bench.subscribe(">", ack="auto")
    for name in TOPICS:
        await bench.publish(name)
    # One cursor in a turn of the loop.
    monkeypatch.setattr(turn, "STEPS_MAX_COUNT", 1)
    leaving.unsubscribe(Unsubscribe(">"))
    _, peer = await bench.subscribe(">")
    router = bench.broker.router
    for name in (TOPICS[0], TOPICS[1], TOPICS[-1]):
        await bench.publish(name)
    assert router._closing_count == 1
    assert [message["topic"] for message in peer.of("message")] == [*TOPICS[:2], TOPICS[-1]]
    await bench.until(lambda: router._closing_count == 0)
    # Nothing of it follows the end of the stream.
    assert left.frames[-1]["type"] == "unsubscribed"
    assert len(left.of("message")) == len(TOPICS)
    await bench.publish(TOPICS[5])
    assert len(peer.of("message")) == 4


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
