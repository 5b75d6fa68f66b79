"""Jobs that discard, and jobs for letters that were chosen one by one."""

import asyncio

import pytest

from conduit.broker.administer import letter_acts
from conduit.broker.administer.letter_jobs import BATCH_MAX_COUNT, JOBS_RUNNING_MAX, Chosen
from conduit.errors import LimitReached, OutcomeUnknown, StoreUnavailable
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import Ack, Reject
from conduit.storage.dead_letters import DeadFilter
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, running_broker
from tests.broker.nodes import begun
from tests.storage.given import letters_count

T = DEFAULT_TENANT
ALL = DeadFilter()
FAST = {"rate_per_s": 10_000.0, "max_count": 1_000}
# So slow that nothing but the first one is dealt with while a test runs.
SLOW = {"rate_per_s": 0.001, "max_count": 1_000}
NO_ID = "01890000-0000-7000-8000-000000000000"


async def die(bench: Bench, topic: str, subscription: str | None = "s", count: int = 1):
    connection, peer = await bench.subscribe(topic, subscription=subscription, max_in_flight=1000)
    await bench.publish_many(topic, count)
    for frame in peer.of("message"):
        connection.verbs.reject(Reject(frame["message_id"], reason="bad"))
    await bench.flush()
    connection.close()
    await bench.flush()


async def letters(bench: Bench, which=ALL):
    """Newest first."""
    return (await bench.broker.dead_letters.list(T, which, limit=500)).letters


async def ended(bench: Bench, job):
    await bench.until(lambda: job.state != "running")
    return job


def discarding(bench: Bench, which, **limits):
    return bench.broker.dead_letters.jobs.start(T, which, action="discard", **limits)


def redriving(bench: Bench, which, **limits):
    return bench.broker.dead_letters.jobs.start(T, which, **limits)


async def test_a_job_discards_the_newest_that_match_and_leaves_the_others(bench: Bench):
    await die(bench, "t", count=5)
    await die(bench, "u", "s2")
    job = discarding(bench, DeadFilter(topic="t"), rate_per_s=10_000.0, max_count=3)
    await ended(bench, job)
    assert (job.state, job.matched_count, job.discarded_count) == ("done", 3, 3)
    assert (job.action, job.redriven_count, job.error) == ("discard", 0, None)
    assert [(one.topic, one.seq) for one in await letters(bench)] == [("u", 1), ("t", 2), ("t", 1)]


async def test_a_discard_takes_only_what_was_redriven_or_only_what_was_not(bench: Bench):
    await die(bench, "t", count=4)
    newest, *_ = await letters(bench)
    await bench.broker.dead_letters.redrive(T, newest.dead_id)
    redriven = DeadFilter(is_redriven=True)
    assert (await ended(bench, discarding(bench, redriven, **FAST))).discarded_count == 1
    again = await ended(bench, discarding(bench, redriven, **FAST))
    assert (again.state, again.matched_count) == ("done", 0)
    assert again.error == "nothing matches: there is no such dead letter"
    assert [one.seq for one in await letters(bench)] == [3, 2, 1]


async def test_what_was_redriven_since_a_discard_of_the_others_began_stays(bench: Bench):
    await die(bench, "t", count=3)
    newest, *_ = await letters(bench)
    job = discarding(bench, DeadFilter(is_redriven=False), rate_per_s=10.0, max_count=9)
    await bench.until(lambda: job.discarded_count == 1)
    await bench.broker.dead_letters.redrive(T, newest.dead_id)
    while job.state == "running":
        bench.clock.seconds += 0.1
        await bench.rest()
    assert (job.state, job.matched_count, job.discarded_count, job.failed_count) == (
        "done",
        3,
        2,
        0,
    )
    assert [one.dead_id for one in await letters(bench)] == [newest.dead_id]


async def test_what_others_have_discarded_since_a_job_began_is_in_no_count_of_it(bench: Bench):
    await die(bench, "t", count=3)
    newest, *_ = await letters(bench)
    job = redriving(bench, ALL, rate_per_s=10.0, max_count=9)
    await bench.until(lambda: job.redriven_count == 1)
    await bench.broker.dead_letters.discard(T, newest.dead_id)
    while job.state == "running":
        bench.clock.seconds += 0.1
        await bench.rest()
    assert (job.state, job.matched_count, job.redriven_count) == ("done", 3, 2)
    assert (job.failed_count, job.error) == (0, None)


async def test_what_dies_after_a_discard_has_begun_stays(bench: Bench):
    await die(bench, "t", count=2)
    job = discarding(bench, ALL, rate_per_s=10.0, max_count=9)
    await bench.until(lambda: job.discarded_count == 1)
    await die(bench, "u", "s2")
    while job.state == "running":
        bench.clock.seconds += 0.1
        await bench.rest()
    assert (job.matched_count, job.discarded_count) == (2, 2)
    assert [one.topic for one in await letters(bench)] == ["u"]


async def test_a_discard_keeps_to_its_rate_and_a_cancelled_one_discards_no_more(bench: Bench):
    await die(bench, "t", count=3)
    job = discarding(bench, ALL, **SLOW)
    await bench.until(lambda: job.discarded_count == 1)
    await bench.rest()
    assert (job.state, job.discarded_count) == ("running", 1)
    bench.broker.dead_letters.jobs.cancel(T, job.job_id)
    assert job.state == "cancelled"
    assert [one.seq for one in await letters(bench)] == [3, 2]


async def test_jobs_of_a_tenant_that_is_gone_are_stopped_and_forgotten(bench: Bench):
    jobs = bench.broker.dead_letters.jobs
    await die(bench, "t", count=3)
    job = discarding(bench, ALL, **SLOW)
    await bench.until(lambda: job.discarded_count == 1)
    bench.broker.forget_tenant("acme")
    assert jobs.all(T) == [job]
    bench.broker.forget_tenant(T)
    assert (jobs.all(T), job.state) == ([], "cancelled")
    await ended(bench, redriving(bench, ALL, rate_per_s=1_000, max_count=1))
    assert len(jobs.all(T)) == 1
    assert len(await letters(bench)) == 2


async def test_discards_and_redrives_share_the_bound_of_jobs(bench: Bench):
    await die(bench, "t", count=3)
    for _ in range(JOBS_RUNNING_MAX - 1):
        redriving(bench, ALL, **SLOW)
    discarding(bench, DeadFilter(topic="none"), **SLOW)
    with pytest.raises(LimitReached):
        discarding(bench, ALL, **SLOW)


class HangingStore(MemoryStore):
    """It deletes, and answers when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.may = asyncio.Event(), asyncio.Event()

    async def dead_delete(self, tenant, dead_ids):
        self.asked.set()
        await self.may.wait()
        return await super().dead_delete(tenant, dead_ids)


async def test_what_a_cancelled_discard_is_deleting_then_counts():
    store = HangingStore()
    async with running_broker(store) as bench:
        await die(bench, "t", count=3)
        job = discarding(bench, ALL, rate_per_s=1e9, max_count=9)
        async with asyncio.timeout(30):
            await store.asked.wait()
        bench.broker.dead_letters.jobs.cancel(T, job.job_id)
        await bench.rest()
        assert (job.state, job.discarded_count) == ("cancelled", 0)
        store.may.set()
        await bench.until(lambda: job.discarded_count == 3)
        assert await letters_count(store, T, ALL) == 0


class HesitatingStore(MemoryStore):
    """When it looks for dead letters the second time, it answers when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_count, self.may = 0, asyncio.Event()

    async def dead_find(self, tenant, dead_ids):
        self.asked_count += 1
        if self.asked_count == 2:
            await self.may.wait()
        return await super().dead_find(tenant, dead_ids)


async def test_what_a_cancelled_redrive_is_opening_then_is_delivered_and_counts():
    store = HesitatingStore()
    async with running_broker(store) as bench:
        await die(bench, "t", count=3)
        job = redriving(bench, ALL, rate_per_s=1e9, max_count=9)
        await bench.until(lambda: store.asked_count == 2)
        bench.broker.dead_letters.jobs.cancel(T, job.job_id)
        await bench.rest()
        assert (job.state, job.redriven_count) == ("cancelled", 0)
        store.may.set()
        await bench.until(lambda: job.redriven_count == 3)
        assert all(letter.redriven_at_ms for letter in await letters(bench))


async def test_cancelled_jobs_keep_their_place_and_are_waited_for_until_they_are_over():
    store = HesitatingStore()
    async with running_broker(store) as bench:
        await die(bench, "t", count=1)
        jobs = bench.broker.dead_letters.jobs
        for _ in range(JOBS_RUNNING_MAX):
            job = redriving(bench, ALL, rate_per_s=1e9, max_count=9)
            await bench.rest()
            jobs.cancel(T, job.job_id)
        with pytest.raises(LimitReached):
            redriving(bench, ALL, rate_per_s=1e9, max_count=9)
        stopping = begun(jobs.stop())
        await bench.rest()
        assert not stopping.done()
        store.may.set()
        await stopping
        assert sum(job.redriven_count for job in jobs.all(T)) == 1


async def test_letters_whose_owner_has_not_answered_are_looked_up_and_not_failed(monkeypatch):
    monkeypatch.setattr(letter_acts, "WAIT_AGAIN_S", 0.0)
    async with running_broker() as bench:
        await die(bench, "t", count=3)
        jobs = bench.broker.dead_letters.jobs
        redrive = jobs._parts.redrive
        tries = []

        async def losing(tenant, places, at_ms):
            tries.append(len(places))
            if len(tries) > 1:
                return await redrive(tenant, places, at_ms)
            # Of one of them it got no answer before anything was done.
            await redrive(tenant, places[:2], at_ms)
            return {place.dead_id: OutcomeUnknown("the link is gone") for place in places}

        jobs._parts = jobs._parts._replace(redrive=losing)
        job = await ended(bench, redriving(bench, ALL, rate_per_s=1e9, max_count=9))
        assert (job.state, job.redriven_count, job.failed_count, job.error) == ("done", 3, 0, None)
        assert tries == [3, 1]


async def test_one_that_was_redriven_before_is_not_tried_again_without_an_answer(monkeypatch):
    monkeypatch.setattr(letter_acts, "WAIT_AGAIN_S", 0.0)
    async with running_broker() as bench:
        await die(bench, "t", count=1)
        await ended(bench, redriving(bench, ALL, rate_per_s=1e9, max_count=9))
        (letter,) = await letters(bench)
        jobs, tries = bench.broker.dead_letters.jobs, []

        async def losing(_tenant, places, _at_ms):
            tries.append(len(places))
            return {place.dead_id: OutcomeUnknown("the link is gone") for place in places}

        jobs._parts = jobs._parts._replace(redrive=losing)
        job = await ended(
            bench, redriving(bench, Chosen([letter.dead_id]), rate_per_s=1e9, max_count=9)
        )
        assert (job.state, job.redriven_count, job.failed_count, tries) == ("done", 0, 1, [1])


class DeletingStore(MemoryStore):
    """It deletes once."""

    deleted_count = 0

    async def dead_delete(self, tenant, dead_ids):
        if self.deleted_count:
            raise StoreUnavailable("away")
        self.deleted_count = await super().dead_delete(tenant, dead_ids)
        return self.deleted_count


async def test_a_discard_that_the_store_fails_half_way_says_how_many_are_gone():
    store = DeletingStore()
    async with running_broker(store) as bench:
        for _ in range(2):
            await die(bench, "t", count=BATCH_MAX_COUNT // 2 + 1)
        job = await ended(bench, discarding(bench, ALL, rate_per_s=1e9, max_count=9_999))
        assert (job.state, job.error) == ("failed", "away")
        assert (job.matched_count, job.discarded_count) == (BATCH_MAX_COUNT + 2, BATCH_MAX_COUNT)
        assert await letters_count(store, T, ALL) == 2


# Chosen one by one --------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["redrive", "discard"])
async def test_those_that_were_chosen_are_dealt_with_and_no_others(bench: Bench, action):
    await die(bench, "t", count=4)
    await die(bench, "u", "s2")
    found = await letters(bench)
    ids = [found[0].dead_id, found[2].dead_id, NO_ID]
    start = redriving if action == "redrive" else discarding
    job = await ended(bench, start(bench, Chosen(ids), **FAST))
    assert (job.state, job.matched_count, job.done_count, job.failed_count) == ("done", 2, 2, 0)
    left = {one.dead_id for one in await letters(bench) if one.redriven_at_ms is None}
    assert left == {one.dead_id for one in found} - set(ids)


async def test_chosen_ones_of_another_topic_or_tenant_are_not_there(bench: Bench):
    await die(bench, "t")
    await die(bench, "u", "s2")
    ids = [one.dead_id for one in await letters(bench)]
    job = await ended(bench, discarding(bench, Chosen(ids, "t"), **FAST))
    assert (job.matched_count, job.discarded_count) == (1, 1)
    jobs = bench.broker.dead_letters.jobs
    job = await ended(bench, jobs.start("other", Chosen(ids), action="discard", **FAST))
    assert (job.matched_count, job.discarded_count) == (0, 0)
    assert [one.topic for one in await letters(bench)] == ["u"]


async def test_one_that_was_redriven_and_acked_is_delivered_once_more_if_it_is_chosen(bench: Bench):
    await die(bench, "t")
    (letter,) = await letters(bench)
    connection, peer = await bench.subscribe("t", subscription="s")
    for times in (1, 2):
        job = await ended(bench, redriving(bench, Chosen([letter.dead_id]), **FAST))
        await bench.rest()
        assert (job.redriven_count, peer.seqs) == (1, [1] * times)
        connection.verbs.ack(Ack(message_id=peer.of("message")[-1]["message_id"]))
        await bench.flush()
    connection.close()


async def test_of_two_jobs_that_began_together_one_redrives_what_both_have_chosen(bench: Bench):
    await die(bench, "t", count=2)
    ids = [one.dead_id for one in await letters(bench)]
    slow = redriving(bench, Chosen(ids), rate_per_s=10.0, max_count=9)
    await bench.until(lambda: slow.redriven_count == 1)
    fast = await ended(bench, redriving(bench, Chosen(ids[:1]), **FAST))
    assert fast.redriven_count == 1
    connection, peer = await bench.subscribe("t", subscription="s")
    for frame in peer.of("message"):
        connection.verbs.ack(Ack(message_id=frame["message_id"]))
    await bench.flush()
    while slow.state == "running":
        bench.clock.seconds += 0.1
        await bench.rest()
    assert (slow.state, slow.redriven_count, slow.failed_count) == ("done", 1, 0)
    assert peer.seqs == [1, 2]
    connection.close()
