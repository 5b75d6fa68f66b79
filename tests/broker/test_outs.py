"""What traces keep of deliveries that are open: bounded, and given back however they end."""

import pickle
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from conduit.broker import spans
from conduit.broker.deliver import outs
from conduit.broker.deliver import traced as module
from conduit.broker.deliver.cursor import Cursor
from conduit.broker.deliver.outs import Outs
from conduit.broker.spans import Operation
from conduit.core.message import Retention
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import Ack, Nack, Reject
from conduit.storage.base import Rule
from tests.broker.test_traces import SPAN, TRACE, UNSAMPLED, Traced, traced


@pytest.fixture
async def bench() -> AsyncIterator[Traced]:
    async with traced() as found:
        yield found


async def test_what_is_kept_of_a_delivery_has_nothing_of_its_payload(bench: Traced) -> None:
    for subscription in ("s", None):
        await bench.subscribe("t", subscription=subscription)
    state = ",".join(f"{vendor}=" + "x" * 253 for vendor in "ab")
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": state}
    await bench.publish("t", "x" * 100_000, headers=headers)
    await bench.rest()
    kept = _outs(bench)
    assert len(kept) == 2
    assert kept.find(None, bench.broker.topics.get(DEFAULT_TENANT, "t"), 1).context.state == state
    assert len(pickle.dumps(kept._by_place)) < 2_000


@asynccontextmanager
async def one_out(subscription: str | None = "s") -> AsyncIterator[tuple[Traced, Any, str]]:
    """A broker in which one traced delivery is out; with its connection and its message."""
    async with traced() as bench:
        connection, _ = await bench.subscribe("t", subscription=subscription, ack_wait_ms=1000)
        receipt = await bench.publish("t")
        assert len(_outs(bench)) == 1
        yield bench, connection, receipt.message_id
        await bench.rest()
        assert not _outs(bench)


def _outs(bench: Traced) -> Outs:
    assert bench.broker._engine.traces is not None
    return bench.broker._engine.traces.outs


@pytest.mark.parametrize("subscription", ["s", None])
async def test_nothing_is_kept_of_a_delivery_that_is_settled(subscription: str | None) -> None:
    async with one_out(subscription) as (_, connection, message_id):
        connection.verbs.ack(Ack(message_id=message_id))
    async with one_out(subscription) as (_, connection, message_id):
        connection.verbs.ack(Ack(topic="t", seq=1, subscription=subscription))
    async with one_out(subscription) as (_, connection, message_id):
        connection.verbs.reject(Reject(message_id))


@pytest.mark.parametrize("subscription", ["s", None])
async def test_nothing_is_kept_of_a_delivery_whose_topic_or_subscription_ends(
    subscription: str | None,
) -> None:
    async with one_out(subscription) as (bench, _, _):
        await bench.broker.topics.delete(DEFAULT_TENANT, "t")
    async with one_out(None) as (_, connection, _):
        connection.close()
    async with one_out() as (bench, _, _):
        await bench.broker.subscriptions.delete(DEFAULT_TENANT, "s")
        await bench.rest()
        assert bench.only(Operation.SETTLE).attributes[spans.OUTCOME] == "returned"
    async with one_out() as (bench, connection, _):
        # It is stored by then, and does not run here any more.
        connection.close()
        await bench.flush()
        await bench.rest()
        assert bench.only(Operation.SETTLE).attributes[spans.OUTCOME] == "returned"


async def test_nothing_is_kept_of_a_delivery_that_a_seek_has_forgotten() -> None:
    async with one_out() as (bench, _, _):
        await bench.broker.subscriptions.seek(DEFAULT_TENANT, "s", "new", dry_run=False)


async def test_nothing_is_kept_of_a_delivery_that_the_log_has_lost() -> None:
    async with one_out() as (bench, connection, message_id):
        connection.verbs.nack(Nack(message_id, delay_ms=5000))
        other = await bench.publish("t")
        topic = await bench.broker.topics.update(DEFAULT_TENANT, "t", Retention(max_messages=1))
        await bench.broker.store.trim(topic.topic_id, Rule(topic.retention, 0), 100)
        bench.forget_tail("t", 2)
        connection.verbs.ack(Ack(message_id=other.message_id))
        assert len(_outs(bench)) == 1
        await bench.advance(6.0)


@pytest.mark.parametrize("subscription", ["s", None])
async def test_nothing_is_kept_of_a_delivery_whose_span_was_dropped(
    subscription: str | None,
) -> None:
    async with traced(max_spans_per_s=2) as bench:
        await bench.subscribe("t", subscription=subscription)
        await bench.publish("t")
        assert {span.operation for span in bench.spans} == {Operation.PUBLISH, Operation.COMMIT}
        assert not _outs(bench)


async def test_nothing_is_kept_of_the_attempt_before_one_whose_span_was_dropped() -> None:
    async with one_out() as (bench, connection, message_id):
        while bench.traces.admits(DEFAULT_TENANT):
            pass
        connection.verbs.nack(Nack(message_id, delay_ms=0))
        await bench.advance(0.0)
        assert len(bench.of(Operation.DELIVER)) == 1


async def test_what_many_ephemeral_subscribers_have_is_kept_until_the_last_has_done_with_it(
    bench: Traced,
) -> None:
    some = [(await bench.subscribe("t"))[0] for _ in range(4)]
    await bench.subscribe("t", ack="auto")
    receipt = await bench.publish("t")
    late, _ = await bench.subscribe("t", start="earliest")
    late.verbs.ack(Ack(message_id=receipt.message_id))
    some[0].verbs.ack(Ack(message_id=receipt.message_id))
    some[1].verbs.reject(Reject(receipt.message_id))
    some[2].close()
    await bench.rest()
    assert len(_outs(bench)) == 1
    some[3].verbs.nack(Nack(receipt.message_id, delay_ms=0))
    await bench.advance(1.0)
    assert len(_outs(bench)) == 1
    some[3].verbs.ack(Ack(message_id=receipt.message_id))
    await bench.rest()
    assert not _outs(bench)


async def test_of_what_is_shared_each_has_its_own(bench: Traced) -> None:
    await bench.subscribe("t")
    await bench.publish_many("t", 3)
    connection, _ = await bench.subscribe("t")
    await bench.publish_many("t", 2)
    topic = bench.broker.topics.get(DEFAULT_TENANT, "t")
    feed = bench.broker._engine.feeds.find(topic.topic_id)
    assert feed is not None
    first, second = feed.live
    assert isinstance(first, Cursor)
    assert isinstance(second, Cursor)
    found = _outs(bench)
    assert [out.seq for out in found.open_in(first, 4)] == [1, 2, 3, 4]
    assert [out.seq for out in found.open_in(second, 4)] == [4]
    assert [out.seq for out in found.open_in(second)] == [4, 5]
    connection.verbs.ack(Ack(topic="t", seq=5))
    assert len(bench.of(Operation.SETTLE)) == 2
    assert len(found) == 5
    # Where more is open than is kept, and some of that is only the other's.
    for _ in range(5):
        await bench.publish("t", headers={"traceparent": UNSAMPLED})
    assert found.open_in(second) == []


async def test_of_one_message_so_many_settlements_by_ephemeral_subscribers_are_recorded(
    bench: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EPHEMERAL_MAX_COUNT", 1)
    first, _ = await bench.subscribe("t")
    receipt = await bench.publish("t")
    second, _ = await bench.subscribe("t", start="earliest")
    first.verbs.nack(Nack(receipt.message_id, delay_ms=0))
    await bench.subscribe("t", start="earliest")
    for each in (first, second):
        each.verbs.ack(Ack(message_id=receipt.message_id))
    assert len(bench.of(Operation.SETTLE)) == 1
    assert bench.traces.dropped["ephemeral"] == 2


async def test_what_takes_no_acks_is_not_kept(bench: Traced) -> None:
    await bench.subscribe("t", ack="auto")
    await bench.subscribe("t", subscription="s", ack="auto")
    await bench.publish("t")
    assert len(bench.of(Operation.DELIVER)) == 2
    assert not _outs(bench)


async def test_of_too_many_that_are_out_the_oldest_are_forgotten_and_counted(
    bench: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outs, "OUT_MAX_COUNT", 3)
    connection, _ = await bench.subscribe("t", subscription="s")
    await bench.publish_many("t", 5)
    assert len(_outs(bench)) == 3
    assert bench.traces.dropped["out"] == 2
    connection.verbs.ack(Ack(topic="t", seq=5, subscription="s"))
    await bench.rest()
    assert [span.attributes[spans.SEQ] for span in bench.of(Operation.SETTLE)] == [3, 4, 5]
    assert not _outs(bench)


async def test_of_many_that_are_settled_at_once_the_newest_are_recorded(
    bench: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE_MAX_COUNT", 2)
    connection, _ = await bench.subscribe("t", subscription="s")
    await bench.publish_many("t", 5)
    connection.verbs.ack(Ack(topic="t", seq=4, subscription="s"))
    await bench.rest()
    assert [span.attributes[spans.SEQ] for span in bench.of(Operation.SETTLE)] == [3, 4]
    assert bench.traces.dropped["out"] == 2
    assert len(_outs(bench)) == 1
