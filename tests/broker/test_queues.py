"""Tenants take turns where one commit does not take all that waits."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.broker.publish.queue import Queue
from conduit.broker.publish.queues import Queues
from conduit.core.message import NewMessage
from conduit.core.room import COMMIT_MAX_COUNT, QUEUE_MAX_COUNT
from conduit.errors import NotFound, Overloaded
from conduit.names import DEFAULT_TENANT as T
from tests.broker.kit import Bench, running_broker
from tests.broker.test_commits import HangingStore
from tests.broker.test_overload import Publisher, gated_committer, teach, turns


def put(queues: Queues, whose: str, *sizes: int, unit_count: int = 1) -> None:
    """Units of messages with so many bytes, in which their order can be seen."""
    queue = queues.by_tenant.setdefault(whose, Queue())
    for size in sizes:
        number = len(queue.units)
        messages = [NewMessage(1, f"{whose}{number}", b"x" * size)] * unit_count
        queue.messages += messages
        queue.units.append((unit_count, Publisher(b""), float(number)))
        queue.oldest = min(queue.oldest, number)
        for counted in (queue, queues):
            counted.size_bytes += size * unit_count
        queues.count += unit_count


def ids(queue: Queue) -> list[str]:
    return [message.message_id for message in queue.messages]


def test_all_is_taken_where_it_fits():
    queues = Queues()
    put(queues, "a", 1, 1)
    put(queues, "b", 1)
    assert ids(queues.take(3, 3)) == ["a0", "a1", "b0"]
    assert (queues.count, queues.size_bytes, queues.by_tenant) == (0, 0, {})


def test_each_tenant_has_the_same_share_as_far_as_it_has_something():
    queues = Queues()
    put(queues, "a", *[1] * 100)
    put(queues, "b", *[1] * 3)
    put(queues, "c", *[1] * 100)
    assert ids(queues.take(11, 1_000)) == [
        *(f"a{n}" for n in range(4)),
        *(f"b{n}" for n in range(3)),
        *(f"c{n}" for n in range(4)),
    ]
    assert queues.count == 192


def test_shares_are_of_bytes_as_well():
    queues = Queues()
    put(queues, "a", *[10] * 10)
    put(queues, "b", *[1] * 10)
    assert ids(queues.take(1_000, 40)) == ["a0", "a1", "a2", *(f"b{n}" for n in range(10))]


def test_who_was_not_reached_is_first_next_time():
    queues = Queues()
    for whose in "abc":
        put(queues, whose, 1, 1, unit_count=5)
    batches = []
    while queues.by_tenant:
        batches.append({each[0] for each in ids(queues.take(5, 1_000))})
    assert batches == [{"a"}, {"b"}, {"c"}] * 2


def test_what_is_ahead_is_what_others_get_until_then():
    queues = Queues()
    put(queues, "a", *[2] * 100)
    put(queues, "b", *[3] * 5)
    assert queues.ahead("c", 1, 10) == (3, 10 + 10 + 10)
    assert queues.ahead("b", 1, 3) == (12, 36)
    assert queues.ahead("a", 1, 2) == (106, 217)


def test_the_longest_gives_way_to_one_that_is_shorter_and_to_none_that_is_as_long():
    queues = Queues()
    put(queues, "a", *[1] * 20)
    put(queues, "b", *[1] * 10)
    assert ids(queues.take_newest("b", (2, -5))) == ["a18", "a19"]
    assert ids(queues.take_newest("c", (1, -5))) == ["a17"]
    assert not queues.take_newest("a", (1, -5)).units
    put(queues, "b", *[1] * 7)
    assert not queues.take_newest("b", (1, -5)).units
    assert (queues.count, queues.size_bytes) == (34, 34)
    assert ids(queues.take_newest("c", (-1, 4))) == ["a13", "a14", "a15", "a16"]


def test_who_only_wants_to_know_when_it_is_reached_does_not_give_way():
    queues = Queues()
    put(queues, "a", *[1] * 4)
    marker = Publisher(b"")
    queues.by_tenant["a"].units.append((0, marker, 9.0))
    gone = queues.take_newest("b", (2, -1))
    assert ids(gone) == ["a2", "a3"]
    assert [unit for _, unit, _ in queues.take_all().units][-1] is marker


SIZES = st.dictionaries(
    st.sampled_from("abcd"),
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 4)), min_size=1, max_size=8),
)


@given(units=SIZES, max_count=st.integers(1, 20), max_bytes=st.integers(1, 60))
def test_in_whatever_parts_all_comes_once_in_the_order_of_its_tenant(units, max_count, max_bytes):
    queues, expected = Queues(), {}
    for whose, some in units.items():
        for size, count in some:
            put(queues, whose, size, unit_count=count)
        expected[whose] = ids(queues.by_tenant[whose])
    seen = {whose: [] for whose in units}
    while queues.by_tenant:
        batch = queues.take(max_count, max_bytes)
        assert batch.units
        assert sum(each[0] for each in batch.units) == len(batch.messages)
        assert batch.size_bytes == sum(len(message.payload) for message in batch.messages)
        for each in ids(batch):
            seen[each[0]].append(each)
        left = queues.by_tenant.values()
        assert queues.count == sum(len(queue.messages) for queue in left)
        assert queues.size_bytes == sum(queue.size_bytes for queue in left)
    assert seen == expected


def submit(committer, whose: str, count: int = 1, payload: bytes = b"1") -> list[Publisher]:
    made = [Publisher(payload) for _ in range(count)]
    for publisher in made:
        committer.submit([publisher.message], len(payload), publisher, None, whose)
    return made


async def test_who_publishes_little_is_in_the_next_commit_whatever_another_has_queued():
    async with gated_committer() as (store, committer):
        submit(committer, "first")
        await turns()
        flood = submit(committer, "a", 3 * COMMIT_MAX_COUNT)
        (little,) = submit(committer, "b", payload=b"b")
        store.gate.release()
        await turns()
        store.gate.release()
        await turns()
        assert little.told
        assert sum(bool(each.told) for each in flood) == COMMIT_MAX_COUNT - 1


async def test_the_queue_of_one_tenant_refuses_none_of_another_that_has_less_than_its_share():
    async with gated_committer() as (store, committer):
        teach(committer, commit_s=0.5)
        submit(committer, "first")
        await turns()
        with pytest.raises(Overloaded):
            submit(committer, "a", QUEUE_MAX_COUNT)
        (little,) = submit(committer, "b", payload=b"b")
        # What is in line before it is no more than what it has itself.
        submit(committer, "b", 10)
        store.gate.release()
        await turns()
        store.gate.release()
        await turns()
        assert len(little.told) == 1
        assert b"b" in store.payloads


async def test_all_together_wait_in_no_longer_line_than_before():
    async with gated_committer() as (store, committer):
        submit(committer, "first")
        await turns()
        flood = submit(committer, "a", QUEUE_MAX_COUNT)
        with pytest.raises(Overloaded):
            submit(committer, "a")
        others = submit(committer, "b", 100)
        assert committer._queues.count <= QUEUE_MAX_COUNT
        refused = [each for each in flood if each.told]
        assert {type(each.told[0]) for each in refused} == {Overloaded}
        # The newest of them, and not many more than had to.
        assert refused == flood[-len(refused) :]
        assert 100 <= len(refused) <= QUEUE_MAX_COUNT // 8
        assert not any(each.told for each in others)
        for _ in range(20):
            store.gate.release()


async def test_a_topic_is_deleted_after_what_its_tenant_has_published_to_it():
    store = HangingStore()
    async with running_broker(store) as bench:
        await bench.broker.topics.create(T, "a")
        await bench.broker.topics.create("other", "a")
        told: list[object] = []
        for _ in range(3 * COMMIT_MAX_COUNT):
            bench.broker.publish(T, Bench.request("a"), told.append)
        deleting = asyncio.get_running_loop().create_task(bench.broker.topics.delete(T, "a"))
        await bench.rest()
        bench.broker.publish("other", Bench.request("a"), told.append)
        assert not deleting.done()
        store.goes_on.set()
        await deleting
        await bench.until(lambda: len(told) == 3 * COMMIT_MAX_COUNT + 1)
        assert not any(isinstance(each, NotFound) for each in told)
