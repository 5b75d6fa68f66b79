"""One node among others that share no log, without them; with them: tests/e2e/test_nodes_in_memory.py."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from conduit.cluster.apart.meeting import Meeting
from conduit.cluster.hints import Told
from conduit.cluster.links.handshake import Identity
from conduit.core.message import Hinted
from conduit.names import DEFAULT_TENANT as T
from tests.broker.kit import Bench, running_broker
from tests.support.registries import member
from tests.support.wait import until_true

# Nobody listens there.
REDIS = "redis://127.0.0.1:1"


class Place(NamedTuple):
    meeting: Meeting
    bench: Bench

    def heard(self, id_: str, topic: str = "t") -> None:
        """Another node tells of a message."""
        hinted = Hinted(id_, 1, b"1")
        self.meeting.copying.offer(Told(T, topic, "theirs", 1, [hinted]))


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with running_broker() as bench:
        meeting = Meeting(bench.broker, member("a"), ["a-secret-of-the-nodes"], REDIS, 0)
        await meeting.start()
        yield Place(meeting, bench)
        await bench.broker.finish()
        await meeting.stop()


async def test_what_has_come_from_another_node_is_told_to_nobody_again(place: Place):
    meeting, bench = place
    await bench.subscribe("t")
    # Of somebody new nobody knows what it wants: it is told everything.
    meeting.registry.nodes_changed([member("b")])
    await bench.publish("t")
    assert meeting.telling.told_count == 1
    place.heard("id-1")
    receipt = await bench.publish("t")
    await bench.until(lambda: meeting.copying.stored_count == 1)
    assert receipt.subscribers == 1
    assert meeting.telling.told_count == 2


async def test_it_takes_what_somebody_here_follows_and_what_a_durable_subscription_wants(place):
    meeting, bench = place
    place.heard("id-1")
    connection, _ = await bench.subscribe("t")
    place.heard("id-2")
    place.heard("id-3", "o.x")
    durable, _ = await bench.subscribe("o.*", subscription="s")
    connection.close()
    durable.close()
    place.heard("id-4")
    place.heard("id-5", "o.x")
    await bench.until(lambda: meeting.copying.stored_count == 2)
    assert meeting.copying.unwanted_count == 3
    await bench.broker.subscriptions.delete(T, "s")
    place.heard("id-6", "o.x")
    assert meeting.copying.unwanted_count == 4


async def test_what_cannot_be_sent_is_lost_and_said_once(place: Place, caplog):
    for _ in range(2):
        assert place.meeting.send_hint(iter(["b", "c"]), b"x") == 0
    lines = [line for line in caplog.messages if "lost for subscribers" in line]
    assert len(lines) == 1
    assert "there is no link to b, c" in lines[0]
    assert place.meeting.links.counts.hints_dropped == 4


async def test_without_redis_the_log_says_what_that_means_here(place: Place, caplog):
    await until_true(lambda: place.meeting.registry.state.trouble == "unreachable")
    await until_true(lambda: "those that start meanwhile are not found" in caplog.text)
    assert "Nothing is lost" not in caplog.text


async def test_a_link_that_is_gone_takes_the_node_with_it_that_nobody_sees(place: Place):
    meeting, bench = place
    other = member("b")
    meeting._acquainted.look([other])
    meeting.link_up(Identity("b", other.incarnation))
    meeting._look()
    await bench.rest()
    assert [view.id for view in meeting.views()] == ["b"]
    assert [view.name for view in meeting.links.views()] == ["b"]
    meeting.link_down(Identity("b", other.incarnation), "it broke")
    await bench.rest()
    assert meeting.views() == []
    assert meeting.links.views() == []
