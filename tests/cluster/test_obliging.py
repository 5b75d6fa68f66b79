"""The owner that stops: what other nodes ask of it then."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from conduit.cluster import messenger
from conduit.cluster.messenger import Unreachable
from conduit.errors import OutcomeUnknown
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Reject
from conduit.storage.dead_letters import DeadFilter
from tests.broker.leased import LeasedStore
from tests.broker.nodes import begun
from tests.cluster.company import Scene, a_scene
from tests.cluster.links.kit import until


@pytest.fixture
def store() -> LeasedStore:
    return LeasedStore()


@pytest.fixture
async def scene(store: LeasedStore) -> AsyncIterator[Scene]:
    async with a_scene(store) as scene:
        yield scene
        store.release()


async def a_letter(scene: Scene) -> str:
    """One that died of the subscription."""
    scene.client.verbs.reject(Reject(scene.client.id_of(2), ref="1"))
    await until(lambda: scene.client.peer.of("acked"))
    dead_letters = scene.company["a"].bench.broker.dead_letters
    (letter,) = (await dead_letters.list(T, DeadFilter(), limit=10)).letters
    return letter.dead_id


async def test_what_comes_when_it_has_left_is_asked_of_the_next_owner(scene: Scene):
    await scene.company["b"].exchange.leave()
    pausing = begun(scene.subscriptions.pause(T, scene.name))
    await until(lambda: scene.sent_count > 0)
    scene.company.meet("a")
    assert (await pausing).record.paused
    assert not scene.company["b"].bench.broker._owned.running()


async def test_nothing_is_done_by_a_broker_that_has_finished(scene: Scene, monkeypatch):
    monkeypatch.setattr(messenger, "REACH_TIMEOUT_S", 0.0)
    dead_id = await a_letter(scene)
    await scene.company["b"].exchange.leave()
    await scene.company["b"].bench.broker.finish()
    with pytest.raises(Unreachable, match=r"nothing was done \(node b stops\)"):
        await scene.company["a"].bench.broker.dead_letters.redrive(T, dead_id)
    with pytest.raises(Unreachable):
        await scene.subscriptions.delete(T, scene.name)
    assert await scene.subscriptions.get(T, scene.name)


async def test_what_is_under_way_when_it_leaves_may_be_done(scene: Scene, store):
    store.held.add("update")
    pausing = begun(scene.subscriptions.pause(T, scene.name))
    await until(lambda: store.waiting == ["update"])
    await scene.company["b"].exchange.leave()
    with pytest.raises(OutcomeUnknown, match="node b stops"):
        await pausing
    assert scene.sent_count == 1


async def test_what_its_broker_refuses_because_it_stops_may_be_done(scene: Scene):
    dead_id = await a_letter(scene)
    # Before it has left, which it should not do.
    await scene.company["b"].bench.broker.finish()
    with pytest.raises(OutcomeUnknown, match="the server is stopping"):
        await scene.company["a"].bench.broker.dead_letters.redrive(T, dead_id)
    assert scene.sent_count == 1
