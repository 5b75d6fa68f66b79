"""The registry on a real Redis that does nothing wrong."""

import asyncio
import gc
import json
import time
import uuid

import pytest

from conduit.cluster.registry import session, wire
from conduit.cluster.registry.registry import Registry
from conduit.core import members
from tests.support.registries import member, party, registry
from tests.support.wait import until_true

pytestmark = pytest.mark.process


async def test_a_subscriber_on_one_node_is_known_on_the_others_within_a_moment(redis_server):
    async with party(redis_server.url, redis_server.url) as two:
        a, b = two.registries
        assert a.wanting("acme", "orders.created") == {}
        began = time.monotonic()
        two.want(1, "acme", "", "orders.>", 3)
        await until_true(lambda: a.wanting("acme", "orders.created"))
        assert time.monotonic() - began < 1.0
        assert a.wanting("acme", "orders.created") == {two.owns[1].node: 3}
        assert a.wanting("other", "orders.created") == {}
        assert b.wanting("acme", "orders.created") == {}
        two.want(1, "acme", "billing", "orders.created", 1)
        two.want(1, "acme", "", "orders.>", 0)
        await until_true(two.agrees)
        assert a.wanting("acme", "orders.created") == {two.owns[1].node: 1}


async def test_ten_nodes_know_of_each_other_what_each_wants(redis_server):
    async with party(*[redis_server.url] * 10) as ten:
        for place in range(10):
            for number in range(30):
                ten.want(place, f"t{number % 3}", "", f"orders.{place}.{number}", 1 + number % 2)
            ten.want(place, "t0", "billing", "orders.*.7", 1)
        await until_true(ten.agrees)
        assert len(ten.registries[0].wanting("t0", "orders.1.7")) == 9
        assert len(ten.registries[0].wanting("t0", "orders.1.3")) == 1


async def test_changes_of_a_moment_are_written_together(redis_server):
    async with party(redis_server.url, redis_server.url) as two:
        a = two.registries[0]
        two.want(0, "acme", "", "first", 1)
        await until_true(two.agrees)
        before = a.counts.changes
        for count in range(100):
            two.want(0, "acme", "", "orders", count + 1)
            two.want(0, "acme", "", f"orders.{count}", 1)
        await until_true(two.agrees)
        assert a.counts.changes == before + 1


async def test_a_node_that_comes_later_reads_what_the_others_want(redis_server):
    async with party(redis_server.url) as one:
        for number in range(20_000):
            one.want(0, f"t{number % 50}", "", f"orders.region-{number}.created", 1)
        async with registry(redis_server.url, one.cluster_id) as late:
            await until_true(lambda: late.entry_count == 20_000)
            assert late.unknown == ()
            assert late.wanting("t7", "orders.region-57.created") == {one.owns[0].node: 1}
            assert late.counts.reads + late.counts.heard > 0
        async with registry(redis_server.url, one.cluster_id) as later:
            await until_true(lambda: later.entry_count == 20_000)
            assert later.counts.reads == 1


async def test_a_state_that_changes_while_it_is_read_is_read_right(redis_server):
    async with party(redis_server.url) as one:
        for number in range(10_000):
            one.want(0, "acme", "", f"t{number}", 1)
        await until_true(lambda: redis_server.ask("HLEN", one.key(0)) == 10_001)
        late = Registry(redis_server.url, one.cluster_id, member())
        await late.start()
        number = 0
        while late.entry_count == 0:
            for _ in range(7):
                one.want(0, "acme", "", f"t{number % 12_000}", number % 3)
                number += 1
            await asyncio.sleep(0)
        node = one.owns[0].node
        entries = one.truth[node]
        await until_true(lambda: late.entry_count == len(entries))
        ((_, wants),) = late._others.interest._trusted
        await until_true(lambda: wants._entries == entries)
        await late.close()


async def test_who_comes_is_seen_by_the_others_before_their_next_beat(redis_server, monkeypatch):
    monkeypatch.setattr(session, "BEAT_S", 60.0)
    monkeypatch.setattr(wire, "PRESENCE_TTL_S", 120.0)
    async with registry(redis_server.url) as one:
        await until_true(lambda: one.state.is_up)
        cluster_id = one._parts.keys.said.partition("{")[2].partition("}")[0]
        async with registry(redis_server.url, cluster_id):
            await until_true(lambda: len(one.nodes()) == 2)
            await until_true(lambda: not one.unknown)


async def test_two_clusters_on_one_redis_do_not_meet(redis_server):
    urls = [redis_server.url] * 2
    async with party(*urls) as one, party(*urls) as other:
        one.want(0, "acme", "", "a", 1)
        other.want(0, "acme", "", "b", 1)
        await until_true(one.agrees)
        await until_true(other.agrees)
        assert one.registries[1].wanting("acme", "b") == {}


async def test_who_closes_is_gone_at_once_and_leaves_nothing(redis_server):
    cluster_id = str(uuid.uuid4())
    changes = []
    async with registry(redis_server.url, cluster_id, lambda: changes.append(1)) as a:
        async with registry(redis_server.url, cluster_id) as b:
            b.set_interest("acme", "", "a", 1)
            await until_true(lambda: a.wanting("acme", "a"))
            assert len(a.nodes()) == 2
        left = time.monotonic()
        await until_true(lambda: len(a.nodes()) == 1)
        assert time.monotonic() - left < wire.PRESENCE_TTL_S / 2
        assert a.wanting("acme", "a") == {}
        assert len(changes) == 2
    assert redis_server.ask("KEYS", f"*{cluster_id}*") == []


async def test_what_dies_disappears_by_itself(redis_server, monkeypatch):
    monkeypatch.setattr(wire, "PRESENCE_TTL_S", 1.5)
    monkeypatch.setattr(members, "FORGIVEN_S", 1.0)
    async with party(redis_server.url, redis_server.url) as two:
        a, b = two.registries
        b._task.cancel()
        await until_true(lambda: len(a.nodes()) == 1)
        assert a.unknown == ()
        index = f"conduit:{{{two.cluster_id}}}:nodes"
        await until_true(lambda: redis_server.ask("SMEMBERS", index) == {a.nodes()[0].incarnation})


async def test_leases_say_who_is_there_once_there_are_some(redis_server):
    async with party(redis_server.url, redis_server.url, redis_server.url) as three:
        a, *_ = three.registries
        nodes = [own.node for own in three.owns]
        stranger = member("stranger").node
        three.want(1, "acme", "", "t", 1)
        three.want(2, "acme", "", "t", 1)
        await until_true(three.agrees)
        a.nodes_changed([nodes[0], nodes[1], stranger])
        # What is known stays known. Who has not said anything is sent everything.
        assert a.wanting("acme", "t") == {nodes[1]: 1}
        assert a.unknown == (stranger,)
        assert a.by_name.wanting("acme", "t") == {nodes[1].name: 1, "stranger": 0}
        assert a.is_known(nodes[1])
        assert not a.is_known(stranger)
        a.nodes_changed(nodes)
        await until_true(lambda: a.wanting("acme", "t") == {nodes[1]: 1, nodes[2]: 1})
        assert a.unknown == ()


async def test_the_presence_in_redis_says_what_an_operator_looks_for(redis_server):
    async with party(redis_server.url) as one:
        own = one.owns[0]
        key = f"conduit:{{{one.cluster_id}}}:node:{own.incarnation}"
        said = json.loads(redis_server.ask("GET", key))
        assert (said["name"], said["address"]) == (own.name, own.address)
        assert 0 < redis_server.ask("PTTL", key) <= wire.PRESENCE_TTL_S * 1000
        one.want(0, "acme", "billing", "orders.*", 4)
        await until_true(lambda: redis_server.ask("HGET", one.key(0), "acme/billing/orders.*"))
        assert redis_server.ask("HGET", one.key(0), "acme/billing/orders.*") == "4"
        assert 0 < redis_server.ask("PTTL", one.key(0)) <= wire.STATE_TTL_S * 1000


async def test_no_more_than_two_connections_are_made(redis_server):
    async with party(redis_server.url) as one:
        one.want(0, "acme", "", "a", 1)
        await until_true(one.is_up)
        clients = redis_server.ask("CLIENT", "LIST").splitlines()
        # And the one that asks.
        others = [line for line in clients if "cmd=client" not in line]
        assert len(others) == 2


@pytest.fixture
def no_collector():
    """Python's, which visits all that the tests before have left."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
async def test_the_work_of_a_turn_of_the_loop_is_bounded(redis_server):
    """20,000 entries are written, announced, and read by another one."""
    async with party(redis_server.url, redis_server.url) as two:
        longest_s = 0.0
        is_over = False

        async def watch():
            nonlocal longest_s
            while not is_over:
                began = time.thread_time()
                await asyncio.sleep(0)
                longest_s = max(longest_s, time.thread_time() - began)

        watching = asyncio.get_running_loop().create_task(watch())
        for number in range(20_000):
            two.registries[0].set_interest("acme", "", f"orders.region-{number}.created", 1)
            if number % 100 == 0:
                await asyncio.sleep(0)
        b = two.registries[1]
        await until_true(lambda: b.entry_count == 20_000)
        async with registry(redis_server.url, two.cluster_id) as late:
            await until_true(lambda: late.entry_count == 20_000)
        is_over = True
        await watching
    # Several nodes share this loop; a slice takes one to three milliseconds.
    assert longest_s < 0.05


async def test_it_can_be_closed_before_it_was_started_and_twice(redis_server):
    made = Registry(redis_server.url, str(uuid.uuid4()), member())
    await made.close()
    async with registry(redis_server.url) as started:
        await started.close()


async def test_the_age_of_the_last_answer_is_known_and_grows_when_none_comes(own_redis):
    async with registry(own_redis.url, str(uuid.uuid4())) as one:
        assert one.answer_age_s is None
        await until_true(lambda: one.state.is_up)
        assert one.answer_age_s < 5
        own_redis.kill()
        await until_true(lambda: not one.state.is_up)
        before = one.answer_age_s
        await until_true(lambda: one.answer_age_s > before)
