"""Subscriptions that run on another node, looked at and changed from this one."""

from __future__ import annotations

import asyncio

import pytest

from conduit.broker.deliver.large_starts import AT_ONCE_COUNT
from conduit.cluster import at_owner, messenger
from conduit.cluster.messenger import Unreachable
from conduit.errors import InvalidRequest, LimitReached, NotFound, StoreUnavailable
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, Reject, StartAt, StartPosition
from conduit.storage.dead_letters import DeadFilter
from tests.broker.nodes import begun
from tests.cluster.company import Scene
from tests.cluster.links.kit import until


async def test_a_view_is_the_owners(scene: Scene):
    view = await scene.subscriptions.get(T, scene.name)
    assert (view.subscribers, view.in_flight_count, view.lag) == (1, 3, 5)
    (listed,) = (await scene.subscriptions.list(T, q=None, limit=10, after=None)).views
    assert (listed.subscribers, listed.in_flight_count) == (1, 3)
    (listed,) = (await scene.subscriptions.list(T, q=None, topic="t", limit=10, after=None)).views
    assert ([(place.topic, place.lag) for place in listed.topics], listed.more_topics) == (
        [("t", 5)],
        False,
    )
    assert (await scene.subscriptions.list(T, q=None, topic="u", limit=10, after=None)).views == []
    (topic,) = await scene.subscriptions.topics(T, scene.name, limit=10, after=None)
    assert (topic.topic, topic.lag) == ("t", 5)


async def test_an_owner_of_the_version_before_tells_all_topics_and_one_is_shown(scene: Scene):
    await scene.company["a"].bench.broker.topics.create(T, "u")
    some = scene.company["b"].bench.broker.subscriptions.some
    scene.company["b"].bench.broker.subscriptions.some = lambda tenant, names, _: some(
        tenant, names, None
    )
    (listed,) = (await scene.subscriptions.list(T, q=None, topic="t", limit=10, after=None)).views
    assert [place.topic for place in listed.topics] == ["t"]
    assert listed.subscribers == 1


async def test_a_topic_that_was_just_made_is_known_where_its_followers_run(scene: Scene):
    name = scene.company.name_for("b", "w")
    client = await scene.company["a"].client().subscribe(name, topic="new.*")
    await scene.company["a"].bench.broker.news.catch_up()
    await scene.company["a"].bench.broker.topics.create(T, "new.one")
    (listed,) = (
        await scene.subscriptions.list(T, q=None, topic="new.one", limit=10, after=None)
    ).views
    assert (listed.record.name, [place.topic for place in listed.topics]) == (name, ["new.one"])
    assert (client.peer.closed, listed.subscribers) == (None, 1)


async def test_a_long_list_is_asked_for_in_parts(scene: Scene, monkeypatch):
    monkeypatch.setattr(at_owner, "VIEWS_MAX_COUNT", 2)
    names = [scene.company.name_for("b", prefix) for prefix in "uvxyz"]
    clients = [await scene.company["a"].client().subscribe(name) for name in names]
    await scene.company["a"].bench.broker.news.catch_up()
    views = (await scene.subscriptions.list(T, q=None, limit=10, after=None)).views
    assert [view.record.name for view in views] == sorted([scene.name, *names])
    assert [view.subscribers for view in views] == [1] * (len(clients) + 1)
    assert scene.sent_count == 3


async def test_a_list_waits_for_no_owner_for_long(scene: Scene, monkeypatch):
    monkeypatch.setattr(at_owner, "LIST_TIMEOUT_S", 0.01)

    async def never(*_args) -> None:
        await asyncio.Event().wait()

    scene.company["b"].bench.broker.news.hear_of = never
    (view,) = (await scene.subscriptions.list(T, q=None, limit=10, after=None)).views
    assert (view.record.name, view.subscribers) == (scene.name, 0)


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


async def test_a_start_that_cannot_be_told_to_another_node_is_refused_by_all_alike(scene: Scene):
    positions = {f"{number:05}{'x' * 200}": StartPosition(1) for number in range(5_000)}
    start = StartAt(positions=positions)
    for node in scene.company.members.values():
        with pytest.raises(LimitReached, match="fewer positions") as caught:
            await node.subscriptions.seek(T, scene.name, start, dry_run=False)
        assert (caught.value.code, caught.value.field) == ("payload_too_large", "start")
    assert scene.sent_count == 0


async def test_seeks_with_many_positions_go_to_owners_a_few_at_a_time(scene: Scene, monkeypatch):
    gate = asyncio.Event()
    owner = scene.company["b"].bench.broker.news
    hear_of = owner.hear_of

    async def slowly(*args) -> None:
        await gate.wait()
        await hear_of(*args)

    owner.hear_of = slowly
    start = StartAt(positions={f"t{number}": StartPosition(1) for number in range(300)})
    seeks = [begun(scene.subscriptions.seek(T, scene.name, start, dry_run=True)) for _ in range(6)]
    await until(lambda: scene.sent_count == AT_ONCE_COUNT)
    # They hold up nothing that is small.
    small = begun(scene.subscriptions.seek(T, scene.name, "earliest", dry_run=True))
    await until(lambda: scene.sent_count == AT_ONCE_COUNT + 1)
    gate.set()
    assert (await small).lag == 5
    for seek in seeks:
        with pytest.raises(InvalidRequest, match="which is not in 't'"):
            await seek


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


async def test_of_many_that_are_redriven_it_is_known_which_were(scene: Scene, monkeypatch):
    monkeypatch.setattr(messenger, "REACH_TIMEOUT_S", 0.0)
    node, own_name = scene.company["a"], scene.company.name_for("a")
    own = await node.client().subscribe(own_name, start="earliest")
    await until(lambda: own.seqs == [1, 2, 3, 4, 5])
    for client in (own, scene.client):
        client.verbs.reject(Reject(client.id_of(2), ref="1"))
        client.verbs.reject(Reject(client.id_of(3), ref="2"))
        await until(lambda peer=client.peer: len(peer.of("acked")) == 2)
    store = node.bench.broker.store
    places = sorted(
        await store.dead_places(T, DeadFilter(), limit=10),
        key=lambda place: place.subscription == own_name,
    )
    scene.separate()
    failed = await scene.subscriptions.redrive(T, places, 1)
    assert set(failed) == {place.dead_id for place in places[:2]}
    assert all(isinstance(error, Unreachable) for error in failed.values())
    await until(lambda: own.seqs[5:] == [2, 3])


@pytest.mark.parametrize("place", ["a", "b"])
async def test_what_is_to_other_topics_than_is_meant_is_not_changed(place, scene: Scene):
    """Its name was that of another one when it was looked at, which whoever asks may manage."""
    name = scene.company.name_for(place, "p")
    await scene.company["a"].client().subscribe(name)
    await scene.company["a"].bench.broker.news.catch_up()
    subscriptions = scene.subscriptions
    acts = {
        "update": lambda pattern: subscriptions.update(
            T, name, {"max_in_flight": 5}, pattern=pattern
        ),
        "pause": lambda pattern: subscriptions.pause(T, name, pattern=pattern),
        "resume": lambda pattern: subscriptions.resume(T, name, pattern=pattern),
        "seek": lambda pattern: subscriptions.seek(T, name, "new", dry_run=False, pattern=pattern),
        "delete": lambda pattern: subscriptions.delete(T, name, pattern=pattern),
    }
    before = (await subscriptions.get(T, name)).record
    for act in acts.values():
        with pytest.raises(NotFound, match="is another one now") as caught:
            await act("secret.>")
        assert caught.value.code == "subscription_not_found"
    assert (await subscriptions.get(T, name)).record == before
    for act in acts.values():
        await act("t")
    with pytest.raises(NotFound):
        await subscriptions.get(T, name)


async def test_one_that_is_not_there_is_not_found(scene: Scene):
    for name in (scene.company.name_for("a", "x"), scene.company.name_for("b", "x")):
        for act in (scene.subscriptions.get, scene.subscriptions.pause, scene.subscriptions.delete):
            with pytest.raises(NotFound) as caught:
                await act(T, name)
            assert caught.value.code == "subscription_not_found"


async def test_without_its_owner_some_is_done_by_the_store_and_the_rest_refused(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(messenger, "REACH_TIMEOUT_S", 0.0)
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


async def test_what_the_owner_has_done_is_answered_also_if_nothing_can_be_heard_here(scene: Scene):
    async def away() -> None:
        raise StoreUnavailable("no connection was free in time")

    # The store answers the owner, and not this node.
    scene.company["a"].bench.broker.news._look = away
    assert (await scene.subscriptions.pause(T, scene.name)).record.paused
    view = await scene.subscriptions.update(T, scene.name, {"max_in_flight": 7})
    assert view.record.settings.max_in_flight == 7
    await scene.subscriptions.delete(T, scene.name)
    assert scene.company["b"].bench.broker._owned.find(T, scene.name) is None


async def test_what_the_store_does_without_the_owner_undoes_nothing_of_other_nodes(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(messenger, "REACH_TIMEOUT_S", 0.0)
    scene.separate()
    here, there = scene.subscriptions, scene.company["b"].subscriptions
    # Each knows of the change before by the next look at the changes, which does not come.
    await there.update(T, scene.name, {"max_attempts": 7})
    await here.pause(T, scene.name)
    await there.update(T, scene.name, {"max_lost": 9})
    view = await here.update(T, scene.name, {"ack_wait_ms": 5000})
    settings = view.record.settings
    assert (settings.max_attempts, settings.max_lost, settings.ack_wait_ms) == (7, 9, 5000)
    (stored,) = await scene.company["b"].bench.broker.store.subscriptions()
    assert (stored.settings, stored.paused) == (settings, True)


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
