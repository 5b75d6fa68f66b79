"""What is known of single topics: which are the busiest, and what went through those that are looked at."""

import pytest

from conduit.broker.activities import Activities
from conduit.broker.administer import backlogs
from conduit.broker.waiting import result_of
from conduit.core.activity import ROUND_S, ROUNDS_COUNT
from conduit.core.seats import Seats
from conduit.protocol.frames import Ack
from tests.broker.kit import Bench, running_broker

T = "default"


@pytest.fixture
async def bench():
    async with running_broker() as bench:
        yield bench


def ticked(bench: Bench, rounds: int = 1) -> None:
    for _ in range(rounds * ROUND_S):
        bench.broker.activities.tick()


def topic(bench: Bench, name: str):
    return bench.broker.topics.get(T, name)


def busiest(bench: Bench, tenant: str | None = T) -> list[str]:
    return [each.name for each in bench.broker.activities.busiest(tenant)]


async def test_what_was_published_and_delivered_is_told_by_rounds(bench: Bench):
    await bench.subscribe("t", ack="auto")
    await bench.subscribe("t", subscription="s", ack="auto")
    await bench.publish_many("t", 3)
    ticked(bench)
    await bench.publish_many("t", 2)
    ticked(bench)
    activity = topic(bench, "t").activity
    assert (activity.published(3), activity.delivered(3)) == ([0, 3, 2], [0, 6, 4])


async def test_a_topic_through_which_nothing_goes_has_nothing_in_memory(bench: Bench):
    for name in ("t", "quiet"):
        await bench.broker.topics.create(T, name)
    await bench.publish_many("t", 1)
    ticked(bench)
    assert topic(bench, "quiet").activity is None
    assert bench.broker.activities.active_count == 1
    ticked(bench, ROUNDS_COUNT)
    assert topic(bench, "t").activity is None
    assert bench.broker.activities.active_count == 0


async def test_those_are_the_busiest_through_which_most_went_in_the_last_minute(bench: Bench):
    for name, count in (("a", 1), ("b", 5), ("c", 2)):
        await bench.broker.topics.create(T, name)
        await bench.publish_many(name, count)
    await bench.broker.topics.create("other", "d")
    ticked(bench, 2)
    assert busiest(bench) == busiest(bench, None) == ["b", "c", "a"]
    assert busiest(bench, "other") == []
    await bench.publish_many("a", 7)
    ticked(bench, 2)
    assert busiest(bench) == ["a", "b", "c"]
    await bench.broker.topics.delete(T, "a")
    assert busiest(bench) == ["b", "c"]
    ticked(bench, 7)
    assert busiest(bench) == []
    assert bench.broker.activities.active_count == 2


async def test_of_some_topics_the_busiest_are_told_however_much_goes_through_others(bench: Bench):
    for number in range(60):
        await bench.broker.topics.create(T, f"big.t{number}")
        await bench.publish_many(f"big.t{number}", 2)
    for name in ("orders.one", "other"):
        await bench.broker.topics.create(T, name)
        await bench.publish_many(name, 1)
    ticked(bench)
    found = bench.broker.activities.busiest(T, 10, ["orders.*", "other"])
    assert [each.name for each in found] == ["orders.one", "other"]
    assert [each.name for each in bench.broker.activities.busiest(T, 1, ["*"])] == ["other"]
    assert bench.broker.activities.busiest(T, 10, []) == []


async def test_a_start_is_no_traffic(bench: Bench):
    await bench.broker.topics.create(T, "t")
    await bench.publish_many("t", 3)
    made = Activities(bench.broker.topics.everywhere)
    bench.broker.topics._ids[topic(bench, "t").topic_id] = topic(bench, "t").__class__(
        (await bench.broker.store.topics())[0], topic(bench, "t").allowance
    )
    for _ in range(2 * ROUND_S):
        made.tick()
    assert made.busiest(None) == []


async def test_there_is_a_bound_to_how_many_have_figures(bench: Bench):
    bench.broker.activities._seats = Seats(2)
    for number in range(4):
        await bench.broker.topics.create(T, f"t{number}")
        await bench.publish_many(f"t{number}", 1)
    ticked(bench)
    assert bench.broker.activities.active_count == 2
    # Of the others it is not known what went through them; nor of a quiet one, which may be one of them.
    await bench.broker.topics.create(T, "quiet")
    is_known = bench.broker.activities.is_known
    assert [is_known(topic(bench, f"t{number}")) for number in range(4)].count(True) == 2
    assert not is_known(topic(bench, "quiet"))
    # The others come in once there is room, with what happens from then on.
    ticked(bench, ROUNDS_COUNT + 1)
    assert is_known(topic(bench, "quiet"))
    await bench.publish_many("t0", 1)
    ticked(bench)
    assert bench.broker.activities.active_count == 1


async def test_a_tenant_with_very_many_topics_takes_no_figures_from_another(bench: Bench):
    bench.broker.activities._seats = Seats(4)
    for number in range(9):
        await bench.broker.topics.create(T, f"t{number}")
        await bench.publish_many(f"t{number}", 1)
    ticked(bench)
    assert bench.broker.activities.active_count == 4
    await bench.broker.topics.create("other", "mine")
    request = bench.request("mine", 1)
    await result_of(lambda answer: bench.broker.publish("other", request, answer))
    ticked(bench)
    assert busiest(bench, "other") == ["mine"]
    assert bench.broker.activities.is_known(bench.broker.topics.get("other", "mine"))
    await bench.broker.topics.delete("other", "mine")
    ticked(bench)
    assert bench.broker.activities.active_count == 4


async def backlog(bench: Bench, name: str) -> tuple[int, bool]:
    await bench.flush()
    await bench.broker.subscriptions._counting.round()
    return tuple(bench.broker.backlogs.of(topic(bench, name)))


async def counted(bench: Bench, name: str) -> int:
    """With what only the store knows."""
    await bench.flush()
    (count,) = await bench.broker.backlogs.counted([topic(bench, name)], 10)
    assert count is not None
    return count


async def test_the_backlog_of_a_topic_is_that_of_all_its_subscriptions(bench: Bench):
    for name in ("a.1", "a.2"):
        await bench.broker.topics.create(T, name)
    settings = bench.durable_settings()
    await bench.broker.subscriptions.create(T, "one", "a.1", settings, None)
    connection, peer = await bench.subscribe("a.*", subscription="all")
    await bench.publish_many("a.1", 3)
    await bench.publish_many("a.2", 1)
    assert await backlog(bench, "a.1") == (6, True)
    assert await backlog(bench, "a.2") == (1, True)
    first = next(each for each in peer.of("message") if each["topic"] == "a.1")
    connection.verbs.ack(Ack(first["message_id"]))
    assert await backlog(bench, "a.1") == (5, True)
    # Which of its topics the lag is in is in the store, once nobody is attached.
    connection.close()
    assert await backlog(bench, "a.1") == (3, False)
    assert [await counted(bench, name) for name in ("a.1", "a.2")] == [5, 1]
    await bench.publish_many("a.2", 2)
    assert await counted(bench, "a.2") == 3
    both = [topic(bench, name) for name in ("a.1", "a.2")]
    assert await bench.broker.backlogs.counted(both, 2) == [5, None]


async def test_one_question_looks_at_so_many_subscriptions_and_the_next_goes_on(bench, monkeypatch):
    monkeypatch.setattr(backlogs, "QUESTION_LAGS_MAX_COUNT", 4)
    monkeypatch.setattr(backlogs, "CHEAP_LAGS_MAX_COUNT", 1)
    names = ["a.1", "a.2", "a.3"]
    for name in names:
        await bench.broker.topics.create(T, name)
    for name in ("one", "two"):
        await bench.subscribe("a.*", subscription=name, ack_wait_ms=600_000)
    for name in names:
        await bench.publish_many(name, 3)
        await backlog(bench, name)
    topics = [topic(bench, name) for name in names]
    of_each = bench.broker.backlogs.of_each
    assert of_each(topics) == [(6, True), (6, True), (0, False)]
    # What is known needs no second look for a while, unless something was removed.
    await bench.publish_many("a.1", 1)
    assert of_each(topics) == [(6, True), (6, True), (6, True)]
    topics[0].first_seq = 2
    assert of_each(topics)[0] == (8, True)
    bench.clock.seconds += backlogs.LATELY_S
    await bench.publish_many("a.2", 1)
    assert of_each(topics) == [(8, True), (8, True), (0, False)]


async def test_what_was_dear_to_count_is_not_counted_again_for_a_while(bench, monkeypatch):
    monkeypatch.setattr(backlogs, "CHEAP_LAGS_MAX_COUNT", 0)
    await bench.broker.topics.create(T, "t")
    settings = bench.durable_settings()
    await bench.broker.subscriptions.create(T, "s", "t", settings, None)
    await bench.publish_many("t", 2)
    assert await counted(bench, "t") == 2
    await bench.publish_many("t", 1)
    assert await counted(bench, "t") == 2
    bench.clock.seconds += backlogs.LATELY_S
    assert await counted(bench, "t") == 3


async def test_of_a_topic_with_too_many_subscriptions_the_backlog_is_not_known(bench, monkeypatch):
    monkeypatch.setattr(backlogs, "LAGS_MAX_COUNT", 1)
    settings = bench.durable_settings()
    for name in ("a", "b"):
        await bench.broker.subscriptions.create(T, name, "t", settings, None)
    assert await backlog(bench, "t") == (0, False)
