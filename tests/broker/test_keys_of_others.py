"""Idempotency keys that another server on the same log has used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from conduit.broker.waiting import result_of
from conduit.errors import Conflict
from conduit.names import DEFAULT_TENANT as T
from conduit.storage.postgres import PostgresStore
from tests.broker.kit import Bench, running_broker
from tests.support.wait import until

pytestmark = pytest.mark.process


class Nodes(NamedTuple):
    ours: Bench
    theirs: Bench


@pytest.fixture
async def nodes(cluster) -> AsyncIterator[Nodes]:
    url = cluster.empty_database()
    async with (
        running_broker(PostgresStore(url)) as ours,
        running_broker(PostgresStore(url)) as theirs,
    ):
        for topic in ("t", "u"):
            await ours.broker.topics.create(T, topic)
        await theirs.broker.topics.learn()
        yield Nodes(ours, theirs)


async def test_a_repeat_is_told_what_became_of_the_first(nodes: Nodes):
    first = await nodes.ours.publish("t", {"n": 1}, idempotency_key="k")
    again = await nodes.theirs.publish("t", {"n": 1}, idempotency_key="k")
    assert (again.message_id, again.seq, again.published_at, again.epoch, again.duplicate) == (
        first.message_id,
        1,
        first.published_at,
        first.epoch,
        True,
    )
    assert nodes.theirs.broker.stats.duplicate_count == 1
    assert nodes.theirs.broker.stats.published_count == 0
    # From now on the answer is at hand.
    append_count = nodes.theirs.broker.store._home._writer._number
    assert (await nodes.theirs.publish("t", {"n": 1}, idempotency_key="k")).duplicate
    assert nodes.theirs.broker.store._home._writer._number == append_count


async def test_subscribers_get_it_once(nodes: Nodes):
    _, peer = await nodes.theirs.subscribe("t")
    await nodes.ours.publish("t", 1, idempotency_key="k")
    await nodes.theirs.publish("t", 1, idempotency_key="k")
    await nodes.theirs.publish("t", 2, idempotency_key="l")
    await asyncio.to_thread(until, lambda: len(peer.seqs) == 2)
    assert [frame["payload"] for frame in peer.of("message")] == [1, 2]


async def test_another_payload_is_refused_and_what_is_committed_with_it_is_stored(nodes: Nodes):
    await nodes.ours.publish("t", 1, idempotency_key="k")
    theirs = nodes.theirs
    calls = [
        theirs.publish("t", n, idempotency_key=key) for n, key in ((2, "a"), (3, "k"), (4, None))
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [getattr(answer, "seq", None) for answer in answers] == [2, None, 3]
    assert isinstance(answers[1], Conflict)
    assert (answers[1].code, answers[1].field) == ("idempotency_conflict", "idempotency_key")
    # The key still stands for the first one's message.
    with pytest.raises(Conflict):
        await theirs.publish("t", 3, idempotency_key="k")
    assert (await theirs.publish("t", 1, idempotency_key="k")).seq == 1


async def test_a_batch_with_another_payload_is_refused_as_a_whole(nodes: Nodes):
    await nodes.ours.publish("t", 1, idempotency_key="k")
    theirs = nodes.theirs
    requests = [
        theirs.request("t", 5, idempotency_key="new"),
        theirs.request("u", 6),
        theirs.request("t", 7, idempotency_key="k"),
    ]
    with pytest.raises(Conflict, match="'k'"):
        await result_of(lambda answer: theirs.broker.publish_batch(T, requests, answer))
    assert [each.seq for each in await theirs.publish_many("t", 2)] == [2, 3]
    assert (await theirs.publish("u")).seq == 1


async def test_a_batch_with_what_is_known_stores_the_rest(nodes: Nodes):
    first = await nodes.ours.publish("t", 1, idempotency_key="k")
    theirs = nodes.theirs
    requests = [theirs.request("t", 1, idempotency_key=key) for key in ("k", "l", "k", "m")]
    receipts = await result_of(lambda answer: theirs.broker.publish_batch(T, requests, answer))
    assert [(each.seq, each.duplicate) for each in receipts] == [
        (1, True),
        (2, False),
        (1, True),
        (3, False),
    ]
    assert receipts[2].message_id == first.message_id


async def test_the_bytes_of_what_is_known_do_not_count_as_stored(nodes: Nodes):
    await nodes.ours.publish("t", 1, idempotency_key="k")
    allowance = nodes.theirs.broker.allowances.of(T)
    stored_bytes = allowance.stored_bytes
    await nodes.theirs.publish("t", 1, idempotency_key="k")
    assert (allowance.stored_bytes, allowance.coming_bytes) == (stored_bytes, 0)
