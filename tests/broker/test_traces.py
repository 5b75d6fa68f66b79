"""What is recorded of traced messages on their way through the broker."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from conduit.broker import spans
from conduit.broker.publish.traced import COMMIT_SPANS_MAX_COUNT, carried
from conduit.broker.spans import Operation, Span
from conduit.broker.traces import TENANTS_SHARE, Recording, Traces
from conduit.broker.waiting import result_of
from conduit.core.trace_context import TraceContext
from conduit.errors import ConduitError
from conduit.names import DEFAULT_TENANT, NAME_LENGTH_MAX
from conduit.protocol.frames import Ack, Nack, PublishRequest, Reject
from tests.broker.kit import Bench, ManualClock, running_broker

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = f"00-{TRACE}-{SPAN}-01"
UNSAMPLED = f"00-{TRACE}-{SPAN}-00"


class Traced(Bench):
    """A broker that records, and what it has recorded."""

    spans: list[Span]
    traces: Traces

    def of(self, operation: Operation) -> list[Span]:
        """Those of one kind, in the order in which they ended."""
        return [span for span in self.spans if span.operation is operation]

    def only(self, operation: Operation) -> Span:
        """The one of its kind."""
        (span,) = self.of(operation)
        return span


@asynccontextmanager
async def traced(*, begins: bool = True, max_spans_per_s: int = 10_000) -> AsyncIterator[Traced]:
    recorded: list[Span] = []
    dice = random.Random(7)
    recording = Recording(
        lambda context: context.is_sampled, lambda _: begins, recorded.append, dice.getrandbits
    )
    clock = ManualClock()
    traces = Traces(clock, recording, max_spans_per_s)
    async with running_broker(clock=clock, traces=traces) as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "t")
        found = Traced(bench.broker, clock)
        found.spans, found.traces = recorded, traces
        yield found


@pytest.fixture
async def bench() -> AsyncIterator[Traced]:
    async with traced() as found:
        yield found


async def test_one_trace_goes_from_the_publish_to_the_ack(bench: Traced) -> None:
    connection, peer = await bench.subscribe("t", subscription="s")
    receipt = await bench.publish("t", {"secret": 1}, key="order-7")
    await bench.advance(2.0)
    connection.verbs.ack(Ack(message_id=receipt.message_id))
    await bench.rest()

    publish, commit = bench.only(Operation.PUBLISH), bench.only(Operation.COMMIT)
    deliver, settle = bench.only(Operation.DELIVER), bench.only(Operation.SETTLE)
    assert publish.parent is None
    assert [each.parent for each in (commit, deliver)] == [publish.context, publish.context]
    assert settle.parent == deliver.context
    assert len({span.context.span_id for span in bench.spans}) == 4
    assert {span.context.trace_id for span in bench.spans} == {publish.context.trace_id}
    assert {span.attributes[spans.TOPIC] for span in bench.spans} == {"t"}
    assert {span.attributes[spans.TENANT] for span in bench.spans} == {DEFAULT_TENANT}
    assert {span.attributes[spans.MESSAGE_ID] for span in bench.spans} == {receipt.message_id}
    assert deliver.attributes[spans.SUBSCRIPTION] == "s"
    assert deliver.attributes[spans.ATTEMPT] == 1
    assert settle.attributes[spans.OUTCOME] == "ack"
    # How long the consumer took.
    assert settle.end_ns - settle.start_ns == pytest.approx(2e9)
    assert publish.start_ns == pytest.approx(1_700_000_000 * 1e9)
    # The subscriber goes on with the trace.
    assert peer.of("message")[0]["headers"] == {"traceparent": publish.context.traceparent}


async def test_no_span_has_a_payload_or_a_key(bench: Traced) -> None:
    connection, _ = await bench.subscribe("t", subscription="s")
    receipt = await bench.publish(
        "t",
        "a secret payload",
        key="secret-key",
        headers={"x": "secret header"},
        idempotency_key="secret once",
    )
    connection.verbs.reject(Reject(receipt.message_id, reason="secret reason"))
    await bench.rest()
    assert len(bench.spans) == 5
    assert "secret" not in repr(bench.spans)


async def test_what_a_message_has_in_its_headers_stays_and_is_the_parent(bench: Traced) -> None:
    _, peer = await bench.subscribe("t")
    headers = {"traceparent": GIVEN, "tracestate": "a=1"}
    request = bench.request("t", headers=headers)
    other = f"00-{'1' * 32}-{'2' * 16}-01"
    await _publish(bench, carried(bench.traces, request, (other, "")))
    given = TraceContext(TRACE, SPAN, 1, "a=1")
    assert {span.parent for span in bench.spans} == {given}
    assert len(bench.spans) == 3
    assert peer.of("message")[0]["headers"] == headers


async def test_a_context_beside_the_message_goes_on_by_its_publish(bench: Traced) -> None:
    _, peer = await bench.subscribe("t")
    request = carried(bench.traces, bench.request("t", headers={"x": "y"}), (GIVEN, "a=1"))
    await _publish(bench, request)
    publish = bench.only(Operation.PUBLISH)
    assert publish.parent == TraceContext(TRACE, SPAN, 1, "a=1")
    assert peer.of("message")[0]["headers"] == {
        "x": "y",
        "traceparent": publish.context.traceparent,
        "tracestate": "a=1",
    }
    assert bench.only(Operation.DELIVER).parent == publish.context


async def test_a_trace_that_is_not_sampled_goes_on_and_leaves_nothing(bench: Traced) -> None:
    connection, peer = await bench.subscribe("t", subscription="s")
    request = carried(bench.traces, bench.request("t"), (UNSAMPLED, ""))
    receipt = await _publish(bench, request)
    connection.verbs.ack(Ack(message_id=receipt.message_id))
    await bench.publish("t", headers={"traceparent": UNSAMPLED})
    assert [frame["headers"] for frame in peer.of("message")] == [{"traceparent": UNSAMPLED}] * 2
    assert bench.spans == []


async def test_a_message_that_is_not_chosen_is_as_it_was() -> None:
    async with traced(begins=False) as bench:
        _, peer = await bench.subscribe("t")
        await bench.publish("t")
        await bench.publish_many("t", 2)
        assert bench.spans == []
        assert all("headers" not in frame for frame in peer.of("message"))


async def test_contexts_that_are_not_valid_are_ignored_and_counted(bench: Traced) -> None:
    _, peer = await bench.subscribe("t")
    await bench.publish("t", headers={"traceparent": "nonsense"})
    assert bench.spans == []
    assert peer.of("message")[0]["headers"] == {"traceparent": "nonsense"}
    await _publish(bench, carried(bench.traces, bench.request("t"), ("nonsense", "")))
    # It begins a trace of its own, as if nothing had been given.
    assert bench.only(Operation.PUBLISH).parent is None
    assert bench.traces.invalid_count == 2


async def test_text_in_a_payload_is_no_context(bench: Traced) -> None:
    async with traced(begins=False) as bench:
        await bench.subscribe("t")
        await bench.publish("t", {"headers": {"traceparent": GIVEN}})
        await bench.publish("t", headers={"x": f'"traceparent":"{GIVEN}"'})
        assert bench.spans == []


async def test_headers_without_room_stay_as_they_are(bench: Traced) -> None:
    _, peer = await bench.subscribe("t")
    full = {f"h{number}": "x" for number in range(64)}
    await bench.publish("t", headers=full)
    await bench.publish("t", headers={"h": "x" * ((16 << 10) - 20)})
    assert peer.of("message")[0]["headers"] == full
    assert [frame["headers"].keys() & {"traceparent"} for frame in peer.of("message")] == [
        set()
    ] * 2
    # The publishes are traced; that the messages are was said by nothing that they carry.
    assert [span.operation for span in bench.spans] == [Operation.PUBLISH] * 2


async def test_a_nack_is_followed_by_another_delivery(bench: Traced) -> None:
    connection, _ = await bench.subscribe("t", subscription="s")
    receipt = await bench.publish("t")
    connection.verbs.nack(Nack(receipt.message_id, delay_ms=0))
    await bench.advance(1.0)
    connection.verbs.ack(Ack(message_id=receipt.message_id))
    await bench.rest()
    first, second = bench.of(Operation.DELIVER)
    nack, ack = bench.of(Operation.SETTLE)
    assert (nack.parent, nack.attributes[spans.OUTCOME]) == (first.context, "nack")
    assert (ack.parent, ack.attributes[spans.OUTCOME]) == (second.context, "ack")
    assert second.attributes[spans.ATTEMPT] == 2
    assert second.attributes[spans.FAILURES] == 1
    assert {first.parent, second.parent} == {bench.only(Operation.PUBLISH).context}


async def test_an_attempt_that_ran_out_of_time_ends_with_the_next(bench: Traced) -> None:
    await bench.subscribe("t", subscription="s", ack_wait_ms=1000)
    await bench.publish("t")
    await bench.advance(5.0)
    await bench.advance(1.0)
    first, _ = bench.of(Operation.DELIVER)
    timeout = bench.only(Operation.SETTLE)
    assert (timeout.parent, timeout.attributes[spans.OUTCOME]) == (first.context, "timeout")


async def test_what_a_lost_connection_had_is_returned(bench: Traced) -> None:
    connection, _ = await bench.subscribe("t", subscription="s")
    await bench.publish("t")
    connection.close()
    await bench.subscribe("t", subscription="s")
    await bench.rest()
    assert bench.only(Operation.SETTLE).attributes[spans.OUTCOME] == "returned"
    assert len(bench.of(Operation.DELIVER)) == 2


@pytest.mark.parametrize(
    ("max_attempts", "outcome", "cause"), [(5, "reject", "consumer"), (1, "timeout", "ack_timeout")]
)
async def test_a_death_is_a_step_of_its_last_delivery(
    bench: Traced, max_attempts: int, outcome: str, cause: str
) -> None:
    connection, _ = await bench.subscribe(
        "t", subscription="s", max_attempts=max_attempts, ack_wait_ms=1000
    )
    receipt = await bench.publish("t")
    if outcome == "reject":
        connection.verbs.reject(Reject(receipt.message_id))
    else:
        await bench.advance(5.0)
    await bench.rest()
    deliver, died = bench.only(Operation.DELIVER), bench.only(Operation.DEAD_LETTER)
    assert bench.only(Operation.SETTLE).attributes[spans.OUTCOME] == outcome
    assert died.parent == deliver.context
    assert died.attributes[spans.CAUSE] == cause
    assert died.attributes[spans.ATTEMPT] == 1


async def test_a_cumulative_ack_settles_all_that_it_names(bench: Traced) -> None:
    connection, _ = await bench.subscribe("t", subscription="s")
    for _ in range(3):
        await bench.publish("t")
    connection.verbs.ack(Ack(topic="t", seq=2, subscription="s"))
    await bench.rest()
    assert sorted(span.attributes[spans.SEQ] for span in bench.of(Operation.SETTLE)) == [1, 2]
    connection.verbs.ack(Ack(topic="t", seq=3, subscription="s"))
    await bench.rest()
    assert len(bench.of(Operation.SETTLE)) == 3
    assert bench.broker._engine.traces is not None
    assert not bench.broker._engine.traces.outs


async def test_what_goes_to_many_at_once_is_one_span(bench: Traced) -> None:
    for _ in range(3):
        await bench.subscribe("t", ack="auto")
    await bench.publish("t")
    assert bench.only(Operation.DELIVER).attributes[spans.SUBSCRIBER_COUNT] == 3
    assert bench.of(Operation.SETTLE) == []


async def test_a_delivery_from_the_log_belongs_to_the_trace(bench: Traced) -> None:
    await bench.publish("t")
    bench.forget_tail("t", 1)
    await bench.subscribe("t", subscription="s", start="earliest")
    await bench.rest()
    assert bench.only(Operation.DELIVER).parent == bench.only(Operation.PUBLISH).context


async def test_each_message_of_a_batch_is_a_publish(bench: Traced) -> None:
    requests = [
        bench.request("t", 1, headers={"traceparent": GIVEN}),
        bench.request("t", 2, headers={"traceparent": UNSAMPLED}),
        bench.request("t", 3),
    ]
    receipts = await result_of(
        lambda answer: bench.broker.publish_batch(DEFAULT_TENANT, requests, answer)
    )
    first, second = bench.of(Operation.PUBLISH)
    assert [first.attributes[spans.SEQ], second.attributes[spans.SEQ]] == [
        receipts[0].seq,
        receipts[2].seq,
    ]
    assert first.parent == TraceContext(TRACE, SPAN)
    assert first.attributes[spans.BATCH_COUNT] == 3
    assert {span.attributes[spans.COMMIT_COUNT] for span in bench.of(Operation.COMMIT)} == {3}


async def test_one_commit_is_a_bounded_number_of_spans(bench: Traced) -> None:
    await bench.publish_many("t", COMMIT_SPANS_MAX_COUNT + 5)
    assert len(bench.of(Operation.COMMIT)) == COMMIT_SPANS_MAX_COUNT
    assert bench.traces.dropped["commit"] == 5


async def test_a_publish_that_is_refused_has_the_code(bench: Traced) -> None:
    with pytest.raises(ConduitError):
        await bench.publish("nowhere")
    assert bench.only(Operation.PUBLISH).error == "topic_not_found"
    assert len(bench.spans) == 1


async def test_the_name_of_a_topic_that_is_none_is_cut(bench: Traced) -> None:
    with pytest.raises(ConduitError):
        await bench.publish("x" * 300_000)
    topic = bench.only(Operation.PUBLISH).attributes[spans.TOPIC]
    assert topic == "x" * NAME_LENGTH_MAX


async def test_a_repeated_key_stores_nothing_and_says_so(bench: Traced) -> None:
    await bench.publish("t", idempotency_key="k")
    await bench.publish("t", idempotency_key="k")
    first, second = bench.of(Operation.PUBLISH)
    assert spans.IS_DUPLICATE not in first.attributes
    assert second.attributes[spans.IS_DUPLICATE] is True
    assert len(bench.of(Operation.COMMIT)) == 1


async def test_a_tenant_has_so_many_spans_in_a_second_and_takes_none_from_others() -> None:
    async with traced(max_spans_per_s=4) as bench:
        for _ in range(5):
            await bench.publish("t")
        assert len(bench.spans) == 4
        # The first two: a publish and a commit each.
        assert bench.traces.dropped["rate"] == 3
        assert all(bench.traces.admits("other") for _ in range(4))
        assert not bench.traces.admits("other")
        await bench.advance(1.0)
        await bench.publish("t")
        assert len(bench.spans) == 6


async def test_all_tenants_together_are_bounded_too() -> None:
    async with traced(max_spans_per_s=2) as bench:
        admitted = [
            bench.traces.admits(f"tenant-{number}") for number in range(TENANTS_SHARE * 2 + 3)
        ]
        assert sum(admitted) == TENANTS_SHARE * 2


async def _publish(bench: Traced, request: PublishRequest) -> Any:
    receipt = await result_of(lambda answer: bench.broker.publish(DEFAULT_TENANT, request, answer))
    await bench.rest()
    return receipt
