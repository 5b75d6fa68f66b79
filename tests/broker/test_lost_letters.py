"""Dead letters that were not kept, or not with their messages: nothing of it is silent."""

from __future__ import annotations

import logging

import pytest

from conduit.broker.administer.losses import LOG_INTERVAL_S
from conduit.broker.administer.retention import RetentionRules
from conduit.core.message import Retention
from conduit.errors import Conflict
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, Reject
from conduit.storage.dead_letters import DeadBounds, DeadFilter
from tests.broker.kit import Bench, running_broker

ALL = DeadFilter()
RULES = RetentionRules(interval_s=3600, dead_bounds=DeadBounds(max_count=2, ephemeral_max_count=2))


@pytest.fixture
async def small():
    """Two dead letters are kept of each subscription."""
    async with running_broker(housekeeping=RULES) as bench:
        yield bench


async def die(bench: Bench, topic: str, count: int, name: str | None = "s") -> list[str]:
    """So many messages are published and rejected; their ids."""
    connection, peer = await bench.subscribe(topic, subscription=name)
    await bench.publish_many(topic, count)
    ids = [frame["message_id"] for frame in peer.of("message")]
    for message_id in ids:
        connection.verbs.reject(Reject(message_id, reason="bad"))
    await bench.flush()
    connection.close()
    await bench.flush()
    return ids


async def keep_house(bench: Bench) -> None:
    await bench.broker._housekeeper.round()


async def state(bench: Bench, message_id: str) -> str:
    _, _, (one,) = await bench.broker.messages.get(T, message_id)
    return one.state


async def seqs(bench: Bench, **which) -> list[int]:
    letters, *_ = await bench.broker.dead_letters.list(T, DeadFilter(**which), limit=100)
    return [letter.seq for letter in letters]


async def test_who_never_acks_pushes_out_nobody_elses_letters(small: Bench):
    await small.broker.topics.create(T, "orders")
    await small.broker.topics.create(T, "clicks")
    (message_id,) = await die(small, "orders", 1, "billing")
    await die(small, "clicks", 9, None)
    await die(small, "clicks", 9, "other")
    await keep_house(small)
    assert await seqs(small, subscription="billing") == [1]
    assert await state(small, message_id) == "dead"
    assert await seqs(small, subscription="") == [9, 8]
    assert await seqs(small, subscription="other") == [18, 17]


async def test_what_was_dropped_or_discarded_is_never_called_acked(small: Bench):
    await small.broker.topics.create(T, "t")
    ids = await die(small, "t", 4)
    await keep_house(small)
    assert [await state(small, one) for one in ids] == ["dropped", "dropped", "dead", "dead"]
    (letter, _), *_ = await small.broker.dead_letters.list(T, ALL, limit=5)
    await small.broker.dead_letters.discard(T, letter.dead_id)
    assert await state(small, ids[3]) == "discarded"


async def test_a_letter_that_is_too_old_is_dropped_as_well(small: Bench):
    await small.broker.topics.create(T, "t", Retention())
    (message_id,) = await die(small, "t", 1)
    small.clock.seconds += RULES.dead_max_age_s + 1
    await keep_house(small)
    assert await seqs(small) == []
    assert await state(small, message_id) == "dropped"


async def test_what_is_dying_is_dead_and_not_acked(small: Bench):
    await small.broker.topics.create(T, "t")
    connection, _ = await small.subscribe("t", subscription="s")
    receipt = await small.publish("t")
    await small.flush()
    connection.verbs.reject(Reject(receipt.message_id, reason="bad"))
    _, _, (one,) = await small.broker.messages.get(T, receipt.message_id)
    assert (one.state, one.attempts, one.last_reason) == ("dead", 1, "bad")
    assert await seqs(small) == []
    await small.flush()
    assert await state(small, receipt.message_id) == "dead"
    connection.close()


async def test_redriven_letters_go_first_and_are_counted_apart(small: Bench):
    await small.broker.topics.create(T, "t")
    await die(small, "t", 3)
    letters, *_ = await small.broker.dead_letters.list(T, ALL, limit=5)
    await small.broker.dead_letters.redrive(T, letters[0].dead_id)
    view = await small.broker.subscriptions.get(T, "s")
    assert (view.dead_count, view.redriven_count) == (2, 1)
    await keep_house(small)
    assert await seqs(small) == [2, 1]
    view = await small.broker.subscriptions.get(T, "s")
    assert (view.dead_count, view.redriven_count) == (2, 0)


async def test_what_is_dropped_is_counted_and_logged_now_and_then(small: Bench, caplog):
    await small.broker.topics.create(T, "t")
    with caplog.at_level(logging.WARNING):
        await die(small, "t", 5)
        await keep_house(small)
        await die(small, "t", 1)
        await keep_house(small)
        assert small.broker.stats.dead_letter_dropped_count == 4
        assert [one.getMessage() for one in caplog.records] == [
            "3 dead letters of subscription 's' were dropped: there were too many, or they were too old"
        ]
        small.clock.seconds += LOG_INTERVAL_S
        await keep_house(small)
        assert "1 dead letters of subscription 's' were dropped" in caplog.messages[-1]
        await keep_house(small)
        assert len(caplog.messages) == 2


@pytest.mark.parametrize("name", ["s", None])
async def test_a_message_that_retention_removed_while_it_was_out_dies_as_a_letter(
    small: Bench, name, caplog
):
    await small.broker.topics.create(T, "t", Retention(max_messages=1))
    connection, peer = await small.subscribe("t", subscription=name)
    await small.publish_many("t", 2)
    await keep_house(small)
    for frame in peer.of("message"):
        connection.verbs.reject(Reject(frame["message_id"], reason="card declined"))
    await small.flush()
    letters, *_ = await small.broker.dead_letters.list(T, ALL, limit=5)
    assert [(one.seq, one.reason, one.is_lost) for one in letters] == [
        (2, "card declined", False),
        (1, "card declined", True),
    ]
    with caplog.at_level(logging.WARNING):
        await keep_house(small)
    assert small.broker.stats.dead_letter_lost_count == 1
    assert "1 dead letters of" in caplog.text
    with pytest.raises(Conflict) as caught:
        await small.broker.dead_letters.redrive(T, letters[1].dead_id)
    assert caught.value.code == "payload_lost"
    connection.close()


async def test_a_lost_message_whose_letter_is_without_it_is_a_gap_when_it_comes_again(
    small: Bench,
):
    await small.broker.topics.create(T, "t", Retention(max_messages=1))
    connection, peer = await small.subscribe("t", subscription="s", ack_wait_ms=1000)
    await small.publish_many("t", 2)
    await keep_house(small)
    first, second = (frame["message_id"] for frame in peer.of("message"))
    connection.verbs.reject(Reject(first))
    connection.verbs.ack(Ack(second))
    await small.flush()
    small.forget_tail("t", 2)
    running = small.broker._owned.running()[0]
    (cursor,) = running.cursors.values()
    # As a server of a version before would have left it, or a seek.
    cursor.delivery.redrive(1, small.clock.now())
    cursor.changed()
    await small.rest()
    assert peer.seqs == [1, 2]
    assert [(gap["from_seq"], gap["to_seq"]) for gap in peer.of("gap")] == [(1, 1)]
    connection.close()
