"""A node that stood still, or was cut off, does not pass on what has been somebody else's meanwhile."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.support.nodes import NAMES, Cluster, linked_servers, owned_by, taken
from tests.support.wait import until
from tests.support.ws import NoFrame, WsClient


@pytest.fixture
def linked(cluster) -> Iterator[Cluster]:
    with linked_servers(cluster.empty_database("stood_still"), *NAMES) as found:
        yield found


def test_what_was_acked_elsewhere_meanwhile_does_not_come(linked):
    name = owned_by("node-0")
    here = linked.apis[0]
    here.create_topic("t")
    with WsClient(linked.servers[1].ws_url) as one, WsClient(linked.servers[2].ws_url) as two:
        one.subscribe("t", subscription=name, prefetch=100)
        here.publish("t", "before")
        assert taken(one, 1) == ["before"]
        linked.servers[1].send_signal(signal.SIGSTOP)
        try:
            for n in range(20):
                here.publish("t", n)
            two.subscribe("t", subscription=name, prefetch=100)
            assert sorted(taken(two, 20, 30.0)) == [*range(20)]
        finally:
            linked.servers[1].send_signal(signal.SIGCONT)
        until(lambda: linked.links_up_of(1) == 2)
        with pytest.raises(NoFrame):
            one.receive("message", 1.0)
        # It has its subscriber again.
        here.publish("t", "after")
        two.close()
        assert taken(one, 1, 20.0) == ["after"]
