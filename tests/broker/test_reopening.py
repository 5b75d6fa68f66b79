"""Dead letters of deliveries that come again because their subscription was moved before them."""

import asyncio

import pytest

from conduit.broker.administer import reopening
from conduit.core.message import Retention
from conduit.errors import OutcomeUnknown, StoreUnavailable
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, Reject, StartAt
from conduit.storage.dead_letters import DeadFilter
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, running_broker


async def dead_ones(bench: Bench, count: int, pattern: str = "t", topic: str = "t"):
    """Rejects so many deliveries of subscription `s`; its connection, peer and message ids."""
    connection, peer = await bench.subscribe(pattern, subscription="s")
    await bench.publish_many(topic, count)
    ids = [frame["message_id"] for frame in peer.of("message")]
    for message_id in ids:
        connection.verbs.reject(Reject(message_id))
    await bench.flush()
    peer.frames.clear()
    return connection, peer, ids


async def seek(bench: Bench, seq: int) -> None:
    await bench.broker.subscriptions.seek(T, "s", StartAt(seq=seq), dry_run=False)
    await bench.rest()


async def marked(bench: Bench) -> dict[int, bool]:
    letters = await bench.broker.store.dead_list(T, DeadFilter(), limit=100)
    return {letter.seq: letter.redriven_at_ms is not None for letter in letters}


async def states(bench: Bench, ids) -> list[str]:
    found = [await bench.broker.messages.get(T, message_id) for message_id in ids]
    return [each.state for _, _, deliveries in found for each in deliveries]


@pytest.mark.parametrize("is_discarded", [False, True])
async def test_what_died_and_was_acked_after_a_seek_is_acked(bench: Bench, is_discarded):
    connection, peer, ids = await dead_ones(bench, 3)
    if is_discarded:
        for place in await bench.broker.store.dead_places(T, DeadFilter(), limit=9):
            await bench.broker.dead_letters.discard(T, place.dead_id)
    fate = "discarded" if is_discarded else "dead"
    assert await states(bench, ids) == [fate] * 3
    await seek(bench, 2)
    assert peer.seqs == [2, 3]
    connection.verbs.ack(Ack(topic="t", seq=3))
    await bench.flush()
    assert await states(bench, ids) == [fate, "acked", "acked"]
    view = await bench.broker.subscriptions.get(T, "s")
    assert (view.dead_count, view.redriven_count) == ((0, 0) if is_discarded else (1, 2))


async def test_a_plan_says_how_many_dead_letters_come_again(bench: Bench, monkeypatch):
    await dead_ones(bench, 3)
    for seq, count in ((1, 3), (3, 1), (4, 0)):
        plan = await bench.broker.subscriptions.seek(T, "s", StartAt(seq=seq), dry_run=True)
        assert plan.dead_again_count == count
    monkeypatch.setattr(reopening, "COUNTED_MAX_COUNT", 2)
    plan = await bench.broker.subscriptions.seek(T, "s", StartAt(seq=1), dry_run=True)
    assert plan.dead_again_count == 2
    await seek(bench, 1)
    plan = await bench.broker.subscriptions.seek(T, "s", StartAt(seq=1), dry_run=True)
    assert plan.dead_again_count == 0


async def test_a_job_does_not_redrive_what_a_seek_delivers_again(bench: Bench):
    connection, peer, _ = await dead_ones(bench, 3)
    await seek(bench, 2)
    connection.verbs.ack(Ack(topic="t", seq=3))
    job = bench.broker.dead_letters.jobs.start(T, DeadFilter(), rate_per_s=9_999.0, max_count=9)
    await bench.until(lambda: job.state == "done")
    await bench.rest()
    assert (job.matched_count, peer.seqs) == (1, [2, 3, 1])


async def test_a_letter_whose_message_the_log_has_lost_does_not_come_again_by_a_seek(bench: Bench):
    _, peer, _ = await dead_ones(bench, 3)
    await bench.broker.topics.update(T, "t", Retention(max_messages=2))
    await bench.broker._housekeeper.round()
    bench.forget_tail("t", 3)
    await seek(bench, 1)
    assert (peer.seqs, await marked(bench)) == ([2, 3], {1: False, 2: True, 3: True})


async def test_what_dies_again_after_a_seek_is_a_dead_letter(bench: Bench):
    connection, _, ids = await dead_ones(bench, 2)
    await seek(bench, 1)
    connection.verbs.reject(Reject(ids[1]))
    await bench.flush()
    assert await marked(bench) == {1: True, 2: False}


async def test_more_letters_than_one_page_are_all_marked(bench: Bench, monkeypatch):
    monkeypatch.setattr(reopening, "PAGE_COUNT", 3)
    await dead_ones(bench, 7)
    await seek(bench, 2)
    assert await marked(bench) == {1: False} | dict.fromkeys(range(2, 8), True)


async def test_what_died_just_before_a_seek_is_a_letter_that_counts_as_redriven(bench: Bench):
    connection, peer, _ = await dead_ones(bench, 1)
    await bench.publish("t")
    connection.verbs.reject(Reject(peer.of("message")[0]["message_id"]))
    # Nobody has waited for it to be stored.
    await seek(bench, 1)
    assert await marked(bench) == {1: True, 2: True}


async def test_what_dies_while_letters_are_marked_is_a_dead_letter():
    store = PagingStore()
    async with running_broker(store) as bench:
        connection, peer, ids = await dead_ones(bench, 1)
        store.meanwhile = lambda: connection.verbs.reject(Reject(ids[0], reason="again"))
        await seek(bench, 1)
        assert peer.seqs == [1]
        await bench.flush()
        assert await marked(bench) == {1: False}


class PagingStore(MemoryStore):
    """`meanwhile` happens some turns after it was asked for places."""

    def meanwhile(self) -> None:
        """Nothing."""

    async def dead_places(self, *args, **kwargs):
        places = await super().dead_places(*args, **kwargs)
        for _ in range(20):
            await asyncio.sleep(0)
        self.meanwhile()
        return places


class UnmarkingStore(MemoryStore):
    """It may fail to find places."""

    fails = False

    async def dead_places(self, *args, **kwargs):
        if self.fails:
            raise StoreUnavailable("away")
        return await super().dead_places(*args, **kwargs)


async def test_a_seek_whose_letters_could_not_be_marked_is_done_and_says_that_it_may_be():
    store = UnmarkingStore()
    async with running_broker(store) as bench:
        _, peer, _ = await dead_ones(bench, 2)
        store.fails = True
        with pytest.raises(OutcomeUnknown):
            await seek(bench, 1)
        await bench.rest()
        assert peer.seqs == [1, 2]
        store.fails = False
        await seek(bench, 1)
        assert await marked(bench) == {1: True, 2: True}
