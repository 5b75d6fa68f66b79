"""Deaths that wait for a store which does not take them: bounded, and nothing else stands still."""

from __future__ import annotations

import asyncio
import copy
from types import SimpleNamespace

import pytest

from conduit.broker.deliver import progress
from conduit.broker.deliver.marks import Marks
from conduit.broker.publish.admission import PublishLimits
from conduit.errors import StoreUnavailable
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, Nack, Reject
from conduit.storage.dead_letters import DeadFilter
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, running_broker
from tests.broker.stores import FailingStore, SlowStore, UnansweredStore


@pytest.fixture(autouse=True)
def _three(monkeypatch):
    """Three deaths may wait for the store."""
    monkeypatch.setattr(progress, "DEATHS_MAX_COUNT", 3)


async def letters(bench: Bench):
    """(seq, reason) of all dead letters, when everything is stored."""
    await bench.flush()
    found = await bench.broker.store.dead_list(T, DeadFilter(), limit=100)
    return sorted((letter.seq, letter.reason) for letter in found)


def ids(peer):
    return [frame["message_id"] for frame in peer.of("message")]


@pytest.mark.parametrize("frame", [Nack, Reject])
@pytest.mark.parametrize("name", [None, "s"])
async def test_a_verb_that_would_kill_one_more_is_refused_and_changes_nothing(name, frame):
    store = FailingStore()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("t", subscription=name, max_attempts=1)
        await bench.publish_many("t", 5)
        store.fails = True
        for number, message_id in enumerate(ids(peer), 1):
            connection.verbs.nack(Nack(message_id, attempt=7, ref=f"stale {number}"))
            verb = connection.verbs.nack if frame is Nack else connection.verbs.reject
            verb(frame(message_id, reason="bad", ref=str(number)))
        refused = {one["ref"]: one["code"] for one in peer.of("error")}
        stale = {f"stale {number}": "stale_attempt" for number in range(1, 6)}
        assert refused == stale | {"4": "overloaded", "5": "overloaded"}
        connection.verbs.ack(Ack(ids(peer)[3], ref="acked"))
        store.fails = False
        assert await letters(bench) == [(1, "bad"), (2, "bad"), (3, "bad")]
        connection.verbs.reject(Reject(ids(peer)[4], reason="worse", ref="5 again"))
        assert (await letters(bench))[-1] == (5, "worse")
        assert {one["ref"] for one in peer.of("acked")} == {"1", "2", "3", "acked", "5 again"}
        connection.close()


async def test_what_waits_in_a_flush_counts_too():
    store = SlowStore()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("t", subscription="s")
        await bench.publish_many("t", 4)
        await bench.flush()
        store.held.add("settle")
        for message_id in ids(peer)[:3]:
            connection.verbs.reject(Reject(message_id, ref=message_id))
        await bench.until(lambda: bool(store.waiting))
        connection.verbs.reject(Reject(ids(peer)[3], ref="one more"))
        assert [one["ref"] for one in peer.of("error")] == ["one more"]
        store.release()


async def test_what_fails_too_often_by_time_stays_out_until_it_may_die():
    store = FailingStore()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe(
            "t", subscription="s", max_attempts=1, ack_wait_ms=1000
        )
        await bench.publish_many("t", 5)
        store.fails = True
        await bench.advance(1.1)
        view = await bench.broker.subscriptions.get(T, "s")
        assert (view.in_flight_count, view.pending_retry_count) == (2, 0)
        connection.verbs.ack(Ack(ids(peer)[3]))
        store.fails = False
        await bench.flush()
        await bench.advance(2)
        assert await letters(bench) == [(n, "ack_timeout") for n in (1, 2, 3, 5)]
        assert peer.seqs == [1, 2, 3, 4, 5]


async def test_what_was_lost_too_often_comes_again_where_it_may_not_die():
    store = FailingStore()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("t", subscription="s", max_lost=1)
        await bench.publish_many("t", 5)
        store.fails = True
        connection.close(lost=True)
        store.fails = False
        assert await letters(bench) == [(n, "connection_lost") for n in (1, 2, 3)]
        connection, peer = await bench.subscribe("t", subscription="s")
        assert peer.attempts == [(4, 2), (5, 2)]
        connection.close(lost=True)
        assert len(await letters(bench)) == 5


async def test_retries_go_on_while_nothing_more_may_die():
    store = FailingStore()
    async with running_broker(store) as bench:
        dying, doomed = await bench.subscribe("t", subscription="s")
        await bench.publish_many("t", 3)
        store.fails = True
        for message_id in ids(doomed):
            dying.verbs.reject(Reject(message_id))
        connection, peer = await bench.subscribe("u")
        await bench.publish("u")
        connection.verbs.nack(Nack(ids(peer)[0], delay_ms=5_000))
        await bench.rest()
        await bench.advance(5.1)
        assert peer.attempts == [(1, 1), (1, 2)]
        store.fails = False


class WatchedStore(FailingStore):
    """It keeps what it was told in each commit, and fails after so many."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[list[int]] = []
        self.left_count = 1_000_000

    async def settle(self, progress, deaths, redriven=()):
        if deaths and self.left_count <= 0:
            raise StoreUnavailable("the disk is full")
        self.left_count -= bool(deaths)
        refused = await super().settle(progress, deaths, redriven)
        if deaths:
            self.told.append([death.seq for death in deaths])
        return refused


@pytest.mark.parametrize("name", [None, "s"])
async def test_many_deaths_are_stored_in_parts_that_may_fail_each(monkeypatch, name):
    monkeypatch.setattr(progress, "DEATHS_MAX_COUNT", 100)
    store = WatchedStore()
    limits = PublishLimits(max_payload_bytes=progress.PART_DEATHS_MAX_BYTES // 3)
    async with running_broker(store, publish=limits) as bench:
        connection, peer = await bench.subscribe("t", subscription=name)
        other, others = await bench.subscribe("u", subscription="other")
        await bench.publish_many("t", 8)
        await bench.publish_many("u", 2)
        await bench.flush()
        store.left_count = 2
        for message_id in ids(peer):
            connection.verbs.reject(Reject(message_id, reason="bad", ref=message_id))
        for message_id in ids(others):
            other.verbs.reject(Reject(message_id, reason="bad"))
        await bench.until(lambda: len(store.told) == 2)
        await bench.rest()
        assert store.told == [[1, 2, 3], [4, 5, 6]]
        assert peer.of("acked") == []
        connection.close()
        store.left_count = 100
        await bench.broker._engine.progress.flush()
        assert store.told[2:] in ([[7, 8, 1], [2]], [[1, 2, 7], [8]])
        found = await letters(bench)
        assert found == sorted([(n, "bad") for n in [*range(1, 9), 1, 2]])
        other.close()


@pytest.mark.parametrize("is_idle", [True, False])
async def test_after_a_crash_between_two_parts_what_has_no_letter_comes_again(monkeypatch, is_idle):
    monkeypatch.setattr(progress, "DEATHS_MAX_COUNT", 100)
    store = WatchedStore()
    async with running_broker(store) as bench:
        bench.broker._engine.progress.expect_payloads(progress.PART_DEATHS_MAX_BYTES // 3)
        connection, peer = await bench.subscribe("t", subscription="s")
        await bench.publish_many("t", 9)
        await bench.flush()
        store.left_count = 2
        if is_idle:
            connection.verbs.ack(Ack(ids(peer)[8]))
        for message_id in ids(peer)[:8]:
            connection.verbs.reject(Reject(message_id, reason="bad"))
        with pytest.raises(StoreUnavailable):
            await bench.broker._engine.progress.flush()
        assert store.told == [[1, 2, 3], [4, 5, 6]]
        subscription_id = bench.broker._owned.get(T, "s").subscription_id
        (stored,) = await store.progress(subscription_id)
        # What another server finds if this one is gone now.
        after = MemoryStore()
        after.__dict__.update(copy.deepcopy(store.__dict__))
        async with running_broker(after) as again:
            found = await after.dead_list(T, DeadFilter(), limit=100)
            assert sorted(letter.seq for letter in found) == [1, 2, 3, 4, 5, 6]
            _, other = await again.subscribe("t", subscription="s")
            await again.rest()
            expected = [7, 8] if is_idle else [7, 8, 9]
            assert sorted(other.seqs) == expected
            assert stored.floor == (9 if is_idle else 8)
        store.left_count = 100
        await bench.broker._engine.progress.flush()
        assert len(await letters(bench)) == 8
        connection.close()


async def test_of_what_another_node_has_claimed_no_further_part_is_sent(monkeypatch):
    monkeypatch.setattr(progress, "DEATHS_MAX_COUNT", 100)
    store = WatchedStore()
    async with running_broker(store) as bench:
        bench.broker._engine.progress.expect_payloads(progress.PART_DEATHS_MAX_BYTES // 3)
        connection, peer = await bench.subscribe("t", subscription="s")
        await bench.publish_many("t", 8)
        await bench.flush()
        await store.subscription_claim(bench.broker._owned.get(T, "s").subscription_id)
        for message_id in ids(peer):
            connection.verbs.reject(Reject(message_id, reason="bad"))
        await bench.flush()
        assert store.told == [[1, 2, 3]]
        assert peer.closed is not None
        assert await letters(bench) == []


async def test_what_dies_again_while_a_commit_that_fails_has_its_redrive_is_not_marked_as_redriven(
    monkeypatch,
):
    monkeypatch.setattr(progress, "RETRY_INTERVAL_S", 0)
    store = UnansweredStore()
    async with running_broker(store) as bench:
        connection, peer = await bench.subscribe("t", subscription="s")
        await bench.publish("t")
        connection.verbs.reject(Reject(ids(peer)[0]))
        await bench.flush()
        [letter] = await store.dead_list(T, DeadFilter(), limit=10)
        store.held.add("settle")
        redrive = bench.broker.dead_letters.redrive(T, letter.dead_id)
        redriving = asyncio.get_running_loop().create_task(redrive)
        await bench.until(lambda: bool(store.waiting) and len(peer.attempts) == 2)
        connection.verbs.reject(Reject(ids(peer)[1], reason="again"))
        store.release()
        await redriving
        await bench.flush()
        [letter] = await store.dead_list(T, DeadFilter(), limit=10)
        assert (letter.reason, letter.redriven_at_ms) == ("again", None)
        connection.close()


async def test_of_two_deaths_of_a_message_that_are_stored_at_once_the_letter_has_the_last():
    async with running_broker() as bench:
        await bench.broker.topics.create(T, "t")
        await bench.publish("t")
        first, _ = await bench.subscribe("t", start="earliest", max_lost=1)
        second, peer = await bench.subscribe("t", start="earliest")
        await bench.until(lambda: peer.seqs == [1])
        first.close(lost=True)
        second.verbs.reject(Reject(ids(peer)[0], reason="bad"))
        assert await letters(bench) == [(1, "bad")]


class _Who:
    def __init__(self, *, is_over: bool) -> None:
        self.group = SimpleNamespace(is_over=is_over, was_moved=False)


def test_of_two_deaths_the_first_is_not_stored_last_because_its_subscription_is_still_being_closed():
    marks = Marks()
    marks.bury(_Who(is_over=True), [SimpleNamespace(seq=1, reason="lost")])
    marks.bury(_Who(is_over=False), [SimpleNamespace(seq=1, reason="bad")])
    reasons = []
    while marks:
        part, _ = marks.take(10, 10)
        reasons += [death.reason for death in part.deaths()]
    assert reasons == ["lost", "bad"]
