"""A dead letter is redriven once, whoever asks for it at the same time or again; and what a refusal says."""

import asyncio
from functools import partial

import msgspec
import pytest

from conduit.broker.administer import letter_acts
from conduit.broker.waiting import result_of
from conduit.errors import Conflict, InvalidRequest, NotFound, OutcomeUnknown
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, PublishRequest, Reject, StartAt
from conduit.storage.dead_letters import DeadFilter
from conduit.storage.memory import MemoryStore
from conduit.storage.postgres import PostgresStore
from conduit.storage.sqlite import SqliteStore
from tests.broker.kit import Bench, running_broker
from tests.broker.stores import FailingStore

ALL = DeadFilter()


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.process)])
def any_store(request, tmp_path):
    if request.param == "memory":
        return MemoryStore()
    if request.param == "sqlite":
        return SqliteStore(tmp_path / "log.db")
    return PostgresStore(request.getfixturevalue("cluster").empty_database())


async def dead_ones(bench: Bench, count: int, name: str | None = "s"):
    """So many letters of topic `t`, of a subscription or of an ephemeral subscriber; who let them die."""
    fields = {} if name is None else {"subscription": name}
    connection, peer = await bench.subscribe("t", max_in_flight=1_000, **fields)
    await bench.publish_many("t", count)
    for frame in peer.of("message"):
        connection.verbs.reject(Reject(frame["message_id"]))
    await bench.flush()
    peer.frames.clear()
    return connection, peer


async def letters(bench: Bench):
    return await bench.broker.store.dead_list(T, ALL, limit=1_000)


def two_jobs(bench: Bench):
    start = bench.broker.dead_letters.jobs.start
    return [start(T, ALL, rate_per_s=10_000.0, max_count=1_000) for _ in range(2)]


async def test_two_jobs_in_step_deliver_no_letter_twice_although_it_is_acked_at_once(any_store):
    async with running_broker(any_store) as bench:
        await bench.broker.topics.create(T, "t")
        connection, peer = await dead_ones(bench, 300)
        jobs, acked_count = two_jobs(bench), 0
        while any(job.state == "running" for job in jobs):
            await asyncio.sleep(0)
            bench.clock.seconds += 0.0002
            frames = peer.of("message")
            for frame in frames[acked_count:]:
                connection.verbs.ack(Ack(message_id=frame["message_id"]))
            acked_count = len(frames)
        await bench.flush()
        assert sorted(peer.seqs) == list(range(1, 301))
        assert sum(job.redriven_count for job in jobs) == 300
        assert [(job.state, job.failed_count, job.error) for job in jobs] == [("done", 0, None)] * 2
        connection.close()


async def test_two_jobs_in_step_publish_no_letter_of_an_ephemeral_subscriber_twice(any_store):
    async with running_broker(any_store) as bench:
        topic = await bench.broker.topics.create(T, "t")
        connection, _ = await dead_ones(bench, 40, name=None)
        connection.close()
        jobs = two_jobs(bench)
        while any(job.state == "running" for job in jobs):
            await asyncio.sleep(0)
            bench.clock.seconds += 0.0002
        assert topic.last_seq == 80
        assert [(job.state, job.failed_count) for job in jobs] == [("done", 0)] * 2


async def test_no_client_can_publish_under_the_key_of_a_redrive_before_it_comes(any_store):
    async with running_broker(any_store) as bench:
        topic = await bench.broker.topics.create(T, "t")
        connection, _ = await dead_ones(bench, 2, name=None)
        connection.close()
        for letter, payload in zip(await letters(bench), (b'"another"', None), strict=True):
            known = f"redrive:{letter.dead_id}:{letter.died_at_ms}:None"
            own = msgspec.Raw(payload or letter.payload)
            guessed = PublishRequest("t", own, idempotency_key=known)
            await result_of(partial(bench.broker.publish, T, guessed))
            before = topic.last_seq
            await bench.broker.dead_letters.redrive(T, letter.dead_id)
            assert topic.last_seq == before + 1
        # However well it is known.
        made = {known.key for known in await any_store.known_keys(0, 10) if known.seq in (4, 6)}
        assert len(made) == 2
        for key in made:
            with pytest.raises(InvalidRequest, match="idempotency_key must have"):
                await bench.publish("t", 1, idempotency_key=key)


async def test_a_letter_that_was_published_and_not_marked_may_be_redriven_again_and_comes_once(
    monkeypatch,
):
    monkeypatch.setattr(letter_acts, "WAIT_AGAIN_S", 0.0)
    store = FailingStore()
    async with running_broker(store) as bench:
        topic = await bench.broker.topics.create(T, "t")
        connection, _ = await dead_ones(bench, 2, name=None)
        connection.close()
        (letter, _), store.fails = await letters(bench), True
        for _ in range(3):
            # Not `store_unavailable`, which says that nothing was stored.
            with pytest.raises(OutcomeUnknown):
                await bench.broker.dead_letters.redrive(T, letter.dead_id)
        job = bench.broker.dead_letters.jobs.start(T, ALL, rate_per_s=9_999.0, max_count=9)
        await bench.until(lambda: job.error is not None)
        assert (job.state, job.redriven_count, job.failed_count) == ("running", 0, 0)
        assert topic.last_seq == 4
        store.fails = False
        await bench.until(lambda: job.state != "running")
        assert (job.state, job.redriven_count, job.failed_count) == ("done", 2, 0)
        assert topic.last_seq == 4
        assert all(letter.redriven_at_ms is not None for letter in await letters(bench))
        # Whoever sees that it was redriven, and asks for it again, means it.
        await bench.broker.dead_letters.redrive(T, letter.dead_id)
        assert topic.last_seq == 5


async def test_of_several_that_are_published_one_that_fails_does_not_hide_the_others(bench: Bench):
    topic = await bench.broker.topics.create(T, "t")
    connection, _ = await dead_ones(bench, 3, name=None)
    connection.close()
    places = [letter.place for letter in await letters(bench)]
    await bench.broker.dead_letters.discard(T, places[1].dead_id)
    redrive, at_ms = bench.broker.dead_letters._redrive, bench.clock.wall_ms()
    failed = await redrive(T, places, at_ms)
    assert {dead_id: error.code for dead_id, error in failed.items()} == {
        places[1].dead_id: "dead_letter_not_found"
    }
    assert topic.last_seq == 5
    again = await redrive(T, places, at_ms)
    assert {error.code for error in again.values()} == {"already_redriven", "dead_letter_not_found"}
    assert topic.last_seq == 5


async def test_a_letter_that_is_discarded_meanwhile_is_not_opened(bench: Bench):
    _, peer = await dead_ones(bench, 1)
    (letter,) = await letters(bench)
    await bench.broker.dead_letters.discard(T, letter.dead_id)
    failed = await bench.broker.dead_letters._redrive(T, [letter.place], 1)
    assert isinstance(failed[letter.dead_id], NotFound)
    await bench.rest()
    assert peer.seqs == []


async def refusal(bench: Bench) -> Conflict:
    (letter,) = await letters(bench)
    with pytest.raises(Conflict) as caught:
        await bench.broker.dead_letters.redrive(T, letter.dead_id)
    return caught.value


async def test_a_second_redrive_says_where_the_delivery_is_and_that_nothing_is_to_be_done(
    bench: Bench,
):
    connection, _ = await dead_ones(bench, 1)
    connection.close()
    await bench.flush()
    (letter,) = await letters(bench)
    await bench.broker.dead_letters.redrive(T, letter.dead_id)
    error = await refusal(bench)
    assert error.code == "already_redriven"
    assert "it waits until a subscriber of 's' takes it. There is nothing to do" in error.detail
    connection, peer = await bench.subscribe("t", subscription="s")
    await bench.rest()
    error = await refusal(bench)
    assert error.code == "already_redriven"
    assert "a subscriber of 's' has it" in error.detail
    connection.verbs.reject(Reject(peer.of("message")[0]["message_id"]))
    await bench.flush()
    await bench.broker.dead_letters.redrive(T, letter.dead_id)
    await bench.rest()
    assert peer.attempts == [(1, 1), (1, 1)]


async def test_what_a_seek_brings_anyway_says_so(bench: Bench):
    await dead_ones(bench, 1)
    await bench.broker.subscriptions.pause(T, "s")
    await bench.broker.subscriptions.seek(T, "s", StartAt(seq=1), dry_run=False)
    error = await refusal(bench)
    assert error.code == "already_redriven"
    assert "has not come to it yet, and will" in error.detail


async def test_what_was_redriven_and_acked_is_delivered_again_by_who_asks_for_it(bench: Bench):
    connection, peer = await dead_ones(bench, 1)
    (letter,) = await letters(bench)
    for count in (1, 2):
        await bench.broker.dead_letters.redrive(T, letter.dead_id)
        await bench.rest()
        assert peer.seqs == [1] * count
        connection.verbs.ack(Ack(topic="t", seq=1))
        await bench.flush()
