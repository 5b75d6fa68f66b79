"""Errands of one node to another: what becomes of them when the way, or the owner, is not as it should be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from conduit.cluster import messenger
from conduit.cluster.links.requests import Asked
from conduit.cluster.messenger import Unreachable
from conduit.errors import InvalidRequest, NotFound, OutcomeUnknown, Overloaded, Unavailable
from conduit.names import DEFAULT_TENANT as T
from tests.broker.leased import LeasedStore
from tests.broker.nodes import begun
from tests.cluster.company import Scene, a_scene
from tests.cluster.links.kit import until


def knows_no_such_thing(asked: Asked) -> None:
    raise InvalidRequest(f"this version answers no {asked.kind!r}")


def answers_otherwise(asked: Asked) -> None:
    asked.reply(b"\xc0")


def says_what_is_not_known_here(asked: Asked) -> None:
    asked.fail(Unavailable("who asks has to wait for the moon", code="moon"))


@pytest.fixture
def store() -> LeasedStore:
    return LeasedStore()


@pytest.fixture
async def held(store: LeasedStore) -> AsyncIterator[Scene]:
    """One whose store can be held."""
    async with a_scene(store) as scene:
        yield scene
        store.release()


@pytest.fixture(params=[knows_no_such_thing, answers_otherwise])
def other_version(scene: Scene, request: pytest.FixtureRequest) -> Callable[[Asked], None]:
    """What the owner does, which is of another version."""
    scene.company["b"].exchange.obliging.serve = request.param
    return request.param


async def test_an_owner_of_another_version_is_looked_at_as_the_store_has_it(
    scene: Scene, other_version
):
    assert (await scene.subscriptions.get(T, scene.name)).record.name == scene.name
    (listed,) = (await scene.subscriptions.list(T, q=None, limit=10, after=None)).views
    assert listed.record.name == scene.name
    (topic,) = await scene.subscriptions.topics(T, scene.name, limit=10, after=None)
    assert topic.topic == "t"
    # Nobody waits for it to become another one.
    assert scene.sent_count == 3


async def test_an_owner_of_an_older_version_is_changed_as_the_store_can(scene: Scene):
    scene.company["b"].exchange.obliging.serve = knows_no_such_thing
    assert (await scene.subscriptions.pause(T, scene.name)).record.paused
    view = await scene.subscriptions.update(T, scene.name, {"max_in_flight": 7})
    assert view.record.settings.max_in_flight == 7
    for act in (
        scene.subscriptions.seek(T, scene.name, "earliest", dry_run=False),
        scene.subscriptions.delete(T, scene.name),
    ):
        with pytest.raises(
            Unreachable, match=r"node b.*of a version that cannot do that"
        ) as caught:
            await act
        assert caught.value.code == "unavailable"
    assert scene.sent_count == 4


async def test_an_answer_that_cannot_be_read_may_be_of_what_was_done(scene: Scene):
    scene.company["b"].exchange.obliging.serve = answers_otherwise
    with pytest.raises(OutcomeUnknown, match="node b"):
        await scene.subscriptions.pause(T, scene.name)
    assert scene.sent_count == 1


async def test_whoever_refuses_for_a_reason_that_is_not_known_here_has_begun_nothing(
    scene: Scene, monkeypatch
):
    monkeypatch.setattr(messenger, "REACH_TIMEOUT_S", 0.0)
    obliging = scene.company["b"].exchange.obliging
    obliging.serve = says_what_is_not_known_here
    with pytest.raises(Unreachable, match="moon"):
        await scene.subscriptions.delete(T, scene.name)


async def test_what_may_have_been_done_is_not_asked_for_again(held: Scene, store):
    store.held.add("update")
    pausing = begun(held.subscriptions.pause(T, held.name))
    await until(lambda: store.waiting == ["update"])
    held.company.cut("a", "b")
    with pytest.raises(OutcomeUnknown, match="may have been done"):
        await pausing
    assert held.sent_count == 1


async def test_what_only_looks_is_asked_again_when_its_answer_is_lost(held: Scene, store):
    hear_of = held.company["b"].bench.broker.news.hear_of
    asked = []

    async def cut_once(*args) -> None:
        asked.append(args)
        if len(asked) == 1:
            held.company.cut("a", "b")
        await hear_of(*args)

    held.company["b"].bench.broker.news.hear_of = cut_once
    await held.subscriptions.get(T, held.name)
    assert held.sent_count == 2


async def test_an_owner_that_does_not_answer_is_not_looked_at_twice(scene: Scene, monkeypatch):
    monkeypatch.setattr(messenger, "ANSWER_TIMEOUT_S", 0.01)
    monkeypatch.setattr(messenger, "REACH_TIMEOUT_S", 0.01)

    async def never(*_args) -> None:
        await asyncio.Event().wait()

    scene.company["b"].bench.broker.news.hear_of = never
    assert (await scene.subscriptions.get(T, scene.name)).subscribers == 0
    assert scene.sent_count == 1


async def test_a_tenant_that_waits_for_an_owner_does_not_keep_others_from_it(
    held: Scene, store, monkeypatch
):
    monkeypatch.setattr(messenger, "OPEN_MAX_COUNT", 2)
    store.held.add("update")
    waiting = [begun(held.subscriptions.pause(T, held.name)) for _ in range(2)]
    await until(lambda: held.sent_count == 2)
    with pytest.raises(Overloaded, match="2 requests wait for node b"):
        await held.subscriptions.get(T, held.name)
    name = held.company.name_for("b", tenant="other")
    with pytest.raises(NotFound):
        await held.subscriptions.get("other", name)
    store.release()
    for pausing in waiting:
        await pausing
    # And then it has its places again.
    assert (await held.subscriptions.get(T, held.name)).record.paused
    assert held.subscriptions._messenger._seats == {}
