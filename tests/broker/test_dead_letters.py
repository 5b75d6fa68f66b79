import asyncio

import pytest

from conduit.broker.administer.dead_letters import PAGE_COUNT
from conduit.broker.administer.letter_jobs import JOBS_COUNT_MAX, JOBS_RUNNING_MAX
from conduit.errors import Conflict, LimitReached, NotFound, StoreUnavailable
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import Reject
from conduit.storage.dead_letters import DeadFilter
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, running_broker

T = DEFAULT_TENANT
ALL = DeadFilter()
FAST = {"rate_per_s": 10_000.0, "max_count": 1_000}
# So slow that nothing but the first one is redriven while a test runs.
SLOW = {"rate_per_s": 0.001, "max_count": 1_000}


async def die(bench: Bench, topic: str, subscription: str | None = "s", count: int = 1):
    connection, peer = await bench.subscribe(topic, subscription=subscription, max_in_flight=1000)
    await bench.publish_many(topic, count)
    for frame in peer.of("message"):
        connection.verbs.reject(Reject(frame["message_id"], reason="bad"))
    await bench.flush()
    connection.close()
    await bench.flush()


async def ended(bench: Bench, job):
    await bench.until(lambda: job.state != "running")
    return job


async def seqs(bench: Bench, which=ALL, **page):
    found = await bench.broker.dead_letters.list(T, which, **{"limit": 500, **page})
    return [letter.seq for letter in found.letters], found.before_id is not None


async def test_a_list_longer_than_one_read_is_whole_and_newest_first(bench: Bench):
    count = 2 * PAGE_COUNT + 7
    await die(bench, "t", count=count)
    assert await seqs(bench) == (list(range(count, 0, -1)), False)
    assert await seqs(bench, limit=count - 1) == (list(range(count, 1, -1)), True)
    assert (await bench.broker.dead_letters.count(T, ALL)).matched_count == count


class TallyStore(MemoryStore):
    """Goes through no dead letters to count them."""

    is_looking = True

    async def dead_places(self, *args, **more):
        assert self.is_looking, "all were looked at"
        return await super().dead_places(*args, **more)


async def test_those_of_one_subscription_are_counted_without_a_look_at_each():
    async with running_broker(TallyStore()) as bench:
        await die(bench, "t", count=5)
        for letter in (await bench.broker.dead_letters.list(T, ALL, limit=2)).letters:
            await bench.broker.dead_letters.redrive(T, letter.dead_id)
        bench.broker.store.is_looking = False
        counts = [
            await bench.broker.dead_letters.count(
                T, DeadFilter(subscription="s", is_redriven=asked)
            )
            for asked in (None, False, True)
        ]
        assert [each.matched_count for each in counts] == [5, 3, 2]
        bench.broker.store.is_looking = True


async def test_another_tenant_sees_counts_and_touches_nothing(bench: Bench):
    await die(bench, "t")
    dead_letters = bench.broker.dead_letters
    (letter,), *_ = await dead_letters.list(T, ALL, limit=5)
    job = await ended(bench, dead_letters.jobs.start(T, DeadFilter(topic="other"), **FAST))
    assert await dead_letters.list("other", ALL, limit=5) == ([], None, False)
    assert (await dead_letters.count("other", ALL)).matched_count == 0
    for refused in (dead_letters.get, dead_letters.discard, dead_letters.redrive):
        with pytest.raises(NotFound):
            await refused("other", letter.dead_id)
    for refused in (dead_letters.jobs.get, dead_letters.jobs.cancel):
        with pytest.raises(NotFound):
            refused("other", job.job_id)


async def test_a_redrive_delivers_again_and_a_second_death_replaces_the_first(bench: Bench):
    await die(bench, "t")
    dead_letters = bench.broker.dead_letters
    (letter,), *_ = await dead_letters.list(T, ALL, limit=5)
    bench.clock.seconds += 10
    redriven = await dead_letters.redrive(T, letter.dead_id)
    assert redriven.redriven_at_ms == int(bench.clock.now() * 1000)
    connection, peer = await bench.subscribe("t", subscription="s")
    (frame,) = peer.of("message")
    assert (frame["seq"], frame["attempt"]) == (1, 1)
    connection.verbs.reject(Reject(frame["message_id"], reason="still bad"))
    await bench.flush()
    (letter,), *_ = await dead_letters.list(T, ALL, limit=5)
    assert (letter.reason, letter.redriven_at_ms) == ("still bad", None)
    connection.close()


async def test_a_delivery_that_is_open_again_cannot_be_redriven(bench: Bench):
    await die(bench, "t")
    dead_letters = bench.broker.dead_letters
    (letter,), *_ = await dead_letters.list(T, ALL, limit=5)
    await dead_letters.redrive(T, letter.dead_id)
    with pytest.raises(Conflict):
        await dead_letters.redrive(T, letter.dead_id)


async def test_an_ephemeral_one_is_published_anew_with_key_and_headers(bench: Bench):
    connection, peer = await bench.subscribe("t")
    await bench.publish("t", {"a": 1}, key="k", headers={"h": "v"})
    (frame,) = peer.of("message")
    connection.verbs.reject(Reject(frame["message_id"]))
    await bench.flush()
    (letter,), *_ = await bench.broker.dead_letters.list(T, ALL, limit=5)
    await bench.broker.dead_letters.redrive(T, letter.dead_id)
    await bench.rest()
    again = peer.of("message")[1]
    assert (again["seq"], again["payload"]) == (2, {"a": 1})
    assert (again["key"], again["headers"]) == ("k", {"h": "v"})
    connection.close()


async def test_a_job_redrives_the_newest_that_fit_oldest_first(bench: Bench):
    await die(bench, "t", count=5)
    job = bench.broker.dead_letters.jobs.start(T, ALL, rate_per_s=10_000.0, max_count=3)
    await ended(bench, job)
    assert (job.state, job.matched_count, job.redriven_count) == ("done", 3, 3)
    connection, peer = await bench.subscribe("t", subscription="s")
    assert peer.seqs == [3, 4, 5]
    connection.close()


async def test_a_job_passes_over_what_was_redriven_already(bench: Bench):
    await die(bench, "t", count=3)
    letters, *_ = await bench.broker.dead_letters.list(T, ALL, limit=5)
    await bench.broker.dead_letters.redrive(T, letters[1].dead_id)
    job = await ended(bench, bench.broker.dead_letters.jobs.start(T, ALL, **FAST))
    assert (job.matched_count, job.redriven_count) == (2, 2)


async def test_a_job_counts_what_cannot_be_redriven_and_goes_on(bench: Bench):
    await die(bench, "t", "gone")
    await die(bench, "t", "s")
    await bench.broker.subscriptions.delete(T, "gone")
    job = await ended(bench, bench.broker.dead_letters.jobs.start(T, ALL, **FAST))
    assert job.state == "done"
    assert job.failed_count >= 1
    assert job.redriven_count + job.failed_count == job.matched_count
    assert "gone" in job.error


async def test_a_job_keeps_to_its_rate(bench: Bench):
    await die(bench, "t", count=3)
    job = bench.broker.dead_letters.jobs.start(T, ALL, **SLOW)
    await bench.until(lambda: job.redriven_count == 1)
    await bench.rest()
    assert (job.state, job.redriven_count) == ("running", 1)


async def test_a_cancelled_job_redrives_no_more(bench: Bench):
    await die(bench, "t", count=3)
    dead_letters = bench.broker.dead_letters
    job = dead_letters.jobs.start(T, ALL, **SLOW)
    await bench.until(lambda: job.redriven_count == 1)
    assert dead_letters.jobs.cancel(T, job.job_id) is job
    assert (job.state, job.redriven_count) == ("cancelled", 1)
    assert job.finished_at_ms is not None
    with pytest.raises(Conflict):
        dead_letters.jobs.cancel(T, job.job_id)


async def test_so_many_jobs_run_at_once_and_no_more(bench: Bench):
    await die(bench, "t", count=3)
    dead_letters = bench.broker.dead_letters
    jobs = [dead_letters.jobs.start(T, ALL, **SLOW) for _ in range(JOBS_RUNNING_MAX)]
    with pytest.raises(LimitReached):
        dead_letters.jobs.start(T, ALL, **SLOW)
    dead_letters.jobs.cancel(T, jobs[0].job_id)
    await bench.rest()
    dead_letters.jobs.start(T, ALL, **SLOW)


async def test_the_oldest_job_that_has_ended_makes_room_for_a_new_one(bench: Bench):
    await die(bench, "t", count=3)
    dead_letters = bench.broker.dead_letters
    running = dead_letters.jobs.start(T, ALL, **SLOW)
    done = [
        await ended(bench, dead_letters.jobs.start(T, DeadFilter(topic="none"), **FAST))
        for _ in range(JOBS_COUNT_MAX)
    ]
    assert dead_letters.jobs.get(T, running.job_id) is running
    assert dead_letters.jobs.get(T, done[-1].job_id) is done[-1]
    with pytest.raises(NotFound):
        dead_letters.jobs.get(T, done[0].job_id)


class FailingStore(MemoryStore):
    """A store whose list of dead letters can be made to fail."""

    fails = False

    async def dead_places(self, *args, **more):
        if self.fails:
            raise StoreUnavailable("the disk is gone")
        return await super().dead_places(*args, **more)


async def test_a_job_that_the_store_fails_ends_as_failed_and_says_why():
    store = FailingStore()
    async with running_broker(store) as bench:
        store.fails = True
        job = await ended(bench, bench.broker.dead_letters.jobs.start(T, ALL, **FAST))
        assert (job.state, job.error) == ("failed", "the disk is gone")


async def test_stopping_the_broker_cancels_the_jobs():
    async with running_broker() as bench:
        await die(bench, "t", count=3)
        job = bench.broker.dead_letters.jobs.start(T, ALL, **SLOW)
        await bench.until(lambda: job.redriven_count == 1)
        tasks = asyncio.all_tasks()
        assert any("LetterJobs" in repr(task) for task in tasks)
    assert job.state == "cancelled"
    assert not any("LetterJobs" in repr(task) for task in asyncio.all_tasks())
