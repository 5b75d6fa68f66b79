"""Settings that must be the same on all nodes: over real links."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import msgspec
import pytest

from conduit.cluster.answering import Answering
from conduit.cluster.comparing import Comparing
from conduit.cluster.inquiries import STATE, State
from conduit.cluster.own_state import OwnState
from tests.broker.kit import running_broker
from tests.cluster.links.kit import Node, linked, meet, until
from tests.cluster.test_asking import Replying

OURS = {"ENABLE_AUTH": "true", "REDIS_URL": "database 0"}


class Pair(NamedTuple):
    """A node that compares, and what another one says of itself."""

    ours: Node
    theirs: Node
    state: OwnState

    async def compare(self) -> None:
        """With a new link."""
        made = self.ours.links.counts.requests_sent
        link = self.ours.links.to("theirs")
        if link is None:
            meet(self.ours, self.theirs)
        else:
            link._wire.abort()
        await until(lambda: self.ours.links.counts.requests_sent > made)
        await linked(self.ours, self.theirs)
        await until(lambda: not self.ours.link_to(self.theirs).request_count)


class Watching(Replying):
    """Tells who compares of links."""

    comparing: Comparing | None = None

    def link_up(self, node) -> None:
        super().link_up(node)
        if self.comparing is not None:
            self.comparing.link_up(node)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    watching, replying = Watching(), Replying()
    ours, theirs = Node("ours", recorder=watching), Node("theirs", recorder=replying)
    watching.comparing = Comparing(ours.links, OURS)
    async with running_broker() as bench:
        for node in (ours, theirs):
            await node.start()
        state = OwnState(bench.broker, lambda: 0, theirs.links.views)
        replying.answering = Answering(theirs.own, state)
        yield Pair(ours, theirs, state)
        for node in (ours, theirs):
            await node.stop()


def said(caplog) -> list[str]:
    found = [line for line in caplog.messages if "Give all nodes the same" in line]
    caplog.clear()
    return found


async def test_what_differs_is_told_once_with_what_it_means(pair: Pair, caplog):
    pair.state.settings = {"ENABLE_AUTH": "false", "REDIS_URL": "not set", "NEWER": "x"}
    await pair.compare()
    auth, redis = said(caplog)
    assert auth.startswith(
        "at node theirs ENABLE_AUTH is false, and at this one true: whoever comes"
    )
    assert redis.startswith("at node theirs REDIS_URL is not set, and at this one database 0: ")
    await pair.compare()
    assert said(caplog) == []
    # Mended, and wrong again.
    pair.state.settings = OURS
    await pair.compare()
    assert said(caplog) == []
    pair.state.settings = OURS | {"REDIS_URL": "database\n1" + 100 * "x"}
    await pair.compare()
    (line,) = said(caplog)
    assert "database?1x" in line
    assert 41 * "x" not in line


async def test_a_node_that_says_nothing_of_its_settings_is_believed(pair: Pair, caplog):
    await pair.compare()
    pair.theirs.recorder.answering = None
    await pair.compare()
    assert said(caplog) == []


async def test_what_an_older_node_says_of_itself_can_be_read_and_the_other_way_round(pair: Pair):
    class Older(msgspec.Struct):
        connections: int
        links: list

    pair.state.settings = OURS
    whole = msgspec.msgpack.encode(pair.state.state())
    assert msgspec.msgpack.decode(whole, type=Older).connections == 0
    assert STATE.decode(whole).settings == OURS
    named = msgspec.to_builtins(pair.state.state())
    del named["settings"]
    assert STATE.decode(msgspec.msgpack.encode(named)) == State(
        **{
            **msgspec.structs.asdict(pair.state.state()),
            "settings": {},
        }
    )
