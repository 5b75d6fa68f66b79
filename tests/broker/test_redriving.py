"""Dead letters that are delivered again: to whom, when, and in which order."""

import asyncio

import pytest

from conduit.broker.administer.letter_acts import Redriving
from conduit.errors import Conflict
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, Nack, Reject
from conduit.storage.dead_letters import DeadFilter
from conduit.storage.memory import MemoryStore
from conduit.storage.postgres import PostgresStore
from conduit.storage.sqlite import SqliteStore
from tests.broker.kit import Bench, running_broker
from tests.broker.stores import FailingStore, SlowStore


async def bury(bench: Bench, topic: str, pattern: str, count: int = 1, **fields):
    """Letters of subscription `s`, oldest first, and nobody attached."""
    connection, peer = await bench.subscribe(pattern, subscription="s", **fields)
    await bench.publish_many(topic, count)
    for done in range(count):
        connection.verbs.reject(Reject(peer.of("message")[done]["message_id"]))
        await bench.rest()
    connection.close()
    await bench.flush()
    await bench.flush()
    assert bench.broker._owned.running() == []
    found = await bench.broker.store.dead_list(T, DeadFilter(), limit=100)
    return [letter.dead_id for letter in reversed(found)]


@pytest.mark.parametrize("reconnects", [False, True])
async def test_a_redriven_letter_reaches_a_pattern_that_attaches_later(bench: Bench, reconnects):
    await bench.broker.topics.create(T, "o.a")
    (dead_id,) = await bury(bench, "o.a", "o.*")
    await bench.broker.dead_letters.redrive(T, dead_id)
    await bench.flush()
    connection, peer = await bench.subscribe("o.*", subscription="s")
    await bench.rest()
    assert peer.attempts == [(1, 1)]
    if reconnects:
        connection.close()
        await bench.flush()
        await bench.flush()
        connection, peer = await bench.subscribe("o.*", subscription="s")
        await bench.rest()
        assert peer.attempts == [(1, 2)]
    connection.verbs.ack(Ack(topic="o.a", seq=1))
    await bench.flush()
    view = await bench.broker.subscriptions.get(T, "s")
    assert (view.in_flight_count, view.pending_retry_count) == (0, 0)


async def test_a_letter_is_not_redriven_to_a_subscription_that_is_on_other_topics_now(bench: Bench):
    await bench.broker.topics.create(T, "salaries")
    (dead_id,) = await bury(bench, "salaries", "salaries")
    await bench.broker.subscriptions.delete(T, "s")
    _, peer = await bench.subscribe("lunch", subscription="s")
    with pytest.raises(Conflict):
        await bench.broker.dead_letters.redrive(T, dead_id)
    await bench.publish("salaries", "secret")
    await bench.publish("lunch")
    assert [frame["topic"] for frame in peer.of("message")] == ["lunch"]
    letter = await bench.broker.store.dead_get(T, dead_id)
    assert letter is not None
    assert letter.redriven_at_ms is None


async def test_in_strict_order_redriven_letters_go_out_one_at_a_time_and_by_number(bench: Bench):
    await bench.broker.topics.create(T, "f")
    dead_ids = await bury(bench, "f", "f", count=5, order="strict")
    one, peer = await bench.subscribe("f", subscription="s")
    two, other = await bench.subscribe("f", subscription="s")
    await bench.publish("f")
    assert peer.seqs + other.seqs == [6]
    for dead_id in reversed(dead_ids):
        await bench.broker.dead_letters.redrive(T, dead_id)
    await bench.publish("f")
    order = []
    for _ in range(7):
        frames = [(f, one) for f in peer.of("message")] + [(f, two) for f in other.of("message")]
        out = [(f, c) for f, c in frames if f["seq"] not in order]
        assert len(out) == 1
        frame, connection = out[0]
        order.append(frame["seq"])
        connection.verbs.ack(Ack(message_id=frame["message_id"]))
        await bench.rest()
    assert order == [6, 1, 2, 3, 4, 5, 7]


async def test_redriven_to_an_automatic_subscription_it_is_settled_when_it_is_written(bench: Bench):
    await bench.broker.topics.create(T, "a")
    (dead_id,) = await bury(bench, "a", "a")
    await bench.broker.subscriptions.delete(T, "s")
    connection, peer = await bench.subscribe("a", subscription="s", ack="auto", start="earliest")
    assert peer.seqs == [1]
    await bench.broker.dead_letters.redrive(T, dead_id)
    await bench.advance(100)
    assert peer.attempts == [(1, 1), (1, 1)]
    connection.close()


async def test_in_strict_order_a_wait_of_the_lowest_ends_although_later_ones_are_due(bench: Bench):
    await bench.broker.topics.create(T, "f")
    dead_ids = await bury(bench, "f", "f", count=3, order="strict")
    connection, peer = await bench.subscribe("f", subscription="s")
    for dead_id in dead_ids:
        await bench.broker.dead_letters.redrive(T, dead_id)
    await bench.rest()
    for delay_s in (5, 50, 0.5):
        connection.verbs.nack(
            Nack(peer.of("message")[-1]["message_id"], delay_ms=int(delay_s * 1000))
        )
        await bench.rest()
        before = len(peer.seqs)
        await bench.advance(delay_s - 0.1)
        assert len(peer.seqs) == before
        await bench.advance(0.2)
        assert peer.seqs[before:] == [1]
    connection.verbs.ack(Ack(topic="f", seq=1))
    await bench.rest()
    assert peer.seqs[-1] == 2


async def test_several_redriven_to_a_strict_automatic_subscription_all_come(bench: Bench):
    await bench.broker.topics.create(T, "f")
    dead_ids = await bury(bench, "f", "f", count=3)
    await bench.broker.subscriptions.delete(T, "s")
    connection, peer = await bench.subscribe("f", subscription="s", order="strict", ack="auto")
    connection.close()
    await bench.flush()
    for dead_id in dead_ids:
        # It began after them: what was never handed to it counts as settled.
        await bench.broker.dead_letters.redrive(T, dead_id)
    _, peer = await bench.subscribe("f", subscription="s")
    await bench.rest()
    assert peer.seqs == [1, 2, 3]


async def test_strict_order_without_acks_goes_on_after_a_redriven_letter(bench: Bench):
    await bench.broker.topics.create(T, "o.a")
    (dead_id,) = await bury(bench, "o.a", "o.*")
    await bench.broker.subscriptions.delete(T, "s")
    _, peer = await bench.subscribe("o.*", subscription="s", ack="auto", order="strict")
    await bench.broker.dead_letters.redrive(T, dead_id)
    await bench.rest()
    await bench.publish("o.a")
    await bench.publish("o.a")
    assert peer.attempts == [(1, 1), (2, 1), (3, 1)]


async def test_a_redrive_is_not_lost_when_another_node_has_claimed_the_subscription(bench: Bench):
    await bench.broker.topics.create(T, "o.a")
    connection, peer = await bench.subscribe("o.*", subscription="s")
    await bench.publish("o.a")
    connection.verbs.reject(Reject(peer.of("message")[0]["message_id"]))
    await bench.flush()
    (letter,) = await bench.broker.store.dead_list(T, DeadFilter(), limit=1)
    await bench.broker.store.subscription_claim(bench.broker._owned.get(T, "s").subscription_id)
    await bench.broker.dead_letters.redrive(T, letter.dead_id)
    assert peer.closed is not None
    connection.close()
    _, again = await bench.subscribe("o.*", subscription="s")
    assert again.seqs == [1]


async def letter_of(bench: Bench):
    (letter,) = await bench.broker.store.dead_list(T, DeadFilter(), limit=2)
    return letter


async def test_a_letter_that_dies_again_while_its_redrive_is_stored_counts_as_not_redriven():
    store = SlowStore()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("t", subscription="s")
        await bench.publish_many("t", 2)
        one, two = [frame["message_id"] for frame in peer.of("message")]
        connection.verbs.reject(Reject(one))
        await bench.flush()
        letter = await letter_of(bench)
        store.held.add("settle")
        connection.verbs.ack(Ack(two, ref="a flush is under way"))
        await bench.until(lambda: bool(store.waiting))
        redrive = bench.broker.dead_letters.redrive(T, letter.dead_id)
        redriving = asyncio.get_running_loop().create_task(redrive)
        await bench.until(lambda: peer.attempts == [(1, 1), (2, 1), (1, 1)])
        connection.verbs.reject(Reject(one, reason="again"))
        store.release()
        await redriving
        await bench.flush()
        letter = await letter_of(bench)
        assert (letter.reason, letter.redriven_at_ms) == ("again", None)
        await bench.broker.dead_letters.redrive(T, letter.dead_id)
        assert (await letter_of(bench)).redriven_at_ms is not None


async def test_a_letter_that_dies_again_while_the_store_is_away_counts_as_not_redriven():
    store = FailingStore()
    async with running_broker(store) as bench:
        loop = asyncio.get_running_loop()
        connection, peer = await bench.subscribe("t", subscription="s")
        await bench.publish("t")
        message_id = peer.of("message")[0]["message_id"]
        connection.verbs.reject(Reject(message_id))
        await bench.flush()
        letter = await letter_of(bench)
        store.fails = True
        redriving = loop.create_task(bench.broker.dead_letters.redrive(T, letter.dead_id))
        await bench.until(lambda: len(peer.attempts) == 2)
        # It has failed once with the mark in it.
        await bench.until(lambda: bench.broker._engine.progress._failed_count == 1)
        connection.verbs.reject(Reject(message_id, reason="again"))
        store.fails = False
        await redriving
        await bench.flush()
        letter = await letter_of(bench)
        assert (letter.reason, letter.redriven_at_ms) == ("again", None)


async def test_a_redrive_is_marked_in_the_commit_that_opens_its_delivery():
    store = SlowStore()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("t", subscription="s")
        await bench.publish("t")
        connection.verbs.reject(Reject(peer.of("message")[0]["message_id"]))
        await bench.flush()
        letter = await letter_of(bench)
        store.held.add("settled")
        redrive = bench.broker.dead_letters.redrive(T, letter.dead_id)
        redriving = asyncio.get_running_loop().create_task(redrive)
        await bench.until(lambda: bool(store.waiting))
        # What a crash would find now.
        assert (await letter_of(bench)).redriven_at_ms is not None
        assert [bool(row.open) for row in await store.progress(1)] == [True]
        store.release()
        await redriving


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.process)])
def any_store(request, tmp_path):
    if request.param == "memory":
        return MemoryStore()
    if request.param == "sqlite":
        return SqliteStore(tmp_path / "log.db")
    return PostgresStore(request.getfixturevalue("cluster").empty_database())


async def test_letters_that_die_again_while_a_job_runs_are_all_found_by_the_next(any_store):
    async with running_broker(any_store) as bench:
        await bench.broker.topics.create(T, "t")
        connection, peer = await bench.subscribe("t", subscription="s", max_in_flight=1000)
        await bench.publish_many("t", 100)
        rejected_count = 0

        def reject_all() -> None:
            nonlocal rejected_count
            for frame in peer.of("message")[rejected_count:]:
                connection.verbs.reject(Reject(frame["message_id"]))
                rejected_count += 1

        reject_all()
        await bench.flush()
        jobs = bench.broker.dead_letters.jobs
        for round_number in range(1, 4):
            job = jobs.start(T, DeadFilter(), rate_per_s=10_000.0, max_count=1_000)
            while job.state == "running" or rejected_count < 100 * (round_number + 1):
                await asyncio.sleep(0)
                reject_all()
            assert (job.matched_count, job.redriven_count) == (100, 100)
            await bench.flush()
            view = await bench.broker.subscriptions.get(T, "s")
            assert (view.dead_count, view.redriven_count) == (100, 0)
        connection.close()


async def test_letters_that_die_again_before_their_redrive_is_stored_are_open(any_store):
    async with running_broker(any_store) as bench:
        await bench.broker.topics.create(T, "t")
        await bury(bench, "t", "t", count=100)
        connection, peer = await bench.subscribe("t", subscription="s")
        jobs = bench.broker.dead_letters.jobs
        async with bench.broker._engine.progress.storing:
            job = jobs.start(T, DeadFilter(), rate_per_s=10_000.0, max_count=1_000)
            while len(peer.of("message")) < 100:
                await asyncio.sleep(0)
                assert job.state == "running"
            for frame in peer.of("message"):
                connection.verbs.reject(Reject(frame["message_id"]))
        await bench.flush()
        view = await bench.broker.subscriptions.get(T, "s")
        assert (job.redriven_count, view.dead_count, view.redriven_count) == (100, 100, 0)
        connection.close()


class ClaimingStore(MemoryStore):
    """It counts what a redrive asks for."""

    claims_count = 0
    settles_count = 0

    async def subscription_claim(self, *args, **more):
        self.claims_count += 1
        return await super().subscription_claim(*args, **more)

    async def settle(self, *args):
        self.settles_count += 1
        return await super().settle(*args)


async def test_a_job_loads_an_idle_subscription_once_and_stores_many_at_a_time():
    store = ClaimingStore()
    async with running_broker(store) as bench:
        await bench.broker.topics.create(T, "o.a")
        await bury(bench, "o.a", "o.*", count=200)
        store.claims_count = store.settles_count = 0
        # Fifty at a time.
        job = bench.broker.dead_letters.jobs.start(
            T, DeadFilter(), rate_per_s=1_000.0, max_count=1_000
        )
        while job.state == "running":
            bench.clock.seconds += 1
            await asyncio.sleep(0)
        assert (job.state, job.redriven_count) == ("done", 200)
        assert (store.claims_count, store.settles_count) == (1, 4)
        await bench.flush()
        await bench.flush()
        assert bench.broker._owned.running() == []
        _, peer = await bench.subscribe("o.*", subscription="s")
        await bench.rest()
        assert peer.attempts == [(n, 1) for n in range(1, 201)]


async def test_of_two_jobs_for_the_same_letters_one_redrives_each():
    async with running_broker() as bench:
        await bench.broker.topics.create(T, "t")
        await bury(bench, "t", "t", count=40)
        jobs = [
            bench.broker.dead_letters.jobs.start(T, DeadFilter(), rate_per_s=rate, max_count=99)
            for rate in (1_000.0, 20.0)
        ]
        connection, peer = await bench.subscribe("t", subscription="s")
        while any(job.state == "running" for job in jobs):
            bench.clock.seconds += 0.1
            await bench.rest()
            for frame in peer.of("message"):
                connection.verbs.ack(Ack(message_id=frame["message_id"]))
            await bench.flush()
        assert [job.state for job in jobs] == ["done"] * 2
        assert sorted(peer.seqs) == list(range(1, 41))


async def test_a_job_passes_over_letters_that_were_discarded_meanwhile(bench: Bench):
    await bench.broker.topics.create(T, "t")
    dead_ids = await bury(bench, "t", "t", count=3)
    job = bench.broker.dead_letters.jobs.start(T, DeadFilter(), rate_per_s=0.001, max_count=9)
    await bench.until(lambda: job.redriven_count == 1)
    await bench.broker.dead_letters.discard(T, dead_ids[1])
    jobs = bench.broker.dead_letters.jobs
    jobs.cancel(T, job.job_id)
    places = await Redriving(jobs._parts, T, job, again=())._found(dead_ids)
    # The first one was redriven.
    assert [place.seq for place in places] == [3]
    assert (job.failed_count, job.error) == (0, None)


@pytest.mark.parametrize("is_made_anew", [False, True])
async def test_a_letter_of_a_deleted_topic_says_that_it_is_gone_and_what_to_do(
    bench: Bench, is_made_anew
):
    await bench.broker.topics.create(T, "t")
    (dead_id,) = await bury(bench, "t", ">")
    await bench.broker.topics.delete(T, "t")
    if is_made_anew:
        await bench.broker.topics.create(T, "t")
        await bench.publish("t")
    with pytest.raises(Conflict) as caught:
        await bench.broker.dead_letters.redrive(T, dead_id)
    assert caught.value.code == "letter_topic_gone"
    assert ("was made since" in caught.value.detail) == is_made_anew
    assert "publish its payload anew" in caught.value.detail
