"""Deliveries that wait for their next attempt: how many may, and what is stored of them."""

import logging

import pytest

from conduit.broker.administer.letter_jobs import JOBS_RUNNING_MAX
from conduit.core import pages
from conduit.core.message import Retention
from conduit.errors import LimitReached, StoreUnavailable
from conduit.limits import TenantLimits
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, Nack, Reject
from conduit.storage.base import Rule
from conduit.storage.dead_letters import DeadFilter
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, running_broker
from tests.broker.stores import FailingStore


@pytest.fixture
async def small():
    """A broker in which four deliveries of a subscription may wait."""
    async with running_broker(max_pending_retries=4) as bench:
        yield bench


def nack(connection, peer, first, last, delay_ms=60_000):
    for frame in peer.of("message"):
        if first <= frame["seq"] <= last:
            connection.verbs.nack(Nack(frame["message_id"], delay_ms=delay_ms))


async def nacked(bench: Bench, **fields):
    """A subscriber that nacks the first four messages of ten with a long delay, four in flight."""
    connection, peer = await bench.subscribe("t", max_in_flight=4, **fields)
    await bench.publish_many("t", 10)
    nack(connection, peer, 1, 4)
    await bench.rest()
    return connection, peer


@pytest.mark.parametrize("fields", [{}, {"subscription": "s"}, {"order": "strict"}])
async def test_who_nacks_everything_gets_nothing_new_beyond_the_bound(small: Bench, fields):
    connection, peer = await nacked(small, **fields)
    for _ in range(10):
        nack(connection, peer, 1, 10)
        await small.rest()
    assert peer.seqs == ([1] if "order" in fields else [1, 2, 3, 4])


async def test_what_is_due_comes_again_and_leaves_room_for_what_is_new_in_order(small: Bench):
    connection, peer = await nacked(small, subscription="s")
    await small.advance(61.0)
    assert peer.attempts[4:] == [(seq, 2) for seq in (1, 2, 3, 4)]
    connection.verbs.ack(Ack(topic="t", seq=4))
    await small.rest()
    assert peer.seqs[8:] == [5, 6, 7, 8]


async def test_one_that_waits_and_is_acked_leaves_room_for_what_is_new(small: Bench):
    connection, peer = await nacked(small, subscription="s")
    connection.verbs.ack(Ack(peer.frames[1]["message_id"]))
    await small.rest()
    assert peer.seqs == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_a_message_of_another_topic_waits_for_room_as_well_and_comes_in_turn(small: Bench):
    await small.broker.topics.create(T, "a.other")
    await small.broker.topics.create(T, "a.t")
    connection, peer = await small.subscribe("a.*", subscription="s", max_in_flight=4)
    await small.publish_many("a.t", 4)
    nack(connection, peer, 1, 4)
    await small.publish("a.other")
    assert len(peer.seqs) == 4
    await small.advance(61.0)
    connection.verbs.ack(Ack(topic="a.t", seq=4))
    await small.rest()
    assert [frame["topic"] for frame in peer.of("message")][8:] == ["a.other"]


async def test_a_live_subscriber_of_another_topic_waits_for_room_as_well(small: Bench):
    for name in ("a.t", "a.u"):
        await small.broker.topics.create(T, name)
    connection, peer = await small.subscribe("a.*")
    await small.publish("a.u")
    await small.publish_many("a.t", 4)
    for frame in peer.of("message")[1:]:
        connection.verbs.nack(Nack(frame["message_id"], delay_ms=60_000))
    await small.rest()
    await small.publish("a.u")
    assert len(peer.seqs) == 5
    await small.advance(61.0)
    assert [frame["topic"] for frame in peer.of("message")][5:] == ["a.t"] * 4 + ["a.u"]


async def test_who_waits_for_room_goes_on_when_those_that_were_too_many_are_gone(small: Bench):
    topic = await small.broker.topics.create(T, "a.t")
    await small.broker.topics.create(T, "a.u")
    connection, _ = await small.subscribe("a.*", subscription="s")
    await small.publish_many("a.t", 5)
    await small.publish("a.u")
    connection.close()
    await small.flush()
    await small.publish("a.u")
    await small.broker.store.trim(topic.topic_id, Rule(Retention(max_messages=0), 0), 100)
    _, peer = await small.subscribe("a.*", subscription="s")
    await small.until(lambda: len(peer.of("gap")) == 5)
    await small.rest()
    assert [frame["topic"] for frame in peer.of("message")] == ["a.u", "a.u"]


async def test_live_subscribers_are_held_back_too_and_join_again(small: Bench):
    connection, peer = await nacked(small)
    await small.publish("t")
    assert peer.seqs == [1, 2, 3, 4]
    connection.verbs.ack(Ack(topic="t", seq=4))
    await small.rest()
    connection.verbs.ack(Ack(topic="t", seq=8))
    await small.rest()
    connection.verbs.ack(Ack(topic="t", seq=11))
    await small.publish("t")
    assert peer.seqs == list(range(1, 13))


async def test_who_is_full_at_the_end_of_the_log_gets_nothing_that_is_published_then(small: Bench):
    connection, peer = await small.subscribe("t")
    await small.publish_many("t", 4)
    nack(connection, peer, 1, 4)
    await small.publish("t")
    assert peer.seqs == [1, 2, 3, 4]


async def test_what_is_handed_out_again_leaves_room_for_what_is_new_in_another_topic(small: Bench):
    await small.broker.topics.create(T, "a.other")
    await small.broker.topics.create(T, "a.t")
    connection, peer = await small.subscribe("a.*", subscription="s")
    await small.publish_many("a.t", 4)
    nack(connection, peer, 1, 4)
    await small.publish("a.other")
    await small.advance(61.0)
    assert [frame["topic"] for frame in peer.of("message")][8:] == ["a.other"]


async def test_it_is_shown_logged_and_counted_once(small: Bench, caplog):
    with caplog.at_level(logging.WARNING):
        connection, peer = await nacked(small, subscription="s")
        for _ in range(3):
            nack(connection, peer, 1, 10)
            await small.publish("t")
    assert (await small.broker.subscriptions.get(T, "s")).full
    assert [record.message for record in caplog.records if "next attempt" in record.message] == [
        "4 deliveries of subscription 's' wait for their next attempt: it gets nothing new before some are"
        " handed out again or settled (CONDUIT_MAX_PENDING_RETRIES)"
    ]
    assert small.broker.stats.full_count == 1
    connection.verbs.ack(Ack(topic="t", seq=4))
    await small.rest()
    assert not (await small.broker.subscriptions.get(T, "s")).full
    nack(connection, peer, 5, 8)
    await small.rest()
    assert small.broker.stats.full_count == 2


async def test_a_tenant_at_its_limit_is_told_of_once_until_half_of_that_is_free(bench: Bench):
    bench.broker.allowances.set_limits(T, TenantLimits(pending_retries=4))
    connection, peer = await bench.subscribe("t", subscription="s")
    await bench.publish_many("t", 4)
    nack(connection, peer, 1, 4)
    for seq in (1, 2, 3):
        # There is room for one more, which waits then as well.
        await bench.publish("t")
        connection.verbs.ack(Ack(peer.of("message")[seq - 1]["message_id"]))
        await bench.rest()
        nack(connection, peer, seq + 4, seq + 4)
        await bench.rest()
    assert (peer.seqs[-1], bench.broker.stats.full_count) == (7, 1)
    await bench.publish_many("t", 2)
    for frame in peer.of("message")[3:5]:
        connection.verbs.ack(Ack(frame["message_id"]))
    await bench.rest()
    nack(connection, peer, 8, 9)
    await bench.publish("t")
    assert (peer.seqs[-1], bench.broker.stats.full_count) == (9, 2)


async def test_a_subscription_that_is_full_stays_so_over_a_restart():
    store = MemoryStore()
    async with running_broker(store, max_pending_retries=4) as bench:
        await nacked(bench, subscription="s")
        await bench.flush()
    async with running_broker(store, max_pending_retries=4) as bench:
        _, peer = await bench.subscribe("t", subscription="s")
        assert peer.seqs == []
        await bench.advance(61.0)
        assert peer.attempts == [(seq, 2) for seq in (1, 2, 3, 4)]


async def buried(bench: Bench, count: int):
    """Letters of `s`, to which nobody is attached then."""
    connection, peer = await bench.subscribe("t", subscription="s")
    await bench.publish_many("t", count)
    for frame in peer.of("message"):
        connection.verbs.reject(Reject(frame["message_id"]))
    await bench.flush()
    connection.close()
    await bench.flush()
    found = await bench.broker.store.dead_list(T, DeadFilter(), limit=100)
    return [letter.dead_id for letter in found]


async def test_a_redrive_to_a_full_subscription_is_refused(small: Bench):
    dead_ids = await buried(small, 5)
    for dead_id in dead_ids[:4]:
        await small.broker.dead_letters.redrive(T, dead_id)
    with pytest.raises(LimitReached) as refused:
        await small.broker.dead_letters.redrive(T, dead_ids[4])
    assert refused.value.code == "subscription_full"


async def test_a_job_waits_while_its_subscription_is_full_and_goes_on(small: Bench, monkeypatch):
    monkeypatch.setattr("conduit.broker.administer.letter_acts.WAIT_AGAIN_S", 0.0)
    await buried(small, 6)
    job = small.broker.dead_letters.jobs.start(T, DeadFilter(), rate_per_s=1e9, max_count=9)
    await small.until(lambda: job.error is not None)
    assert (job.state, job.redriven_count, job.failed_count) == ("running", 4, 0)
    connection, peer = await small.subscribe("t", subscription="s")
    connection.verbs.ack(Ack(topic="t", seq=6))
    await small.until(lambda: job.state != "running")
    assert (job.state, job.redriven_count, job.failed_count) == ("done", 6, 0)
    assert job.error is None
    await small.rest()
    assert sorted(peer.seqs) == [1, 2, 3, 4, 5, 6]


async def test_jobs_for_a_subscription_that_stays_full_end_and_make_room_for_others(
    small: Bench, monkeypatch
):
    monkeypatch.setattr("conduit.broker.administer.letter_acts.WAIT_AGAIN_S", 0.0)
    monkeypatch.setattr("conduit.broker.administer.letter_acts.WAIT_MAX_S", 0.01)
    await buried(small, 6)
    jobs = small.broker.dead_letters.jobs
    started = [
        jobs.start(T, DeadFilter(), rate_per_s=1e9, max_count=9) for _ in range(JOBS_RUNNING_MAX)
    ]
    with pytest.raises(LimitReached):
        jobs.start(T, DeadFilter(), rate_per_s=1e9, max_count=9)
    await small.until(lambda: all(job.state != "running" for job in started))
    failed = [job for job in started if job.state == "failed"]
    assert failed
    assert all("nothing could be redriven" in (job.error or "") for job in failed)
    assert jobs.start(T, DeadFilter(), rate_per_s=1e9, max_count=9).state == "running"


class WeighingStore(MemoryStore):
    """Keeps how many bytes each settle stored."""

    weights: list[int]

    async def settle(self, progress, deaths, redriven=()):
        self.weights.append(
            sum(len(row.open) + sum(map(len, row.pages.values())) for row in progress)
        )
        return await super().settle(progress, deaths, redriven)


async def test_so_many_deliveries_of_a_topic_fail_in_one_sweep_and_the_others_in_the_next(
    monkeypatch,
):
    monkeypatch.setattr("conduit.core.delivery.EXPIRE_MAX_COUNT", 10)
    async with running_broker() as bench:
        connection, _ = await bench.subscribe("t", subscription="s", ack_wait_ms=1_000)
        await bench.publish_many("t", 25)
        await bench.broker.subscriptions.pause(T, "s")
        failed_counts = []
        # No sweeps but these.
        bench.broker._engine.deadlines._timer.cancel()
        for _ in range(6):
            bench.clock.seconds += 0.5
            bench.broker._engine.deadlines.sweep(bench.clock.seconds)
            await bench.rest()
            failed_counts.append((await bench.broker.subscriptions.get(T, "s")).pending_retry_count)
        assert failed_counts == [0, 0, 10, 20, 25, 25]
        connection.close()


async def test_one_ack_among_thousands_that_wait_stores_what_changed():
    store = WeighingStore()
    store.weights = []
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("t", subscription="s", max_in_flight=5_000)
        for _ in range(5):
            await bench.publish_many("t", 1_000)
        nack(connection, peer, 1, 5_000)
        await bench.flush()
        assert max(store.weights) > 50_000
        store.weights.clear()
        connection.verbs.ack(Ack(peer.of("message")[2_500]["message_id"]))
        await bench.flush()
        assert 0 < sum(store.weights) < 4_000


async def test_what_waits_in_pages_is_all_there_after_a_restart(monkeypatch):
    monkeypatch.setattr(pages, "INLINE_MAX_COUNT", 5)
    store = MemoryStore()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("t", subscription="s")
        await bench.publish_many("t", 200)
        nack(connection, peer, 1, 200)
        await bench.flush()
        for frame in peer.of("message")[100:190]:
            connection.verbs.ack(Ack(frame["message_id"]))
        await bench.flush()
        connection.close()
    async with running_broker(store) as bench:
        view = await bench.broker.subscriptions.get(T, "s")
        assert (view.pending_retry_count, view.topics[0].floor) == (110, 0)
        connection, peer = await bench.subscribe("t", subscription="s")
        await bench.advance(61.0)
        assert peer.seqs == [*range(1, 101), *range(191, 201)]
        connection.verbs.ack(Ack(topic="t", seq=200))
        await bench.flush()
        (row,) = await store.progress(1)
        assert (row.floor, row.open, row.pages) == (200, b"", {})
        await bench.publish("t")
        nack(connection, peer, 201, 201)
        await bench.flush()
        (row,) = await store.progress(1)
        assert (row.floor, row.pages) == (200, {})


async def test_pages_that_could_not_be_stored_are_stored_with_the_next_flush(monkeypatch):
    monkeypatch.setattr(pages, "INLINE_MAX_COUNT", 5)
    store = FailingStore()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("t", subscription="s")
        await bench.publish_many("t", 200)
        nack(connection, peer, 1, 200)
        await bench.flush()
        store.fails = True
        connection.verbs.ack(Ack(peer.of("message")[9]["message_id"]))
        with pytest.raises(StoreUnavailable):
            await bench.broker._engine.progress.flush()
        store.fails = False
        connection.verbs.ack(Ack(peer.of("message")[199]["message_id"]))
        await bench.flush()
    async with running_broker(store) as bench:
        _, peer = await bench.subscribe("t", subscription="s")
        await bench.advance(61.0)
        assert peer.seqs == [seq for seq in range(1, 200) if seq != 10]


@pytest.mark.parametrize("order", ["publish", "strict"])
async def test_a_wall_clock_that_was_set_back_over_a_restart_makes_no_wait_longer(order):
    store = MemoryStore()
    async with running_broker(store) as bench:
        bench.clock.ahead_s = 7_200.0
        connection, peer = await bench.subscribe("t", subscription="s", order=order)
        await bench.publish_many("t", 2)
        nack(connection, peer, 1, 1, delay_ms=5_000)
        await bench.flush()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("t", subscription="s")
        assert 1 not in peer.seqs
        await bench.advance(5.0)
        assert (1, 2) in peer.attempts
        connection.verbs.ack(Ack(topic="t", seq=1))
        await bench.rest()
        assert 2 in peer.seqs
