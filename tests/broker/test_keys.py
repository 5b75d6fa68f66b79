"""Idempotency keys: what is known after a restart, and what happens when there are too many."""

import asyncio
import logging
from functools import partial

import msgspec
import pytest

from conduit.broker.publish.keys import WARNING_INTERVAL_S
from conduit.broker.waiting import result_of
from conduit.errors import Conflict, StoreUnavailable
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import PublishRequest
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, running_broker


@pytest.fixture
async def full():
    """A broker that knows three keys, and has had three."""
    async with running_broker(idempotency_max_count=3) as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "t")
        await publish(bench, "a", "b", "c")
        yield bench


async def publish(bench: Bench, *keys: str) -> list[bool]:
    """Whether each was answered with an earlier result."""
    return [(await bench.publish("t", idempotency_key=key)).duplicate for key in keys]


def tick(bench: Bench, seconds: float = 1.0) -> None:
    bench.clock.seconds += seconds
    bench.broker._keys.tick(bench.clock.now())


def counts(bench: Bench) -> tuple[int, int]:
    return len(bench.broker._keys), bench.broker.stats.forgotten_key_count


async def test_beyond_the_bound_the_oldest_key_stands_for_nothing_and_is_counted(full: Bench):
    tick(full)
    assert counts(full) == (3, 0)
    assert await publish(full, "d") == [False]
    tick(full)
    assert counts(full) == (3, 1)
    assert await publish(full, "b", "c", "d", "a") == [True, True, True, False]


async def test_a_key_whose_window_is_over_is_not_counted(full: Bench, caplog):
    tick(full, 600)
    await publish(full, "d")
    tick(full)
    assert counts(full) == (1, 0)
    assert caplog.records == []


async def test_the_log_tells_of_forgotten_keys_once_a_minute(full: Bench, caplog):
    def told() -> list[str]:
        tick(full, 0.0)
        lines = [
            record.getMessage() for record in caplog.records if record.levelno == logging.WARNING
        ]
        caplog.clear()
        return lines

    await publish(full, "d", "e")
    (line,) = told()
    assert line.startswith(
        "2 idempotency keys of the tenants and topics with most of them were forgotten"
    )
    assert line.endswith("CONDUIT_IDEMPOTENCY_MAX_COUNT (3)")
    full.clock.seconds += WARNING_INTERVAL_S - 1
    await publish(full, "f")
    assert told() == []
    await publish(full, "g", "h")
    full.clock.seconds += 1
    (line,) = told()
    assert line.startswith(
        "3 idempotency keys of the tenants and topics with most of them were forgotten"
    )
    full.clock.seconds += WARNING_INTERVAL_S
    assert told() == []


async def refused(bench: Bench, payload: object, **more) -> str:
    with pytest.raises(Conflict) as caught:
        await bench.publish("t", payload, **more)
    assert (caught.value.code, caught.value.field) == ("idempotency_conflict", "idempotency_key")
    return caught.value.detail


async def test_a_key_that_comes_again_with_another_payload_is_refused(full: Bench):
    first = await publish_as(full, {"a": 1})
    assert "another payload" in await refused(full, {"a": 2}, idempotency_key="k")
    assert await publish_as(full, {"a": 1}) == msgspec.structs.replace(first, duplicate=True)
    assert full.broker.stats.publish_errors["idempotency_conflict"] == 1


async def publish_as(bench: Bench, payload: object, key: str = "k"):
    return await bench.publish("t", payload, idempotency_key=key)


async def test_so_it_is_while_the_first_is_being_stored(full: Bench):
    outcomes: list[object] = []
    for payload in (b"1", b"2", b"1"):
        request = PublishRequest("t", msgspec.Raw(payload), idempotency_key="k")
        full.broker.publish(DEFAULT_TENANT, request, outcomes.append)
    assert [outcome.code for outcome in outcomes] == ["idempotency_conflict"]
    await full.flush()
    assert {outcome.duplicate for outcome in outcomes[1:]} == {False, True}


async def test_key_and_headers_may_differ_and_the_first_ones_count(full: Bench):
    await full.publish("t", 1, idempotency_key="k", headers={"trace": "1"})
    again = await full.publish("t", 1, idempotency_key="k", headers={"trace": "2"})
    assert again.duplicate


@pytest.mark.parametrize(
    ("payloads", "index"), [([b"new", b"2"], 1), ([b"1", b"0"], 1), ([b"2", b"1"], 0)]
)
async def test_a_batch_in_which_a_key_contradicts_another_is_not_stored_at_all(
    full: Bench, payloads, index
):
    """Its messages have the key `k`, which stands for the payload 1; `new` is one of a key of its own."""
    await publish_as(full, 1)
    requests = [
        PublishRequest(
            "t",
            msgspec.Raw(b'"%b"' % payload if payload == b"new" else payload),
            idempotency_key="new" if payload == b"new" else "k",
        )
        for payload in payloads
    ]
    with pytest.raises(Conflict) as caught:
        await result_of(partial(full.broker.publish_batch, DEFAULT_TENANT, requests))
    assert caught.value.field == f"messages[{index}].idempotency_key"
    assert full.broker.topics.get(DEFAULT_TENANT, "t").last_seq == 4
    assert not (await publish_as(full, "new", "new")).duplicate


async def test_a_batch_may_not_use_one_key_for_two_payloads(full: Bench):
    requests = [
        PublishRequest("t", msgspec.Raw(payload), idempotency_key="k") for payload in (b"1", b"2")
    ]
    with pytest.raises(Conflict) as caught:
        await result_of(partial(full.broker.publish_batch, DEFAULT_TENANT, requests))
    assert caught.value.field == "messages[1].idempotency_key"
    assert full.broker.topics.get(DEFAULT_TENANT, "t").last_seq == 3


async def test_a_topic_that_has_many_keys_pushes_out_none_of_others(full: Bench):
    await full.broker.topics.create(DEFAULT_TENANT, "quiet")
    await full.publish("quiet", idempotency_key="k")
    await publish(full, *"defghij")
    assert (await full.publish("quiet", idempotency_key="k")).duplicate
    assert await publish(full, "i", "j") == [True, True]


async def test_another_payload_is_refused_after_a_restart_too_if_its_hash_was_kept():
    store = MemoryStore()
    async with running_broker(store) as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "t")
        await publish_as(bench, 1)
        await publish_as(bench, 1, "old")
    kept = store._log.keys._known.get(1, "old")
    old = msgspec.structs.replace(kept.value, payload_hash=None)
    store._log.keys.remember(old)
    async with running_broker(store) as bench:
        await refused(bench, 2, idempotency_key="k")
        assert (await publish_as(bench, 1)).duplicate
        assert (await publish_as(bench, 2, "old")).duplicate


async def test_after_a_restart_the_newest_keys_are_known_with_their_results():
    store = MemoryStore()
    async with running_broker(store, idempotency_max_count=3) as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "t")
        await bench.subscribe("t")
        first = await bench.publish("t", idempotency_key="d")
        repeated = await bench.publish("t", idempotency_key="d")
        assert repeated == msgspec.structs.replace(first, duplicate=True)
        bench.clock.seconds += 1
        await publish(bench, "a", "b")
    async with running_broker(store, idempotency_max_count=2) as bench:
        assert await publish(bench, "a", "b") == [True, True]
        tick(bench)
        assert counts(bench) == (2, 0)
    async with running_broker(store, idempotency_max_count=3) as bench:
        repeated = await bench.publish("t", idempotency_key="d")
        assert repeated == msgspec.structs.replace(first, subscribers=0, duplicate=True)


async def test_those_who_repeat_a_key_and_are_refused_with_the_first_are_counted():
    async def full(_batch):
        await asyncio.sleep(0.01)
        raise StoreUnavailable("the disk is full")

    store = MemoryStore()
    async with running_broker(store) as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "t")
        store.append = full
        calls = [bench.publish("t", idempotency_key="k") for _ in range(5)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(answer) for answer in answers] == [StoreUnavailable] * 5
        assert bench.broker.stats.publish_errors["store_unavailable"] == 5
