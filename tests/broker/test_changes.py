"""Topics that come and go: what waits for what, and for how long."""

import asyncio

import msgspec
import pytest

from conduit.broker import catalog, changes
from conduit.broker.administer import altering
from conduit.broker.attach import connection
from conduit.broker.deliver import owned
from conduit.broker.publish.admission import PublishLimits
from conduit.broker.waiting import Deadline
from conduit.core.message import Retention
from conduit.errors import Conflict, LimitReached, NotFound, OutcomeUnknown, StoreUnavailable
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import PublishRequest
from tests.broker.kit import Bench, running_broker
from tests.broker.stores import IdleStore, SlowStore, UncertainStore
from tests.broker.test_commits import divided_store, hanging_store, published

# Long enough to begin, and nothing that the test waits for comes later.
SOON_S = 0.01
# Nothing that a test waits for comes so late.
LATE_S = 20.0


def begin(work):
    return asyncio.get_running_loop().create_task(work)


def test_a_store_that_fails_after_a_change_leaves_no_doubt_about_what_is_unknown():
    with (
        pytest.raises(OutcomeUnknown, match=r"is stored.*\(the disk is full\): look .* or repeat"),
        changes.after_change(),
    ):
        raise StoreUnavailable("the disk is full")


async def test_deleting_a_topic_does_not_wait_for_publishes_that_come_after_it(bench: Bench):
    topics, request = bench.broker.topics, PublishRequest("loud", msgspec.Raw(b"1"))
    await topics.create(T, "loud")
    await topics.create(T, "a")
    receipts = []

    def answer(receipt):
        # So the queue is never empty: each commit is followed by another.
        receipts.append(receipt)
        bench.broker.publish(T, request, lambda _: None if deleting.done() else answer(_))

    deleting = begin(topics.delete(T, "a"))
    answer(None)
    await bench.until(deleting.done)
    assert topics.find(T, "a") is None


async def test_a_topic_is_deleted_after_what_was_published_to_it_is_answered(bench: Bench):
    await bench.broker.topics.create(T, "a")
    receipts = []
    for _ in range(3):
        bench.broker.publish(T, PublishRequest("a", msgspec.Raw(b"1")), receipts.append)
    await bench.broker.topics.delete(T, "a")
    assert [receipt.seq for receipt in receipts] == [1, 2, 3]


async def test_the_store_hears_of_a_deletion_when_it_has_what_was_published_before():
    async with hanging_store() as (store, bench):
        answers = published(bench)
        await bench.rest()
        deleting = begin(bench.broker.topics.delete(T, "a"))
        for _ in range(5):
            await bench.rest()
        assert [topic.name for topic in await store.topics()] == ["a"]
        store.goes_on.set()
        await deleting
        assert [answer.seq for answer in answers] == [1]
        assert await store.topics() == []


async def test_a_deletion_does_not_wait_for_another_shard_of_the_log():
    async with divided_store() as (store, bench):
        gate = store.shards[1].gate
        gate.clear()
        request = PublishRequest("a", msgspec.Raw(b"1"))
        bench.broker.publish(T, request, lambda _: None)
        await bench.rest()
        deleting = begin(bench.broker.topics.delete(T, "b"))
        try:
            await bench.until(deleting.done)
        finally:
            gate.set()


async def test_topics_come_and_go_while_the_store_is_busy_with_another():
    store = SlowStore()
    async with running_broker(store) as bench:
        topics = bench.broker.topics
        for name in ("a", "b"):
            await topics.create(T, name)
        store.held.add("topic_delete")
        deleting = begin(topics.delete(T, "a"))
        await bench.until(lambda: store.waiting == ["topic_delete"])
        store.held.clear()
        await topics.create(T, "c")
        await topics.delete(T, "b")
        anew = begin(topics.create(T, "a"))
        await bench.subscribe("d", subscription="d")
        assert not deleting.done()
        assert not anew.done()
        store.release()
        await deleting
        assert topics.find(T, "a") is await anew


async def test_who_waits_for_its_turn_too_long_is_told_that_nothing_happened():
    store = SlowStore()
    async with running_broker(store) as bench:
        topics = bench.broker.topics
        await topics.create(T, "a")
        store.held.add("topic_delete")
        deleting = begin(topics.delete(T, "a"))
        await bench.until(lambda: store.waiting == ["topic_delete"])
        with pytest.raises(StoreUnavailable):
            await topics.ensure(T, "a", Deadline(SOON_S))
        store.release()
        await deleting
        await bench.rest()
        assert topics.find(T, "a") is None


async def test_what_the_store_was_told_may_still_happen_and_is_known_when_it_does():
    store = SlowStore()
    async with running_broker(store) as bench:
        topics = bench.broker.topics
        store.held.add("topic_create")
        with pytest.raises(OutcomeUnknown):
            await topics.ensure(T, "a", Deadline(SOON_S))
        assert topics.find(T, "a") is None
        store.release()
        await bench.until(lambda: topics.find(T, "a") is not None)
        assert (await bench.publish("a")).seq == 1


async def test_a_publish_whose_topic_is_not_made_in_time_was_not_stored(monkeypatch):
    # Its own time counts, and not that of other changes.
    monkeypatch.setattr(changes, "CHANGE_TIMEOUT_S", LATE_S)
    store = SlowStore()
    limits = PublishLimits(auto_create_topics=True, timeout_s=SOON_S)
    async with running_broker(store, publish=limits) as bench:
        store.held.add("topic_create")
        try:
            async with asyncio.timeout(LATE_S / 2):
                for name in ("a", "a", "b"):
                    with pytest.raises(StoreUnavailable):
                        await bench.publish(name)
        finally:
            store.release()
        await bench.until(lambda: len(bench.broker.topics) == 2)
        assert (await bench.publish("a")).seq == 1


async def test_topics_that_are_being_made_count_towards_the_limit():
    store = SlowStore()
    async with running_broker(store, max_topics=1) as bench:
        store.held.add("topic_create")
        making = begin(bench.broker.topics.create(T, "a"))
        await bench.until(lambda: store.waiting == ["topic_create"])
        with pytest.raises(LimitReached):
            await bench.broker.topics.create(T, "b")
        store.release()
        await making


async def test_what_changes_while_the_store_is_asked_for_all_topics_is_known_better():
    store = SlowStore()
    async with running_broker(store) as bench:
        topics = bench.broker.topics
        for name in ("old", "changed"):
            await topics.create(T, name)
        await store.topic_create(T, "theirs", Retention(), 1)
        store.held.add("topics")
        learning = begin(topics.learn())
        await bench.until(lambda: store.waiting == ["topics"])
        store.held.clear()
        made = await topics.create(T, "new")
        await topics.delete(T, "old")
        await topics.update(T, "changed", Retention(max_messages=1))
        store.release()
        await learning
        assert topics.find(T, "new") is made
        assert topics.find(T, "old") is None
        assert topics.find(T, "theirs") is not None
        assert topics.get(T, "changed").retention == Retention(max_messages=1)


async def test_a_topic_that_was_learned_while_it_was_made_is_one_topic():
    store = SlowStore()
    async with running_broker(store) as bench:
        topics = bench.broker.topics
        _, peer = await bench.subscribe(">")
        store.held.add("topic_created")
        making = begin(topics.create(T, "a"))
        await bench.until(lambda: store.waiting == ["topic_created"])
        await topics.learn()
        learned = topics.get(T, "a")
        store.release()
        assert await making is learned
        await bench.publish("a")
        assert peer.seqs == [1]


async def test_memory_follows_a_store_that_changes_topics_without_an_answer(monkeypatch):
    monkeypatch.setattr(catalog, "LOOK_AGAIN_S", (0,) * 100)
    store = UncertainStore()
    async with running_broker(store) as bench:
        topics = bench.broker.topics
        store.is_certain = False
        with pytest.raises(OutcomeUnknown):
            await topics.create(T, "a")
        await store.catch_up()
        await bench.until(lambda: topics.find(T, "a") is not None)
        _, peer = await bench.subscribe("a")
        with pytest.raises(OutcomeUnknown):
            await topics.update(T, "a", Retention(max_messages=1))
        with pytest.raises(OutcomeUnknown):
            await topics.delete(T, "a")
        # For now it is as it was.
        assert (await bench.publish("a")).subscribers == 1
        await store.catch_up()
        await bench.until(lambda: peer.closed is not None)
        with pytest.raises(NotFound):
            topics.get(T, "a")
        store.is_certain = True
        await topics.create(T, "a")
        with pytest.raises(Conflict):
            await topics.create(T, "a")


async def test_memory_follows_a_store_that_changes_subscriptions_without_an_answer(monkeypatch):
    monkeypatch.setattr(owned, "LOOK_AGAIN_S", (0,) * 100)
    monkeypatch.setattr(altering, "LEARN_AGAIN_S", 0)
    store = UncertainStore()
    async with running_broker(store) as bench:
        await bench.broker.topics.create(T, "a")
        store.is_certain = False
        with pytest.raises(OutcomeUnknown):
            await bench.subscribe("a", subscription="s")
        assert bench.broker._owned.find(T, "s") is None
        await store.catch_up()
        await bench.until(lambda: bench.broker._owned.find(T, "s") is not None)
        _, peer = await bench.subscribe("a", subscription="s")
        with pytest.raises(OutcomeUnknown):
            await bench.broker.subscriptions.delete(T, "s")
        # For now it is as it was.
        await bench.publish("a")
        assert (peer.seqs, peer.of("unsubscribed")) == ([1], [])
        await store.catch_up()
        await bench.until(lambda: len(peer.of("unsubscribed")) == 1)
        assert bench.broker._owned.find(T, "s") is None


@pytest.mark.parametrize("what", ["topics", "subscriptions"])
async def test_a_deletion_that_may_not_have_happened_leaves_everything_as_it_was(what):
    async with running_broker(IdleStore()) as bench:
        _, peer = await bench.subscribe("a", subscription="a")
        with pytest.raises(OutcomeUnknown):
            await getattr(bench.broker, what).delete(T, "a")
        await bench.publish("a")
        assert (peer.seqs, peer.closed, peer.of("unsubscribed")) == ([1], None, [])


async def test_a_subscription_that_is_learned_of_before_its_creation_is_answered_is_kept_once(
    monkeypatch,
):
    monkeypatch.setattr(changes, "CHANGE_TIMEOUT_S", SOON_S)
    store = SlowStore()
    async with running_broker(store) as bench:
        await bench.broker.topics.create(T, "a")
        store.held.add("subscription_created")
        with pytest.raises(OutcomeUnknown):
            await bench.subscribe("a", subscription="s")
        await bench.broker._owned.learn()
        assert bench.broker._owned.find(T, "s") is not None
        store.release()
        await bench.rest()
        await bench.broker.subscriptions.delete(T, "s")
        assert (await bench.broker.subscriptions.list(T, q=None, limit=9, after=None)).views == []
        assert bench.broker._owned.followers(bench.broker.topics.get(T, "a")) == []


async def test_a_subscription_that_is_stored_after_its_deadline_is_known_then(monkeypatch):
    monkeypatch.setattr(changes, "CHANGE_TIMEOUT_S", SOON_S)
    store = SlowStore()
    async with running_broker(store) as bench:
        await bench.broker.topics.create(T, "a")
        store.held.add("subscription_create")
        with pytest.raises(OutcomeUnknown):
            await bench.subscribe("a", subscription="s")
        store.release()
        await bench.until(lambda: bench.broker._owned.find(T, "s") is not None)
        _, peer = await bench.subscribe("a", subscription="s")
        await bench.publish("a")
        assert peer.seqs == [1]


@pytest.mark.parametrize("create", [True, False])
async def test_a_subscribe_is_answered_although_the_store_hangs(monkeypatch, create):
    store = SlowStore()
    async with running_broker(store) as bench:
        first, _ = await bench.subscribe("a", subscription="s")
        first.close()
        await bench.flush()
        store.held.add("progress")
        monkeypatch.setattr(connection, "SUBSCRIBE_TIMEOUT_S", SOON_S)
        with pytest.raises(OutcomeUnknown if create else StoreUnavailable):
            await bench.subscribe("a", subscription="s", create=create)
        monkeypatch.undo()
        store.release()
        _, peer = await bench.subscribe("a", subscription="s")
        await bench.publish("a")
        assert peer.seqs == [1]


async def test_all_new_topics_of_a_batch_are_made_in_one_commit():
    store = SlowStore()
    async with running_broker(store, publish=PublishLimits(auto_create_topics=True)) as bench:
        await bench.broker.topics.create(T, "t0")
        # It is there, and not known here.
        await store.topic_create(T, "t1", Retention(), 1)
        store.held.add("topics_create")
        requests = [PublishRequest(f"t{n}", msgspec.Raw(b"1")) for n in range(100)]
        receipts = []
        bench.broker.publish_batch(T, requests, receipts.append)
        await bench.until(lambda: store.waiting == ["topics_create"])
        with pytest.raises(StoreUnavailable):
            await bench.broker.topics.ensure(T, "t50", Deadline(SOON_S))
        store.release()
        await bench.until(lambda: receipts != [])
        assert [receipt.seq for receipt in receipts[0]] == [1] * 100
        assert store.waiting == ["topics_create"]


async def test_batches_that_make_some_of_the_same_topics_wait_for_each_other():
    store = SlowStore()
    limits = PublishLimits(auto_create_topics=True)
    async with running_broker(store, publish=limits, max_topics=30) as bench:
        receipts = []
        for first in (0, 10, 5):
            requests = [
                PublishRequest(f"t{n}", msgspec.Raw(b"1")) for n in range(first + 9, first - 1, -1)
            ]
            bench.broker.publish_batch(T, requests, receipts.append)
        await bench.until(lambda: len(receipts) == 3)
        assert len(bench.broker.topics) == 20
        with pytest.raises(LimitReached):
            await bench.broker.topics.ensure_all(T, [f"u{n}" for n in range(11)])
        assert len(bench.broker.topics) == 20


async def test_what_the_store_was_told_is_known_when_the_server_stops():
    store = SlowStore()
    async with running_broker(store) as bench:
        store.held.add("topic_create")
        with pytest.raises(OutcomeUnknown):
            await bench.broker.topics.ensure(T, "a", Deadline(SOON_S))
        stopping = begin(bench.broker.stop())
        await bench.rest()
        assert not stopping.done()
        store.release()
        await stopping
        assert bench.broker.topics.find(T, "a") is not None


async def test_the_store_makes_a_few_changes_of_a_tenants_topics_at_a_time():
    few, store = catalog.TENANT_CHANGES_COUNT, SlowStore()
    async with running_broker(store) as bench:
        topics = bench.broker.topics
        store.held.add("topic_create")
        many = [begin(topics.create("large", f"t{n}")) for n in range(few + 6)]
        await bench.rest()
        assert len(store.waiting) == few
        waiting = begin(topics.ensure("large", "late", Deadline(SOON_S)))
        with pytest.raises(StoreUnavailable, match="nothing was changed"):
            await waiting
        other = begin(topics.create("small", "t"))
        await bench.rest()
        assert len(store.waiting) == few + 1
        store.release()
        await asyncio.gather(*many, other)
        assert len(topics) == few + 7
