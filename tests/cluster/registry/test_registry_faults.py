"""The registry on a Redis that is flushed, restarted, stopped, cut off, wrong, or loses what it was given."""

import asyncio
import gc
import json
import random
import time
from signal import SIGCONT, SIGSTOP

import pytest

from conduit.cluster.registry import others, wire
from tests.support.redis_proxy import RedisProxy
from tests.support.registries import Party, party, registry
from tests.support.wait import until_true

pytestmark = pytest.mark.process

# What one call into the registry may take at most while others are starved of the processor.
NEVER_WAITS_S = 0.05


class Load:
    """Subscribers come and go on all nodes, and each is asked all the time. `longest_s`: the longest call."""

    def __init__(self, nodes: Party) -> None:
        self._nodes = nodes
        self._chance = random.Random(7)
        self.longest_s = 0.0
        self._is_over = False

    async def __aenter__(self):
        self._task = asyncio.get_running_loop().create_task(self._run())
        # What all tests before have left would be looked through in one of the calls.
        gc.disable()
        return self

    async def __aexit__(self, *_):
        self._is_over = True
        gc.enable()
        await self._task

    async def _run(self):
        while not self._is_over:
            for place, asked in enumerate(self._nodes.registries):
                topic = f"orders.{self._chance.randrange(200)}"
                began = time.thread_time()
                self._nodes.want(place, "acme", "", topic, self._chance.randrange(3))
                asked.wanting("acme", topic)
                self.longest_s = max(self.longest_s, time.thread_time() - began)
            await asyncio.sleep(0.002)


async def test_after_flushall_every_node_writes_again_what_it_has_said(own_redis):
    async with party(*[own_redis.url] * 3) as nodes:
        async with Load(nodes) as load:
            for _ in range(3):
                before = [each.counts.beats for each in nodes.registries]
                own_redis.ask("FLUSHALL")
                await until_true(
                    lambda before=before: all(
                        each.counts.beats > count + 1
                        for each, count in zip(nodes.registries, before, strict=True)
                    )
                )
                assert len(nodes.registries[0].nodes()) == 3
        await until_true(nodes.agrees)
        assert load.longest_s < NEVER_WAITS_S
        assert nodes.is_up()
        # Who comes now finds all of it.
        async with registry(own_redis.url, nodes.cluster_id) as late:
            await until_true(lambda: len(late.nodes()) == 4 and not late.unknown)
            expected = sum(map(len, nodes.truth.values()))
            await until_true(lambda: late.entry_count == expected)


async def test_a_restarted_redis_is_filled_again_and_nothing_is_read_anew(own_redis):
    async with party(*[own_redis.url] * 3) as nodes:
        async with Load(nodes) as load:
            for _ in range(3):
                own_redis.kill()
                await until_true(lambda: not any(each.state.is_up for each in nodes.registries))
                for each in nodes.registries:
                    assert len(each.unknown) == 2
                    assert each.wanting("acme", "orders.1") == {}
                    assert len(each.nodes()) == 3
                own_redis.start()
                await until_true(nodes.is_up)
        await until_true(nodes.agrees)
        assert load.longest_s < NEVER_WAITS_S


async def test_what_has_not_changed_is_not_read_anew_after_a_restart(own_redis):
    async with party(*[own_redis.url] * 2) as nodes:
        nodes.want(0, "acme", "", "a", 1)
        await until_true(nodes.agrees)
        before = [each.counts.reads for each in nodes.registries]
        own_redis.kill()
        await until_true(lambda: nodes.registries[0].unknown)
        own_redis.start()
        await until_true(nodes.agrees)
        assert [each.counts.reads for each in nodes.registries] == before


async def test_a_stopped_redis_holds_nobody_up(own_redis):
    """For 3 s. Its calls end at their deadline, and what was written too late does no harm."""
    async with party(*[own_redis.url] * 3) as nodes:
        async with Load(nodes) as load:
            own_redis.signal(SIGSTOP)
            stopped = time.monotonic()
            await until_true(lambda: not any(each.state.is_up for each in nodes.registries))
            assert time.monotonic() - stopped < 3.0
            assert {each.state.trouble for each in nodes.registries} == {"slow"}
            for each in nodes.registries:
                assert len(each.unknown) == 2
            await until_true(lambda: time.monotonic() - stopped > 3.0)
            own_redis.signal(SIGCONT)
            await until_true(nodes.is_up)
        await until_true(nodes.agrees)
        assert load.longest_s < NEVER_WAITS_S
        for each in nodes.registries:
            bounds = dict(each.counts.latency.cumulative())
            # Nothing took longer than its deadline, but for what the loop itself took.
            assert bounds[2.5] == each.counts.latency.count


async def test_close_does_not_wait_for_a_stopped_redis(own_redis):
    async with registry(own_redis.url) as one:
        await until_true(lambda: one.state.is_up)
        own_redis.signal(SIGSTOP)
        began = time.monotonic()
        await one.close()
        assert time.monotonic() - began < 3.0
        own_redis.signal(SIGCONT)


@pytest.fixture
async def proxy(own_redis):
    made = RedisProxy(own_redis.port)
    await made.start()
    yield made
    await made.close()


async def test_a_node_that_is_cut_off_is_sent_everything_and_comes_back(own_redis, proxy):
    async with party(own_redis.url, own_redis.url, proxy.url) as nodes:
        a, b, cut_off = nodes.registries
        async with Load(nodes):
            proxy.stop()
            await until_true(lambda: not cut_off.state.is_up)
            # Its presence ends, and so does the trust in what it has said.
            await until_true(lambda: len(a.nodes()) == len(b.nodes()) == 2)
            assert len(cut_off.nodes()) == 3
            assert len(cut_off.unknown) == 2
            proxy.resume()
            await until_true(nodes.is_up)
        await until_true(nodes.agrees)


async def test_with_leases_a_node_that_is_cut_off_from_redis_is_unknown(
    own_redis, proxy, monkeypatch
):
    monkeypatch.setattr(wire, "PRESENCE_TTL_S", 1.5)
    async with party(own_redis.url, proxy.url) as nodes:
        a = nodes.registries[0]
        for each in nodes.registries:
            each.nodes_changed(nodes.truth)
        nodes.want(1, "acme", "", "t", 1)
        await until_true(lambda: a.wanting("acme", "t"))
        proxy.stop()
        await until_true(lambda: a.unknown == (nodes.owns[1].node,))
        assert a.wanting("acme", "t") == {}
        proxy.resume()
        await until_true(lambda: a.wanting("acme", "t"))
        assert a.unknown == ()


async def test_commands_that_redis_gets_after_the_node_gave_them_up_do_no_harm(own_redis, proxy):
    async with party(own_redis.url, proxy.url) as nodes:
        async with Load(nodes):
            for _ in range(5):
                proxy.stop()
                await until_true(lambda: not nodes.registries[1].state.is_up)
                proxy.resume()
                await until_true(nodes.is_up)
        await until_true(nodes.agrees)


async def test_announcements_that_are_lost_are_made_up_for_within_two_beats(own_redis, proxy):
    async with party(own_redis.url, proxy.url) as nodes:
        a, listener = nodes.registries
        nodes.want(0, "acme", "", "before", 1)
        await until_true(nodes.agrees)
        proxy.loses = lambda channel: channel.endswith(b":said")
        nodes.want(0, "acme", "", "lost", 1)
        await until_true(lambda: proxy.lost_count)
        proxy.loses = lambda _channel: False
        # It is the last one: nothing that follows tells of it.
        lost = time.monotonic()
        await until_true(nodes.agrees)
        assert time.monotonic() - lost < 5.0
        assert listener.hole_count == 1
        assert a.state.is_up
        assert listener.state.is_up


async def test_if_nothing_comes_back_any_more_the_connections_are_made_anew(own_redis, proxy):
    async with party(own_redis.url, proxy.url) as nodes:
        listener = nodes.registries[1]
        proxy.loses = lambda _channel: True
        await until_true(lambda: listener.state.trouble == "silent")
        assert len(listener.unknown) == 1
        proxy.loses = lambda _channel: False
        nodes.want(0, "acme", "", "t", 1)
        await until_true(nodes.agrees)
        await until_true(nodes.is_up)


async def test_a_subscription_that_redis_ends_is_noticed_at_once(own_redis):
    async with party(own_redis.url, own_redis.url) as nodes:
        own_redis.ask("CLIENT", "KILL", "TYPE", "pubsub")
        await until_true(lambda: all(each.counts.failures == 1 for each in nodes.registries))
        nodes.want(0, "acme", "", "t", 1)
        await until_true(nodes.agrees)
        await until_true(nodes.is_up)


async def test_somebody_elses_data_under_its_names_is_replaced(own_redis):
    async with party(own_redis.url, own_redis.url) as nodes:
        prefix = f"conduit:{{{nodes.cluster_id}}}:"
        nodes.want(0, "acme", "", "t", 1)
        await until_true(nodes.agrees)
        own_redis.ask("SET", nodes.key(0), "a text")
        own_redis.ask("SET", f"{prefix}nodes", "a text")
        own_redis.ask("SET", f"{prefix}node:{nodes.owns[1].incarnation}", "a text")
        own_redis.ask("PUBLISH", f"{prefix}said", "no announcement")
        own_redis.ask("PUBLISH", f"{prefix}said", "[]")
        await until_true(lambda: own_redis.ask("TYPE", nodes.key(0)) == "hash")
        await until_true(lambda: own_redis.ask("TYPE", f"{prefix}nodes") == "set")
        nodes.want(1, "acme", "", "u", 1)
        await until_true(nodes.agrees)
        # And a presence, if that was seen before it was replaced.
        assert all(each.counts.malformed >= 2 for each in nodes.registries)
        assert nodes.is_up()


async def test_what_somebody_changes_in_a_state_is_noticed_and_written_again(own_redis):
    async with party(own_redis.url) as nodes:
        nodes.want(0, "acme", "", "t", 1)
        key = nodes.key(0)
        await until_true(lambda: own_redis.ask("HLEN", key) == 2)
        own_redis.ask("HSET", key, "acme//more", 1)
        await until_true(lambda: own_redis.ask("HLEN", key) == 2)
        own_redis.ask("HSET", key, "=", "77 1")
        await until_true(lambda: own_redis.ask("HGET", key, "=") != "77 1")
        assert own_redis.ask("HGETALL", key).keys() == {"=", "acme//t"}


@pytest.mark.parametrize(
    ("field", "value"),
    [("=", f"{'9' * 5_000} 1"), ("acme//t", "9" * 5_000), ("acme//t", "9" * 25), ("acme//t", "x")],
)
async def test_numbers_that_no_node_has_written_are_not_believed(own_redis, field, value, caplog):
    async with party(own_redis.url, own_redis.url) as nodes:
        prefix = f"conduit:{{{nodes.cluster_id}}}:"
        nodes.want(0, "acme", "", "t", 1)
        await until_true(nodes.agrees)
        owner, reader = nodes.owns[0].node, nodes.registries[1]
        # Whoever believes the announcement has missed something, and reads all of the state.
        own_redis.ask("HSET", nodes.key(0), field, value)
        missed = json.dumps([owner.name, owner.incarnation, 10**6, None])
        own_redis.ask("PUBLISH", f"{prefix}said", missed)
        for number in ("9" * 5_000, "9" * 25, "-1"):
            own_redis.ask("PUBLISH", f"{prefix}said", missed.replace(str(10**6), number))
        own_redis.ask("PUBLISH", f"{prefix}echo:{nodes.owns[1].incarnation}", "9" * 5_000)
        await until_true(lambda: reader.counts.malformed >= 4)
        assert reader.wanting("acme", "t").get(owner, 0) <= 1
        assert field == "=" or not reader.is_known(owner)
        own_redis.ask("FLUSHALL")
        await until_true(nodes.agrees)
        assert nodes.is_up()
        assert reader.counts.failures == 0
        assert not [each for each in caplog.records if each.exc_info]


async def test_strangers_in_the_index_and_in_states_are_passed_over(own_redis):
    async with party(own_redis.url, own_redis.url) as nodes:
        prefix = f"conduit:{{{nodes.cluster_id}}}:"
        own_redis.ask("SADD", f"{prefix}nodes", "\x00", "x" * 1000, "broken")
        own_redis.ask("SET", f"{prefix}node:broken", "{}")
        nodes.want(0, "acme", "", "t", 1)
        await until_true(nodes.agrees)
        await until_true(lambda: "\x00" not in own_redis.ask("SMEMBERS", f"{prefix}nodes"))
        assert nodes.is_up()


async def test_a_node_with_more_than_is_kept_wants_everything_until_it_has_less(own_redis):
    async with party(own_redis.url, own_redis.url) as nodes:
        a, b = nodes.registries
        b._own_interest._max_count = 100
        for number in range(101):
            b.set_interest("acme", "", f"t{number}", 1)
        node = nodes.owns[1].node
        await until_true(lambda: a.wanting("other", "anything") == {node: 0})
        assert a.unknown == ()
        assert own_redis.ask("HLEN", nodes.key(1)) == 1
        async with registry(own_redis.url, nodes.cluster_id) as late:
            await until_true(lambda: late.wanting("other", "anything") == {node: 0})
        for number in range(50):
            b.set_interest("acme", "", f"t{number}", 0)
        await until_true(lambda: a.wanting("acme", "t99") == {node: 1})
        assert a.wanting("acme", "t1") == {}


async def test_two_processes_with_one_name_are_told_of_in_the_log_once(
    own_redis, monkeypatch, caplog
):
    monkeypatch.setattr(others, "DOUBLE_AFTER_S", 0.5)
    async with party(own_redis.url) as one:
        own, prefix = one.owns[0], f"conduit:{{{one.cluster_id}}}:"
        said = {"name": own.name, "incarnation": "z", "address": "h:1", "version": "1"}
        own_redis.ask("SADD", f"{prefix}nodes", "z")
        own_redis.ask("SET", f"{prefix}node:z", json.dumps(said | {"since_ms": 1, "said": 1}))
        await until_true(lambda: "has the NODE_ID" in caplog.text)
        beats = one.registries[0].counts.beats
        await until_true(lambda: one.registries[0].counts.beats > beats + 2)
        assert caplog.text.count("has the NODE_ID") == 1
        assert one.registries[0].nodes() == (own,)
