"""Publishing: numbers, idempotency, batches, poison, a full queue, a store that fails."""

import asyncio
from collections.abc import Sequence
from functools import partial

import msgspec
import pytest

from conduit.broker.administer.browse import Window
from conduit.broker.publish.admission import PublishLimits
from conduit.broker.publish.committer import Committer
from conduit.broker.waiting import result_of
from conduit.core.message import NewMessage
from conduit.errors import (
    ConduitError,
    InvalidRequest,
    LimitReached,
    NotFound,
    Overloaded,
    StateError,
    StoreDataError,
    StoreUnavailable,
)
from conduit.names import DEFAULT_TENANT
from conduit.protocol.codec import encode_json
from conduit.protocol.frames import PublishRequest
from conduit.protocol.records import Receipt
from tests.broker.kit import Bench, ManualClock, made_commits, running_broker


async def test_numbers_are_dense_and_follow_the_order_of_publishing(bench: Bench):
    await bench.broker.topics.create(DEFAULT_TENANT, "a")
    answers: list[Receipt | ConduitError] = []
    for number in range(5_000):
        request = PublishRequest("a", msgspec.Raw(b"%d" % number))
        bench.broker.publish(DEFAULT_TENANT, request, answers.append)
    await bench.until(lambda: len(answers) == 5_000)
    assert [answer.seq for answer in answers] == list(range(1, 5_001))
    messages, _ = await bench.broker.messages.browse(DEFAULT_TENANT, "a", Window(), 1_000)
    assert [int(message.payload) for message in messages] == list(range(1_000))


async def test_a_repeated_key_gets_the_first_result_and_stores_nothing(bench: Bench):
    await bench.broker.topics.create(DEFAULT_TENANT, "a")
    first = await bench.publish("a", 1, idempotency_key="k")
    again = await bench.publish("a", 1, idempotency_key="k")
    assert (again.message_id, again.seq, again.duplicate) == (first.message_id, 1, True)
    assert (await bench.publish("a", 3)).seq == 2
    bench.clock.seconds += 601
    bench.broker._keys.tick(bench.clock.seconds)
    assert (await bench.publish("a", 4, idempotency_key="k")).seq == 3


async def test_a_key_that_is_being_stored_answers_all_who_repeat_it(bench: Bench):
    await bench.broker.topics.create(DEFAULT_TENANT, "a")
    answers: list[Receipt | ConduitError] = []
    for _ in range(3):
        request = PublishRequest("a", msgspec.Raw(b"1"), idempotency_key="k")
        bench.broker.publish(DEFAULT_TENANT, request, answers.append)
    await bench.until(lambda: len(answers) == 3)
    assert sorted((answer.seq, answer.duplicate) for answer in answers) == [
        (1, False),
        (1, True),
        (1, True),
    ]


async def test_a_batch_is_stored_whole_or_not_at_all(bench: Bench):
    await bench.broker.topics.create(DEFAULT_TENANT, "a")
    receipts = await bench.publish_many("a", 3)
    assert [receipt.seq for receipt in receipts] == [1, 2, 3]
    answers: list[list[Receipt] | ConduitError] = []
    requests = [PublishRequest("a", msgspec.Raw(b"1")), PublishRequest("nobody", msgspec.Raw(b"1"))]
    bench.broker.publish_batch(DEFAULT_TENANT, requests, answers.append)
    assert isinstance(answers[0], NotFound)
    assert (await bench.publish("a")).seq == 4


async def test_a_batch_may_repeat_keys_and_answers_each_in_its_place(bench: Bench):
    await bench.broker.topics.create(DEFAULT_TENANT, "a")
    await bench.publish("a", 1, idempotency_key="old")
    requests = [
        PublishRequest("a", msgspec.Raw(b"1"), idempotency_key=key)
        for key in ("new", "old", "new", None)
    ]
    answers: list[list[Receipt] | ConduitError] = []
    bench.broker.publish_batch(DEFAULT_TENANT, requests, answers.append)
    await bench.until(lambda: bool(answers))
    assert [(receipt.seq, receipt.duplicate) for receipt in answers[0]] == [
        (2, False),
        (1, True),
        (2, True),
        (3, False),
    ]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"key": ""}, "key"),
        ({"key": "x" * 256}, "key"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"headers": {str(n): "" for n in range(65)}}, "headers"),
        ({"headers": {"a": "x" * 20_000}}, "headers"),
    ],
)
async def test_what_is_out_of_bounds_is_named(bench: Bench, fields, field):
    await bench.broker.topics.create(DEFAULT_TENANT, "a")
    with pytest.raises(InvalidRequest) as caught:
        await bench.publish("a", 1, **fields)
    assert caught.value.field == field


async def test_a_payload_over_the_limit_is_refused():
    async with running_broker(publish=PublishLimits(max_payload_bytes=10)) as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "a")
        with pytest.raises(LimitReached) as caught:
            await bench.publish("a", "0123456789")
        assert (caught.value.code, caught.value.field) == ("payload_too_large", "payload")


@pytest.mark.parametrize("is_batch", [False, True])
async def test_a_payload_that_is_nested_too_deeply_is_refused_and_the_limit_is_not(is_batch: bool):
    deepest = [[["]", {}]]] * 9

    async with running_broker(publish=PublishLimits(max_json_depth=4)) as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "a")
        publish = partial(bench.publish, "a") if not is_batch else partial(one_of_two, bench)
        await publish(deepest)
        with pytest.raises(InvalidRequest, match="4 levels") as caught:
            await publish([deepest])
        field = "messages[1].payload" if is_batch else "payload"
        assert (caught.value.code, caught.value.field) == ("json_too_deep", field)


async def one_of_two(bench: Bench, payload: object) -> object:
    requests = [PublishRequest("a", msgspec.Raw(encode_json(each))) for each in (1, payload)]
    return await result_of(partial(bench.broker.publish_batch, DEFAULT_TENANT, requests))


async def test_topics_are_created_by_publishing_only_where_that_is_wanted():
    async with running_broker(publish=PublishLimits(auto_create_topics=True)) as bench:
        assert (await bench.publish("new.topic")).seq == 1
        with pytest.raises(InvalidRequest):
            await bench.publish("not a topic")


BAD, NOBODY = "not a topic", "nobody"


@pytest.mark.parametrize(
    ("topics", "creates", "code", "index"),
    [
        (["a", "a", BAD], False, "invalid_topic", 2),
        (["a", NOBODY, NOBODY], False, "topic_not_found", 1),
        (["a", "z", BAD, "b", NOBODY], False, "topic_not_found", 1),
        ([BAD, NOBODY], False, "invalid_topic", 0),
        (["new", "a", BAD, ""], True, "invalid_topic", 2),
    ],
)
async def test_the_first_message_of_a_batch_that_has_no_topic_is_named(
    topics, creates, code, index
):
    async with running_broker(publish=PublishLimits(auto_create_topics=creates)) as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "a")
        requests = [PublishRequest(topic, msgspec.Raw(b"1")) for topic in topics]
        with pytest.raises(ConduitError) as caught:
            await result_of(partial(bench.broker.publish_batch, DEFAULT_TENANT, requests))
        assert (caught.value.code, caught.value.field) == (code, f"messages[{index}].topic")
        assert len(bench.broker.topics) == 1


async def test_the_message_is_named_whose_topic_was_deleted_meanwhile_and_not_to_others(
    bench: Bench,
):
    gone = await bench.broker.topics.create(DEFAULT_TENANT, "gone")
    answers: list[object] = []
    request = PublishRequest("gone", msgspec.Raw(b"1"), idempotency_key="k")
    # As another node does it, of which this one has not heard.
    await bench.broker.store.topic_delete(gone.topic_id)
    bench.broker.publish(DEFAULT_TENANT, request, answers.append)
    bench.broker.publish_batch(DEFAULT_TENANT, [request, request], answers.append)
    await bench.until(lambda: len(answers) == 2)
    assert [(answer.code, answer.field) for answer in answers] == [
        ("topic_not_found", "messages[0].topic"),
        ("topic_not_found", "topic"),
    ]
    assert bench.broker.stats.publish_errors["topic_not_found"] == 2


async def test_a_bug_in_making_a_topic_is_an_answer_and_a_line_in_the_log(caplog, monkeypatch):
    async def buggy(*args):
        raise ZeroDivisionError

    async with running_broker(publish=PublishLimits(auto_create_topics=True)) as bench:
        for call in ("topic_create", "topics_create"):
            monkeypatch.setattr(bench.broker.store, call, buggy)
        answers: list[object] = []
        request = PublishRequest("t", msgspec.Raw(b"1"))
        bench.broker.publish(DEFAULT_TENANT, request, answers.append)
        bench.broker.publish_batch(DEFAULT_TENANT, [request], answers.append)
        await bench.until(lambda: len(answers) == 2)
    assert {type(answer) for answer in answers} == {StateError}
    assert "ZeroDivisionError" in caplog.text


class OneTopicStore:
    """The `append` of a store that holds payloads, and refuses or fails when told so."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.fails = False

    async def append(self, batch: Sequence[NewMessage]) -> list[int]:
        await asyncio.sleep(0)
        if self.fails:
            raise StoreUnavailable("the disk is full")
        if any(message.payload == b"poison" for message in batch):
            raise StoreDataError("a row is refused")
        first = len(self.payloads) + 1
        self.payloads += [message.payload for message in batch]
        return list(range(first, len(self.payloads) + 1))


class Waiting:
    """Messages of one payload that are stored together; what it is told is in `outcomes`."""

    def __init__(self, payload: bytes, outcomes: list) -> None:
        self.payload = payload
        self.outcomes = outcomes

    def stored(self, seqs: Sequence[int], start: int) -> None:
        self.outcomes.append((self.payload, seqs[start]))

    def failed(self, error: ConduitError) -> None:
        self.outcomes.append((self.payload, error))


def _committer(store: OneTopicStore) -> Committer:
    return Committer(store, made_commits(ManualClock()), lambda messages, seqs: None)


def _submit(committer: Committer, payload: bytes, outcomes: list, count: int = 1) -> None:
    messages = [NewMessage(1, "id", payload)] * count
    committer.submit(messages, len(payload) * count, Waiting(payload, outcomes))


async def test_the_messages_of_a_commit_share_the_time_at_which_it_begins():
    class Store(OneTopicStore):
        async def append(self, batch: Sequence[NewMessage]) -> list[int]:
            times.append([new.published_at_ms for new in batch])
            assert commits.oldest_ms == times[-1][0]
            clock.seconds += 1
            return await super().append(batch)

    clock, times = ManualClock(), []
    commits = made_commits(clock)
    committer = Committer(Store(), commits, lambda messages, seqs: None)
    _submit(committer, b"1", [], count=2)
    clock.seconds += 5
    _submit(committer, b"2", [])
    task = asyncio.get_running_loop().create_task(committer.run())
    await committer.drain()
    began_ms = 1_700_000_005_000
    assert times == [[began_ms] * 3]
    assert commits.oldest_ms == began_ms + 1000
    _submit(committer, b"3", [])
    await committer.drain()
    task.cancel()
    assert times[1:] == [[began_ms + 1000]]


async def test_poison_fails_alone():
    store, outcomes = OneTopicStore(), []
    committer = _committer(store)
    for payload in (b"1", b"2", b"poison", b"3", b"4"):
        _submit(committer, payload, outcomes)
    task = asyncio.get_running_loop().create_task(committer.run())
    await committer.drain()
    task.cancel()
    assert store.payloads == [b"1", b"2", b"3", b"4"]
    assert [payload for payload, result in outcomes if isinstance(result, StoreDataError)] == [
        b"poison"
    ]


async def test_a_store_that_fails_is_answered_with_its_error_and_recovers():
    store, outcomes = OneTopicStore(), []
    committer = _committer(store)
    task = asyncio.get_running_loop().create_task(committer.run())
    store.fails = True
    _submit(committer, b"1", outcomes)
    await committer.drain()
    store.fails = False
    _submit(committer, b"2", outcomes)
    await committer.drain()
    task.cancel()
    assert isinstance(outcomes[0][1], StoreUnavailable)
    assert outcomes[1] == (b"2", 1)


async def test_a_bug_in_one_answer_costs_the_others_nothing(caplog):
    store, outcomes = OneTopicStore(), []
    committer = Committer(store, made_commits(ManualClock()), lambda messages, seqs: 1 / 0)

    class Broken(Waiting):
        def stored(self, seqs: Sequence[int], start: int) -> None:
            raise KeyError(start)

    committer.submit([NewMessage(1, "id", b"1")], 1, Broken(b"1", outcomes))
    _submit(committer, b"2", outcomes)
    task = asyncio.get_running_loop().create_task(committer.run())
    await committer.drain()
    _submit(committer, b"3", outcomes)
    await committer.drain()
    task.cancel()
    assert outcomes == [(b"2", 2), (b"3", 3)]
    assert "KeyError" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_a_full_queue_refuses_and_keeps_what_it_has():
    outcomes: list[tuple[bytes, object]] = []
    committer = _committer(OneTopicStore())
    for _ in range(20):
        _submit(committer, b"1", outcomes, count=1_000)
    with pytest.raises(Overloaded):
        _submit(committer, b"1", outcomes)
    with pytest.raises(Overloaded):
        _submit(_committer(OneTopicStore()), b"x" * (65 << 20), [])
    task = asyncio.get_running_loop().create_task(committer.run())
    await committer.drain()
    task.cancel()
    assert len(outcomes) == 20


async def test_a_receipt_counts_subscribers_whoever_came_and_went_since_the_last_one(bench: Bench):
    named, _ = await bench.subscribe("orders.eu")
    await bench.subscribe("orders.*")
    named.close()
    assert (await bench.publish("orders.eu")).subscribers == 1
    await bench.subscribe("orders.>")
    await bench.subscribe("orders.eu")
    assert (await bench.publish("orders.eu")).subscribers == 3
