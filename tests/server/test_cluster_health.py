"""What `/health` and metrics say of this node among others."""

from __future__ import annotations

import re

import msgspec
import pytest

from conduit.cluster.apart.meeting import Meeting
from conduit.cluster.hearing import Hearing
from conduit.cluster.registry.others import DOUBLE_AFTER_S
from conduit.cluster.registry.wire import Presence
from tests.cluster.links.kit import Live
from tests.server.promlint import faults
from tests.server.rest_kit import Api, running_api
from tests.support.registries import member
from tests.support.wait import until_true

# Nobody listens there.
REDIS = "redis://127.0.0.1:1"


@pytest.fixture
async def api():
    async with running_api() as api:
        yield api


def meet(api: Api) -> Meeting:
    """Make it one of several nodes that share no log; nothing is begun."""
    context = api.context
    meeting = Meeting(api.bench.broker, member("node-1"), ["a-secret-of-the-nodes"], REDIS, 0)
    context.meeting, context.hearing, context.links = meeting, meeting.copying, meeting.links
    context.node.others = meeting.views
    return meeting


async def test_a_server_alone_has_no_cluster(api: Api):
    assert "cluster" not in await api.get("/health")
    assert "conduit_registry" not in (await api.send("GET", "/metrics")).text


async def test_where_the_log_is_shared_nothing_is_missed(api: Api):
    api.context.hearing = Hearing(api.bench.broker)
    found = (await api.get("/health"))["cluster"]
    assert (found["log"], found["recovery"], found["nodes"], found["links"]) == (
        "shared",
        True,
        1,
        0,
    )
    assert "registry" not in found


async def test_where_it_is_not_that_is_said_and_how_it_is_with_redis(api: Api):
    meeting = meet(api)
    found = (await api.get("/health"))["cluster"]
    assert (found["log"], found["recovery"], found["nodes"], found["links"]) == ("own", False, 1, 0)
    assert found["registry"]["status"] == "degraded"
    assert found["registry"]["answer_age_s"] is None
    assert "not tried yet" in found["registry"]["detail"]
    await meeting.start()
    await until_true(lambda: meeting.registry.state.trouble == "unreachable")
    found = (await api.get("/health"))["cluster"]["registry"]
    assert found["trouble"] == "unreachable"
    assert "nobody listens there" in found["detail"]
    assert "those that start meanwhile are not found" in found["detail"]
    # The node is as ready as before.
    assert api.context.not_ready() is None
    text = (await api.send("GET", "/metrics")).text
    assert "\nconduit_registry_up 0.0\n" in text
    # Of a slow machine it may have been tried again.
    assert re.search(r"\nconduit_registry_error_total [1-9]", text)
    assert "conduit_registry_answer_age_seconds " not in text
    assert faults(text) == []
    await meeting.stop()


async def test_another_process_with_its_name_is_said_when_it_is_not_the_one_before(api: Api):
    meeting = meet(api)
    others = meeting.registry._others
    double = Presence(
        name="node-1",
        incarnation="another",
        address="h:1",
        version="1.0",
        since_ms=1,
        said=1,
    )
    others.look([double], 0.0)
    assert not meeting.registry.has_double
    others.look([double], DOUBLE_AFTER_S)
    assert meeting.registry.has_double
    others.look([], DOUBLE_AFTER_S + 1)
    assert not meeting.registry.has_double


async def test_a_link_that_is_missing_for_some_seconds_is_named_with_the_last_reason(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    links = meet(api).links
    # Of these this node dials the first, and waits for the second.
    links.set_live([Live("n2", "ffffffff", "127.0.0.1:1"), Live("n3", "0", "127.0.0.1:1")])
    await until_true(lambda: links.views()[0].last_error)
    assert "There is no link" not in (await api.get("/health"))["cluster"]["detail"]
    monkeypatch.setattr("conduit.cluster.links.peers.TOLD_AFTER_S", 0.0)
    detail = (await api.get("/health"))["cluster"]["detail"]
    assert detail.startswith(
        "There is no link to n2 for 0 s: Connection refused; n3 for 0 s: it has not"
    )
    assert "nothing that is published at one comes to the subscribers of the other" in detail
    # The node is as ready as before.
    assert api.context.not_ready() is None
    many = [Live(f"n{number}", "0", "127.0.0.1:1") for number in range(2, 10)]
    links.set_live(many)
    detail = (await api.get("/health"))["cluster"]["detail"]
    assert "n6 for" in detail
    assert "; and to 3 more. Until" in detail
    await links.stop()


async def test_without_a_secret_it_is_said_why_there_are_no_links(api: Api):
    api.context.hearing = Hearing(api.bench.broker)
    other = msgspec.structs.replace(api.context.node.view(), id="n2")
    api.context.node.others = lambda: [other]
    found = (await api.get("/health"))["cluster"]
    assert (found["nodes"], found["links"]) == (2, 0)
    assert found["detail"].startswith("There are no links, because INTERNAL_SECRET is not set")
