"""Subscriptions that run on another node, looked at and changed from this one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from conduit.cluster import at_owner
from conduit.cluster.at_owner import AtOwner, Unreachable
from conduit.errors import InvalidRequest, NotFound
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, Reject, StartAt
from conduit.storage.dead_letters import DeadFilter
from tests.broker.stores import SharedStore
from tests.cluster.company import Client, Company, a_company
from tests.cluster.links.kit import until


class Scene(NamedTuple):
    """Node a has clients of a subscription of node b."""

    company: Company
    subscriptions: AtOwner
    client: Client
    name: str

    def separate(self) -> None:
        """No way leads to the owner."""
        self.company["a"].elsewhere._link_to = lambda _name: None


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with a_company("a", "b", store=SharedStore()) as company:
        name = company.name_for("b")
        client = await company["a"].client().subscribe(name, max_in_flight=3)
        await company["a"].bench.publish_many("t", 5)
        await until(lambda: client.seqs == [1, 2, 3])
        yield Scene(company, company["a"].subscriptions, client, name)


async def test_a_view_is_the_owners(scene: Scene):
    view = await scene.subscriptions.get(T, scene.name)
    assert (view.subscribers, view.in_flight_count, view.lag) == (1, 3, 5)
    (listed,) = await scene.subscriptions.list(T, q=None, limit=10, after=None)
    assert (listed.subscribers, listed.in_flight_count) == (1, 3)
    (topic,) = await scene.subscriptions.topics(T, scene.name, limit=10, after=None)
    assert (topic.topic, topic.lag) == ("t", 5)


async def test_pausing_and_resuming_take_effect_when_they_are_answered(scene: Scene):
    view = await scene.subscriptions.pause(T, scene.name)
    assert view.record.paused
    scene.client.verbs.ack(Ack(message_ids=scene.client.ids, ref="1"))
    await until(lambda: scene.client.peer.of("acked"))
    assert scene.client.seqs == [1, 2, 3]
    assert (await scene.company["a"].bench.broker.subscriptions.get(T, scene.name)).record.paused
    await scene.subscriptions.resume(T, scene.name)
    await until(lambda: scene.client.seqs == [1, 2, 3, 4, 5])


async def test_settings_are_changed_and_checked_at_the_owner(scene: Scene):
    await scene.subscriptions.update(T, scene.name, {"max_in_flight": 5})
    await until(lambda: scene.client.seqs == [1, 2, 3, 4, 5])
    with pytest.raises(InvalidRequest) as caught:
        await scene.subscriptions.update(T, scene.name, {"ack": "auto"})
    assert caught.value.field == "ack"


async def test_a_seek_moves_what_runs_there(scene: Scene):
    looked = await scene.subscriptions.seek(T, scene.name, "new", dry_run=True)
    assert (looked.lag, looked.dry_run) == (0, True)
    moved = await scene.subscriptions.seek(T, scene.name, StartAt(seq=4), dry_run=False)
    assert (moved.lag, [place.floor for place in moved.topics]) == (2, [3])
    await until(lambda: scene.client.seqs == [1, 2, 3, 4, 5])


async def test_a_deletion_is_known_here_when_it_is_answered(scene: Scene):
    await scene.subscriptions.delete(T, scene.name)
    await until(lambda: scene.client.peer.of("unsubscribed"))
    with pytest.raises(NotFound):
        await scene.subscriptions.get(T, scene.name)
    assert scene.company["a"].bench.broker._owned.find(T, scene.name) is None


async def test_a_dead_letter_is_redriven_in_what_runs_there(scene: Scene):
    scene.client.verbs.reject(Reject(scene.client.id_of(2), ref="1"))
    await until(lambda: scene.client.peer.of("acked"))
    dead_letters = scene.company["a"].bench.broker.dead_letters
    (letter,) = (await dead_letters.list(T, DeadFilter(), limit=10)).letters
    await dead_letters.redrive(T, letter.dead_id)
    scene.client.verbs.ack(Ack(message_id=scene.client.id_of(1)))
    await until(lambda: scene.client.seqs.count(2) == 2)
    with pytest.raises(Exception, match="redriven") as caught:
        await dead_letters.redrive(T, letter.dead_id)
    assert caught.value.code == "already_redriven"


async def test_one_that_is_not_there_is_not_found(scene: Scene):
    for name in (scene.company.name_for("a", "x"), scene.company.name_for("b", "x")):
        for act in (scene.subscriptions.get, scene.subscriptions.pause, scene.subscriptions.delete):
            with pytest.raises(NotFound) as caught:
                await act(T, name)
            assert caught.value.code == "subscription_not_found"


async def test_without_its_owner_some_is_done_by_the_store_and_the_rest_refused(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(at_owner, "REACH_TIMEOUT_S", 0.0)
    scene.separate()
    assert (await scene.subscriptions.get(T, scene.name)).record.name == scene.name
    assert (await scene.subscriptions.pause(T, scene.name)).record.paused
    with pytest.raises(Unreachable) as caught:
        await scene.subscriptions.seek(T, scene.name, "earliest", dry_run=False)
    assert caught.value.code == "unavailable"
    with pytest.raises(Unreachable):
        await scene.subscriptions.delete(T, scene.name)
    # The owner follows the changes of the store.
    await scene.company["b"].bench.broker.news.catch_up()
    running = scene.company["b"].bench.broker._owned.running()[0]
    assert running.group.is_paused


async def test_who_is_asked_and_is_not_the_owner_is_asked_again(scene: Scene):
    owner = scene.company["b"].elsewhere
    live = [member.live for member in scene.company.members.values()]
    owner.set_nodes(live[:1])
    sent = scene.company["a"].exchange.links.counts

    async def correct() -> None:
        await until(lambda: sent.requests_sent >= 2)
        owner.set_nodes(live)

    view, _ = await asyncio.gather(scene.subscriptions.get(T, scene.name), correct())
    assert view.subscribers == 1
