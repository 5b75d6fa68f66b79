"""What a tenant may have at most, and that it is counted as it comes and goes."""

import asyncio
import gc

import pytest

from conduit.broker.administer.retention import RetentionRules
from conduit.broker.broker import Broker, BrokerOptions
from conduit.broker.publish.admission import PublishLimits
from conduit.broker.waiting import result_of
from conduit.core.message import Retention
from conduit.errors import ConduitError, LimitReached, StoreUnavailable
from conduit.limits import TenantLimits
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, Nack, Reject, Subscribe
from conduit.protocol.records import Receipt
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, ManualClock, Peer, running_broker
from tests.storage.given import fate

OTHER = "other"


def limit(bench: Bench, tenant: str = T, **limits: int) -> None:
    bench.broker.allowances.set_limits(tenant, TenantLimits(**limits))


def allowance(bench: Bench, tenant: str = T):
    return bench.broker.allowances.of(tenant)


async def published(bench: Bench, tenant: str, topic: str, payload: object = 1, **fields):
    request = bench.request(topic, payload, **fields)
    answer = await result_of(lambda told: bench.broker.publish(tenant, request, told))
    await bench.rest()
    return answer


async def refused(work) -> ConduitError:
    with pytest.raises(ConduitError) as error:
        await work
    return error.value


class FailingLog(MemoryStore):
    """Nothing can be published while it `fails`."""

    fails = False

    async def append(self, batch):
        if self.fails:
            raise StoreUnavailable("the disk is full")
        return await super().append(batch)


async def create(bench: Bench, tenant: str, name: str, topic: str = "t"):
    settings = bench.durable_settings()
    return await bench.broker.subscriptions.create(tenant, name, topic, settings, None)


# Topics -------------------------------------------------------------------------------------------


async def test_topics_are_bounded_by_tenant(bench: Bench):
    limit(bench, topics=2)
    topics = bench.broker.topics
    await topics.create(T, "a")
    await topics.create(T, "b")
    error = await refused(topics.create(T, "c"))
    assert isinstance(error, LimitReached)
    assert error.limit == "topics"
    assert (await refused(bench.subscribe("c"))).limit == "topics"
    await topics.create(OTHER, "c")
    await topics.delete(T, "a")
    await topics.create(T, "c")
    assert allowance(bench).topics.count == 2


async def test_topics_that_are_made_at_once_are_bounded_too(bench: Bench):
    limit(bench, topics=3)
    results = await asyncio.gather(
        *(bench.broker.topics.create(T, f"t{n}") for n in range(6)), return_exceptions=True
    )
    assert sum(isinstance(result, LimitReached) for result in results) == 3
    assert allowance(bench).topics.count == 3


async def test_a_publish_that_would_make_a_topic_too_many_is_refused():
    async with running_broker(publish=PublishLimits(auto_create_topics=True)) as bench:
        limit(bench, topics=1)
        await published(bench, T, "a")
        error = await refused(published(bench, T, "b"))
        assert (error.code, error.limit) == ("limit_reached", "topics")


# Subscriptions ------------------------------------------------------------------------------------


async def test_durable_subscriptions_are_bounded_by_tenant(bench: Bench):
    limit(bench, subscriptions=1)
    await create(bench, T, "s1")
    error = await refused(create(bench, T, "s2"))
    assert (error.code, error.limit) == ("limit_reached", "subscriptions")
    assert (await refused(bench.subscribe("t", subscription="s2"))).limit == "subscriptions"
    await create(bench, OTHER, "s2")
    # Those without a name are none of them, and one that is there goes on.
    await bench.subscribe("t")
    await bench.subscribe("t", subscription="s1")
    await bench.broker.subscriptions.delete(T, "s1")
    await bench.subscribe("t", subscription="s2")
    assert allowance(bench).subscriptions.count == 1


async def test_subscriptions_that_are_made_at_once_are_bounded_too(bench: Bench):
    limit(bench, subscriptions=2)
    results = await asyncio.gather(
        *(create(bench, T, f"s{n}") for n in range(5)), return_exceptions=True
    )
    assert sum(isinstance(result, LimitReached) for result in results) == 3


# Messages -----------------------------------------------------------------------------------------


async def test_the_size_of_one_payload_is_bounded_by_tenant(bench: Bench):
    limit(bench, message_bytes=5)
    for tenant in (T, OTHER):
        await bench.broker.topics.create(tenant, "t")
    assert isinstance(await published(bench, T, "t", "abc"), Receipt)
    error = await refused(published(bench, T, "t", "abcd"))
    assert (error.code, error.limit, error.field) == (
        "payload_too_large",
        "message_bytes",
        "payload",
    )
    assert isinstance(await published(bench, OTHER, "t", "abcd"), Receipt)
    requests = [bench.request("t", 1), bench.request("t", "abcd")]
    error = await refused(result_of(lambda told: bench.broker.publish_batch(T, requests, told)))
    assert error.field == "messages[1].payload"
    assert bench.broker.topics.get(T, "t").last_seq == 1


async def test_stored_bytes_are_bounded_by_tenant(bench: Bench):
    limit(bench, stored_bytes=10)
    for tenant, topic in ((T, "a"), (T, "b"), (OTHER, "a")):
        await bench.broker.topics.create(tenant, topic)
    await published(bench, T, "a", 12345)
    await published(bench, T, "b", 123, key="k")
    error = await refused(published(bench, T, "b", 12))
    assert (error.code, error.limit) == ("limit_reached", "stored_bytes")
    assert isinstance(await published(bench, OTHER, "a", 12), Receipt)
    assert isinstance(await published(bench, T, "b", 1), Receipt)
    assert allowance(bench).stored_bytes == 10
    await bench.broker.topics.delete(T, "a")
    assert allowance(bench).stored_bytes == 5
    assert isinstance(await published(bench, T, "b", 12), Receipt)


async def test_what_waits_for_its_commit_counts_as_stored(bench: Bench):
    limit(bench, stored_bytes=10)
    await bench.broker.topics.create(T, "t")
    told: list[object] = []
    for _ in range(100):
        bench.broker.publish(T, bench.request("t", 1234), told.append)
    await bench.until(lambda: len(told) == 100)
    assert sum(isinstance(answer, Receipt) for answer in told) == 2
    assert (allowance(bench).stored_bytes, allowance(bench).coming_bytes) == (8, 0)


async def test_a_batch_that_does_not_fit_is_refused_whole(bench: Bench):
    limit(bench, stored_bytes=10)
    await bench.broker.topics.create(T, "t")
    requests = [bench.request("t", 1234) for _ in range(3)]
    error = await refused(result_of(lambda told: bench.broker.publish_batch(T, requests, told)))
    assert error.limit == "stored_bytes"
    assert bench.broker.topics.get(T, "t").last_seq == 0
    await result_of(lambda told: bench.broker.publish_batch(T, requests[:2], told))
    assert allowance(bench).stored_bytes == 8


async def test_what_is_stored_already_is_answered_although_there_is_no_room(bench: Bench):
    limit(bench, stored_bytes=4)
    await bench.broker.topics.create(T, "t")
    first = await published(bench, T, "t", 1234, idempotency_key="k")
    again = await published(bench, T, "t", 1234, idempotency_key="k")
    assert (again.seq, again.duplicate) == (first.seq, True)
    requests = [bench.request("t", 1234, idempotency_key="k")]
    (receipt,) = await result_of(lambda told: bench.broker.publish_batch(T, requests, told))
    assert receipt.duplicate
    # One that is refused is not known: it is stored when there is room.
    for _ in range(2):
        assert (await refused(published(bench, T, "t", 1, idempotency_key="l"))).limit
    limit(bench)
    assert not (await published(bench, T, "t", 1, idempotency_key="l")).duplicate


@pytest.mark.parametrize("key", [None, "k"])
async def test_what_could_not_be_stored_counts_no_more(key):
    store = FailingLog()
    async with running_broker(store) as bench:
        limit(bench, stored_bytes=4)
        await bench.broker.topics.create(T, "t")
        for _ in range(3):
            store.fails = True
            error = await refused(published(bench, T, "t", 1234, idempotency_key=key))
            assert error.code == "store_unavailable"
        store.fails = False
        assert allowance(bench).coming_bytes == 0
        assert isinstance(await published(bench, T, "t", 1234, idempotency_key=key), Receipt)


async def test_what_retention_removes_makes_room():
    async with running_broker(housekeeping=RetentionRules(interval_s=3600)) as bench:
        limit(bench, stored_bytes=10)
        await bench.broker.topics.create(T, "t", Retention(max_messages=1))
        for _ in range(2):
            await published(bench, T, "t", 12345)
        assert (await refused(published(bench, T, "t", 1))).limit == "stored_bytes"
        await bench.broker._housekeeper.round()
        assert allowance(bench).stored_bytes == 5
        assert isinstance(await published(bench, T, "t", 1), Receipt)


async def test_after_a_start_all_is_counted_as_before():
    store = MemoryStore()
    async with running_broker(store) as bench:
        await create(bench, T, "s1")
        await published(bench, T, "t", 12345)
        # A store in memory forgets when it is closed.
        again = Bench((await _started(store)), bench.clock)
        for broker in (bench, again):
            held = allowance(broker)
            counts = (held.topics.count, held.subscriptions.count, held.stored_bytes)
            assert counts == (1, 1, 5)


async def _started(store: MemoryStore):
    broker = Broker(store, ManualClock(), BrokerOptions())
    await broker.topics.load()
    await broker._owned.learn()
    return broker


async def test_limits_below_what_is_there_take_nothing_away(bench: Bench):
    for topic in ("a", "b"):
        await bench.broker.topics.create(T, topic)
        await published(bench, T, topic, 1234)
    limit(bench, topics=1, stored_bytes=1)
    assert (await refused(bench.broker.topics.create(T, "c"))).limit == "topics"
    assert (await refused(published(bench, T, "a"))).limit == "stored_bytes"
    assert len(bench.broker.topics) == 2
    limit(bench)
    await published(bench, T, "a")


async def test_tenants_that_have_nothing_any_more_are_forgotten(bench: Bench):
    for number in range(20):
        tenant = f"tenant-{number}"
        await create(bench, tenant, "s")
        connection = bench.broker.connect(tenant, Peer())
        await connection.subscribe(Subscribe("t"))
        await published(bench, tenant, "t")
        connection.close()
        await bench.broker.subscriptions.delete(tenant, "s")
        await bench.broker.topics.delete(tenant, "t")
    await bench.advance(10.0)
    gc.collect()
    # What was committed last is at hand until the next commit.
    assert len(bench.broker.allowances._by_tenant) <= 1


# Idempotency keys ---------------------------------------------------------------------------------


async def test_the_keys_of_one_tenant_push_out_none_of_another_however_many_topics_it_has():
    async with running_broker(idempotency_max_count=10) as bench:
        await bench.broker.topics.create(OTHER, "t")
        for number in range(4):
            await published(bench, OTHER, "t", idempotency_key=f"k{number}")
        for number in range(20):
            await bench.broker.topics.create(T, f"t{number}")
            await published(bench, T, f"t{number}", idempotency_key="k")
        for number in range(4):
            again = await published(bench, OTHER, "t", idempotency_key=f"k{number}")
            assert again.duplicate


# Retries and dead letters -------------------------------------------------------------------------


def settle(connection, peer, kind, first=1, last=100):
    for frame in peer.of("message"):
        if first <= frame["seq"] <= last:
            if kind == "nack":
                connection.verbs.nack(Nack(frame["message_id"], delay_ms=60_000))
            else:
                connection.verbs.reject(Reject(frame["message_id"]))


async def test_beyond_the_retries_of_a_tenant_those_who_have_some_get_nothing_new(bench: Bench):
    limit(bench, pending_retries=4)
    for topic in ("a", "b", "c"):
        await bench.broker.topics.create(T, topic)
    one, first = await bench.subscribe("a", subscription="one")
    two, second = await bench.subscribe("b")
    _, third = await bench.subscribe("c", subscription="three")
    await bench.publish_many("a", 2)
    settle(one, first, "nack")
    await bench.publish_many("b", 2)
    settle(two, second, "nack")
    await bench.rest()
    assert allowance(bench).pending.count == 4
    for topic in ("a", "b", "c"):
        await bench.publish_many(topic, 2)
    # Who has no retries goes on.
    assert (first.seqs, second.seqs, third.seqs) == ([1, 2], [1, 2], [1, 2])
    assert (await bench.broker.subscriptions.get(T, "one")).full
    assert not (await bench.broker.subscriptions.get(T, "three")).full
    # One less, of another subscription: both go on, each with what is new.
    one.verbs.ack(Ack(first.of("message")[0]["message_id"]))
    await bench.rest()
    assert (first.seqs, second.seqs) == ([1, 2, 3, 4], [1, 2, 3, 4])
    assert not (await bench.broker.subscriptions.get(T, "one")).full


async def test_what_leaves_takes_its_retries_with_it(bench: Bench):
    limit(bench, pending_retries=2)
    await bench.broker.topics.create(T, "a")
    await bench.broker.topics.create(T, "b")
    one, first = await bench.subscribe("a")
    two, second = await bench.subscribe("b")
    await bench.publish("a")
    await bench.publish("b")
    settle(one, first, "nack")
    settle(two, second, "nack")
    await bench.publish("b")
    assert second.seqs == [1]
    one.close()
    await bench.rest()
    assert (allowance(bench).pending.count, second.seqs) == (1, [1, 2])
    settle(two, second, "nack")
    await bench.publish("b")
    assert second.seqs == [1, 2]
    limit(bench, pending_retries=3)
    await bench.rest()
    assert second.seqs == [1, 2, 3]
    two.close()
    await bench.rest()
    assert allowance(bench).pending.count == 0


async def test_retries_of_a_subscription_that_is_loaded_count_until_it_is_unloaded(bench: Bench):
    limit(bench, pending_retries=3)
    await bench.broker.topics.create(T, "a")
    one, first = await bench.subscribe("a", subscription="s")
    await bench.publish_many("a", 3)
    settle(one, first, "nack")
    for _ in range(2):
        one.close()
        await bench.flush()
        await bench.flush()
        assert allowance(bench).pending.count == 0
        one, first = await bench.subscribe("a", subscription="s")
        assert allowance(bench).pending.count == 3
    await bench.publish("a")
    assert first.seqs == []


async def test_beyond_the_dead_letters_of_a_tenant_its_oldest_go():
    rules = RetentionRules(interval_s=3600)
    async with running_broker(
        housekeeping=rules, tenant_limits=TenantLimits(dead_letters=5)
    ) as bench:
        for tenant in (T, OTHER):
            await bench.broker.topics.create(tenant, "t")
            connection = bench.broker.connect(tenant, peer := Peer())
            await connection.subscribe(Subscribe("t", subscription="s"))
            for number in range(4):
                await published(bench, tenant, "t", number)
            settle(connection, peer, "reject")
        await bench.flush()
        limit(bench, dead_letters=3)
        await bench.broker._housekeeper.round()
        counts = [await bench.broker.store.dead_tally(tenant, None) for tenant in (T, OTHER)]
        assert [tally.open_count for tally in counts] == [3, 4]
        assert bench.broker.stats.dead_letter_dropped_count == 1
        topic = bench.broker.topics.get(T, "t")
        assert await fate(bench.broker.store, "s", topic.topic_id, 1) == "dropped"
